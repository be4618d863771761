"""Pairs as people write them: one "left = right" to a line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms

from leads.skin import Textarea


def pairs_to_text(pairs: Iterable[tuple[str, str]]) -> str:
    """Lines of "left = right"; only "left" where both are the same and it holds no "="."""
    return "\n".join(left if left == right and "=" not in left else f"{left} = {right}" for left, right in pairs)


def text_to_pairs(text: str) -> list[tuple[str, str]]:
    """The pairs in such lines; a line without "=" stands for itself on both sides. Empty lines are passed over."""
    pairs = []
    for line in text.splitlines():
        if not line.strip():
            continue
        # With spaces around it first, so that "a=b = c" keeps its left side whole.
        left, equals, right = line.partition(" = ")
        if not equals:
            left, equals, right = line.partition("=")
        pairs.append((left.strip(), right.strip() if equals else left.strip()))
    return pairs


class ChoicesField(forms.Field):
    """A field's choices, [{"value": ..., "label": ...}, ...], edited as lines of "value = label"."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(widget=Textarea(attrs={"rows": 2, "placeholder": "DE = Germany"}), **kwargs)

    def prepare_value(self, value: Any) -> str:
        if isinstance(value, str):
            return value
        return pairs_to_text((choice["value"], choice.get("label") or choice["value"]) for choice in value or [])

    def to_python(self, value: Any) -> list[dict[str, str]]:
        return [{"value": left, "label": right} for left, right in text_to_pairs(str(value or ""))]

    def has_changed(self, initial: Any, data: Any) -> bool:
        return self.prepare_value(initial).split() != str(data or "").split()
