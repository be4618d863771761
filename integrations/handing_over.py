"""What people do with many leads that concerns their deliveries: deliver, resend, mark by hand, erase.

Each action decides from where a lead stands at the chosen integrations, as leads/bulk.py has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import Case, Exists, OuterRef, QuerySet, Subquery, Value, When

from integrations.delivery import Wish, accepting, deliveries_add
from integrations.erasing import deliveries_erase, leads_left_over, leads_on_the_wire
from integrations.gate import integration_reopen
from integrations.models import Delivery, DeliveryState, Integration, IntegrationState
from integrations.poll_times import first_poll_at
from integrations.tracked_events.kept import lead_events_erase
from integrations.webhooks.delivery_events import deliveries_changed
from leads import clock
from leads.activity import ActivityError
from leads.bulk import Action, Found, NotDone, Params, Row
from leads.database import insert_rows, update_rows, uuid7
from leads.models import Activity, Flag, LeadChange, Status
from leads.privacy import leads_erase
from leads.status import leads_note

NO_TARGET = "none of the chosen integrations is of its campaign"


class _AtIntegrations:
    """What a deed at chosen integrations knows: where each lead stands there. Params: integrations, a list of ids."""

    by_verdict = False
    """Whether the client's verdict matters: it costs another look-up for each lead and integration."""

    def __init__(self, params: Params) -> None:
        ids = set(params.get("integrations") or ())
        if not ids:
            raise ActivityError("Choose at least one integration.")
        campaigns = set(Integration.objects.filter(pk__in=ids).values_list("campaign_id", flat=True))
        offered = accepting(campaigns, Delivery.Kind.LEAD).values()
        self.integrations = [row for rows in offered for row in rows if row.pk in ids]
        if not self.integrations:
            raise ActivityError("None of these integrations takes leads. Set it up and switch it on first.")

    def facts(self, rows: QuerySet[Any]) -> Found:
        """Campaign and standing of each lead, and state and verdict of its latest delivery to each integration."""
        testing = (When(status=Status.TEST, then=Value(True)), When(flag=Flag.TEST, then=Value(True)))
        annotations: dict[str, Any] = {
            "pending": Case(When(status=Status.PENDING, then=Value(True)), default=Value(False)),
            "testing": Case(*testing, default=Value(False)),
            "erased": Case(When(erased_at=None, then=Value(False)), default=Value(True)),
            "waits": Case(When(held="", then=Value(False)), default=Value(True)),
        }
        for integration in self.integrations:
            latest = Delivery.objects.filter(
                lead=OuterRef("pk"), integration=integration.pk, kind=Delivery.Kind.LEAD
            ).order_by("-pk")
            for name in ("state", "verdict") if self.by_verdict else ("state",):
                here = When(campaign=integration.campaign_id, then=Subquery(latest.values(name)[:1]))
                annotations[f"{name}_{integration.pk}"] = Case(here, default=Value(None))
        return rows.annotate(**annotations), ("campaign_id", *annotations)

    def why_not(self, row: Row) -> str:
        if row["pending"]:
            return "still pending"
        if row["erased"]:
            return "its personal data was erased"
        reasons = [words for _, words in self._at_each(row)]
        if not reasons:
            return NO_TARGET
        return " and ".join(dict.fromkeys(reasons)) if all(reasons) else ""

    def _at_each(self, row: Row) -> Iterator[tuple[Integration, str]]:
        for integration in self.integrations:
            if integration.campaign_id == row["campaign_id"]:
                state, verdict = row[f"state_{integration.pk}"], row.get(f"verdict_{integration.pk}")
                yield integration, self.why_not_there(integration.name, state, verdict)

    def _targets(self, row: Row) -> list[Integration]:
        return [integration for integration, words in self._at_each(row) if not words]

    def why_not_there(self, name: str, state: str | None, verdict: str | None) -> str:
        """Why not at one integration, from its latest delivery of the lead (None: there is none)."""
        raise NotImplementedError


class _Delivering(_AtIntegrations):
    resend = False

    def why_not(self, row: Row) -> str:
        # What is in Caution or beyond a cap is pushed on by a person first (facts, section 8).
        return "it waits: accept it first" if row["waits"] else super().why_not(row)

    def why_not_there(self, name: str, state: str | None, verdict: str | None) -> str:
        return "" if state is None else f"already handed to {name}"

    def act(self, activity: Activity, rows: Sequence[Row]) -> dict[int, str]:
        targets = {row["pk"]: self._targets(row) for row in rows}
        wishes = (
            Wish(integration, Delivery.Kind.LEAD, row["pk"], test=row["testing"], resend=self.resend)
            for row in rows
            for integration in targets[row["pk"]]
        )
        deliveries_add(wishes, at_rate=True)
        return {pk: " ".join(map(_queued, integrations)) for pk, integrations in targets.items()}


def _queued(integration: Integration) -> str:
    if integration.state == IntegrationState.ON:
        return f"On its way to {integration.name}."
    return f"Waits for {integration.name}, which is not on."


class _Resending(_Delivering):
    resend = True
    by_verdict = True

    def why_not_there(self, name: str, state: str | None, verdict: str | None) -> str:
        if state in (DeliveryState.QUEUED, DeliveryState.SENDING):
            return f"on its way to {name}"
        if state == DeliveryState.HELD:
            return f"waiting for {name}: release it instead"
        return f"accepted by {name}" if verdict == Flag.VALID else ""


class _Marking(_AtIntegrations):
    """A delivery's state as a person knows it better. Also params: comment."""

    state = DeliveryState.DELIVERED
    verb = "delivered"

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.comment = str(params.get("comment", ""))

    def why_not_there(self, name: str, state: str | None, verdict: str | None) -> str:
        if state == DeliveryState.SENDING:
            return f"being sent to {name} right now"
        return f"already delivered to {name}" if state == DeliveryState.DELIVERED else ""

    def act(self, activity: Activity, rows: Sequence[Row]) -> dict[int, str]:
        targets = {row["pk"]: self._targets(row) for row in rows}
        wanted = Delivery.objects.select_for_update(of=("self",)).filter(
            lead__in=targets, integration__in=[row.pk for row in self.integrations], kind=Delivery.Kind.LEAD
        )
        latest = {(row.lead_id, row.integration_id): row for row in wanted.order_by("pk")}
        reason = f"Marked {self.verb} by {activity.by}." + (f" {self.comment}" if self.comment else "")
        changed, added, was, not_there = [], [], dict[int, list[str]](), dict[int, list[str]]()
        for row in rows:
            for integration in targets[row["pk"]]:
                delivery = latest.get((row["pk"], integration.pk))
                # Locked only now: a worker may have taken it, or found out what became of it, since the facts were read.
                if delivery and (words := self.why_not_there(integration.name, delivery.state, delivery.verdict)):
                    not_there.setdefault(row["pk"], []).append(words)
                    continue
                was.setdefault(row["pk"], []).append(_was(integration, delivery))
                if delivery is not None:
                    changed.append((delivery.pk, *self._marked(delivery, reason), delivery.fence + 1))
                else:
                    added.append(
                        (uuid7(), integration.pk, Delivery.Kind.LEAD, row["pk"], row["testing"], self.state, reason)
                        + (None, clock.now())
                    )
        # With another fence: what a worker that lost it still finds out is not written over what a person knows.
        columns = ["state", "reason", "next_try_at", "delivered_at", "next_poll_at", "fence"]
        update_rows(Delivery, ["id"], columns, changed)
        made = insert_rows(
            Delivery,
            ("key", "integration", "kind", "lead", "test", "state", "reason", "next_try_at", "delivered_at"),
            added,
            returning=("id",),
        )
        deliveries_changed([*(row[0] for row in changed), *(pk for (pk,) in made)])
        for integration in self.integrations:
            # What counts against its caps is another number now.
            integration_reopen(integration.pk)
        notes = {pk: f"Marked {self.verb}: {', '.join(there)}." for pk, there in was.items()}
        said = {pk: f"{words} {self.comment}".strip() for pk, words in notes.items()}
        leads_note(LeadChange.Kind.MARKED, said, by=activity.by, data={})
        left = {pk: NotDone(" and ".join(dict.fromkeys(words))) for pk, words in not_there.items()}
        return left | {
            pk: f"{words} Not where it is {left[pk]}." if pk in left else words for pk, words in notes.items()
        }

    def _marked(self, delivery: Delivery, reason: str) -> tuple[Any, ...]:
        now = clock.now()
        return (self.state, reason, None, now, first_poll_at(now) if delivery.reference else None)


def _was(integration: Integration, delivery: Delivery | None) -> str:
    return f"{integration.name} (was {delivery.get_state_display().lower() if delivery else 'never handed over'})"


class _Unmarking(_Marking):
    state = DeliveryState.EXHAUSTED
    verb = "undelivered"

    def why_not_there(self, name: str, state: str | None, verdict: str | None) -> str:
        if state == DeliveryState.SENDING:
            return f"being sent to {name} right now"
        return "" if state in (DeliveryState.DELIVERED, DeliveryState.UNKNOWN) else f"not delivered to {name}"

    def _marked(self, delivery: Delivery, reason: str) -> tuple[Any, ...]:
        return (self.state, reason, None, None, None)


class _Erasing:
    def __init__(self, params: Params) -> None:
        pass

    def facts(self, rows: QuerySet[Any]) -> Found:
        sending = Exists(Delivery.objects.filter(lead=OuterRef("pk"), state=DeliveryState.SENDING))
        annotations = {
            "pending": Case(When(processed_at=None, then=Value(True)), default=Value(False)),
            # Where something came since, it is erased once more.
            "erased": Case(
                When(erased_at=None, then=Value(False)), When(leads_left_over(), then=Value(False)), default=Value(True)
            ),
            "sending": Case(When(sending, then=Value(True)), default=Value(False)),
        }
        return rows.annotate(**annotations), tuple(annotations)

    def why_not(self, row: Row) -> str:
        if row["erased"]:
            return "erased before"
        if row["pending"]:
            return "still pending"
        return "being sent right now" if row["sending"] else ""

    def act(self, activity: Activity, rows: Sequence[Row]) -> dict[int, str]:
        ids = {row["pk"] for row in rows}
        # A worker may have taken it since the facts were read; what it comes back with would be kept.
        sending = leads_on_the_wire(ids)
        personal = leads_erase(ids - sending, by=activity.by)
        deliveries_erase(personal)
        lead_events_erase(personal)
        left: dict[int, str] = dict.fromkeys(sending, NotDone("being sent right now"))
        return left | dict.fromkeys(personal, "Erased.")


DELIVER = Action("deliver", "Deliver", "sent", _Delivering)
RESEND = Action("resend", "Send again", "sent again", _Resending)
MARK_DELIVERED = Action("mark_delivered", "Mark delivered", "marked delivered", _Marking)
MARK_UNDELIVERED = Action("mark_undelivered", "Mark undelivered", "marked undelivered", _Unmarking)
ERASE = Action("erase", "Erase personal data", "erased for good", _Erasing)
