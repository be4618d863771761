"""Regular expressions that account managers enter: each has a time limit, and one that would never end is refused at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import regex

from integrations.kit.jobs import BadSetting, CannotJudge

MOST_CHARS, MOST_EXPANDED, MOST_GROUPS = 1_000, 10_000, 50
# Of the processor's time, so that a busy machine is no reason; a batch of 200 leads that all reach it is held up by seconds.
LIMIT_S = 0.02
_PROBE_CHARS = 400
_TOO_SLOW = "This expression takes too long on some texts: nested repeats such as (a+)+ do. Write it in a simpler way."
_RECURSION = re.compile(r"\(\?(?:R|[+-]?\d|&|P>)")
_COUNTED = re.compile(r"\{(\d*)(?:,(\d*))?\}")
_WORD = re.compile(r"[^\W_]{2,}")
_PLACE = re.compile(r"\\(?:(\d{1,2})|g<(\w{1,64})>|(.)|\Z)", re.DOTALL)


def pattern_compile(text: str, name: str, *, ignore_case: bool) -> Any:
    """A compiled expression. BadSetting at the box `name` where it can't be read, is too large, or never ends.

    Ended or not is tried out, on texts that are made of its own letters: for these an expression that goes astray does so.
    """
    if not text:
        raise BadSetting(name, "Enter a regular expression.")
    if len(text) > MOST_CHARS:
        raise BadSetting(name, f"This expression is longer than {MOST_CHARS:,} characters.")
    # Repeats are written out when an expression is compiled, and nested ones fill all memory there is.
    if _RECURSION.search(text) or _expanded(text) > MOST_EXPANDED or text.count("(") > MOST_GROUPS:
        raise BadSetting(name, "This expression repeats too much: take smaller counts in {…}, and fewer groups.")
    try:
        pattern = regex.compile(text, regex.IGNORECASE if ignore_case else 0)
    except regex.error as error:
        raise BadSetting(name, f"This expression can't be read: {error}.") from None
    except (RecursionError, OverflowError, MemoryError, ValueError, KeyError):
        raise BadSetting(name, "This expression can't be read.") from None
    try:
        for probe in _probes(text):
            pattern.search(probe, timeout=LIMIT_S)
    except (TimeoutError, MemoryError):
        raise BadSetting(name, _TOO_SLOW) from None
    return pattern


def found(pattern: Any, value: str, *, whole: bool = False) -> bool:
    """Whether an expression is found in a value, or fits the whole of it. CannotJudge where that takes too long."""
    try:
        look = pattern.fullmatch if whole else pattern.search
        return look(value, timeout=LIMIT_S) is not None
    except (TimeoutError, MemoryError):
        raise CannotJudge(
            "The regular expression took too long on this lead. Write it in a simpler way, or look at the lead yourself."
        ) from None


def replacement_compile(text: str, name: str, pattern: Any) -> Callable[[Any], str]:
    r"""What stands in for each find: a text with \1 or \g<name> for groups, \\ for a backslash. BadSetting at the box `name`."""
    parts: list[str | int] = []
    end = 0
    for place in _PLACE.finditer(text):
        parts.append(text[end : place.start()])
        number, group, other = place.groups()
        if other == "\\":
            parts.append("\\")
        elif number is not None and int(number) <= pattern.groups:
            parts.append(int(number))
        elif group is not None and (
            group in pattern.groupindex or (group.isdecimal() and int(group) <= pattern.groups)
        ):
            parts.append(pattern.groupindex.get(group) or int(group))
        else:
            raise BadSetting(
                name, f"“{place[0]}” is no group of the expression. Write \\1 for its first, \\\\ for a \\."
            )
        end = place.end()
    parts.append(text[end:])
    made = tuple(part for part in parts if part != "")
    return lambda match: "".join([part if isinstance(part, str) else match[part] or "" for part in made])


def replaced(pattern: Any, replacement: Callable[[Any], str], value: str) -> str:
    """A value with each find replaced. CannotJudge where that takes too long."""
    try:
        return str(pattern.sub(replacement, value, timeout=LIMIT_S))
    except (TimeoutError, MemoryError):
        raise CannotJudge(
            "The regular expression took too long on this lead. Write it in a simpler way, or look at the lead yourself."
        ) from None


def _expanded(text: str) -> int:
    """How many parts an expression has once counted repeats are written out."""
    sizes, last, at = [0], 0, 0
    while at < len(text):
        sign = text[at]
        if counted := _COUNTED.match(text, at):
            times = max(1, *(int(count) for count in counted.groups() if count)) if any(counted.groups()) else 1
            sizes[-1] += last * (times - 1)
            last *= times
            at = counted.end()
            continue
        at += 1
        if sign == "(":
            sizes.append(0)
        elif sign == ")":
            last = sizes.pop() + 1 if len(sizes) > 1 else 1
            sizes[-1] += last
        elif sign not in "*+?|":
            if sign == "\\":
                at += 1
            elif sign == "[":
                at = _behind_set(text, at)
            last = 1
            sizes[-1] += 1
    return sum(sizes)


def _behind_set(text: str, at: int) -> int:
    if text[at : at + 1] == "^":
        at += 1
    # A bracket that comes first stands for itself.
    at += 1
    while at < len(text) and text[at] != "]":
        at += 2 if text[at] == "\\" else 1
    return at + 1


def _probes(text: str) -> Iterator[str]:
    own = [sign for sign in dict.fromkeys(text) if sign.isalnum() or sign in " ,;:-_.@/"]
    signs = list(dict.fromkeys(["a", "A", "0", " ", *own]))[:24]
    for sign in signs:
        yield sign * _PROBE_CHARS + "\x00"
        yield sign * _PROBE_CHARS
    for word in list(dict.fromkeys(_WORD.findall(text)))[:20]:
        yield word * (_PROBE_CHARS // len(word) + 1) + "\x00"
    for one in signs[:8]:
        for other in signs[:8]:
            if one != other:
                yield (one + other) * (_PROBE_CHARS // 2) + "\x00"
