"""Brings the mapping of an earlier version back, onto the client's form as it is now."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.db import transaction

from integrations.delivery import integration_hold, integration_problems
from integrations.kit.contract import ConnectorError
from integrations.mapping import CHOICE, COLUMNS
from integrations.models import FieldMapping, Integration, IntegrationState, MappingVersion
from integrations.versions import mapping_expect, mapping_save, mapping_version

State = FieldMapping.State


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What a restore came to: the new version's number, their fields of then that are gone, and those that came since.

    What came since keeps the mapping that it has. `problems` say why the integration had to stop; empty if it did not.
    """

    version: int
    gone: list[str] = field(default_factory=list)
    came: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def mapping_restore(
    integration: Integration, number: int, by: str, *, expected_version: int | None = None
) -> RestoreReport:
    """Map as version `number` did. It is a new version: nothing of the history is lost.

    Fields that the client has no longer are not brought back. ConnectorError where there is no such version;
    MappingConflict as from mapping_save. An integration that is on and then lacks something required is held.
    """
    with transaction.atomic():
        locked = Integration.objects.select_for_update().get(pk=integration.pk)
        mapping_expect(locked, expected_version)
        wanted = mapping_version(locked, number)
        if wanted is None:
            raise ConnectorError(f"There is no version {number} of this mapping.")
        then = {row["remote_key"]: row for row in wanted.rows}
        rows = {row.remote_key: row for row in FieldMapping.objects.filter(integration=locked.pk)}
        by_hand = {key: row for key, row in rows.items() if row.state == State.EXTRA and key not in then}
        FieldMapping.objects.filter(pk__in=[row.pk for row in by_hand.values()]).delete()
        kept = [row for key, row in rows.items() if key in then]
        for row in kept:
            for name in CHOICE:
                setattr(row, name, then[row.remote_key][name])
        FieldMapping.objects.bulk_update(kept, sorted(CHOICE), batch_size=100)
        again = [row for key, row in then.items() if row["state"] == State.EXTRA and key not in rows]
        FieldMapping.objects.bulk_create(
            FieldMapping(integration=locked, **{name: row[name] for name in COLUMNS}) for row in again
        )
        version = mapping_save(locked, by, why=MappingVersion.Why.RESTORED)
        problems = integration_problems(locked) if locked.state == IntegrationState.ON else []
        if problems:
            integration_hold(locked.pk, " ".join(problems))
    integration.mapping_version = version
    return RestoreReport(
        version,
        gone=[
            str(row["remote_label"] or key)
            for key, row in then.items()
            if key not in rows and row["state"] != State.EXTRA
        ],
        came=[str(row) for key, row in rows.items() if key not in then and key not in by_hand],
        problems=problems,
    )
