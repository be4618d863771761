"""From incidents to messages: each step of a notice is told to everybody who wants to know of it, once.

A webhook's message becomes a delivery in the same transaction, so tries, log, breaker and signature are the engine's; an
e-mail becomes a row that mails.py sends.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone

from integrations.delivery import DELIVER_TASK, waiting_reason
from integrations.models import (
    Delivery,
    DeliveryState,
    IntegrationState,
    Notice,
    NoticeMessage,
    NoticeStep,
    NoticeTarget,
)
from integrations.notices.mails import MAIL_TASK
from integrations.notices.words import Told, leads_waiting, told
from leads.database import insert_rows, uuid7
from leads.wake import wake

BATCH = 50
_EVENTS = {
    NoticeStep.What.START: "notice.started",
    NoticeStep.What.STILL: "notice.continues",
    NoticeStep.What.END: "notice.ended",
}
_TEST = "notice.test"
_ROWS = ("key", "integration", "kind", "data", "test", "state", "reason", "next_try_at")


def steps_due() -> bool:
    """Whether something is yet to be told."""
    return NoticeStep.objects.filter(due=True).exists()


def notices_tell() -> int:
    """Write the messages of all steps that are due; how many steps that were."""
    total = 0
    while count := _tell_batch():
        total += count
    return total


def _tell_batch() -> int:
    with transaction.atomic():
        steps = list(
            NoticeStep.objects.select_for_update(skip_locked=True, of=("self",))
            .filter(due=True)
            .select_related("notice__integration__campaign", "notice__campaign")
            .order_by("id")[:BATCH]
        )
        targets = list(NoticeTarget.objects.filter(active=True).select_related("integration")) if steps else []
        for step in steps:
            wanted = [target for target in targets if _wants(target, step.notice)]
            if wanted:
                message = told(step)
                for target in wanted:
                    _write(target, message, _event(step, message), step=step, at=step.at)
        NoticeStep.objects.filter(pk__in=[step.pk for step in steps]).update(due=False)
    return len(steps)


def _wants(target: NoticeTarget, notice: Notice) -> bool:
    if target.kinds and notice.kind not in target.kinds:
        return False
    integration = notice.integration
    if integration is not None and integration.managed and integration.campaign_id is None and not target.email:
        # What keeps a webhook from being told is told by e-mail alone: two that fail would tell of each other for ever.
        return False
    if target.only_integration_id:
        return target.only_integration_id == notice.integration_id
    if target.only_campaign_id:
        campaign_id = notice.campaign_id or (integration.campaign_id if integration else None)
        return target.only_campaign_id == campaign_id
    return True


def target_test(target: NoticeTarget) -> None:
    """Send a message that tells of nothing, to see whether it arrives."""
    message = Told(
        subject=f"Test from {settings.INSTANCE_NAME}",
        cause="Somebody wanted to see whether notices arrive here. They do.",
        facts=(),
        to_do="",
        link=settings.INSTANCE_URL,
        link_words="Open the portal",
    )
    now = timezone.now()
    with transaction.atomic():
        data = {"type": _TEST, "timestamp": now.isoformat(timespec="seconds"), "data": message.data()}
        _write(target, message, data, step=None, at=now)


def _event(step: NoticeStep, message: Told) -> dict[str, Any]:
    """What a webhook is told: type, timestamp and data, as Standard Webhooks recommend."""
    notice = step.notice
    campaign = notice.campaign or (notice.integration.campaign if notice.integration else None)
    return {
        "type": _EVENTS[NoticeStep.What(step.what)],
        "timestamp": step.at.isoformat(timespec="seconds"),
        "data": {
            "notice": notice.pk,
            "kind": notice.kind,
            **message.data(),
            "started_at": notice.started_at.isoformat(timespec="seconds"),
            "ended_at": notice.ended_at.isoformat(timespec="seconds") if notice.ended_at else None,
            "percent": notice.percent,
            "integration": {"id": notice.integration_id, "name": notice.integration.name} if notice.integration else None,
            "campaign": {"id": campaign.pk, "name": campaign.name} if campaign else None,
            "waiting": leads_waiting(notice.integration_id) if notice.integration_id else 0,
        },
    }  # fmt: skip


def _write(
    target: NoticeTarget, message: Told, data: dict[str, Any], *, step: NoticeStep | None, at: dt.datetime
) -> None:
    if target.integration is not None:
        delivery = _delivery(target, data, test=step is None)
        NoticeMessage.objects.create(
            step=step, target=target, delivery=delivery, created_at=timezone.now(), subject=message.subject
        )
        wake(DELIVER_TASK, target.integration.pk)
        return
    NoticeMessage.objects.create(
        step=step,
        target=target,
        created_at=timezone.now(),
        to=target.email,
        subject=message.subject,
        text=mail_text(message),
        html=render_to_string("mail/notice.html", {"told": message, "instance": settings.INSTANCE_NAME}),
        due_at=timezone.now(),
    )
    wake(MAIL_TASK)


def _delivery(target: NoticeTarget, data: dict[str, Any], *, test: bool) -> Delivery:
    integration = target.integration
    assert integration is not None
    on = integration.state == IntegrationState.ON
    key = uuid7()
    row = (key, integration.pk, Delivery.Kind.EVENT, data, test)
    if on:
        insert_rows(Delivery, _ROWS, [(*row, DeliveryState.QUEUED, "", timezone.now())])
    else:
        insert_rows(Delivery, _ROWS, [(*row, DeliveryState.HELD, waiting_reason(integration), None)])
    return Delivery.objects.get(key=key)


def mail_text(message: Told) -> str:
    """The message as plain text."""
    parts: Sequence[str] = [
        message.cause,
        "\n".join(f"{label}: {value}" for label, value in message.facts),
        message.to_do,
        f"{message.link_words}: {message.link}",
        f"-- \n{settings.INSTANCE_NAME}",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
