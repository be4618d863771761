"""What a client's reason codes are called here. Deliveries and status updates keep theirs; the lead gets ours."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.db.models import Count, Max, Q

from integrations.models import Delivery, Integration, ReasonTranslation
from leads.models import ReasonCode

UNKNOWN_SHOWN = 200
# So many of the integration's latest answers are looked through for codes that nobody has a word for.
UNKNOWN_LOOKED_AT = 20_000


@dataclass(frozen=True, slots=True)
class UnknownCode:
    """A code of a client's that is neither translated nor one of ours: kept as it came."""

    code: str
    verdict: str
    count: int
    last_at: dt.datetime | None


class Translations:
    """The table as far as some integrations need it: one query, whatever the number of codes."""

    def __init__(self, integration_ids: Iterable[int]) -> None:
        self._connectors = dict(Integration.objects.filter(pk__in=set(integration_ids)).values_list("pk", "connector"))
        rows = ReasonTranslation.objects.filter(
            Q(integration__in=list(self._connectors))
            | Q(integration=None, connector__in=set(self._connectors.values()))
        ).values_list("integration_id", "connector", "theirs", "reason__code")
        self._found: dict[tuple[int | str, str], str] = {
            (integration_id or connector, _folded(theirs)): code for integration_id, connector, theirs, code in rows
        }

    def ours(self, integration_id: int, theirs: str) -> str:
        """Our code for theirs: the integration's own entry first, then the connector's; theirs where there is none."""
        folded = _folded(theirs)
        found = self._found.get((integration_id, folded))
        if found is None:
            found = self._found.get((self._connectors.get(integration_id, ""), folded))
        return theirs if found is None else found

    def knows(self, integration_id: int, theirs: str) -> bool:
        keys: tuple[int | str, ...] = (integration_id, self._connectors.get(integration_id, ""))
        return any((key, _folded(theirs)) in self._found for key in keys)


def reason_codes_unknown(integration: Integration) -> list[UnknownCode]:
    """Codes that this client gave lately and that nobody has a word for, the most frequent first."""
    latest = Delivery.objects.filter(integration=integration.pk).order_by("-id").values("pk")[:UNKNOWN_LOOKED_AT]
    given = (
        Delivery.objects.filter(pk__in=latest)
        .exclude(reason_code="")
        .order_by()
        .values("reason_code", "verdict")
        .annotate(count=Count("pk"), last_at=Max("decided_at"))
        .order_by("-count", "reason_code")
    )
    table = Translations([integration.pk])
    ours = {_folded(code) for code in ReasonCode.objects.values_list("code", flat=True)}
    unknown: list[UnknownCode] = []
    for row in given.iterator():
        code = row["reason_code"]
        if _folded(code) not in ours and not table.knows(integration.pk, code):
            unknown.append(UnknownCode(code, row["verdict"], row["count"], row["last_at"]))
            if len(unknown) == UNKNOWN_SHOWN:
                break
    return unknown


def reason_translate(
    integration: Integration, codes: Mapping[str, ReasonCode | None], *, whole_connector: bool = False
) -> None:
    """Set what the client's codes are called: for this integration, or for all of its connector; None takes an entry away.

    It holds for verdicts that come from now on.
    """
    owner = None if whole_connector else integration
    rows = ReasonTranslation.objects.filter(connector=integration.connector, integration=owner)
    known = {_folded(row.theirs): row for row in rows}
    for theirs, reason in codes.items():
        row = known.get(_folded(theirs))
        if reason is None:
            if row is not None:
                row.delete()
        elif row is None:
            ReasonTranslation.objects.create(
                connector=integration.connector, integration=owner, theirs=theirs.strip()[:200], reason=reason
            )
        elif row.reason_id != reason.pk:
            row.reason = reason
            row.save(update_fields=["reason"])


def _folded(code: str) -> str:
    return " ".join(code.split()).casefold()
