"""What people choose to act on: rows that were ticked, or all that a search finds. Kept as JSON by an activity."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from integrations.models import Delivery, VerdictState
from leads.activity import ActivityError
from leads.lead_search import LeadSearch
from leads.models import Lead

# Ticked rows are those of a page or a few; beyond this it is a search.
MOST_IDS = 10_000
MOST_DIGITS = 18
JUDGED = "judged"
JUDGED_VERDICTS = (VerdictState.VALID, VerdictState.INVALID, VerdictState.RETURNED)


@dataclass(frozen=True, slots=True)
class LeadSelection:
    """Leads by ids, or all that a search and what became of their deliveries find. Neither: no lead at all.

    `integration_id`, `delivery_state` and `verdict` are said of one and the same delivery; the state "none" finds leads
    that were never handed over (to that integration, if one is given).
    """

    ids: tuple[int, ...] = ()
    search: LeadSearch | None = None
    integration_id: int | None = None
    delivery_state: str = ""
    verdict: str = ""

    def leads(self) -> QuerySet[Lead]:
        if self.search is None:
            return Lead.objects.filter(pk__in=_few(self.ids))
        wanted: dict[str, Any] = {"lead": OuterRef("pk"), "kind": Delivery.Kind.LEAD}
        if self.integration_id:
            wanted["integration"] = self.integration_id
        if self.verdict:
            wanted["verdict"] = self.verdict
        never = self.delivery_state == "none"
        if self.delivery_state and not never:
            wanted["state"] = self.delivery_state
        found = self.search.leads()
        if never:
            return found.filter(~Exists(Delivery.objects.filter(**wanted)))
        return found.filter(Exists(Delivery.objects.filter(**wanted))) if len(wanted) > 2 else found


@dataclass(frozen=True, slots=True)
class DeliverySelection:
    """Deliveries by ids, or all that match. `reason` is one of the reasons as shown, whole; `text` a delivery's id, its lead's
    or the client's reference; the verdict "judged" finds all that clients decided. `counted`: as figures count, no tests and
    no messages of the portal's own."""

    ids: tuple[int, ...] = ()
    all_that_match: bool = False
    campaign_id: int | None = None
    integration_id: int | None = None
    state: str = ""
    verdict: str = ""
    reason: str = ""
    kind: str = ""
    text: str = ""
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    delivered_since: dt.datetime | None = None
    delivered_until: dt.datetime | None = None
    decided_since: dt.datetime | None = None
    decided_until: dt.datetime | None = None
    counted: bool = False

    def deliveries(self) -> QuerySet[Delivery]:
        if not self.all_that_match:
            return Delivery.objects.filter(pk__in=_few(self.ids))
        wanted = {
            "integration__campaign": self.campaign_id,
            "integration": self.integration_id,
            "state": self.state,
            "verdict": self.verdict if self.verdict != JUDGED else "",
            "reason": self.reason,
            "kind": self.kind,
            "created_at__gte": self.since,
            "created_at__lt": self.until,
            "delivered_at__gte": self.delivered_since,
            "delivered_at__lt": self.delivered_until,
            "decided_at__gte": self.decided_since,
            "decided_at__lt": self.decided_until,
        }
        found = Delivery.objects.filter(**{name: value for name, value in wanted.items() if value not in (None, "")})
        if self.verdict == JUDGED:
            found = found.filter(verdict__in=JUDGED_VERDICTS)
        if self.counted:
            found = found.filter(test=False, integration__managed=False)
        text = self.text.strip()
        if not text:
            return found
        named = Q(reference=text)
        if text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS:
            named |= Q(pk=int(text)) | Q(lead=int(text))
        return found.filter(named)


Selection = LeadSelection | DeliverySelection


def _few(ids: tuple[int, ...]) -> tuple[int, ...]:
    if len(ids) > MOST_IDS:
        raise ActivityError(f"These are more than {MOST_IDS:,} rows: choose all that match instead.")
    return ids


def selection_kept(selection: Selection) -> dict[str, Any]:
    """A selection as JSON."""
    return {name: value for name, value in _plain(asdict(selection)).items() if value}


def lead_selection(kept: Mapping[str, Any]) -> LeadSelection:
    """A selection of leads from JSON."""
    search = kept.get("search")
    found = LeadSearch(**_with_times(search)) if search is not None else None
    return LeadSelection(**{**kept, "ids": tuple(kept.get("ids", ())), "search": found})


def delivery_selection(kept: Mapping[str, Any]) -> DeliverySelection:
    """A selection of deliveries from JSON."""
    return DeliverySelection(**{**_with_times(kept), "ids": tuple(kept.get("ids", ()))})


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, tuple):
        return list(value)
    return value.isoformat() if isinstance(value, dt.datetime) else value


def _with_times(kept: Mapping[str, Any]) -> dict[str, Any]:
    times = {
        name: dt.datetime.fromisoformat(value)
        for name, value in kept.items()
        if name.endswith(("since", "until")) and value
    }
    return {**kept, **times}
