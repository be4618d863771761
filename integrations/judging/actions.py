"""What people do in bulk with judged leads: let out what waits, turn it down, judge leads once more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Case, Exists, OuterRef, QuerySet, Value, When

from integrations.judging.held import leads_push_on, leads_turn_down
from integrations.judging.reprocessing import leads_reprocess
from integrations.models import Delivery, DeliveryState
from leads.activity import ActivityError
from leads.bulk import Action, Found, Params, Row
from leads.models import Activity


class _OfHeld:
    """What a decision on leads that wait knows of each."""

    def __init__(self, params: Params) -> None:
        self.reason_code, self.comment = str(params.get("reason_code", ""))[:200], str(params.get("comment", ""))

    def facts(self, rows: QuerySet[Any]) -> Found:
        annotations = {
            "waits": Case(When(held="", then=Value(False)), default=Value(True)),
            "erased": Case(When(erased_at=None, then=Value(False)), default=Value(True)),
        }
        return rows.annotate(**annotations), tuple(annotations)

    def why_not(self, row: Row) -> str:
        if row["erased"]:
            return "its personal data was erased"
        return "" if row["waits"] else "it does not wait: it is neither in Caution nor beyond a cap"


class _Accepting(_OfHeld):
    """Params: comment."""

    def act(self, activity: Activity, rows: Sequence[Row]) -> dict[int, str]:
        done = leads_push_on([row["pk"] for row in rows], by=activity.by, comment=self.comment)
        return dict.fromkeys(done, "Accepted: it goes out.")


class _Rejecting(_OfHeld):
    """Params: reason_code, comment; one of them has to be there."""

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        if not self.reason_code and not self.comment:
            raise ActivityError("Say why: choose a reason code or write a comment.")

    def act(self, activity: Activity, rows: Sequence[Row]) -> dict[int, str]:
        done = leads_turn_down(
            [row["pk"] for row in rows], by=activity.by, reason_code=self.reason_code, comment=self.comment
        )
        return dict.fromkeys(done, "Rejected: it is invalid.")


class _Reprocessing:
    """Params: deliver_again, whether integrations that had a lead get it once more."""

    def __init__(self, params: Params) -> None:
        self.deliver_again = params.get("deliver_again") in (True, "1", "true", "on")

    def facts(self, rows: QuerySet[Any]) -> Found:
        sending = Exists(Delivery.objects.filter(lead=OuterRef("pk"), state=DeliveryState.SENDING))
        annotations = {
            "pending": Case(When(processed_at=None, then=Value(True)), default=Value(False)),
            "erased": Case(When(erased_at=None, then=Value(False)), default=Value(True)),
            "sending": Case(When(sending, then=Value(True)), default=Value(False)),
        }
        return rows.annotate(**annotations), tuple(annotations)

    def why_not(self, row: Row) -> str:
        if row["erased"]:
            return "its personal data was erased"
        if row["pending"]:
            return "still pending"
        return "being sent right now" if row["sending"] else ""

    def act(self, activity: Activity, rows: Sequence[Row]) -> dict[int, str]:
        return leads_reprocess([row["pk"] for row in rows], by=activity.by, deliver_again=self.deliver_again)


ACCEPT = Action("accept", "Accept", "accepted", _Accepting)
REJECT = Action("reject", "Reject", "rejected", _Rejecting)
REPROCESS = Action("reprocess", "Reprocess", "judged again", _Reprocessing)
