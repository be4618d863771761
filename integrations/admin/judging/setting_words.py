"""A job's settings as people read them: in its history, and where somebody compares two versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from integrations.admin.judging.job_form import Offered
from integrations.kit.conditions import BadCondition, conditions_words
from integrations.kit.jobs import JobKind, JobSetting
from integrations.kit.text_map import map_text
from integrations.models import Job
from leads.history import Change, shown


def job_changes(before: Job, after: Job, kind: JobKind, offered: Offered) -> list[Change]:
    """What a save changed, box by box."""
    pairs = [
        ("Name", before.name, after.name),
        ("State", "On" if before.enabled else "Not on", "On" if after.enabled else "Not on"),
    ]
    if kind.manifest.tab == "quality":
        pairs.append(("Score", str(before.score), str(after.score)))
        pairs.append(("Hard fail", shown(before.hard_fail), shown(after.hard_fail)))
    if kind.manifest.showable:
        pairs.append(("Shown to publishers", shown(before.shown_to_publishers), shown(after.shown_to_publishers)))
    for box in kind.manifest.settings:
        old, new = (setting_words(box, job.settings, offered) for job in (before, after))
        pairs.append((box.label, old, new))
    return [Change(label, old, new) for label, old, new in pairs if old != new]


def setting_words(box: JobSetting, settings: Mapping[str, Any], offered: Offered) -> str:
    """What a box is set to."""
    value = settings.get(box.name, box.default)
    if value is None or value == "" or value == []:
        return ""
    match box.type:
        case "field":
            return offered.inputs.get(str(value), str(value))
        case "fields":
            return ", ".join(offered.inputs.get(key, key) for key in value)
        case "choice":
            return next((each.label or each.value for each in box.choices if each.value == value), str(value))
        case "list":
            return next((row.name for row in offered.lists if row.pk == value), "a list that was removed")
        case "client_rule":
            return next((str(rule) for rule in offered.client_rules if rule.pk == value), "a rule that was removed")
        case "campaigns":
            return ", ".join(name for pk, name in offered.campaigns if pk in value)
        case "map":
            return shown(map_text(value).replace("\n", ", "))
        case "conditions":
            try:
                return shown(conditions_words(value, offered.inputs))
            except BadCondition as bad:
                return str(bad)
        case "boolean":
            return shown(bool(value))
    return shown(str(value).replace("\n", ", "))
