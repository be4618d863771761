"""What a portal does when a client changes their form."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from integrations.delivery import deliveries_queue, integration_switch
from integrations.discovery import integration_discover, pulls_due
from integrations.dispatch import integration_deliver
from integrations.drift import PullOutcome, drift_accept, drift_pending, integration_pull, integration_pull_due
from integrations.form_diff import ChangeKind
from integrations.kit.contract import ConnectorError
from integrations.models import Delivery, Integration, IntegrationState, MappingVersion
from integrations.preview import drift_preview
from integrations.processr import leads_process
from integrations.versions import MappingConflict, mapping_save
from leads.models import Campaign, Field, Lead
from tests.engine.client import Answer, Client

pytestmark = pytest.mark.django_db

MakeLead = Callable[..., Lead]


@pytest.fixture
def strict(client: Client) -> Client:
    """A client that refuses what is not on its form."""
    client.strict = True
    return client


def pull(integration: Integration) -> PullOutcome:
    """The scheduled look at their form, now."""
    Integration.objects.filter(pk=integration.pk).update(next_pull_at=timezone.now(), pulled_at=None)
    report = integration_pull_due(integration.pk)
    integration.refresh_from_db()
    assert report is not None
    return report.outcome


def written(queries: CaptureQueriesContext) -> list[str]:
    return [query["sql"] for query in queries if query["sql"].split(None, 1)[0] in ("INSERT", "UPDATE", "DELETE")]


def states() -> list[str]:
    return list(Delivery.objects.order_by("id").values_list("state", flat=True))


def kinds(integration: Integration) -> dict[str, str]:
    drift = drift_pending(integration)
    assert drift is not None
    return {change.key: change.kind for change in drift.diff.changes}


# --- looking at their form ----------------------------------------------------------------------------------


def test_a_look_at_an_unchanged_form_writes_nothing(integration: Integration) -> None:
    with CaptureQueriesContext(connection) as queries:
        assert integration_pull(integration).outcome == PullOutcome.UNCHANGED
    assert written(queries) == []


def test_the_scheduled_look_at_an_unchanged_form_writes_down_when_it_was_and_nothing_else(
    integration: Integration,
) -> None:
    before = list(integration.mappings.values()), integration.mapping_version, integration.updated_at
    with CaptureQueriesContext(connection) as queries:
        assert pull(integration) == PullOutcome.UNCHANGED
    columns = [
        sql.removeprefix('UPDATE "integrations_integration" SET ').split(" WHERE ")[0] for sql in written(queries)
    ]
    assert [column.split(" = ")[0] for column in columns[1:]] == ['"next_pull_at"', '"pulled_at"'], (
        "the first is the test's"
    )
    assert (list(integration.mappings.values()), integration.mapping_version, integration.updated_at) == before


def test_integrations_that_are_on_are_looked_at_every_hour_and_not_all_at_once(
    integration: Integration, client: Client
) -> None:
    wait = (integration.next_pull_at - timezone.now()).total_seconds()
    assert 2_800 < wait < 4_330
    assert pulls_due() == []
    Integration.objects.update(next_pull_at=timezone.now())
    assert pulls_due() == [integration.pk]
    asked = len(client.seen)
    assert integration_pull_due(integration.pk) is not None
    assert integration_pull_due(integration.pk) is None, "another worker had it"
    assert len(client.seen) == asked + 1
    integration_switch(integration, on=False)
    assert pulls_due() == []


def test_a_client_that_gives_no_form_is_asked_again_soon_and_nothing_changes(
    integration: Integration, client: Client
) -> None:
    client.refuse_tokens |= {"token-1", "token-2"}
    Integration.objects.update(next_pull_at=timezone.now())
    assert integration_pull_due(integration.pk) is None
    integration.refresh_from_db()
    assert integration.state == IntegrationState.ON
    assert integration.next_pull_at - timezone.now() < dt.timedelta(seconds=301)


# --- what breaks no lead ------------------------------------------------------------------------------------


def test_a_new_optional_field_appears_as_a_row_and_leads_go_on(
    integration: Integration, strict: Client, lead: MakeLead
) -> None:
    strict.add("form[fax]", "Fax")
    version = integration.mapping_version
    assert pull(integration) == PullOutcome.TAKEN_IN
    assert integration.state == IntegrationState.ON
    assert integration.mappings.get(remote_key="form[fax]").state == "new"
    last = MappingVersion.objects.get(integration=integration, number=version + 1)
    assert (last.why, last.by, last.note) == ("pulled", "", "Fax: new, from nothing.")
    lead()
    leads_process()
    integration_deliver(integration.pk)
    assert Delivery.objects.get().mapping_version == version + 1
    assert states() == ["delivered"]


def test_a_new_choice_and_a_field_that_is_required_no_longer_are_taken_in(
    integration: Integration, client: Client
) -> None:
    client.field("form[company]").update(choices=[{"value": "a", "label": "A"}])
    integration.mappings.filter(remote_key="form[company]").update(source="", value="")
    integration_discover(integration)
    client.field("form[company]")["choices"].append({"value": "b", "label": "B"})
    client.field("form[firstName]")["required"] = False
    assert pull(integration) == PullOutcome.TAKEN_IN
    rows = {row.remote_key: row for row in integration.mappings.all()}
    assert [choice["value"] for choice in rows["form[company]"].remote_choices] == ["a", "b"]
    assert not rows["form[firstName]"].remote_required


def test_a_new_required_field_that_has_the_name_of_one_of_ours_is_matched_by_itself(
    integration: Integration, campaign: Campaign, client: Client
) -> None:
    Field.objects.create(form=campaign.forms.get(), name="jobTitle")
    client.add("form[job_title]", "Job title", required=True)
    assert pull(integration) == PullOutcome.TAKEN_IN
    row = integration.mappings.get(remote_key="form[job_title]")
    assert (row.source, row.value, integration.state) == ("field", "jobTitle", "on")


def test_sync_inputs_that_are_gone_are_no_longer_placed(
    integration: Integration, strict: Client, lead: MakeLead
) -> None:
    strict.offers_sync = False
    version = integration.mapping_version
    lead()
    leads_process()
    integration_deliver(integration.pk)
    assert states() == ["held"]
    assert pull(integration) == PullOutcome.UNCHANGED
    assert integration.mapping_version == version + 1
    integration_deliver(integration.pk)
    assert (states(), integration.state) == (["delivered"], "on")


# --- what would break leads ---------------------------------------------------------------------------------


def test_a_new_required_field_holds_leads_with_that_reason_and_accepting_it_lets_them_out(
    integration: Integration, strict: Client, lead: MakeLead
) -> None:
    waiting = [lead() for _ in range(2)]
    leads_process()
    strict.add("form[jobTitle]", "Job title", required=True)
    version = integration.mapping_version
    assert pull(integration) == PullOutcome.WAITING
    late = lead()
    leads_process()
    integration_deliver(integration.pk)
    assert strict.posts() == [], "none is sent to fail"
    assert states() == ["held"] * 3
    assert integration.state == IntegrationState.NEEDS_A_LOOK
    assert "Their form changed on" in integration.state_reason
    assert "Job title: new, required." in integration.state_reason
    for reason in Delivery.objects.values_list("reason", flat=True):
        assert reason.startswith("Waiting: the client's form changed on")
    assert integration.mapping_version == version, "the mapping is as the person made it"
    drift = drift_pending(integration)
    assert drift is not None
    assert drift.words.endswith("3 leads need a new mapping.")
    assert (drift.form_name, drift.diff.breaking[0].words) == ("Webinar", "new, required")

    with pytest.raises(ConnectorError, match="review the change first"):
        integration_switch(integration, on=True)
    chosen = {"form[jobTitle]": {"source": "fixed", "value": "Engineer"}}
    assert drift_preview(integration).missing == ["Job title"]
    assert drift_preview(integration, choices=chosen).go == 3
    report = drift_accept(integration, "maria", choices=chosen, digest=drift.digest)
    assert (report.on, report.released, report.missing, report.version) == (True, 3, [], version + 1)
    integration_deliver(integration.pk)
    assert states() == ["delivered"] * 3
    assert {posted["form[jobTitle]"] for posted in strict.leads} == {"Engineer"}
    assert Delivery.objects.filter(lead__in=[*waiting, late], mapping_version=report.version).count() == 3
    kept = MappingVersion.objects.get(integration=integration, number=report.version)
    assert (kept.why, kept.by) == ("accepted", "maria")


def test_accepting_with_something_required_still_open_says_so_and_leads_go_on_waiting(
    integration: Integration, strict: Client, lead: MakeLead
) -> None:
    strict.add("form[jobTitle]", "Job title", required=True)
    pull(integration)
    lead()
    leads_process()
    report = drift_accept(integration, "maria")
    assert not report.on
    assert report.missing == ["1 required field of the client has no value yet: Job title."]
    integration.refresh_from_db()
    assert (integration.state, integration.pending_form) == ("needs_a_look", None)
    assert Delivery.objects.get().reason == "Waiting: 1 required field of the client has no value yet: Job title."
    integration.mappings.filter(remote_key="form[jobTitle]").update(source="fixed", value="Engineer")
    mapping_save(integration, "maria")
    integration_switch(integration, on=True)
    integration_deliver(integration.pk)
    assert states() == ["delivered"]


def test_a_renamed_field_keeps_its_mapping_when_the_person_accepts_it(
    integration: Integration, strict: Client, lead: MakeLead
) -> None:
    lead(company="Analytical Engines")
    leads_process()
    strict.field("form[company]").update(key="form[employer]")
    assert pull(integration) == PullOutcome.WAITING
    assert kinds(integration) == {"form[employer]": ChangeKind.RENAMED}
    assert drift_preview(integration).go == 1
    drift_accept(integration, "maria")
    integration_deliver(integration.pk)
    assert strict.leads[0]["form[employer]"] == "Analytical Engines"
    assert not integration.mappings.filter(remote_key="form[company]").exists()


def test_a_rename_that_the_person_does_not_take_is_a_row_that_goes_and_one_that_comes(
    integration: Integration, strict: Client, lead: MakeLead
) -> None:
    lead(company="Analytical Engines")
    leads_process()
    strict.field("form[company]").update(key="form[employer]")
    pull(integration)
    drift_accept(integration, "maria", renames={})
    integration_deliver(integration.pk)
    assert states() == ["delivered"]
    assert "form[employer]" not in strict.leads[0]
    assert integration.mappings.get(remote_key="form[employer]").source == ""


def test_a_removed_field_that_carried_values_waits_and_one_that_did_not_does_not(
    integration: Integration, client: Client
) -> None:
    client.add("form[fax]", "Fax")
    pull(integration)
    client.remove("form[fax]")
    assert pull(integration) == PullOutcome.TAKEN_IN
    client.remove("form[company]")
    assert pull(integration) == PullOutcome.WAITING
    drift = drift_pending(integration)
    assert drift is not None
    change = drift.diff.changes[0]
    assert (change.sign, str(change)) == ("−", "Company: removed; was mapped to your field company: the row goes")


def test_a_removed_choice_waits_only_where_a_lead_or_the_mapping_uses_it(
    integration: Integration, client: Client, lead: MakeLead
) -> None:
    names = [{"value": value, "label": value} for value in ("GB", "DE", "FR", "IT")]
    client.field("form[company]").update(type="choice", choices=names)
    lead(company="GB")
    lead(company="DE")
    integration_discover(integration)
    row = integration.mappings.get(remote_key="form[company]")
    row.value_map = {"Allemagne": "FR"}
    row.save()
    mapping_save(integration, "maria")
    names.pop()
    assert pull(integration) == PullOutcome.TAKEN_IN, "nobody uses IT"
    names.pop()
    assert pull(integration) == PullOutcome.WAITING
    drift = drift_pending(integration)
    assert drift is not None
    assert "“FR”" in drift.diff.breaking[0].breaks
    assert drift.diff.breaking[0].words == "choices: − FR"
    row.value_map = {}
    row.save()
    mapping_save(integration, "maria")
    assert pull(integration) == PullOutcome.TAKEN_IN, "the person has made do without it"
    assert integration.state == IntegrationState.ON
    names.pop(0)
    names.append({"value": "UK", "label": "UK"})
    assert pull(integration) == PullOutcome.WAITING
    drift = drift_pending(integration)
    assert drift is not None
    assert drift.diff.breaking[0].words == "choices: + UK; − GB"
    assert drift.diff.breaking[0].breaks == "1 of the latest leads carries “GB”."


def test_a_form_that_is_as_it_was_again_lets_leads_go_on_by_itself(
    integration: Integration, strict: Client, lead: MakeLead
) -> None:
    strict.add("form[jobTitle]", "Job title", required=True)
    pull(integration)
    lead()
    leads_process()
    strict.remove("form[jobTitle]")
    assert pull(integration) == PullOutcome.BACK
    integration_deliver(integration.pk)
    assert (integration.state, states()) == ("on", ["delivered"])


def test_a_paused_integration_stays_paused_whatever_they_change(
    integration: Integration, strict: Client, lead: MakeLead
) -> None:
    strict.add("form[jobTitle]", "Job title", required=True)
    pull(integration)
    integration_switch(integration, on=False)
    strict.add("form[fax]", "Fax", required=True)
    assert integration_pull(integration).outcome == PullOutcome.WAITING
    chosen = {key: {"source": "fixed", "value": "x"} for key in ("form[jobTitle]", "form[fax]")}
    report = drift_accept(integration, "maria", choices=chosen)
    integration.refresh_from_db()
    assert (integration.state, report.on, report.missing) == ("paused", False, [])


def test_their_second_change_is_not_accepted_unseen(integration: Integration, client: Client) -> None:
    client.add("form[jobTitle]", "Job title", required=True)
    pull(integration)
    seen = drift_pending(integration)
    assert seen is not None
    client.add("form[fax]", "Fax", required=True)
    pull(integration)
    with pytest.raises(ConnectorError, match="changed once more"):
        drift_accept(integration, "maria", digest=seen.digest)
    with pytest.raises(MappingConflict):
        drift_accept(integration, "maria", expected_version=integration.mapping_version - 1)
    integration.refresh_from_db()
    assert integration.pending_form is not None


def test_leads_that_a_change_leaves_without_a_value_are_named_before_it_is_accepted(
    integration: Integration, client: Client, lead: MakeLead
) -> None:
    client.field("form[company]")["required"] = True
    client.add("form[jobTitle]", "Job title", required=True)
    good, bad = lead(company="Acme"), lead()
    pull(integration)
    leads_process()
    found = drift_preview(integration, choices={"form[jobTitle]": {"source": "fixed", "value": "Engineer"}})
    assert (found.held, found.checked, found.go) == (2, 2, 1)
    assert found.stay == {"Company: the lead has no value for company, and the client requires one.": 1}
    assert found.problems[0][0] == bad.pk != good.pk


# --- what a refusal tells -----------------------------------------------------------------------------------


def test_a_refusal_for_extra_fields_has_their_form_looked_at_and_nothing_more_is_sent_to_fail(
    integration: Integration, strict: Client, lead: MakeLead, settings: LazySettings
) -> None:
    settings.DELIVERY_BATCH = 2
    for _ in range(12):
        lead(company="Acme")
    leads_process()
    strict.field("form[company]").update(key="form[employer]")
    integration_deliver(integration.pk)
    assert len(strict.posts()) == 2, "those that were on their way"
    assert states() == ["held"] * 12
    assert pulls_due() == [integration.pk]
    assert integration_pull_due(integration.pk) is not None
    integration.refresh_from_db()
    assert integration.state == IntegrationState.NEEDS_A_LOOK
    assert drift_pending(integration) is not None
    assert all("form changed on" in reason for reason in Delivery.objects.values_list("reason", flat=True))
    keys = set(Delivery.objects.values_list("key", flat=True))
    drift_accept(integration, "maria")
    integration_deliver(integration.pk)
    assert states() == ["delivered"] * 12
    assert len(strict.leads) == 12
    assert set(Delivery.objects.values_list("key", flat=True)) == keys, (
        "what was refused was not taken: its key is as good"
    )


def test_a_refusal_that_their_form_does_not_explain_stops_the_integration_with_the_field_named(
    integration: Integration, strict: Client, lead: MakeLead
) -> None:
    integration.mappings.create(remote_key="form[utm]", state="extra", source="fixed", value="spring")
    mapping_save(integration, "maria")
    lead()
    leads_process()
    integration_deliver(integration.pk)
    assert pull(integration) == PullOutcome.UNCHANGED
    assert integration.state == IntegrationState.NEEDS_A_LOOK
    assert "Added by hand: form[utm]" in integration.state_reason
    integration.mappings.filter(remote_key="form[utm]").delete()
    mapping_save(integration, "maria")
    integration_switch(integration, on=True)
    integration_deliver(integration.pk)
    assert states() == ["delivered"]


def test_what_was_refused_under_an_older_mapping_is_tried_with_the_new_one(
    integration: Integration, strict: Client, lead: MakeLead
) -> None:
    lead(company="Acme")
    leads_process()
    strict.remove("form[company]")
    integration_deliver(integration.pk)
    integration.mappings.filter(remote_key="form[company]").update(source="", value="")
    integration_discover(integration, "maria")
    assert pull(integration) == PullOutcome.UNCHANGED
    integration_deliver(integration.pk)
    assert (integration.state, states()) == ("on", ["delivered"])


def test_a_client_that_refuses_all_the_time_is_not_asked_for_its_form_all_the_time(
    integration: Integration, client: Client, lead: MakeLead
) -> None:
    Integration.objects.update(pulled_at=timezone.now())
    extra = {"fieldName": "", "message": "This form should not contain extra fields."}
    client.say.append(Answer(400, {"code": 400, "message": "Validation failed", "data": [extra]}))
    lead()
    leads_process()
    integration_deliver(integration.pk)
    integration.refresh_from_db()
    assert 50 < (integration.next_pull_at - timezone.now()).total_seconds() <= 60
    assert deliveries_queue([Lead.objects.get().pk]).queued == 0, "it waits, and is not handed over twice"


# --- hostile words ------------------------------------------------------------------------------------------


def test_a_hostile_form_is_kept_within_bounds_and_shown_as_text(integration: Integration, client: Client) -> None:
    script = "<script>alert(1)</script>"
    client.add("form[a]", script + "x" * 10_000, type="y" * 500)
    client.add("form[b]", "Many", choices=[{"value": f"v{n}", "label": "l"} for n in range(2_500)])
    client.add("form[c]", "Nul\x00", choices=[{"value": "z" * 9_000, "label": "Long"}])
    client.add("form[d]", "Very many", choices=[{"value": f"v{n}"} for n in range(5_100)])
    assert pull(integration) == PullOutcome.TAKEN_IN
    rows = {row.remote_key: row for row in integration.mappings.all()}
    assert len(rows["form[b]"].remote_choices) == 2_500
    assert rows["form[c]"].remote_choices == rows["form[d]"].remote_choices == [], "half a list would hold good leads"
    assert rows["form[a]"].remote_label.startswith(script)
    assert len(rows["form[a]"].remote_label) <= 500
    assert len(rows["form[a]"].remote_type) <= 30
    assert "\x00" not in rows["form[c]"].remote_label
    assert len(MappingVersion.objects.latest("number").note) <= 500
