"""A client's reason codes become ours on the lead, and stay theirs where it is written down what they said."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.utils import timezone

from integrations.dispatch import integration_deliver
from integrations.kit.contract import Verdict
from integrations.models import Delivery, Integration, ReasonTranslation, StatusUpdate
from integrations.processr import leads_process
from integrations.reasons import reason_codes_unknown, reason_translate
from integrations.reconciliation import Message, messages_store, verdicts_apply
from leads.models import Lead, ReasonCode

pytestmark = pytest.mark.django_db


@pytest.fixture
def delivery(integration: Integration, lead: Callable[..., Lead]) -> Delivery:
    lead()
    leads_process()
    integration_deliver(integration.pk)
    return Delivery.objects.get()


@pytest.fixture
def ours(db: None) -> ReasonCode:
    return ReasonCode.objects.create(flag="invalid", code="unreachable", label="Not reached")


def say(delivery: Delivery, reason: str, comment: str = "") -> None:
    verdict = Verdict("invalid", reason, comment=comment)
    messages_store([Message(delivery.pk, verdict, StatusUpdate.Via.PUSHED, timezone.now())])
    verdicts_apply()
    delivery.refresh_from_db()


def test_the_lead_gets_our_code_and_the_record_keeps_theirs(
    delivery: Delivery, integration: Integration, ours: ReasonCode
) -> None:
    reason_translate(integration, {"Unable to Contact": ours})
    say(delivery, "UNABLE to  contact")
    assert Lead.objects.get().reason_code == "unreachable"
    assert delivery.reason_code == StatusUpdate.objects.get().reason_code == "UNABLE to  contact"
    assert reason_codes_unknown(integration) == []


def test_an_integration_s_own_word_comes_before_that_of_its_connector(
    delivery: Delivery, integration: Integration, ours: ReasonCode
) -> None:
    general = ReasonCode.objects.create(flag="invalid", code="no contact")
    reason_translate(integration, {"UC": general}, whole_connector=True)
    say(delivery, "UC")
    assert Lead.objects.get().reason_code == "no contact"
    reason_translate(integration, {"uc": ours})
    say(delivery, "UC", "said again")
    assert Lead.objects.get().reason_code == "unreachable"
    reason_translate(integration, {"uc": None})
    assert ReasonTranslation.objects.count() == 1


def test_a_code_that_nobody_has_a_word_for_is_kept_raw_and_listed(
    delivery: Delivery, integration: Integration, ours: ReasonCode
) -> None:
    say(delivery, "E-417")
    assert Lead.objects.get().reason_code == "E-417"
    (unknown,) = reason_codes_unknown(integration)
    assert (unknown.code, unknown.verdict, unknown.count) == ("E-417", "invalid", 1)
    say(delivery, "Unreachable")
    assert reason_codes_unknown(integration) == [], "it is one of ours"


def test_what_a_client_says_is_kept_within_bounds(delivery: Delivery) -> None:
    say(delivery, "<script>" + "x" * 10_000, "y\x00" * 10_000)
    update = StatusUpdate.objects.get()
    assert update.reason_code.startswith("<script>xxx")
    assert (len(update.reason_code), len(update.comment)) == (200, 2_000)
    assert "\x00" not in update.comment
    assert len(Lead.objects.get().comment) == 2_000
