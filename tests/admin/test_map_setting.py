"""A setting that is a map of texts: typed as lines where no script runs, in its order everywhere, and in the configuration file."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from integrations.configuration.apply import apply
from integrations.configuration.export import export
from integrations.configuration.reading import ConfigurationError
from integrations.configuration.schema import parse
from integrations.models import Integration
from leads.models import Campaign
from tests.admin.pages import boxes, text
from tests.admin.test_configure import page, save

EVENTS = "settings-s-events"


def convertro(campaign: Campaign, events: object = None) -> Integration:
    settings = {"account": "baublebar"} | ({} if events is None else {"events": events})
    return Integration.objects.create(campaign=campaign, name="Convertro", connector="convertro", settings=settings)


def test_lines_are_kept_as_pairs_in_their_order(browser_client: Client, campaign: Campaign) -> None:
    made = convertro(campaign)
    save(browser_client, made, **{EVENTS: "Signed Up = registration\r\n\r\n a=b = c \r\nTrial\r\nsigned_up=second"})
    made.refresh_from_db()
    assert made.settings["events"] == [
        {"key": "Signed Up", "value": "registration"},
        {"key": "a=b", "value": "c"},
        {"key": "Trial", "value": "Trial"},
        {"key": "signed_up", "value": "second"},
    ]
    shown = boxes(browser_client.get(page(made)))[EVENTS]
    assert shown.splitlines() == ["Signed Up = registration", "a=b = c", "Trial = Trial", "signed_up = second"]


def test_a_line_that_lacks_a_side_is_told_and_stays_typed(browser_client: Client, campaign: Campaign) -> None:
    made = convertro(campaign, [{"key": "Old", "value": "old"}])
    response = save(browser_client, made, **{EVENTS: "Signed Up =\nGood = good"})
    assert "“Signed Up =” lacks a side." in text(response)
    made.refresh_from_db()
    assert made.settings["events"] == [{"key": "Old", "value": "old"}]
    assert boxes(response)[EVENTS] == "Signed Up =\nGood = good"


def test_a_map_of_old_shapes_is_shown_and_who_changed_it_is_written_down(
    browser_client: Client, campaign: Campaign
) -> None:
    made = convertro(campaign, {"Signed Up": "registration"})
    assert boxes(browser_client.get(page(made)))[EVENTS] == "Signed Up = registration"
    save(browser_client, made, **{EVENTS: "Signed Up = another\nB = b"})
    history = text(browser_client.get(reverse("admin:integrations_integration_history", args=[made.pk])))
    assert "Events: Signed Up = registration → Signed Up = another, B = b." in history


def test_two_people_who_change_other_boxes_do_not_undo_each_other(browser_client: Client, campaign: Campaign) -> None:
    made = convertro(campaign, [{"key": "A", "value": "a"}, {"key": "B", "value": "b"}])
    mine = boxes(browser_client.get(page(made)))
    Integration.objects.filter(pk=made.pk).update(
        settings={"account": "baublebar", "events": [{"key": "C", "value": "c"}]}
    )
    # A browser sends lines with both of their ends.
    lines = mine[EVENTS].replace("\n", "\r\n")
    posted = {**mine, EVENTS: lines, "settings-s-account": "mine", "do": "save"}
    response = browser_client.post(page(made), posted, follow=True)
    seen = boxes(response)["seen"]
    browser_client.post(page(made), {**posted, "seen": seen, "do": "merge"}, follow=True)
    made.refresh_from_db()
    assert made.settings["account"] == "mine"
    assert made.settings["events"] == [{"key": "C", "value": "c"}]


def test_an_integration_of_events_speaks_of_events(browser_client: Client, campaign: Campaign) -> None:
    made = convertro(campaign)
    shown = text(browser_client.get(page(made)))
    assert "1 · Where the events go" in shown
    assert "Send test lead" not in shown
    assert "Convertro is on: new events go out" in text(save(browser_client, made, "on"))
    assert "Convertro is paused: events wait for it" in text(save(browser_client, made, "pause"))


FILE = """
advertisers: [{{name: Acme}}]
campaigns:
  - name: Spring webinar
    advertiser: Acme
    integrations:
      - name: Convertro
        connector: convertro
        settings:
          account: baublebar
          hybridAttributionModel: true
          events: {events}
"""


def applied(events: str) -> Integration:
    apply(parse(FILE.format(events=events), "portal.yml", {}))
    return Integration.objects.get(connector="convertro")


def test_the_file_carries_a_map_and_a_list(campaign: Campaign) -> None:
    made = applied("{Signed Up: registration, Trial: t}")
    assert made.settings["events"] == [{"key": "Signed Up", "value": "registration"}, {"key": "Trial", "value": "t"}]
    text = export()
    assert "Signed Up: registration" in text
    made.settings = {}
    made.save()
    apply(parse(text, "again.yml", {}))
    made.refresh_from_db()
    assert made.settings["events"] == [{"key": "Signed Up", "value": "registration"}, {"key": "Trial", "value": "t"}]
    twice = applied("[{key: A, value: one}, {key: A, value: two}, Plain]")
    kept = [{"key": "A", "value": "one"}, {"key": "A", "value": "two"}, {"key": "Plain", "value": "Plain"}]
    assert twice.settings["events"] == kept
    text = export()
    apply(parse(text, "again.yml", {}))
    twice.refresh_from_db()
    assert twice.settings["events"] == kept


def test_a_map_where_one_value_belongs_is_named_by_its_place(campaign: Campaign) -> None:
    with pytest.raises(ConfigurationError, match=r"Account is one value, not several\."):
        apply(parse(FILE.format(events="{}").replace("baublebar", "{a: b}"), "portal.yml", {}))
