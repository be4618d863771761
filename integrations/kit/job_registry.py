"""Finds kinds of jobs: every module in integrations/jobs that has a KIND. Nothing registers itself."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from integrations.kit.jobs import JobKind, Tab
from integrations.kit.registry import NOT_FOUND, rank

PACKAGE = "integrations.jobs"


@cache
def job_kinds() -> Mapping[str, JobKind]:
    """All kinds of jobs by slug, in the order of their names.

    Read once in a process. A module whose KIND is missing or is named otherwise than the module is a mistake of the one who
    wrote it: TypeError, with what to mend. Modules that start with an underscore are what kinds share.
    """
    package = importlib.import_module(PACKAGE)
    found: dict[str, JobKind] = {}
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.startswith("_"):
            continue
        kind = getattr(importlib.import_module(f"{PACKAGE}.{module.name}"), "KIND", None)
        if not isinstance(kind, JobKind):
            raise TypeError(f"integrations/jobs/{module.name}.py has no KIND = JobKind(...).")
        if kind.manifest.slug != module.name:
            raise TypeError(f"integrations/jobs/{module.name}.py has the slug {kind.manifest.slug!r}.")
        found[module.name] = kind
    return MappingProxyType(dict(sorted(found.items(), key=lambda item: item[1].manifest.name.casefold())))


def job_kind(slug: str) -> JobKind:
    """The kind with this slug; KeyError where there is none."""
    return job_kinds()[slug]


def job_kinds_find(text: str, tab: Tab) -> tuple[JobKind, ...]:
    """What the Add box of a tab shows while somebody types: kinds whose name, former names or summary have `text`."""
    wanted = " ".join(text.casefold().split())
    ranked = [(rank(entry.manifest, wanted), entry) for entry in job_kinds().values() if entry.manifest.tab == tab]
    return tuple(entry for place, entry in sorted(ranked, key=lambda pair: pair[0]) if place < NOT_FOUND)
