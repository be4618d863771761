"""Bulk actions as pages call them: what there is to do, what it would come to, and its start.

All kinds of work come together here, those of leads/ and those that concern deliveries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from django.db.models import Case, Exists, Max, OuterRef, QuerySet, Value, When

from integrations import comparison
from integrations.delivery import MAPPING_OF_THEN, Wish, deliveries_add, deliveries_release
from integrations.handing_over import DELIVER, ERASE, MARK_DELIVERED, MARK_UNDELIVERED, RESEND
from integrations.judging.actions import ACCEPT, REJECT, REPROCESS
from integrations.models import Delivery, DeliveryState, IntegrationState, MappingVersion
from integrations.selections import DeliverySelection, Selection, delivery_selection, lead_selection, selection_kept
from integrations.value_lists import filling as list_filling
from leads import activity as activities
from leads import activity_work as working
from leads import imports
from leads.activity import ActivityError, Kind
from leads.bulk import EXPORT, FLAG, Action, DryRun, Found, Params, Row, action_dry_run, action_kind
from leads.models import Activity


class _Releasing:
    def __init__(self, params: Params) -> None:
        pass

    def facts(self, rows: QuerySet[Any]) -> Found:
        on = When(integration__state=IntegrationState.ON, then=Value(True))
        erased = When(lead__erased_at__isnull=False, then=Value(True))
        annotations = {"on": Case(on, default=Value(False)), "erased": Case(erased, default=Value(False))}
        return rows.annotate(**annotations), ("state", "integration__name", *annotations)

    def why_not(self, row: Row) -> str:
        if row["erased"]:
            return "its personal data was erased"
        if row["state"] not in (DeliveryState.HELD, DeliveryState.UNKNOWN, DeliveryState.EXHAUSTED):
            return f"it does not wait: {DeliveryState(row['state']).label.lower()}"
        return "" if row["on"] else f"{row['integration__name']} is not on"

    def act(self, activity: Activity, rows: Sequence[Row]) -> dict[int, str]:
        deliveries_release([row["pk"] for row in rows])
        return {row["pk"]: f"On its way to {row['integration__name']}." for row in rows}


class _Replaying(_Releasing):
    """Send once more what went out, under a new idempotency key. Params: mapping, now or then."""

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        if (mapping := params.get("mapping", "now")) not in ("now", "then"):
            raise ActivityError("Choose the mapping of now or of then.")
        self.then = mapping == "then"

    def facts(self, rows: QuerySet[Any]) -> Found:
        found, names = super().facts(rows)
        alike = {"lead": OuterRef("lead"), "integration": OuterRef("integration"), "kind": Delivery.Kind.LEAD}
        since = When(Exists(Delivery.objects.filter(**alike, pk__gt=OuterRef("pk"))), then=Value(True))
        version = {"integration": OuterRef("integration"), "number": OuterRef("mapping_version")}
        kept = When(Exists(MappingVersion.objects.filter(**version)), then=Value(True))
        found = found.annotate(since=Case(since, default=Value(False)), kept=Case(kept, default=Value(False)))
        return found, (*names, "kind", "since", "kept")

    def why_not(self, row: Row) -> str:
        if row["kind"] != Delivery.Kind.LEAD:
            return "it carries no lead"
        if row["erased"]:
            return "its personal data was erased"
        if row["state"] in (DeliveryState.QUEUED, DeliveryState.SENDING, DeliveryState.HELD):
            return f"it is still on its way: {DeliveryState(row['state']).label.lower()}"
        if self.then and not row["kept"]:
            return "the mapping that it went out with is not kept"
        return "it was sent again since" if row["since"] else ""

    def act(self, activity: Activity, rows: Sequence[Row]) -> dict[int, str]:
        deliveries = Delivery.objects.select_related("integration").filter(pk__in=[row["pk"] for row in rows])
        wishes = (
            Wish(
                delivery.integration,
                Delivery.Kind.LEAD,
                delivery.lead_id,
                data={MAPPING_OF_THEN: delivery.mapping_version} if self.then else {},
                test=delivery.test,
                resend=True,
            )
            for delivery in deliveries.order_by("pk")
            if delivery.lead_id is not None
        )
        deliveries_add(wishes, at_rate=True)
        return {row["pk"]: f"Sent to {row['integration__name']} once more." for row in rows}


RELEASE = Action("release", "Release", "sent", _Releasing, lead="lead_id", noun="delivery")
REPLAY = Action("replay", "Replay", "replayed", _Replaying, lead="lead_id", noun="delivery")

_OF_LEADS = (
    FLAG, ACCEPT, REJECT, REPROCESS, DELIVER, RESEND, MARK_DELIVERED, MARK_UNDELIVERED, EXPORT, ERASE,
)  # fmt: skip
LEAD_ACTIONS: Mapping[str, Action] = MappingProxyType({action.name: action for action in _OF_LEADS})
DELIVERY_ACTIONS: Mapping[str, Action] = MappingProxyType({action.name: action for action in (RELEASE, REPLAY)})


def _leads_chosen(params: Params) -> QuerySet[Any]:
    return lead_selection(params.get("selection", {})).leads()


def _deliveries_chosen(params: Params) -> QuerySet[Any]:
    return delivery_selection(params.get("selection", {})).deliveries()


KINDS: Mapping[str, Kind] = MappingProxyType(
    {name: action_kind(action, _leads_chosen) for name, action in LEAD_ACTIONS.items()}
    | {name: action_kind(action, _deliveries_chosen) for name, action in DELIVERY_ACTIONS.items()}
    | {kind.name: kind for kind in (imports.KIND, comparison.KIND, list_filling.KIND)}
)


def bulk_dry_run(name: str, selection: Selection, params: Params) -> DryRun:
    """What an action would come to; changes nothing. Raises ActivityError where it can't be asked for."""
    return action_dry_run(_action(name, selection), _rows(selection), params)


def bulk_start(
    name: str, selection: Selection, params: Params, *, by: str, token: str, campaign_id: int | None = None
) -> Activity:
    """Begin an action over a selection as it is now; what comes in later is not part of it. Raises ActivityError.

    `token` is made once for each form that is shown: a second click is the same activity.
    """
    action, rows = _action(name, selection), _rows(selection)
    action.deed(params)
    action.room(params, rows)
    asked = {
        **params,
        "selection": selection_kept(selection),
        "up_to": rows.model._default_manager.aggregate(last=Max("pk"))["last"] or 0,
    }
    return activities.activity_start(name, asked, by=by, token=token, campaign_id=campaign_id)


def _action(name: str, selection: Selection) -> Action:
    known = DELIVERY_ACTIONS if isinstance(selection, DeliverySelection) else LEAD_ACTIONS
    if name not in known:
        raise ActivityError(f"There is no action “{name}” for these.")
    return known[name]


def _rows(selection: Selection) -> QuerySet[Any]:
    return selection.deliveries() if isinstance(selection, DeliverySelection) else selection.leads()


def activity_label(activity: Activity) -> str:
    """What an activity does, in words."""
    kind = KINDS.get(activity.kind)
    return kind.label if kind is not None else activity.kind


def activity_work(activity_id: int) -> None:
    """Work an activity of whatever kind; see leads/activity_work.py."""
    working.activity_work(activity_id, KINDS)


def activity_failures_csv(activity: Activity) -> Iterator[str]:
    """The rows that failed, to download: of an import as they were uploaded, with what is wrong in a column behind."""
    if activity.kind == imports.KIND.name:
        return imports.import_failures_csv(activity)
    if activity.kind == list_filling.KIND.name:
        return list_filling.list_failures_csv(activity)
    return activities.activity_failures_csv(activity)
