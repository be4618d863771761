"""What is said of an incident: subject, cause, since when, how many leads wait, what to do, and where."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils import timezone
from django.utils.text import Truncator

from integrations.models import Delivery, DeliveryState, Integration, Notice, NoticeKind, NoticeStep
from leads.models import Campaign

What = NoticeStep.What
SUBJECT_CHARS, NAME_CHARS, CAUSE_CHARS = 200, 80, 90
# More are not counted: it takes as long as there are rows.
COUNTED = 100_000

_STARTS = {
    NoticeKind.FAILING: "{name} does not answer",
    NoticeKind.STOPPED: "{name} stopped: {cause}",
    NoticeKind.CHANGED: "{name} stopped: their form changed",
    NoticeKind.SWITCHED_OFF: "{name} was switched off: it failed for too long",
    NoticeKind.DOUBT: "{name}: sent, but no answer came",
    NoticeKind.REASONS: "{name}: more leads are refused than usual",
    NoticeKind.SILENCE: "{name}: no leads come in",
}
_ENDS = {
    NoticeKind.FAILING: "{name} answers again",
    NoticeKind.STOPPED: "{name} is no longer stopped",
    NoticeKind.CHANGED: "{name}: the change of their form is settled",
    NoticeKind.SWITCHED_OFF: "{name} is no longer switched off",
    NoticeKind.DOUBT: "{name}: nothing is in doubt any more",
    NoticeKind.REASONS: "{name}: no more leads are refused than usual",
    NoticeKind.SILENCE: "{name}: leads come in again",
}
_TO_DO = {
    NoticeKind.FAILING: "Nothing has to be done yet: it is tried again by itself, and what waits goes out once they "
    "answer. If it lasts, ask them: what fails for days is switched off.",
    NoticeKind.STOPPED: "Mend what it says and switch the integration on: what waits goes out then.",
    NoticeKind.CHANGED: "Review the change. Once it is accepted, what waits goes out.",
    NoticeKind.SWITCHED_OFF: "Ask them what is wrong. As soon as they answer, or somebody switches it on, what waits goes out.",
    NoticeKind.DOUBT: "Look at the client's side: release what is not there, and mark the rest as delivered.",
    NoticeKind.REASONS: "Look at the latest verdicts, and ask the client or the publisher.",
    NoticeKind.SILENCE: "Ask the publishers whether their side works, and look for leads that were turned away.",
}


@dataclass(frozen=True, slots=True)
class Told:
    """One message, whichever way it goes. `facts` are labels and values; `to_do` is empty where nothing is left to do."""

    subject: str
    cause: str
    facts: tuple[tuple[str, str], ...]
    to_do: str
    link: str
    link_words: str

    def data(self) -> dict[str, Any]:
        return {"subject": self.subject, "cause": self.cause, "to_do": self.to_do, "url": self.link}


def told(step: NoticeStep) -> Told:
    """What is told of one step of an incident, with how many leads wait at this moment."""
    notice = step.notice
    kind, what = NoticeKind(notice.kind), step.what
    words = notice_name(notice)
    waiting = leads_waiting(notice.integration_id) if notice.integration_id else 0
    facts = [("Since" if what != What.END else "From", _when(notice, notice.started_at))]
    if what == What.END:
        facts.append(("Until", _when(notice, notice.ended_at or step.at)))
    if notice.integration_id:
        facts.append(("Waiting", waiting_words(waiting)))
    link, link_words = _where(notice)
    return Told(
        subject=_subject(kind, what, words, step.words or notice.words, notice.percent),
        cause=step.words,
        facts=tuple(facts),
        to_do="" if what == What.END else _TO_DO[kind],
        link=link,
        link_words=link_words,
    )


def notice_name(notice: Notice) -> str:
    """Whose incident it is: Acme EU (Spring webinar)."""
    if notice.integration is not None:
        name = Truncator(notice.integration.name).chars(NAME_CHARS)
        campaign: Campaign | None = notice.integration.campaign
        return f"{name} ({Truncator(campaign.name).chars(NAME_CHARS)})" if campaign else name
    if notice.campaign is not None:
        return Truncator(notice.campaign.name).chars(NAME_CHARS)
    return notice.about


def leads_waiting(integration_id: int) -> int:
    """How many deliveries wait for an integration, whatever for; counted to COUNTED of each sort at the most."""
    mine = Delivery.objects.filter(integration=integration_id).order_by()
    return sum(
        mine.filter(state=state).values("pk")[:COUNTED].count() for state in (DeliveryState.HELD, DeliveryState.QUEUED)
    )


def waiting_words(count: int) -> str:
    more = "more than " if count >= COUNTED else ""
    return f"{more}{count:,} lead{'' if count == 1 else 's'}" if count else "no leads"


def _subject(kind: NoticeKind, what: str, name: str, words: str, percent: int) -> str:
    if what == What.STILL:
        text = f"{name} still does not answer: switched off in {_left(percent)} unless it does"
    else:
        cause = Truncator(words.split(". ")[0].rstrip(".")).chars(CAUSE_CHARS)
        text = (_ENDS if what == What.END else _STARTS)[kind].format(name=name, cause=cause)
    # A subject is one line, whatever a name has in it.
    return Truncator(" ".join(text.split())).chars(SUBJECT_CHARS)


def _left(percent: int) -> str:
    """What is left of the days that it may fail."""
    hours = round(settings.FAILING_DAYS * 24 * (100 - percent) / 100)
    return f"{hours} hours" if hours <= 48 else f"{hours / 24:.1f} days".replace(".0", "")


def _when(notice: Notice, at: dt.datetime) -> str:
    campaign = notice.campaign or (notice.integration.campaign if notice.integration else None)
    zone = campaign.time_zone if campaign else "UTC"
    return f"{timezone.localtime(at, zoneinfo.ZoneInfo(zone)):%-d %b %Y %H:%M} ({zone})"


def _where(notice: Notice) -> tuple[str, str]:
    integration: Integration | None = notice.integration
    if notice.kind == NoticeKind.SILENCE and notice.campaign_id:
        path, words = reverse("admin:leads_campaign_change", args=[notice.campaign_id]), "Open the campaign"
    elif integration is None or integration.managed:
        path, words = reverse("admin:integrations_notice_change", args=[notice.pk]), "Open the notice"
    elif integration.pending_form:
        path, words = reverse("admin:integrations_integration_drift", args=[integration.pk]), "Review the change"
    else:
        path, words = reverse("admin:integrations_integration_change", args=[integration.pk]), "Open the integration"
    return f"{settings.INSTANCE_URL}{path}", words
