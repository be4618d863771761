"""Finds connectors: every folder in integrations/connectors that has a CONNECTOR. Nothing registers itself."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Protocol

from integrations.kit.contract import Connector

PACKAGE = "integrations.connectors"


@cache
def connectors() -> Mapping[str, Connector]:
    """All connectors by slug, in the order of their names.

    Read once in a process. A folder whose CONNECTOR is missing or is named otherwise than the folder is a mistake of the
    one who wrote it: TypeError, with what to mend.
    """
    package = importlib.import_module(PACKAGE)
    found: dict[str, Connector] = {}
    for module in pkgutil.iter_modules(package.__path__):
        if not module.ispkg:
            continue
        connector = getattr(importlib.import_module(f"{PACKAGE}.{module.name}"), "CONNECTOR", None)
        if not isinstance(connector, Connector):
            raise TypeError(f"integrations/connectors/{module.name}/__init__.py has no CONNECTOR = Connector(...).")
        if connector.manifest.slug != module.name:
            raise TypeError(
                f"The folder integrations/connectors/{module.name} has the slug {connector.manifest.slug!r}."
            )
        found[module.name] = connector
    return MappingProxyType(dict(sorted(found.items(), key=lambda item: item[1].manifest.name.casefold())))


def connector(slug: str) -> Connector:
    """The connector with this slug; KeyError where there is none."""
    return connectors()[slug]


def find(text: str) -> tuple[Connector, ...]:
    """What the Add box shows while somebody types: offered connectors whose name, former names or summary have `text`.

    Those whose name starts with it come first, then former names, then a word inside a name, then the summary. Nothing
    typed: all that are offered.
    """
    wanted = " ".join(text.casefold().split())
    ranked = [(rank(entry.manifest, wanted), entry) for entry in connectors().values() if entry.manifest.offered]
    return tuple(entry for place, entry in sorted(ranked, key=lambda pair: pair[0]) if place < NOT_FOUND)


class Named(Protocol):
    """What can be looked for by its names and its summary."""

    @property
    def name(self) -> str: ...
    @property
    def summary(self) -> str: ...
    @property
    def former_names(self) -> tuple[str, ...]: ...


NOT_FOUND = 5


def rank(entry: Named, wanted: str) -> int:
    """How well something answers to what was typed (case-folded): 0 is best, NOT_FOUND not at all."""
    name = entry.name.casefold()
    former = [each.casefold() for each in entry.former_names]
    places = (
        name.startswith(wanted),
        any(each.startswith(wanted) for each in former),
        wanted in name,
        any(wanted in each for each in former),
        wanted in entry.summary.casefold(),
    )
    return places.index(True) if True in places else NOT_FOUND
