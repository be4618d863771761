"""The copies of clients' rules, as jobs are compiled with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from integrations.kit.job_registry import job_kinds
from integrations.kit.job_settings import identifier
from integrations.kit.jobs import MIRROR, JobManifest
from integrations.models import ClientRule


def rule_of(manifest: JobManifest, settings: Mapping[str, Any]) -> int:
    """The id of the client's rule that a job goes by; 0 for one that goes by none."""
    boxes = [box.name for box in manifest.settings if box.type == "client_rule"]
    return identifier(settings.get(boxes[0])) if boxes else 0


def rule_kinds() -> tuple[str, ...]:
    """The kinds of jobs that go by a client's rule."""
    return tuple(
        slug for slug, kind in job_kinds().items() if any(box.type == "client_rule" for box in kind.manifest.settings)
    )


def settings_mirrored(slug: str, settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """A job's settings with the last copy of the client's rule that it goes by: one look at the database, where it goes by one."""
    kind = job_kinds().get(slug)
    pk = rule_of(kind.manifest, settings) if kind is not None else 0
    rule = ClientRule.objects.filter(pk=pk).first() if pk else None
    if rule is None or not rule.copied_version:
        return settings
    return {**settings, MIRROR: {**rule.about, "list": rule.value_list_id or 0}}
