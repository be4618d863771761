"""Partners' webhooks: made, changed, tested, replayed and removed. How messages come about is in outbox_routing.py; how they
are sent is the engine's.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from integrations.delivery import DELIVER_TASK, integration_switch, waiting_reason
from integrations.models import Attempt, Delivery, DeliveryState, Integration, IntegrationState
from integrations.releasing import deliveries_let_out
from integrations.webhooks import managed as webhooks
from integrations.webhooks.routing import OF_PUBLISHERS
from leads.database import insert_rows, uuid7
from leads.models import Campaign, Happening, PartnerKey, Publisher, Subscription
from leads.outbox import outbox_forget
from leads.wake import wake

TEST = "webhook.test"
OVERLAP_HOURS = 24
MOST_OVERLAP_HOURS = 7 * 24
# Of one publisher, one campaign, or the instance: each costs a message for all that happens.
MOST_IN_A_SCOPE = 20
# What may be sent again: it came to an end, or has waited in vain.
ENDED = (DeliveryState.DELIVERED, DeliveryState.REFUSED, DeliveryState.EXHAUSTED, DeliveryState.UNKNOWN)
FAILED = (DeliveryState.REFUSED, DeliveryState.EXHAUSTED, DeliveryState.UNKNOWN)
_REMOVED_AT_ONCE = 1_000
_ROWS = ("key", "integration", "kind", "data", "test", "state", "reason", "next_try_at")


class SubscriptionError(ValueError):
    """Why a subscription can't be what was asked for; `field` is the one it is about, "" for all of it."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field


@dataclass(frozen=True, slots=True)
class Standing:
    """How a subscription stands: word and tone for people, a name for machines, and why it is not on."""

    name: str
    word: str
    tone: str
    reason: str = ""


def subscription_add(
    *,
    name: str,
    url: str,
    events: Collection[str],
    publisher: Publisher | None = None,
    campaign: Campaign | None = None,
    personal_data: bool = False,
    key: PartnerKey | None = None,
    made_by: str = "",
) -> tuple[Subscription, str]:
    """A subscription that is on, and its signing secret, which is never shown again. SubscriptionError where it can't be."""
    url = url.strip()
    subscription = Subscription(
        name=_name(name, url),
        events=_events(events, publisher_bound=publisher is not None),
        publisher=publisher,
        campaign=campaign,
        personal_data=personal_data,
        key=key,
        made_by=made_by[:200],
        created_at=timezone.now(),
    )
    _check_url(url)
    with transaction.atomic():
        _check_room(publisher, campaign)
        subscription.save()
        _, secret = webhooks.webhook_make(
            f"Webhook {subscription.name}", url, subscription=subscription, until_taken=True
        )
    outbox_forget()
    return subscription, secret


def subscription_change(
    subscription: Subscription,
    *,
    name: str | None = None,
    url: str | None = None,
    events: Collection[str] | None = None,
    personal_data: bool | None = None,
) -> None:
    """Change what is given. SubscriptionError where it can't be; then nothing is changed."""
    integration = subscription.integration
    new_url = str(integration.settings.get("url", "")) if url is None else url.strip()
    if events is not None:
        subscription.events = _events(events, publisher_bound=subscription.publisher_id is not None)
    if name is not None:
        subscription.name = _name(name, new_url)
    if personal_data is not None:
        subscription.personal_data = personal_data
    if url is not None:
        _check_url(new_url)
    with transaction.atomic():
        subscription.save()
        webhooks.webhook_readdress(integration, new_url, name=f"Webhook {subscription.name}")
    outbox_forget()


def subscription_switch(subscription: Subscription, on: bool) -> int:
    """Pause it, so that messages wait, or let out what waits for it at its rate; how many it let out."""
    integration = subscription.integration
    return integration_switch(integration, on) if on != (integration.state == IntegrationState.ON) else 0


def subscription_remove(subscription: Subscription) -> None:
    """Tell nothing more from now on; its messages go in the background (subscriptions_tidy)."""
    with transaction.atomic():
        subscription.removed_at = timezone.now()
        subscription.save(update_fields=["removed_at"])
        integration_switch(subscription.integration, on=False)
    outbox_forget()


def subscription_standing(subscription: Subscription) -> Standing:
    """How it stands now."""
    integration = subscription.integration
    key = subscription.key
    if key is not None and key.expires_at is not None and key.expires_at <= timezone.now():
        words = f"The key that made it has ended ({key.prefix}…): nothing is told any more."
        return Standing("key_ended", "Key has ended", "bad", words)
    match integration.state:
        case IntegrationState.ON if integration.failing_since:
            return Standing(
                "failing", "Does not answer", "wait", integration.state_reason or _latest_words(integration)
            )
        case IntegrationState.ON:
            return Standing("on", "On", "good")
        case IntegrationState.PAUSED:
            return Standing("paused", "Paused", "off", "Somebody paused it. Messages wait.")
    return Standing("switched_off", "Switched off", "bad", integration.state_reason)


def _latest_words(integration: Integration) -> str:
    last = Attempt.objects.filter(delivery__integration=integration.pk, delivery__state=DeliveryState.QUEUED).last()
    return last.message if last is not None else ""


def subscription_test(subscription: Subscription) -> Delivery:
    """Send a signed message that tells of nothing; the delivery, whose state says what came of it."""
    now = timezone.now()
    data = {
        "type": TEST,
        "timestamp": now.isoformat(timespec="milliseconds"),
        "data": {"message": f"A test of {settings.INSTANCE_NAME}. Nothing happened."},
    }
    integration = subscription.integration
    on = integration.state == IntegrationState.ON
    key = uuid7()
    state, reason = (DeliveryState.QUEUED, "") if on else (DeliveryState.HELD, waiting_reason(integration))
    row = (key, integration.pk, Delivery.Kind.EVENT, data, True, state, reason, now if on else None)
    insert_rows(Delivery, _ROWS, [row])
    if on:
        wake(DELIVER_TASK, integration.pk)
    return Delivery.objects.get(key=key)


def subscription_rotate(subscription: Subscription, overlap_hours: float = OVERLAP_HOURS) -> str:
    """A new signing secret, shown once; for so many hours messages are signed with the old one as well.

    SecretOverlap while that goes on; without an overlap (0 hours) all others end at once, whatever went on.
    """
    overlap = dt.timedelta(hours=overlap_hours)
    with transaction.atomic():
        secret = webhooks.secret_rotate(subscription.integration, overlap=bool(overlap))
        subscription.rotated_until = timezone.now() + overlap if overlap else None
        subscription.save(update_fields=["rotated_until"])
    return secret


def subscription_rotated(subscription: Subscription) -> None:
    """The receiver has the new secret: the old one signs nothing any more."""
    with transaction.atomic():
        webhooks.secret_rotated(subscription.integration)
        subscription.rotated_until = None
        subscription.save(update_fields=["rotated_until"])


def subscription_messages(subscription: Subscription) -> QuerySet[Delivery]:
    """All that it was told or is to be told, the newest first, as long as it is kept."""
    return Delivery.objects.filter(integration=subscription.integration.pk).order_by("-pk")


def subscription_replay(
    subscription: Subscription, *, ids: Collection[int] = (), failed_since: dt.datetime | None = None
) -> int:
    """Send messages once more under their ids: those named, or all since a time that did not arrive; how many that were.

    SubscriptionError while it is not on. What is on its way, or waits, is left as it is.
    """
    integration = subscription.integration
    if integration.state != IntegrationState.ON:
        raise SubscriptionError("The webhook is not on: switch it on first. What waits for it goes out then.")
    messages = Delivery.objects.filter(integration=integration.pk)
    if failed_since is not None:
        chosen = messages.filter(state__in=FAILED, created_at__gte=failed_since)
    else:
        chosen = messages.filter(pk__in=list(ids), state__in=ENDED)
    with transaction.atomic():
        count = deliveries_let_out(chosen, integration)
        wake(DELIVER_TASK, integration.pk)
    return count


def subscriptions_tidy() -> None:
    """End what is over: old secrets whose time is up, messages older than WEBHOOK_KEEP_DAYS, and what was removed.

    Some of it at a time: what is left goes in the sweeper's next rounds.
    """
    now = timezone.now()
    for subscription in Subscription.objects.filter(rotated_until__lte=now).select_related("integration"):
        subscription_rotated(subscription)
    keep = dt.timedelta(days=settings.WEBHOOK_KEEP_DAYS)
    oldest = Delivery.objects.filter(integration=OuterRef("integration__pk")).order_by("pk").values("created_at")[:1]
    due = Q(removed_at__isnull=False) | (Q(oldest__lt=now - keep) if keep else Q(pk__in=()))
    for subscription in (
        Subscription.objects.annotate(oldest=Subquery(oldest)).filter(due).select_related("integration")
    ):
        _forget(subscription, until=now if subscription.removed_at is not None else now - keep)


def _forget(subscription: Subscription, until: dt.datetime) -> None:
    """Remove a part of its messages from before `until`, the oldest first; with the last one, it goes if it was removed."""
    messages = Delivery.objects.filter(integration=subscription.integration.pk).order_by("pk")
    oldest = messages.exclude(state=DeliveryState.SENDING).values_list("pk", "created_at")
    first = oldest.first()
    if first is not None and first[1] < until:
        ids = [pk for pk, created_at in oldest[:_REMOVED_AT_ONCE] if created_at < until]
        with transaction.atomic():
            there = Delivery.objects.select_for_update(of=("self",)).filter(pk__in=ids).order_by("pk")
            ids = list(there.values_list("pk", flat=True))
            Attempt.objects.filter(delivery__in=ids).delete()
            Delivery.objects.filter(pk__in=ids).delete()
    elif subscription.removed_at is not None and not messages.exists():
        # The integration goes with it.
        subscription.delete()


def subscription_problems(
    *,
    name: str,
    url: str,
    events: Collection[str],
    publisher: Publisher | None = None,
    campaign: Campaign | None = None,
    new: bool = True,
) -> list[SubscriptionError]:
    """What is wrong with what somebody wants, all of it at once; nothing is written. `new`: it is one more."""
    checks: list[Callable[[], object]] = [
        lambda: _name(name, url),
        lambda: _check_url(url),
        lambda: _events(events, publisher_bound=publisher is not None),
    ]
    if new:
        checks.append(lambda: _check_room(publisher, campaign))
    found = []
    for check in checks:
        try:
            check()
        except SubscriptionError as error:
            found.append(error)
    return found


def _name(name: str, url: str) -> str:
    text = " ".join(name.split()) or url.partition("://")[2].partition("/")[0]
    if len(text) > 150:
        raise SubscriptionError("The name has more than 150 characters.", "name")
    return text


def _events(events: Collection[str], *, publisher_bound: bool) -> list[str]:
    wanted = [each for each in Happening if each in events]
    unknown = [each for each in events if each not in Happening.values]
    if unknown:
        raise SubscriptionError(
            f"There is no event “{str(unknown[0])[:60]}”. There are: {', '.join(Happening)}.", "events"
        )
    if not wanted:
        raise SubscriptionError("Choose at least one event.", "events")
    closed = [each for each in wanted if publisher_bound and each not in OF_PUBLISHERS]
    if closed:
        words = f"A publisher’s webhook is told of {', '.join(sorted(OF_PUBLISHERS))}, and not of {closed[0].value}."
        raise SubscriptionError(words, "events")
    return [each.value for each in wanted]


def _check_room(publisher: Publisher | None, campaign: Campaign | None) -> None:
    twins = Subscription.objects.filter(publisher=publisher, campaign=campaign, removed_at=None)
    if twins.count() >= MOST_IN_A_SCOPE:
        raise SubscriptionError(f"There are {MOST_IN_A_SCOPE} webhooks already: remove one first.")


def _check_url(url: str) -> None:
    if problem := webhooks.webhook_problem(url, settings.CONNECTOR_PRIVATE_HOSTS):
        raise SubscriptionError(problem, "url")
