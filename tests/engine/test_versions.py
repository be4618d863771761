"""Each saved mapping is a version: kept, compared, restored, and named by deliveries."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import transaction

from integrations.delivery import integration_switch
from integrations.discovery import integration_discover, mapping_changed
from integrations.dispatch import integration_deliver
from integrations.kit.contract import ConnectorError
from integrations.models import Delivery, Integration, MappingVersion
from integrations.processr import leads_process
from integrations.restoring import mapping_restore
from integrations.versions import MappingConflict, mapping_compare, mapping_save, mapping_version, mapping_versions
from leads.models import Lead
from tests.engine.client import Client

pytestmark = pytest.mark.django_db

MakeLead = Callable[..., Lead]


def choose(integration: Integration, key: str, **choice: object) -> None:
    row = integration.mappings.get(remote_key=key)
    for name, value in choice.items():
        setattr(row, name, value)
    row.save()


def test_a_saved_mapping_is_a_version_with_who_when_and_what_was_different(integration: Integration) -> None:
    first = integration.mapping_version
    choose(integration, "form[company]", source="fixed", value="Acme Ltd")
    assert mapping_save(integration, "maria") == first + 1
    assert integration.mapping_version == first + 1
    newest = mapping_versions(integration)[0]
    assert (newest.number, newest.by, newest.why) == (first + 1, "maria", "saved")
    assert newest.note == "Company: now from the fixed value “Acme Ltd”, was from your field company."


def test_saving_what_is_saved_already_is_no_version(integration: Integration, client: Client) -> None:
    before = integration.mapping_version
    mapping_changed(integration, "maria")
    integration_discover(integration, "maria")
    integration.refresh_from_db()
    assert integration.mapping_version == before == MappingVersion.objects.count()


def test_versions_are_compared_row_by_row_in_words_and_in_data(integration: Integration, client: Client) -> None:
    first = mapping_version(integration, integration.mapping_version)
    client.remove("form[company]")
    client.add("form[jobTitle]", "Job title", required=True)
    integration_discover(integration, "maria")
    integration.mappings.get(remote_key="form[company]").delete()
    choose(integration, "form[email]", transforms=[{"name": "lower"}], value_map={"a": "b"})
    mapping_save(integration, "maria")
    second = mapping_version(integration, integration.mapping_version)
    assert first is not None
    assert second is not None
    found = mapping_compare(first, second, {"company": "Your company"})
    assert found.words == [
        "E-mail: values are matched otherwise; transforms are others.",
        "Job title: new, from nothing.",
        "Company: gone, was from your field Your company.",
    ]
    assert [change.key for change in found.of_kind("added")] == ["form[jobTitle]"]
    changed = found.of_kind("changed")[0]
    assert changed.before is not None
    assert changed.after is not None
    assert (changed.before["value_map"], changed.after["value_map"]) == ({}, {"a": "b"})
    assert not mapping_compare(first, first)


def test_a_restored_version_maps_as_it_did_and_is_a_new_version(integration: Integration) -> None:
    first = integration.mapping_version
    choose(integration, "form[company]", source="fixed", value="Acme Ltd")
    integration.mappings.create(remote_key="form[utm]", state="extra", source="fixed", value="spring", position=9)
    mapping_save(integration, "maria")
    report = mapping_restore(integration, first, "erin")
    assert (report.version, report.gone, report.came, report.problems) == (first + 2, [], [], [])
    assert not integration.mappings.filter(remote_key="form[utm]").exists()
    assert integration.mappings.get(remote_key="form[company]").value == "company"
    assert mapping_versions(integration)[0].why == "restored"
    mapping_restore(integration, first + 1, "erin")
    assert integration.mappings.get(remote_key="form[utm]").value == "spring"
    with pytest.raises(ConnectorError, match="no version 99"):
        mapping_restore(integration, 99, "erin")


def test_a_restore_never_brings_back_a_field_that_the_client_has_no_longer(
    integration: Integration, client: Client
) -> None:
    first = integration.mapping_version
    client.remove("form[company]")
    client.add("form[jobTitle]", "Job title")
    integration_discover(integration, "maria")
    integration.mappings.get(remote_key="form[company]").delete()
    choose(integration, "form[jobTitle]", source="fixed", value="Engineer")
    mapping_save(integration, "maria")
    report = mapping_restore(integration, first, "erin")
    assert (report.gone, report.came) == (["Company"], ["Job title"])
    assert integration.mappings.get(remote_key="form[jobTitle]").value == "Engineer"


def test_a_restore_that_leaves_something_required_open_stops_the_integration(
    integration: Integration, client: Client
) -> None:
    choose(integration, "form[email]", source="", value="")
    open_version = mapping_save(integration, "maria")
    choose(integration, "form[email]", source="field", value="email")
    mapping_save(integration, "maria")
    report = mapping_restore(integration, open_version, "erin")
    integration.refresh_from_db()
    assert integration.state == "needs_a_look"
    assert report.problems == ["1 required field of the client has no value yet: E-mail."]


@transaction.atomic
def save_as_a_page_does(integration: Integration, opened: int) -> None:
    choose(integration, "form[company]", source="fact", value="campaign.name")
    mapping_save(integration, "erin", expected_version=opened)


def test_the_second_of_two_people_is_told_what_the_first_changed_and_nothing_is_overwritten(
    integration: Integration,
) -> None:
    opened = integration.mapping_version
    mine, theirs = (Integration.objects.get(pk=integration.pk) for _ in range(2))
    with transaction.atomic():
        choose(theirs, "form[company]", source="fixed", value="Acme Ltd")
        mapping_save(theirs, "maria", expected_version=opened)
    with pytest.raises(MappingConflict) as raised:
        save_as_a_page_does(mine, opened)
    assert raised.value.current.number == opened + 1
    assert [change.key for change in raised.value.changes.changes] == ["form[company]"]
    assert "maria saved version" in raised.value.message
    assert "Company: now from the fixed value “Acme Ltd”, was from your field company." in raised.value.message
    assert mine.mappings.get(remote_key="form[company]").value == "Acme Ltd"
    choose(mine, "form[company]", source="fact", value="campaign.name")
    assert mapping_save(mine, "erin", expected_version=opened + 1) == opened + 2


def test_who_changed_nothing_is_told_of_no_conflict(integration: Integration) -> None:
    opened = integration.mapping_version
    choose(integration, "form[company]", source="fixed", value="Acme Ltd")
    mapping_save(integration, "maria")
    assert mapping_save(integration, "erin", expected_version=opened) == opened + 1


def test_a_delivery_names_the_version_that_made_its_values(
    integration: Integration, client: Client, lead: MakeLead
) -> None:
    lead(company="Analytical Engines")
    leads_process()
    version = integration.mapping_version
    # Rows that were changed, but not saved as a version yet, are not what goes out.
    choose(integration, "form[company]", source="fixed", value="Half done")
    integration_deliver(integration.pk)
    assert (Delivery.objects.get().mapping_version, client.leads[0]["form[company]"]) == (version, "Analytical Engines")
    mapping_save(integration, "maria")
    lead(company="Analytical Engines")
    leads_process()
    integration_deliver(integration.pk)
    delivery = Delivery.objects.latest("id")
    kept = mapping_version(integration, delivery.mapping_version)
    assert kept is not None
    assert (kept.number, client.leads[1]["form[company]"]) == (version + 1, "Half done")


def test_a_mapping_saved_while_leads_go_out_is_used_for_those_not_yet_claimed(
    integration: Integration, client: Client, lead: MakeLead, monkeypatch: pytest.MonkeyPatch
) -> None:
    from integrations.sending import Turn

    monkeypatch.setattr("django.conf.settings.DELIVERY_BATCH", 2)
    for _ in range(6):
        lead(company="Analytical Engines")
    leads_process()
    take, saved = Turn._take_ended, list[int]()

    def save_meanwhile(turn: Turn) -> None:
        if not saved:
            choose(integration, "form[company]", source="fixed", value="Acme Ltd")
            saved.append(mapping_save(Integration.objects.get(pk=integration.pk), "maria"))
        take(turn)

    monkeypatch.setattr(Turn, "_take_ended", save_meanwhile)
    assert integration_deliver(integration.pk) == 6
    by_version = {
        key: set(Delivery.objects.filter(key__in=[key]).values_list("mapping_version", flat=True))
        for key in Delivery.objects.values_list("key", flat=True)
    }
    sent = {post.headers["idempotency-key"]: post.form["form[company]"] for post in client.posts()}
    assert set(sent.values()) == {"Analytical Engines", "Acme Ltd"}
    for key, versions in by_version.items():
        assert versions == {saved[0] if sent[key.hex] == "Acme Ltd" else saved[0] - 1}


def test_switching_on_makes_a_version_of_whatever_the_rows_are(integration: Integration) -> None:
    before = integration.mapping_version
    choose(integration, "form[company]", source="fixed", value="Acme Ltd")
    integration_switch(integration, on=True)
    integration.refresh_from_db()
    assert integration.mapping_version == before + 1
