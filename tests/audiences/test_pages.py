"""The pages of audiences: their builder, with no script, and what stands on the page of one."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from integrations.models import AudienceSync, Delivery
from integrations.tracked_events.audience_sync import audience_syncs_work, sync_add
from leads.audiences import audience_create
from leads.models import Audience, Source, User
from tests.audiences.conftest import audience, call, come, days, did, members, now_is, trait
from tests.audiences.test_sync import convertro, webhook

pytestmark = pytest.mark.django_db
HOSTILE = "<script>alert(1)</script>"


def _client(group: str) -> Client:
    user = User.objects.create_user(group, f"{len(group)}@example.test", "a-long-password-1", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    made = Client()
    made.force_login(user)
    return made


@pytest.fixture
def manager(db: None) -> Client:
    return _client("Account manager")


@pytest.fixture
def viewer(db: None) -> Client:
    return _client("Viewer")


def new(source: Source, kind: str = "audience") -> str:
    return f"/admin/leads/audience/new/{source.campaign_id}/{kind}/"


def page(of: Audience) -> str:
    return f"/admin/leads/audience/{of.pk}/change/"


class Builder:
    """Whoever fills in the builder without a script: reads its boxes off the page and presses its buttons."""

    def __init__(self, client: Client, address: str) -> None:
        self.client, self.address = client, address
        self.text = client.get(address).content.decode()

    def boxes(self) -> dict[str, Any]:
        form = self.text[self.text.index('id="builder"') : self.text.index("<datalist")]
        found: dict[str, Any] = {"item": []}
        for tag in re.findall(r"<input [^>]*>", form):
            name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
            assert name
            if name[1] == "item":
                found["item"].append(value[1])  # type: ignore[index]
            elif "disabled" not in tag:
                found[name[1]] = value[1] if value else ""
        for name, options in re.findall(r'<select [^>]*name="([^"]*)"[^>]*>(.*?)</select>', form, re.S):
            found[name] = re.search(r'value="([^"]*)" selected', options)[1]  # type: ignore[index]
        return found

    def press(self, do: str, **typed: Any) -> Any:
        given = {**self.boxes(), **{name.replace("__", "-").replace("_at_", "."): said for name, said in typed.items()}}
        assert f'value="{do}"' in self.text or do in ("show",), f"no button {do}"
        answer = self.client.post(self.address, {**given, "do": do}, follow=True)
        assert answer.status_code == 200
        self.text = answer.content.decode()
        return answer

    @property
    def words(self) -> str:
        found = re.search(r'id="rule-words"[^>]*>(.*?)</p>', self.text, re.S)
        assert found
        return found[1]


def test_a_rule_of_two_conditions_and_a_group_is_built_without_a_script(manager: Client, source: Source) -> None:
    now = timezone.now()
    come(source, call(now, "u1", properties={"total": 120}), call(now, "u2"), call(now, "u3", "Looked"))
    builder = Builder(manager, new(source))
    builder.press("add-where:0", **{"0__event": "Order Completed", "0__days": "30"})
    builder.press("add-group", **{"0__w0__path": "total", "0__w0__test": "greater", "0__w0__value": "100"})
    builder.press("add-trait:1", **{"1_at_0__event": "Looked", "1_at_0__how": "never"})
    builder.press("show", **{"1_at_1__path": "plan", "1_at_1__value": "gold"})
    assert builder.words == (
        "People who did “Order Completed”, where total is more than “100”, in the last 30 days "
        "and (did not do “Looked” or have a trait plan that is “gold”)."
    )
    builder.press("preview")
    assert "1 person now" in builder.text
    assert "u1" in builder.text[builder.text.index("1 person now") :]
    assert Audience.objects.count() == 0
    builder.press("save", name="Big spenders", first_hours="0", later_hours="2.5")
    made = Audience.objects.get()
    assert (made.key, made.first_sync_minutes, made.sync_minutes) == ("big_spenders", 0, 150)
    now_is(timezone.now())
    assert members(made) == ["u1"]
    assert "1</span> <span>person is in now" in manager.get(page(made)).content.decode()


def test_what_is_wrong_is_said_beside_the_condition_and_nothing_that_was_typed_is_lost(
    manager: Client, source: Source
) -> None:
    builder = Builder(manager, new(source))
    builder.press("add-trait")
    builder.press("save", **{"0__times": "many", "0__event": "Bought", "1__path": "plan", "name": ""})
    assert "How many times? Give a whole number" in builder.text
    assert "plan is what? Give a value." in builder.text
    assert "Give it a name with letters or digits" in builder.text
    assert "3 things are to be put right" in builder.text
    assert builder.boxes()["0-times"] == "many"
    assert builder.boxes()["1-path"] == "plan"
    builder.press("remove:1", **{"0__times": "2"})
    builder.press("save", name="Twice")
    assert Audience.objects.get().rule["items"] == [did("Bought", times=2, where=[])]


def test_a_computed_trait_is_built_and_its_values_are_shown(manager: Client, source: Source) -> None:
    now = timezone.now()
    come(source, call(now, "u1", properties={"total": 20.5}), call(now, "u1", properties={"total": 10}))
    builder = Builder(manager, new(source, "trait"))
    builder.press("show", compute="sum", event="Order Completed")
    builder.press("save", name="Spent")
    assert "Of which property?" in builder.text
    builder.press("save", property="total")
    now_is(timezone.now())
    shown = manager.get(page(Audience.objects.get())).content.decode()
    assert "The sum of total over “Order Completed”." in shown
    assert "30.5" in shown


def test_a_changed_rule_and_a_switch_stand_in_the_history(manager: Client, source: Source) -> None:
    buyers = audience(source, did())
    now_is(timezone.now())
    builder = Builder(manager, f"/admin/leads/audience/{buyers.pk}/rule/")
    builder.press("save", **{"0__event": "Looked", "name": "Lookers"})
    assert "people were looked at" in builder.text
    manager.post(page(buyers), {"action": "off"})
    history = manager.get(f"/admin/leads/audience/{buyers.pk}/history/").content.decode()
    assert "Rule changed: People who did “Looked” at any time." in history
    assert "Switched off" in history
    buyers.refresh_from_db()
    assert (buyers.name, buyers.key, buyers.enabled) == ("Lookers", "buyers", False)


@pytest.mark.parametrize(("compute", "hidden"), [("unique_list", True), ("first", True), ("count", False)])
def test_what_a_person_said_is_masked_for_a_viewer_in_lists_and_as_a_number_too(
    manager: Client, viewer: Client, source: Source, compute: str, hidden: bool
) -> None:
    now = timezone.now()
    come(source, call(now, "u1", properties={"phone": 49171234567}), call(now, "u1", properties={"phone": 49177654321}))
    rule: dict[str, Any] = {"compute": compute, "type": "track", "event": "Order Completed", "days": None, "where": []}
    rule |= {"property": "phone"} if hidden else {}
    made = audience_create(source.campaign, "trait", "Telephones", rule)
    now_is(timezone.now())
    assert ("4917" in manager.get(page(made)).content.decode()) == hidden
    shown = viewer.get(page(made)).content.decode()
    assert "4917" not in shown
    assert ("4•••" in shown) == hidden


def test_a_rule_that_a_colleague_changed_meanwhile_is_not_written_over_unseen(manager: Client, source: Source) -> None:
    buyers = audience(source, did())
    now_is(timezone.now())
    address = f"/admin/leads/audience/{buyers.pk}/rule/"
    mine, theirs = Builder(manager, address), Builder(manager, address)
    theirs.press("save", **{"0__event": "Looked"})
    mine.press("save", name="Our buyers", later_hours="3")
    assert "changed this on" in mine.text
    assert "People who did “Looked” at any time." in mine.text
    buyers.refresh_from_db()
    assert buyers.name != "Our buyers"
    mine.press("merge")
    buyers.refresh_from_db()
    assert (buyers.name, buyers.sync_minutes, buyers.rule["items"][0]["event"]) == ("Our buyers", 180, "Looked")


def test_destinations_are_chosen_and_the_page_says_when_they_were_told_and_of_how_many(
    manager: Client, source: Source
) -> None:
    buyers = audience(source, did(), first_sync_minutes=0)
    theirs, cvo = webhook(source.campaign), convertro(source.campaign)
    come(source, call(timezone.now(), "u1"))
    now_is(timezone.now())
    for integration in (theirs, cvo):
        manager.post(page(buyers), {"action": "sync-add", "integration": integration.pk})
    before = manager.get(page(buyers)).content.decode()
    assert "none yet" in before
    assert "First sync to come" in before
    audience_syncs_work(timezone.now())
    after = manager.get(page(buyers)).content.decode()
    assert "1 told of" in after
    assert "wants a device id" in after
    manager.post(page(buyers), {"action": "sync-stop", "integration": theirs.pk})
    assert AudienceSync.objects.filter(enabled=True).count() == 1
    assert "Stopped" in manager.get(page(buyers)).content.decode()
    history = manager.get(f"/admin/leads/audience/{buyers.pk}/history/").content.decode()
    assert "Theirs is told nothing more." in history


def test_the_delivery_that_tells_of_somebody_has_a_page_of_its_own(manager: Client, source: Source) -> None:
    buyers = audience(source, did(), first_sync_minutes=0)
    come(source, call(timezone.now(), "u1"))
    sync_add(buyers, webhook(source.campaign))
    now_is(timezone.now())
    audience_syncs_work(timezone.now())
    delivery = Delivery.objects.get(event=None)
    shown = manager.get(f"/admin/integrations/delivery/{delivery.pk}/change/")
    assert shown.status_code == 200
    assert "Theirs" in shown.content.decode()
    assert manager.get("/admin/integrations/delivery/").status_code == 200


def test_who_may_only_look_sees_masked_ids_and_changes_nothing(viewer: Client, source: Source) -> None:
    buyers = audience(source, did())
    come(source, call(timezone.now(), "ada@example.test"))
    now_is(timezone.now())
    shown = viewer.get(page(buyers)).content.decode()
    assert "ada@example.test" not in shown
    assert "a•••@e•••.test" in shown
    tab = f"/admin/leads/campaign/{source.campaign_id}/audiences/"
    assert "Buyers" in viewer.get(tab).content.decode()
    assert "New audience" not in viewer.get(tab).content.decode()
    assert viewer.post(page(buyers), {"action": "off"}).status_code == 403
    assert viewer.get(new(source)).status_code == 403
    assert viewer.get(f"/admin/leads/audience/{buyers.pk}/rule/").status_code == 403
    assert viewer.post(page(buyers), {"action": "sync-add", "integration": 1}).status_code == 403


def test_script_in_names_values_and_rules_stays_text(manager: Client, source: Source) -> None:
    now = timezone.now()
    come(source, call(now, HOSTILE, HOSTILE, properties={HOSTILE: HOSTILE}))
    buyers = audience(source, did(HOSTILE, where=[{"path": HOSTILE, "test": "equals", "value": HOSTILE}]), name=HOSTILE)
    first = trait(source, "first", "T", event=HOSTILE, property=HOSTILE)
    now_is(now + days(1))
    tab = f"/admin/leads/campaign/{source.campaign_id}/audiences/"
    for address in (tab, page(buyers), page(first), f"/admin/leads/audience/{buyers.pk}/rule/"):
        text = manager.get(address).content.decode()
        assert HOSTILE not in text
        assert "&lt;script&gt;alert(1)" in text


@pytest.mark.parametrize(
    "do", ["add-event:9.9", "remove:7", "remove:0.5", "remove:x", "add-where:x", "remove-where:0/77", "nonsense", ""]
)
def test_a_button_that_was_never_there_harms_nothing(manager: Client, source: Source, do: str) -> None:
    boxes = {"match": "all", "item": ["0", "1.x"], "0-kind": "event", "0-wheres": "99999999999", "1.x-kind": "trait"}
    assert manager.post(new(source), {**boxes, "do": do}).status_code == 200
    assert manager.post(new(source, "trait"), {"compute": "nonsense", "wheres": "-1", "do": do}).status_code == 200
