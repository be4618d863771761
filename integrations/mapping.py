"""A stored mapping and a lead as the kit reads them: rows and facts, and the mapping of a version compiled."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any

from integrations.kit.mapping import FACTS, LeadFacts, Row, compile_rows
from integrations.models import FieldMapping, Integration, MappingVersion
from leads.callback_hash import callback_hash
from leads.models import Lead

SHOWN_CHARS = 80

# A row as a version keeps it: all of its columns but whose it is.
COLUMNS = (
    "remote_key", "remote_label", "remote_type", "remote_required", "remote_hidden", "remote_choices",
    "state", "source", "value", "value_map", "transforms", "position",
)  # fmt: skip
# Those of them that a person chooses.
CHOICE = frozenset({"source", "value", "value_map", "transforms"})
FACT_COLUMNS = (
    "pk", "hash", "created_at", "ip", "values", "enriched", "link__name", "link__channel",
    "publisher_id", "publisher__name", "campaign_id", "campaign__name",
)  # fmt: skip


def row_as_dict(row: FieldMapping) -> dict[str, Any]:
    """A row's columns. That a field is new says nothing of the mapping: it is kept as current."""
    kept = {name: getattr(row, name) for name in COLUMNS}
    if kept["state"] == FieldMapping.State.NEW:
        kept["state"] = FieldMapping.State.CURRENT
    return {**kept, "state": str(kept["state"]), "source": str(kept["source"])}


def rows_of(kept: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Rows as the kit reads them, from their columns; what vanished from the client's form is left out."""
    return [
        Row(
            remote_key=row["remote_key"],
            label=row["remote_label"] or row["remote_key"],
            required=row["remote_required"],
            source=row["source"],
            value=row["value"],
            value_map=row["value_map"],
            transforms=row["transforms"],
            choices=frozenset(choice["value"] for choice in row["remote_choices"]),
        )
        for row in kept
        if row["state"] != FieldMapping.State.VANISHED
    ]


def mapping_columns(integration: Integration) -> list[dict[str, Any]]:
    """The stored rows, each as its columns, in their order."""
    return [row_as_dict(row) for row in FieldMapping.objects.filter(integration=integration.pk)]


def mapping_rows(integration: Integration) -> list[Row]:
    """The stored mapping as the kit reads it; what vanished from the client's form is left out."""
    return rows_of(mapping_columns(integration))


def source_words(row: Mapping[str, Any], labels: Mapping[str, str] | None = None) -> str:
    """Where a row's value comes from, in words; `labels` are our inputs' by their names."""
    value = str(row["value"])
    shown = value if len(value) <= SHOWN_CHARS else value[:SHOWN_CHARS] + "…"
    match row["source"]:
        case "field":
            return f"your field {(labels or {}).get(value, value)}"
        case "fact":
            return f"the lead’s fact {dict(FACTS).get(value, value)}"
        case "fixed":
            return f"the fixed value “{shown}”"
        case "template":
            return f"the template {shown}"
    return "nothing"


@lru_cache(maxsize=256)
def mapping_compiled(integration_id: int, version: int) -> Callable[[LeadFacts], dict[str, str]]:
    """A version of an integration's mapping as one function.

    A version never changes, so neither does what is compiled of it, whatever is saved meanwhile. Rows that were never saved
    as a version are read as they are.
    """
    kept = MappingVersion.objects.filter(integration=integration_id, number=version).values_list("rows", flat=True)
    for rows in kept:
        return compile_rows(rows_of(rows))
    return compile_rows(mapping_rows(Integration(pk=integration_id)))


def lead_facts(
    lead_id: int | None,
    lead_hash: uuid.UUID | None,
    created_at: dt.datetime | None,
    ip: str | None,
    values: dict[str, str] | None,
    enriched: dict[str, str] | None,
    link_name: str | None,
    link_channel: str | None,
    publisher_id: int | None,
    publisher_name: str | None,
    campaign_id: int | None,
    campaign_name: str | None,
) -> LeadFacts:
    """A lead as the mapping sees it, from FACT_COLUMNS; nothing at all where there is no lead. What enrichment added is mapped
    as fields are; what was posted goes before it."""
    if lead_id is None or lead_hash is None or created_at is None:
        return LeadFacts(values={}, facts={})
    return LeadFacts(
        values={**enriched, **(values or {})} if enriched else values or {},
        facts={
            "id": str(lead_id),
            "hash": callback_hash(lead_hash),
            "created": created_at.isoformat(),
            "ip": ip or "",
            "link.name": link_name or "",
            "link.channel": link_channel or "",
            "publisher.id": str(publisher_id),
            "publisher.name": publisher_name or "",
            "campaign.id": str(campaign_id),
            "campaign.name": campaign_name or "",
        },
    )


def leads_facts(lead_ids: Collection[int]) -> dict[int, LeadFacts]:
    """Leads as the mapping sees them, by id."""
    found = Lead.objects.filter(pk__in=lead_ids).order_by("pk").values_list(*FACT_COLUMNS)
    return {columns[0]: lead_facts(*columns) for columns in found}
