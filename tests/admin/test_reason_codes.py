"""Clients' reason codes, put into the words of this instance on one page."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib.auth.models import Group
from django.test import Client

from integrations.models import Delivery, Integration, ReasonTranslation
from integrations.reasons import reason_translate
from leads.models import Lead, ReasonCode, User
from tests.admin.pages import boxes, said, text

LeadMake = Callable[..., Lead]
DeliveryMake = Callable[..., Delivery]


def address(integration: Integration) -> str:
    return f"/admin/integrations/reasontranslation/of/{integration.pk}/"


def test_codes_that_nobody_has_a_word_for_are_listed_with_their_number_and_picked_for(
    browser_client: Client, lead_make: LeadMake, delivery_make: DeliveryMake, switched_on: Integration
) -> None:
    ours = ReasonCode.objects.create(flag="invalid", code="wrong-phone", label="Nobody answers")
    for code in ("E-17", "E-17", "<script>x</script>", "wrong-phone"):
        delivery_make(lead_make(), state="delivered", verdict="invalid", reason_code=code)
    assert address(switched_on) in text(browser_client.get("/admin/leads/reasoncode/"))
    shown = text(browser_client.get(address(switched_on)))
    assert shown.index("E-17") < shown.index("&lt;script&gt;x")
    assert "<script>x" not in shown
    assert shown.count('name="theirs"') == 2

    picked = {"theirs": ["E-17", "<script>x</script>"], "ours": [str(ours.pk), ""]}
    assert "1 code translated" in said(browser_client.post(address(switched_on), picked, follow=True))
    row = ReasonTranslation.objects.get()
    assert (row.integration, row.theirs, row.reason) == (switched_on, "E-17", ours)
    shown = text(browser_client.get(address(switched_on)))
    assert shown.count('name="theirs"') == 1
    assert 'name="own_theirs" value="E-17"' in shown
    history = text(browser_client.get(f"/admin/integrations/integration/{switched_on.pk}/history/"))
    assert "Their code E-17 (this integration)" in history
    assert "wrong-phone" in history


def test_a_pick_may_hold_for_every_integration_of_the_connector_and_be_taken_away(
    browser_client: Client, lead_make: LeadMake, delivery_make: DeliveryMake, switched_on: Integration
) -> None:
    ours = ReasonCode.objects.create(flag="invalid", code="wrong-phone")
    delivery_make(lead_make(), state="delivered", verdict="invalid", reason_code="E-17")
    picked = {"theirs": ["E-17"], "ours": [str(ours.pk)], "whole": "on"}
    browser_client.post(address(switched_on), picked)
    assert ReasonTranslation.objects.get().integration is None
    browser_client.post(
        address(switched_on), {"shared_theirs": ["E-17"], "shared_ours": [""], "shared_was": [str(ours.pk)]}
    )
    assert not ReasonTranslation.objects.exists()


def test_a_code_that_was_switched_off_stays_what_it_is_when_something_else_is_saved(
    browser_client: Client, lead_make: LeadMake, delivery_make: DeliveryMake, switched_on: Integration
) -> None:
    old, ours = (ReasonCode.objects.create(flag="invalid", code=code) for code in ("wrong-phone", "no-reply"))
    reason_translate(switched_on, {"E-17": old})
    ReasonCode.objects.filter(pk=old.pk).update(active=False)
    delivery_make(lead_make(), state="delivered", verdict="invalid", reason_code="E-18")
    page = browser_client.get(address(switched_on))
    assert "wrong-phone (switched off)" in text(page)
    sent = boxes(page, "translations")
    assert sent["own_ours"] == str(old.pk)
    browser_client.post(address(switched_on), {**sent, "ours": str(ours.pk)})
    rows = ReasonTranslation.objects.order_by("theirs").values_list("theirs", "reason__code")
    assert list(rows) == [("E-17", "wrong-phone"), ("E-18", "no-reply")]


def test_an_older_page_undoes_nothing_that_a_colleague_translated(
    browser_client: Client, lead_make: LeadMake, delivery_make: DeliveryMake, switched_on: Integration
) -> None:
    one, two, three = (ReasonCode.objects.create(flag="invalid", code=code) for code in ("one", "two", "three"))
    reason_translate(switched_on, {"E-1": one, "E-2": one})
    delivery_make(lead_make(), state="delivered", verdict="invalid", reason_code="E-3")
    older = {
        "own_theirs": ["E-1", "E-2"], "own_was": [str(one.pk)] * 2, "own_ours": [str(one.pk), str(three.pk)],
        "theirs": ["E-3"], "ours": [str(three.pk)],
    }  # fmt: skip
    reason_translate(switched_on, {"E-1": two, "E-3": two})
    response = browser_client.post(address(switched_on), older, follow=True)
    rows = dict(ReasonTranslation.objects.values_list("theirs", "reason__code"))
    assert rows == {"E-1": "two", "E-2": "three", "E-3": "two"}
    assert "A colleague has translated E-3 as two meanwhile: that stays." in said(response)


def test_a_viewer_reads_the_table_and_changes_nothing(
    client: Client, lead_make: LeadMake, delivery_make: DeliveryMake, switched_on: Integration
) -> None:
    ours = ReasonCode.objects.create(flag="invalid", code="wrong-phone")
    delivery_make(lead_make(), state="delivered", verdict="invalid", reason_code="E-17")
    user = User.objects.create_user("vera", password="a-long-password-1", is_staff=True)
    user.groups.add(Group.objects.get(name="Viewer"))
    client.force_login(user)
    shown = text(client.get(address(switched_on)))
    assert "E-17" in shown
    assert "Save" not in shown
    assert client.post(address(switched_on), {"theirs": ["E-17"], "ours": [str(ours.pk)]}).status_code == 403
    assert not ReasonTranslation.objects.exists()
