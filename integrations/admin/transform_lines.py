"""Transforms as lines of text, which is how the page sends them: a name to a line, its parameters behind a colon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from integrations.kit.mapping import TRANSFORMS


def transforms_to_text(transforms: Sequence[Mapping[str, Any]]) -> str:
    """One transform to a line: its name, then its parameters behind a colon."""
    lines = []
    for spec in transforms:
        inner = spec.get("params")
        given = {**spec, **inner} if isinstance(inner, Mapping) else spec
        params = [f"{name}={value}" for name, value in given.items() if name not in ("name", "params")]
        known = TRANSFORMS.get(str(spec.get("name")))
        name = known.label if known else str(spec.get("name"))
        lines.append(name + (f": {'; '.join(params)}" if params else ""))
    return "\n".join(lines)


def text_to_transforms(text: str) -> tuple[list[dict[str, str]], str]:
    """The transforms in such lines, and in words what is wrong with them. Names and labels are both understood."""
    known = {word.casefold(): each for each in TRANSFORMS.values() for word in (each.name, each.label)}
    found: list[dict[str, str]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        name, _, given = line.partition(":")
        transform = known.get(name.strip().casefold())
        if transform is None:
            return (
                [],
                f"“{name.strip()[:60]}” is no transform. There are: {', '.join(t.label for t in TRANSFORMS.values())}.",
            )
        spec = {"name": transform.name}
        for pair in filter(None, map(str.strip, given.split(";"))):
            param, equals, value = pair.partition("=")
            if not equals or param.strip() not in {each.name for each in transform.params}:
                takes = ", ".join(f"{each.name}=…" for each in transform.params) or "no parameters"
                return [], f"{transform.label}: “{pair[:60]}” is not understood. It takes {takes}."
            spec[param.strip()] = value.strip()
        found.append(spec)
    return found, ""
