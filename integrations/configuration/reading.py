"""Reads YAML into plain values that remember their place in the file. No database; all problems are found in one go."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

ENV = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)\Z")


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in the file: line and column count from 1, `path` is as in campaigns[0].links[1].name."""

    file: str
    line: int
    column: int
    path: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.path or 'the file'}"


class ConfigurationError(Exception):
    """What is wrong with a configuration file: every (place, words)."""

    def __init__(self, problems: Iterable[tuple[Place, str]]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{place}: {words}" for place, words in self.problems))


@dataclass(frozen=True, slots=True)
class Item:
    """One mapping of the file: the values that it gives, by key, and where each of them stands."""

    place: Place
    values: dict[str, Any] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)

    def at(self, *keys: str) -> Place:
        """The place of the first of these keys that is there; its own if none is."""
        return next((self.places[key] for key in keys if key in self.places), self.place)


class _Bad(Exception):
    """A value that can't be read; said already."""


@dataclass(slots=True)
class Reader:
    """What reading one file needs to know, and the problems found so far."""

    file: str
    environ: Mapping[str, str]
    problems: list[tuple[Place, str]] = field(default_factory=list)

    def bad(self, place: Place, words: str) -> _Bad:
        self.problems.append((place, words))
        return _Bad()


# A rule reads one node at its place into a value, or raises what Reader.bad() returns.
Rule: TypeAlias = Callable[[Reader, Any, Place], Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """What a mapping may hold: a rule for each key. `identity` are the keys that tell its siblings apart."""

    rules: Mapping[str, Rule]
    required: tuple[str, ...] = ()
    identity: tuple[str, ...] = ()

    def __call__(self, reader: Reader, node: Any, place: Place) -> Item:
        if not isinstance(node, CommentedMap):
            raise reader.bad(place, f"write keys and values here, such as {next(iter(self.rules))}: …")
        item = Item(place)
        for key, value in node.items():
            key_place, value_place = _places(reader, node, key, place)
            rule = self.rules.get(key)
            if rule is None:
                reader.bad(key_place, f"there is no “{key}” here{did_you_mean(key, self.rules)}.")
                continue
            item.places[key] = value_place
            try:
                item.values[key] = rule(reader, value, value_place)
            except _Bad:
                continue
        for key in self.required:
            if key not in node:
                reader.bad(place, f"“{key}” is missing.")
        return item

    def names(self, item: Item) -> tuple[Any, ...]:
        return tuple(item.values.get(key) for key in self.identity)


def read(text: str, file: str, shape: Shape, environ: Mapping[str, str]) -> Item:
    """The file's text as an Item of this shape; ConfigurationError with every problem and its place."""
    reader = Reader(file, environ)
    start = Place(file, 1, 1)
    try:
        node = YAML(typ="rt").load(text)
    except DuplicateKeyError as error:
        raise ConfigurationError([(_marked(file, error), "this key is there twice.")]) from None
    except MarkedYAMLError as error:
        words = " ".join(part for part in (error.context, error.problem) if part)
        raise ConfigurationError([(_marked(file, error), f"this is not YAML: {words}.")]) from None
    except (YAMLError, ValueError) as error:
        raise ConfigurationError([(start, f"this is not YAML: {error}")]) from None
    try:
        item = shape(reader, CommentedMap() if node is None else node, start)
    except _Bad:
        item = Item(start)
    if reader.problems:
        raise ConfigurationError(reader.problems)
    return item


def _marked(file: str, error: MarkedYAMLError) -> Place:
    mark = error.problem_mark or error.context_mark
    return Place(file, mark.line + 1, mark.column + 1) if mark else Place(file, 1, 1)


def _places(reader: Reader, node: CommentedMap, key: Any, place: Place) -> tuple[Place, Place]:
    path = f"{place.path}.{key}" if place.path else str(key)
    found = []
    for where in (node.lc.key, node.lc.value):
        try:
            line, column = where(key)
        except (KeyError, TypeError):  # it came by a merge (<<) and stands elsewhere
            line, column = place.line - 1, place.column - 1
        found.append(Place(reader.file, line + 1, column + 1, path))
    return found[0], found[1]


def did_you_mean(word: Any, known: Collection[str]) -> str:
    """Words to put behind “there is no …”: the nearest known one, or all of them while they are few."""
    near = difflib.get_close_matches(str(word), list(known), n=1)
    if near:
        return f"; did you mean “{near[0]}”?"
    return f"; there is {', '.join(known)}" if known and len(known) <= 12 else ""


# --- rules --------------------------------------------------------------------------------------------------


def text(reader: Reader, node: Any, place: Place) -> str:
    """Text; a plain whole number is taken as it is written."""
    if isinstance(node, str):
        return str(node)
    if type(node) is int:
        return str(node)
    if node is None:
        return ""
    raise reader.bad(place, f"text is wanted; put it into quotation marks: “{node}”.")


def name(reader: Reader, node: Any, place: Place) -> str:
    """Text that is not empty."""
    if value := text(reader, node, place).strip():
        return value
    raise reader.bad(place, "it is empty.")


def setting(reader: Reader, node: Any, place: Place) -> str:
    """Text, true or false, or env:NAME for the value of an environment variable."""
    if isinstance(node, bool):
        return str(node).lower()
    value = text(reader, node, place)
    found = ENV.match(value)
    if not found:
        return value
    if not (taken := reader.environ.get(found[1], "")):
        raise reader.bad(place, f"the environment variable {found[1]} is not set. Set it and apply again.")
    return taken


def boolean(reader: Reader, node: Any, place: Place) -> bool:
    if isinstance(node, bool):
        return node
    raise reader.bad(place, f"true or false is wanted, not “{node}”.")


def number(reader: Reader, node: Any, place: Place) -> int:
    if isinstance(node, int) and not isinstance(node, bool) and node >= 0:
        return int(node)
    raise reader.bad(place, f"a whole number is wanted, not “{node}”.")


def one_of(values: Iterable[str]) -> Rule:
    known = tuple(values)

    def read_one(reader: Reader, node: Any, place: Place) -> str:
        if (value := text(reader, node, place)) in known:
            return value
        raise reader.bad(place, f"“{value}” is none of {', '.join(known)}.")

    return read_one


def or_nothing(rule: Rule) -> Rule:
    """What the rule reads, or nothing at all (null), as None."""

    def read_or_nothing(reader: Reader, node: Any, place: Place) -> Any:
        return None if node is None else rule(reader, node, place)

    return read_or_nothing


def list_of(rule: Rule) -> Rule:
    """A list; the items of a Shape with an identity are there once each."""

    def read_list(reader: Reader, node: Any, place: Place) -> list[Any]:
        if node is None:
            return []
        if not isinstance(node, CommentedSeq):
            raise reader.bad(place, "a list is wanted: one line with “- ” for each.")
        items: list[Any] = []
        seen: dict[Any, Place] = {}
        for index, entry in enumerate(node):
            line, column = node.lc.item(index)
            item_place = Place(reader.file, line + 1, column + 1, f"{place.path}[{index}]")
            try:
                item = rule(reader, entry, item_place)
            except _Bad:
                continue
            items.append(item)
            if isinstance(rule, Shape) and rule.identity and None not in rule.names(item):
                first = seen.setdefault(rule.names(item), item_place)
                if first is not item_place:
                    shown = ", ".join(str(part) for part in rule.names(item))
                    reader.bad(item_place, f"“{shown}” is there twice; first in line {first.line}.")
        return items

    return read_list


def or_name(shape: Shape, key: str) -> Rule:
    """A mapping, or only its name."""

    def read_either(reader: Reader, node: Any, place: Place) -> Item:
        if isinstance(node, CommentedMap):
            return shape(reader, node, place)
        return Item(place, {key: name(reader, node, place)}, {key: place})

    return read_either


def dictionary(rule: Rule) -> Rule:
    """A mapping of free keys (text) to values of one kind, as an Item."""

    def read_dictionary(reader: Reader, node: Any, place: Place) -> Item:
        if not isinstance(node, CommentedMap):
            raise reader.bad(place, "keys and values are wanted here.")
        item = Item(place)
        for key, value in node.items():
            key_place, value_place = _places(reader, node, key, place)
            try:
                known_as = text(reader, key, key_place)
                item.places[known_as] = value_place
                item.values[known_as] = rule(reader, value, value_place)
            except _Bad:
                continue
        return item

    return read_dictionary
