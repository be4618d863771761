"""The editor of conditions: sections of conditions as boxes, and back. Every button of it works without a script.

Boxes are named after the setting and the place: "region-1.0-field" is of the first condition of the second section. What was
typed is kept as it was, so that what is wrong can be shown beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import QueryDict

from integrations.kit.conditions import MATCHES, MOST_CONDITIONS, MOST_SECTIONS, OPERATORS

Conditions = dict[str, Any]

SEPARATOR = ";"


def conditions_blank() -> Conditions:
    """What an editor begins with: one condition to fill in."""
    return {"match": "all", "sections": [_section()]}


def _section() -> Conditions:
    return {"match": "all", "conditions": [_condition()]}


def _condition() -> Conditions:
    return {"field": "", "operator": "equal", "values": []}


def conditions_read(posted: Mapping[str, Any], name: str) -> Conditions:
    """The conditions that stand in the boxes of the editor `name`, as they were typed."""
    places = posted.getlist(f"{name}-at") if isinstance(posted, QueryDict) else []
    sections: dict[str, Conditions] = {}
    for place in places[: MOST_SECTIONS * (MOST_CONDITIONS + 1)]:
        head, _, inner = place.partition(".")
        section = sections.setdefault(head, {"match": _match(posted, f"{name}-{head}-match"), "conditions": []})
        if inner:
            prefix = f"{name}-{place}-"
            section["conditions"].append(
                {
                    "field": str(posted.get(f"{prefix}field", "")),
                    "operator": str(posted.get(f"{prefix}operator", "")),
                    "values": values_read(str(posted.get(f"{prefix}values", ""))),
                }
            )
    return {"match": _match(posted, f"{name}-match"), "sections": list(sections.values())}


def _match(posted: Mapping[str, Any], name: str) -> str:
    match = str(posted.get(name, ""))
    return match if match in MATCHES else MATCHES[0]


def values_read(text: str) -> list[str]:
    """Values that are written in one line, apart by semicolons."""
    return [value for each in text.split(SEPARATOR) if (value := each.strip())]


def values_text(values: Any) -> str:
    """Values as one line to write on."""
    return f"{SEPARATOR} ".join(map(str, values)) if isinstance(values, list) else str(values or "")


def conditions_kept(conditions: Conditions) -> Conditions:
    """What is worth keeping: without conditions in which nothing was filled in, and sections without any."""
    sections = [
        {**section, "conditions": [each for each in section["conditions"] if each["field"] or each["values"]]}
        for section in conditions["sections"]
    ]
    return {**conditions, "sections": [section for section in sections if section["conditions"]]}


def conditions_do(conditions: Conditions, do: str, name: str) -> str:
    """Do what a button of this editor says ("add-condition:NAME/1"); the place to go on typing, "" where it is not its button."""
    what, _, where = do.partition(":")
    whose, _, place = where.partition("/")
    if whose != name:
        return ""
    sections = conditions["sections"]
    if what == "add-section":
        if len(sections) < MOST_SECTIONS:
            sections.append(_section())
        return f"{len(sections) - 1}.0"
    head, _, inner = place.partition(".")
    if not head.isdigit() or int(head) >= len(sections):
        return ""
    section = sections[int(head)]
    if what == "add-condition":
        if len(section["conditions"]) < MOST_CONDITIONS:
            section["conditions"].append(_condition())
        return f"{head}.{len(section['conditions']) - 1}"
    if what == "remove-section":
        del sections[int(head)]
    elif what == "remove-condition" and inner.isdigit() and int(inner) < len(section["conditions"]):
        del section["conditions"][int(inner)]
        if not section["conditions"]:
            del sections[int(head)]
    else:
        return ""
    if not sections:
        sections.append(_section())
    return "0.0"


def conditions_context(given: Any, name: str, inputs: Mapping[str, str], focus: str = "") -> dict[str, Any]:
    """What the editor's template shows. `inputs` are the fields on offer, key to label."""
    conditions = given if isinstance(given, Mapping) and given.get("sections") else conditions_blank()
    sections = []
    for number, section in enumerate(conditions["sections"]):
        rows = [
            {
                "place": f"{number}.{place}",
                "prefix": f"{name}-{number}.{place}-",
                "number": f"{number + 1}.{place + 1}",
                "operator": each.get("operator", ""),
                "values": values_text(each.get("values")),
                "fields": fields_offered(inputs, str(each.get("field") or "")),
                "field": each.get("field", ""),
                "bare": (known := OPERATORS.get(str(each.get("operator")))) is not None and known.bare,
                "focus": focus == f"{number}.{place}",
            }
            for place, each in enumerate(section.get("conditions") or [_condition()])
        ]
        sections.append({"place": str(number), "number": number + 1, "match": section.get("match"), "rows": rows})
    return {
        "name": name,
        "match": conditions.get("match"),
        "sections": sections,
        "operators": list(OPERATORS.values()),
    }


def fields_offered(inputs: Mapping[str, str], current: str) -> list[tuple[str, str]]:
    """The choices of a field box; what is chosen stays on offer where the forms have it no longer."""
    offered = [("", "Choose…"), *inputs.items()]
    if current and current not in inputs:
        offered.append((current, f"{current} (no longer on the campaign’s forms)"))
    return offered
