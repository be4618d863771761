"""Configuration as a file: `manage.py config apply` and `config export`, as an operator uses them."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from integrations.configuration.apply import Report, apply
from integrations.configuration.export import export
from integrations.configuration.reading import ConfigurationError
from integrations.configuration.schema import parse
from integrations.models import FieldMapping, Integration, IntegrationState, Job, JobGroup, ValueList
from leads.access import digest
from leads.models import (
    Advertiser,
    ApiKey,
    Campaign,
    Form,
    LeadEvents,
    Link,
    Publisher,
    ReasonCode,
    Source,
    User,
)

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parent.parent.parent
DEMO = (ROOT / "demo" / "portal.yml").read_text()
SECRETS = {
    name: "WriteKey1" if name.endswith("WRITE_KEY") else f"secret of {name}"
    for name in re.findall(r"env:(\w+)", DEMO)
    if not name.endswith("_ID")
}
ENVIRON = {**SECRETS, "CLIENT_CAMPAIGN_ID": "204", "CLIENT_PUBLISHER_ID": "17", "CLIENT_FORM_ID": "75"}

SMALL = """\
advertisers:
  - name: Acme
publishers:
  - name: Inkwell
    api_key: env:INKWELL_KEY
forms:
  - name: Short
    fields:
      - {name: email, type: email, required: true}
      - {name: country, type: choice, choices: {DE: Germany}}
campaigns:
  - name: Spring
    advertiser: Acme
    forms: [Short]
    publishers: [Inkwell]
    integrations:
      - name: Acme's instance
        connector: convertr_connect
        settings:
          subdomain: acme
          api_key: env:ACME_KEY
          campaign_id: 204
        mapping:
          - {to: "form[email]", field: email, transforms: [trim]}
"""
SMALL_ENVIRON = {"INKWELL_KEY": "inkwell-key-1", "ACME_KEY": "acme-key-1"}


def applied(text: str = SMALL, environ: dict[str, str] | None = None) -> Report:
    return apply(parse(text, "portal.yml", SMALL_ENVIRON if environ is None else environ))


def refused(text: str, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        applied(text, environ)
    return str(caught.value)


def test_a_file_sets_up_everything_it_names() -> None:
    applied(DEMO, ENVIRON)
    campaign = Campaign.objects.get(name="Spring webinar")
    integration = campaign.integrations.get(connector="convertr_connect")
    assert integration.settings == {
        "subdomain": "client",
        "campaign_id": "204",
        "publisher_id": "17",
        "global_form": "75",
    }
    assert integration.secrets == {"api_key": ENVIRON["CLIENT_PUBLISHER_API_KEY"]}
    row = integration.mappings.get(remote_key="form[country]")
    assert (row.source, row.value, row.value_map["GB"]) == ("field", "country", "United Kingdom")
    assert [field.name for field in campaign.forms.get().fields.all()][:3] == ["email", "firstName", "lastName"]
    assert Publisher.objects.get(name="Old Mill Lists").active is False
    assert Campaign.objects.get(name="Winter webinar").status == Campaign.Status.PAUSED
    key = ApiKey.objects.get(publisher__name="Inkwell Publishing")
    assert key.digest == digest(ENVIRON["PORTAL_PUBLISHER_API_KEY"])
    assert User.objects.get(username="desk@inkwell.example").check_password(ENVIRON["PORTAL_PUBLISHER_PASSWORD"])


def test_applying_twice_changes_nothing_the_second_time() -> None:
    applied(DEMO, ENVIRON)
    before = export()
    report = applied(DEMO, ENVIRON)
    # It waits for the client's form, which only a running client's portal can give.
    assert report.lines == ["updated integration of “Spring webinar” “Larkfield's instance”"]
    assert export() == before
    assert Form.objects.get().version == 1
    assert ApiKey.objects.count() == 5


def test_the_second_time_says_that_all_is_unchanged() -> None:
    first, second = applied(), applied()
    assert first.summary() == "9 created, 1 updated, 0 unchanged"
    assert second.summary() == "0 created, 0 updated, 10 unchanged"
    assert second.lines == []


def test_what_the_file_does_not_name_stays_as_it_is() -> None:
    applied()
    campaign = Campaign.objects.get()
    Link.objects.create(campaign=campaign, name="Newsletter")
    Campaign.objects.update(status_reason="asked for by the client")
    applied(SMALL.replace("advertiser: Acme\n", "advertiser: Acme\n    status: paused\n"))
    campaign.refresh_from_db()
    assert (campaign.status, campaign.status_reason) == ("paused", "asked for by the client")
    assert campaign.links.count() == 1


def test_a_changed_field_is_a_new_version_of_its_form() -> None:
    applied()
    applied(SMALL.replace("required: true", "required: false"))
    assert Form.objects.get().version == 2
    assert Form.objects.get().fields.get(name="email").required is False


def test_a_changed_mapping_is_a_new_version_of_it() -> None:
    applied()
    before = Integration.objects.get().mapping_version
    applied(SMALL.replace("[trim]", "[trim, lower]"))
    integration = Integration.objects.get()
    assert integration.mapping_version == before + 1
    assert integration.mappings.get().transforms == [{"name": "trim"}, {"name": "lower"}]


def test_a_secret_that_changed_is_taken_over() -> None:
    applied()
    report = applied(environ={**SMALL_ENVIRON, "ACME_KEY": "acme-key-2"})
    assert Integration.objects.get().secrets == {"api_key": "acme-key-2"}
    assert report.lines == ["updated integration of “Spring” “Acme's instance”"]


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("name: Acme\n", "nam: Acme\n", "2:5: advertisers[0].nam", "there is no “nam” here; did you mean “name”?"),
        ("advertisers:", "advertiser:", "1:1: advertiser", "did you mean “advertisers”?"),
        ("    advertiser: Acme\n", "", "12:5: campaigns[0]", "“advertiser” is missing."),
        ("advertiser: Acme\n", "advertiser: Acne\n", "13:17: campaigns[0].advertiser", "did you mean “Acme”?"),
        ("forms: [Short]", "forms: [Shirt]", "14:12: campaigns[0].forms", "there is no form “Shirt”"),
        ("type: email", "type: mail", "9:29: forms[0].fields[0].type", "none of text, email"),
        ("required: true", "required: maybe", "9:46: forms[0].fields[0].required", "true or false is wanted"),
        ("name: email,", "name: e-mail,", "9:16: forms[0].fields[0].name", "Start with a letter"),
        ("name: email,", "name: campaignId,", "9:16: forms[0].fields[0].name", "a reserved name"),
        ("{DE: Germany}", "{}", "10:48: forms[0].fields[1].choices", "at least one value"),
        ("name: country", "name: email", "10:9: forms[0].fields[1]", "“email” is there twice; first in line 9."),
        ("convertr_connect", "convertr_conect", "18:20: campaigns[0].integrations[0].connector", "“convertr_connect”"),
        ("subdomain: acme", "sub_domain: acme", "20:23: campaigns[0].integrations[0].settings.sub_domain", "“subdomain”"),
        ("campaign_id: 204", "campaign_id: two", "22:24: campaigns[0].integrations[0].settings.campaign_id", "a number"),
        ("env:ACME_KEY", "env:NO_KEY", "21:20: campaigns[0].integrations[0].settings.api_key", "NO_KEY is not set"),
        ("field: email", "field: mail", "24:40: campaigns[0].integrations[0].mapping[0].field", "did you mean “email”?"),
        ("[trim]", "[trim, shout]", "24:59: campaigns[0].integrations[0].mapping[0].transforms", "no transform “shout”"),
        ("field: email", "field: email, fixed: x", "24:54: campaigns[0].integrations[0].mapping[0].fixed", "not both"),
        ("name: Acme\n", "name: [Acme]\n", "2:11: advertisers[0].name", "text is wanted"),
        ("  - name: Acme\n", "  name: Acme\n", "2:3: advertisers", "a list is wanted"),
        ("name: Spring", "name: Spring\n    time_zone: Mars", "13:16: campaigns[0].time_zone", "is no time zone"),
        ("name: Spring", "name: Spring\n    name: Summer", "13:5: the file", "this key is there twice"),
        ("forms:\n", "forms: [\n", "7:3: the file", "this is not YAML"),
    ],
)  # fmt: skip
def test_an_error_names_the_place_in_the_file_and_what_is_wrong(old: str, new: str, place: str, words: str) -> None:
    assert SMALL.count(old) >= 1
    said = refused(SMALL.replace(old, new, 1))
    assert f"portal.yml:{place}: " in said
    assert words in said
    assert not Advertiser.objects.exists(), "nothing of a file with a mistake is applied"


def test_all_mistakes_are_named_at_once() -> None:
    said = refused(SMALL.replace("name: Acme\n", "nam: Acme\n").replace("type: email", "type: mail"), environ={})
    assert len(said.splitlines()) == 5
    assert "INKWELL_KEY is not set. Set it and apply again." in said


def test_the_state_on_needs_all_settings() -> None:
    said = refused(SMALL.replace("connector: convertr_connect", "connector: convertr_connect\n        state: on"))
    assert "campaigns[0].integrations[0].settings: Publisher ID is missing." in said


def test_an_integration_that_was_never_pulled_is_off_until_the_client_answers(tmp_path: Path) -> None:
    file = tmp_path / "portal.yml"
    file.write_text(DEMO)
    with pytest.MonkeyPatch.context() as environ:
        for name, value in ENVIRON.items():
            environ.setenv(name, value)
        with pytest.raises(CommandError, match="the client's form can't be had") as caught:
            call_command("config", "apply", str(file), stdout=io.StringIO())
    line = 1 + DEMO[: DEMO.index("- name: Larkfield's instance")].count("\n")
    assert f"{file}:{line}:9: campaigns[0].integrations[0]:" in str(caught.value)
    assert Integration.objects.get(connector="convertr_connect").state == IntegrationState.NEEDS_SETUP
    assert Campaign.objects.count() == 3


def test_an_export_has_no_secret_in_it() -> None:
    applied(DEMO, ENVIRON)
    text = export()
    # A write key stands in every page that is tracked.
    for secret in (value for name, value in SECRETS.items() if not name.endswith("WRITE_KEY")):
        assert secret not in text
        assert digest(secret) not in text
    assert re.search(r"api_key: env:SPRING_WEBINAR_LARKFIELD_S_INSTANCE_API_KEY +# kept encrypted; not exported", text)


def test_an_export_applied_elsewhere_is_the_same_configuration() -> None:
    applied(DEMO, ENVIRON)
    Integration.objects.get(connector="convertr_connect").mappings.filter(remote_key="form[phone]").update(
        remote_label="Phone №", remote_required=True, remote_choices=[{"value": "1", "label": "yes"}], state="extra"
    )
    text = export()
    environ = {"SPRING_WEBINAR_LARKFIELD_S_INSTANCE_API_KEY": ENVIRON["CLIENT_PUBLISHER_API_KEY"]}
    assert applied(text, environ).lines == []
    for model in (
        FieldMapping,
        Integration,
        LeadEvents,
        Source,
        Campaign,
        User,
        Publisher,
        Form,
        Advertiser,
        ReasonCode,
    ):
        model._default_manager.all().delete()
    applied(text, environ)
    assert export() == text


def test_an_export_of_an_empty_portal_can_be_applied() -> None:
    report = applied(export())
    assert report.counts["created"] == report.counts["updated"] == 0


def test_the_command_prints_what_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, out = tmp_path / "portal.yml", io.StringIO()
    file.write_text(SMALL)
    for name, value in SMALL_ENVIRON.items():
        monkeypatch.setenv(name, value)
    call_command("config", "apply", str(file), "--ids", str(tmp_path / "ids.json"), stdout=out)
    assert "created campaign “Spring”" in out.getvalue()
    assert f'"Spring": {Campaign.objects.get().pk}' in (tmp_path / "ids.json").read_text()
    file.write_text("nowhere: 1")
    with pytest.raises(CommandError, match=r"^Nothing was changed\.\n.*nowhere"):
        call_command("config", "apply", str(file), stdout=out)
    with pytest.raises(CommandError, match="can't be read"):
        call_command("config", "apply", str(tmp_path / "no.yml"), stdout=out)
    call_command("config", "export", "-o", str(tmp_path / "out.yml"), stdout=out)
    assert (tmp_path / "out.yml").read_text() == export()


SENDING = """\
        sending:
          cap_day: 500
          weekdays: [Monday, tue]
          hours_from: "22:00"
          hours_to: 06:00
          release_per_minute: 0
          in_doubt: again
        settings:
"""


def test_what_goes_out_when_is_set_up_and_exported_and_lifts_a_closure() -> None:
    applied()
    Integration.objects.update(closed_reason="All 10 are out.", cap_total=10)
    ours = SMALL.replace("        settings:\n", SENDING)
    assert applied(ours).counts["updated"] == 1
    row = Integration.objects.get()
    assert (row.cap_day, row.cap_week, row.cap_total, row.weekdays) == (500, None, 10, [0, 1])
    assert (f"{row.hours_from:%H:%M}", f"{row.hours_to:%H:%M}") == ("22:00", "06:00")
    assert (row.release_per_minute, row.in_doubt, row.closed_reason) == (0, "again", "")

    written = export()
    Integration.objects.update(cap_day=None, cap_total=None, weekdays=[], hours_from=None, release_per_minute=600)
    environ = dict.fromkeys(re.findall(r"env:(\w+)", written), "x")
    applied(written, environ)
    again = Integration.objects.get()
    assert (again.cap_day, again.cap_total, again.weekdays, again.release_per_minute) == (500, 10, [0, 1], 0)
    assert again.hours_from == row.hours_from
    applied(ours.replace("cap_day: 500", "cap_day: null"))
    assert Integration.objects.get().cap_day is None


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("cap_day: 500", "cap_day: 0", "write 1 or more, or null"),
        ("cap_day: 500", "cap_day: many", "a whole number is wanted"),
        ("tue]", "someday]", "“someday” is no day of the week"),
        ('"22:00"', "9", "a time is wanted"),
        ('"22:00"', '"06:00"', "it ends when it begins"),
        ("in_doubt: again", "in_doubt: maybe", "is none of hold, again"),
    ],
)
def test_a_mistake_in_what_goes_out_when_is_named(old: str, new: str, words: str) -> None:
    assert words in refused(SMALL.replace("        settings:\n", SENDING).replace(old, new))


TRACKED = SMALL.replace(
    "    integrations:",
    """\
    sources:
      - {name: Site, write_key: env:SITE_KEY}
    lead_events: {source: Site, events: [Lead Validated], revenue: "12.50", currency: EUR}
    integrations:""",
)


def test_sources_and_what_leads_are_as_events_are_set_up_and_exported() -> None:
    environ = {**SMALL_ENVIRON, "SITE_KEY": "SiteKey1"}
    applied(TRACKED, environ)
    rule = LeadEvents.objects.get()
    assert (rule.source.write_key, rule.valid, rule.invalid, str(rule.revenue)) == ("SiteKey1", True, False, "12.50")
    assert applied(TRACKED, environ).lines == []
    assert "write_key: SiteKey1" in export()
    assert 'revenue: "12.50"' in export()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("source: Site,", "source: Sites,", "the campaign has no source “Sites”; did you mean “Site”?"),
        ("env:SITE_KEY", "no key", "a write key has letters and digits only"),
        ('"12.50"', "much", "“much” is no sum"),
        ("EUR", "euros", "currency"),
    ],
)
def test_a_mistake_in_sources_is_named(old: str, new: str, words: str) -> None:
    assert words in refused(TRACKED.replace(old, new), {**SMALL_ENVIRON, "SITE_KEY": "SiteKey1"})


# --- judging ----------------------------------------------------------------------------------------------------

JUDGING = """\
lists:
  - {name: Regions, kind: values, help: From sales}
campaigns:
  - name: Spring
    advertiser: Acme
    lets_out: caution
    publishers:
      - {name: Inkwell, cap_day: 50, cap_total: 1000, over_cap: unbilled}
    groups:
      - {name: By country, score: 30}
    jobs:
      - {name: Upper, kind: change_case, settings: {field: email, case: upper, adds: upperEmail}}
      - name: Twice
        kind: duplicate
        score: 20
        settings: {fields: [email], scope: campaigns, campaigns: [Spring], days: 30}
      - name: German
        kind: value_list
        group: By country
        when_field: country
        when_values: DE; AT
        settings: {field: country, list: Regions}
      - name: Whole
        kind: conditional
        on: false
        hard_fail: true
        settings:
          conditions:
            match: all
            sections:
              - {match: any, conditions: [{field: country, operator: equal, values: [DE, AT]}]}
"""


def _judging(text: str = JUDGING) -> Report:
    return applied(SMALL.split("campaigns:")[0] + text)


def test_jobs_groups_lists_caps_and_what_goes_out_come_from_a_file() -> None:
    _judging()
    campaign = Campaign.objects.get()
    assert campaign.lets_out == "caution"
    contract = campaign.contracts.get()
    assert (contract.cap_day, contract.cap_total, contract.over_cap) == (50, 1000, "unbilled")
    jobs = {job.name: job for job in campaign.jobs.order_by("position")}
    assert list(jobs) == ["Upper", "Twice", "German", "Whole"]
    assert jobs["Twice"].settings["campaigns"] == [campaign.pk]
    assert jobs["Twice"].hard_fail  # as a new one of its kind is
    assert jobs["German"].settings["list"] == ValueList.objects.get(name="Regions").pk
    assert (jobs["German"].group.name, jobs["German"].when_values) == ("By country", "DE; AT")
    assert (jobs["Whole"].enabled, jobs["Whole"].hard_fail) == (False, True)
    assert campaign.processr_version > 0


def test_what_judges_leads_is_the_same_after_export_and_apply() -> None:
    _judging()
    text = export()
    assert applied(text).counts["created"] == 0
    assert applied(text).counts["updated"] == 0
    before = list(Job.objects.order_by("position").values_list("name", "settings", "group__name", "score"))
    Campaign.objects.all().delete()
    JobGroup.objects.all().delete()
    ValueList.objects.all().delete()
    applied(text)
    after = list(Job.objects.order_by("position").values_list("name", "settings", "group__name", "score"))
    assert [row[0] for row in after] == [row[0] for row in before]
    assert after[3] == before[3]
    assert export() == text


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("kind: duplicate", "kind: duplicates", "there is no kind of job “duplicates”; did you mean “duplicate”?"),
        ("list: Regions", "list: Region", "there is no list “Region”."),
        ("group: By country", "group: By city", "the campaign has no group “By city”"),
        (
            "settings: {field: email, case",
            "settings: {feld: email, case",
            "has no setting “feld”; did you mean “field”?",
        ),
        ("settings: {fields: [email], scope", "settings: {fields: [], scope", "Choose at least one field."),
        ("cap_day: 50", "cap_day: 0", "write 1 or more"),
        ("kind: values", "kind: value", "is none of values"),
    ],
)
def test_what_is_wrong_with_judging_is_said_at_its_place_and_nothing_is_applied(old: str, new: str, words: str) -> None:
    text = SMALL.split("campaigns:")[0] + JUDGING.replace(old, new)
    said = refused(text)
    assert words in said
    assert "portal.yml:" in said
    assert not Job.objects.exists()
