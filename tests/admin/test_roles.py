"""Viewer, account manager, administrator: what each sees and does, on each page; export and erasure are rights of their own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from integrations.models import Attempt, Delivery, Integration, StatusUpdate
from leads import rights
from leads.database import uuid7
from leads.models import Campaign, Field, Lead, LeadChange, Publisher, User
from portal.roles import ACCOUNT_MANAGER, ADMINISTRATOR, VIEWER, roles_write
from tests.admin.pages import boxes, text

ROLES = (VIEWER, ACCOUNT_MANAGER, ADMINISTRATOR)
# Who may open it: nobody below the role that is named.
PAGES = {
    "/admin/": VIEWER,
    "/admin/leads/campaign/": VIEWER,
    "/admin/leads/campaign/{campaign}/change/": VIEWER,
    "/admin/leads/campaign/{campaign}/processr/": VIEWER,
    "/admin/leads/campaign/{campaign}/processr/quality-assurance/": VIEWER,
    "/admin/leads/campaign/{campaign}/leads/": VIEWER,
    "/admin/leads/campaign/{campaign}/form/": VIEWER,
    "/admin/leads/campaign/{campaign}/publishers/": VIEWER,
    "/admin/leads/campaign/{campaign}/settings/": VIEWER,
    "/admin/leads/campaign/{campaign}/tracking/": VIEWER,
    "/admin/leads/campaign/{campaign}/history/": VIEWER,
    "/admin/leads/lead/": VIEWER,
    "/admin/leads/lead/{lead}/change/": VIEWER,
    "/admin/leads/form/": VIEWER,
    "/admin/leads/publisher/": VIEWER,
    "/admin/leads/reasoncode/": VIEWER,
    "/admin/integrations/delivery/": VIEWER,
    "/admin/integrations/delivery/{delivery}/change/": VIEWER,
    "/admin/integrations/statusupdate/": VIEWER,
    "/admin/integrations/statusupdate/{update}/change/": VIEWER,
    "/admin/integrations/integration/{integration}/history/": VIEWER,
    "/admin/leads/campaign/{campaign}/processr/integrations/add/": ACCOUNT_MANAGER,
    "/admin/leads/campaign/{campaign}/processr/integrations/{integration}/rename/": ACCOUNT_MANAGER,
    "/admin/leads/campaign/add/": ACCOUNT_MANAGER,
    "/admin/leads/form/add/": ACCOUNT_MANAGER,
    "/admin/leads/publisher/add/": ACCOUNT_MANAGER,
    "/admin/leads/publisher/{publisher}/keys/": ACCOUNT_MANAGER,
    "/admin/leads/campaign/{campaign}/keys/": ACCOUNT_MANAGER,
    "/admin/leads/user/": ADMINISTRATOR,
    "/admin/leads/user/add/": ADMINISTRATOR,
    "/admin/auth/group/": ADMINISTRATOR,
}
PERSONAL = ("Ada", "Lovelace", "ada@example.test", "ada%40example.test", "07123451234", "203.0.113.77")


@pytest.fixture
def world(
    campaign: Campaign,
    switched_on: Integration,
    lead_make: Callable[..., Lead],
    delivery_make: Callable[..., Delivery],
) -> dict[str, int]:
    """A lead whose person is named everywhere that a person can be named."""
    form = campaign.forms.get()
    Field.objects.create(form=form, name="lastName", label="Last name", type="text", position=5)
    Field.objects.create(form=form, name="telephone", label="Telephone", type="telephone", position=6)
    lead = lead_make(
        values={"lastName": "Lovelace", "telephone": "(+44)07123451234", "country": "Germany", "note": "Ada herself"},
        ip="203.0.113.77",
        status="invalid",
        failed_jobs=["Ada Lovelace is on the list"],
        flag="invalid",
        reason_code="DUPLICATE",
        comment="We know Ada, call 07123451234",
        flagged_at=timezone.now(),
    )
    LeadChange.objects.create(
        lead=lead, kind="flagged", flag="invalid", reason_code="DUPLICATE", comment="ada@example.test bounced", via="client", event_id=uuid7(),
        decided_at=timezone.now(),
    )  # fmt: skip
    LeadChange.objects.create(
        lead=lead, kind="appended", data={"nick": "Ada"}, via="webhook", event_id=uuid7(), decided_at=timezone.now()
    )
    delivery = delivery_make(
        lead, state="held", reason="Waiting: ada@example.test is taken", problems=[["email", "Lovelace is known"]],
        verdict="invalid", comment="Ada said no",
    )  # fmt: skip
    Attempt.objects.create(
        delivery=delivery, number=1, started_at=timezone.now(), outcome="refused", message="Ada is known",
        exchanges=[{"request": {"method": "POST", "url": "https://acme.cvtr.io/?email=ada@example.test"},
                    "response": {"status": 422, "body": "Lovelace is known"}}],
    )  # fmt: skip
    update = StatusUpdate.objects.create(
        key="x", delivery=delivery, verdict="invalid", comment="Ada said no", raw="email=ada@example.test",
        decided_at=timezone.now(), via="pushed",
    )  # fmt: skip
    publisher = Publisher.objects.get(name="Northbeam")
    return {
        "campaign": campaign.pk, "integration": switched_on.pk, "lead": lead.pk, "delivery": delivery.pk,
        "update": update.pk, "publisher": publisher.pk,
    }  # fmt: skip


@pytest.fixture
def signed_in_as(client: Client, db: None) -> Callable[[str], Client]:
    def sign_in(role: str) -> Client:
        user = User.objects.create_user(role.split()[0].lower(), password="a-long-password-1", is_staff=True)
        user.groups.add(Group.objects.get(name=role))
        client.force_login(user)
        return client

    return sign_in


@pytest.mark.parametrize("role", ROLES)
def test_each_role_opens_its_pages_and_no_others(
    role: str, signed_in_as: Callable[[str], Client], world: dict[str, int]
) -> None:
    client = signed_in_as(role)
    answers = {page: client.get(page.format(**world)).status_code for page in PAGES}
    expected = {page: 200 if ROLES.index(role) >= ROLES.index(least) else 403 for page, least in PAGES.items()}
    assert answers == expected


def test_a_viewer_finds_no_name_address_number_or_word_of_a_person_on_any_page(
    signed_in_as: Callable[[str], Client], world: dict[str, int]
) -> None:
    client = signed_in_as(VIEWER)
    for page, least in PAGES.items():
        if least == VIEWER:
            shown = text(client.get(page.format(**world)))
            assert [word for word in PERSONAL if word in shown] == [], page
    lead = text(client.get(f"/admin/leads/lead/{world['lead']}/change/"))
    for word in ("A•••", "L•••", "a•••@e•••.test", "•••34", "Germany", "DUPLICATE", "personal data is masked for you"):
        assert word in lead


def test_an_account_manager_sees_whom_a_lead_is_about(
    signed_in_as: Callable[[str], Client], world: dict[str, int]
) -> None:
    client = signed_in_as(ACCOUNT_MANAGER)
    for page in ("/admin/leads/lead/", "/admin/leads/lead/{lead}/change/", "/admin/leads/campaign/{campaign}/leads/"):
        shown = text(client.get(page.format(**world)))
        assert "Lovelace" in shown
        assert "ada@example.test" in shown


def test_a_viewer_cannot_find_out_by_searching_whether_somebody_is_among_the_leads(
    signed_in_as: Callable[[str], Client], world: dict[str, int]
) -> None:
    client = signed_in_as(VIEWER)
    for term, found in (("ada@example.test", 0), ("Lovelace", 0), (str(world["lead"]), 1)):
        assert client.get("/admin/leads/lead/", {"q": term}).context["cl"].result_count == found


def test_a_viewer_changes_nothing(signed_in_as: Callable[[str], Client], world: dict[str, int]) -> None:
    client = signed_in_as(VIEWER)
    one = f"/admin/leads/campaign/{world['campaign']}"
    job = f"{one}/processr/integrations/{world['integration']}"
    for address, sent in (
        (f"{job}/pause/", {}),
        (f"{job}/rename/", {"name": "x"}),
        (f"{job}/remove/", {}),
        (f"{one}/processr/integrations/add/", {"offer": "convertr_connect"}),
        (f"{one}/tracking/", {"action": "make"}),
        (f"{one}/settings/", {"name": "x"}),
        (f"{one}/change/", {"name": "x"}),
    ):
        assert client.post(address, sent).status_code == 403, address
    client.post("/admin/leads/lead/", {"action": "flag_valid", "_selected_action": [world["lead"]], "confirmed": "1"})
    assert Lead.objects.get().flag == "invalid"
    assert Integration.objects.get().state == "on"
    shown = text(client.get(f"{one}/processr/"))
    for word in ("Add</summary>", "Configure", "Pause", "Rename", "Remove"):
        assert word not in shown


def test_an_account_manager_runs_campaigns_but_neither_people_nor_what_others_may(
    signed_in_as: Callable[[str], Client], world: dict[str, int]
) -> None:
    client = signed_in_as(ACCOUNT_MANAGER)
    job = f"/admin/leads/campaign/{world['campaign']}/processr/integrations/{world['integration']}"
    assert client.post(f"{job}/pause/").status_code == 302
    assert Integration.objects.get().state == "paused"
    assert client.post(f"{job}/remove/").status_code == 403  # a lead was handed to it
    assert client.post("/admin/leads/user/add/", {"username": "x"}).status_code == 403


def test_an_administrator_makes_nobody_a_superuser_and_touches_none(
    signed_in_as: Callable[[str], Client], staff: User
) -> None:
    client = signed_in_as(ADMINISTRATOR)
    other = User.objects.create_user("other", password="a-long-password-1", is_staff=True)
    where = f"/admin/leads/user/{other.pk}/change/"
    sent = boxes(client.get(where), "user_form") | {"is_superuser": "on", "email": "other@example.test"}
    client.post(where, {name: value for name, value in sent.items() if name != "groups"})
    other.refresh_from_db()
    assert (other.email, other.is_superuser) == ("other@example.test", False)
    assert client.post(f"/admin/leads/user/{staff.pk}/change/", {"username": "mine"}).status_code == 403
    assert client.get(f"/admin/leads/user/{staff.pk}/password/").status_code == 403


def test_export_and_erasure_are_nobodys_but_an_administrators_until_they_are_given(
    signed_in_as: Callable[[str], Client], db: None
) -> None:
    for role, may in ((VIEWER, False), (ACCOUNT_MANAGER, False), (ADMINISTRATOR, True)):
        user = User.objects.create_user(f"{role} two", is_staff=True)
        user.groups.add(Group.objects.get(name=role))
        assert (rights.may_export(user), rights.may_erase(user)) == (may, may)
        assert rights.may_see_personal_data(user) == (role != VIEWER)


def test_writing_the_roles_again_takes_nothing_away(db: None) -> None:
    group = Group.objects.get(name=VIEWER)
    before = group.permissions.count()
    group.permissions.add(*Group.objects.get(name=ADMINISTRATOR).permissions.filter(codename="export_lead"))
    roles_write()
    assert group.permissions.count() == before + 1
    group.delete()
    roles_write()
    assert Group.objects.get(name=VIEWER).permissions.count() == before


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ("ada@example.test", "a•••@e•••.test"),
        ("ada@localhost", "a•••@•••"),
        ("@", "@•••"),
        ("", ""),
        ("ada", "a•••"),
    ],
)
def test_an_address_keeps_its_first_letters_and_its_ending(value: str, seen: str) -> None:
    assert rights.masked_email(value) == seen


def test_words_that_a_client_wrote_lose_what_the_lead_posted_and_every_address() -> None:
    posted = {"first": "Ada", "full": "Ada King Lovelace", "country": "Germany", "n": "1"}
    words = "ADA of Germany (bob@other.test) is Lovelace; adapted. 1 case"
    assert rights.without_personal(words, posted, {"country"}) == (
        "A••• of Germany (b•••@o•••.test) is L•••; adapted. 1 case"
    )


def test_half_of_an_ip_address_says_where_it_is_from_and_not_who() -> None:
    assert rights.masked_ip("203.0.113.77") == "203.0.•••"
    assert rights.masked_ip("2001:db8::1") == "2001:db8:•••"
