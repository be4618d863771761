"""What a job of the Processr is: a value made of plain functions over a lead's values; they do no I/O.

A kind of job compiles its settings once. For each lead a compiled job may ask questions (is this address a duplicate, is it on that
list); the engine answers those of a whole batch at once, and the job judges the lead, or adds values to it, with the answers. So
a kind is one small module, a test replays it from data, and a batch costs a few statements however many jobs there are.
Facts, section 10, lists the real platform's kinds.
"""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias
from zoneinfo import ZoneInfo

from integrations.kit.contract import Choice

Tab: TypeAlias = Literal["quality", "enrichment"]
SettingType: TypeAlias = Literal[
    "text",
    "lines",
    "integer",
    "boolean",
    "choice",
    "date",
    "field",
    "fields",
    "list",
    "campaigns",
    "map",
    "conditions",
    "client_rule",
]


class BadSetting(Exception):
    """A setting that makes no sense, in words for the one who entered it; `name` is the setting that it is about."""

    def __init__(self, name: str, words: str) -> None:
        super().__init__(words)
        self.name = name
        self.words = words


class CannotJudge(Exception):
    """This lead can't be judged by this job (a list that is gone, an expression that takes too long): it waits for a person.

    Its words are shown on the lead; they say what happened and what to do.
    """


@dataclass(frozen=True, slots=True)
class JobLead:
    """A lead as a job sees it. `values` are the posted ones by input key, and what enrichment has added by its own names."""

    values: Mapping[str, str]
    id: int = 0
    campaign_id: int = 0
    publisher_id: int = 0
    advertiser_id: int = 0
    received_at: dt.datetime = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
    ip: str = ""
    channel: str = ""
    zone: str = "UTC"
    """The time zone of its campaign, whose days count."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What the campaign's forms call their inputs."""

    def label(self, key: str) -> str:
        """What people call this input: its label on the campaign's form; the key itself where it has none."""
        return self.labels.get(key) or key

    @property
    def received_on(self) -> dt.date:
        """The day on which it was received."""
        return self.received_at.astimezone(ZoneInfo(self.zone)).date()

    def value(self, key: str) -> str:
        """What stands under this key, trimmed, letters with accents in one piece; empty where there is nothing to be seen."""
        value = (self.values.get(key) or "").strip()
        if value.isascii() and value.isprintable():
            return value
        return "" if all(map(_is_blank, value)) else unicodedata.normalize("NFC", value)


# Letters and signs by Unicode that nobody sees: fillers of Hangul, and Braille without a dot.
_BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0")


def _is_blank(sign: str) -> bool:
    return sign.isspace() or sign in _BLANKS or unicodedata.category(sign) in ("Cf", "Cc")


Scope: TypeAlias = Literal["publisher_campaign", "campaign", "publisher", "advertiser", "instance", "campaigns"]
Against: TypeAlias = Literal["all", "valid", "billable"]


@dataclass(frozen=True, slots=True)
class SeenBefore:
    """Whether an earlier lead has the same normal form of these fields: answered with that lead's id, or 0.

    `fields` are input keys in their order, `normal` their values in normal form; no question is asked about an empty one.
    `region` is the country by which normal forms were made: by another one they are others, and earlier leads need new keys.
    `since` and `until` bound when the earlier lead was received. The lead itself does not count; of two that come at once, the
    one that is judged first is the earlier. A lead that is judged once more is compared with those of smaller ids alone.
    """

    fields: tuple[str, ...]
    normal: tuple[str, ...]
    scope: Scope = "campaign"
    against: Against = "all"
    campaigns: tuple[int, ...] = ()
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    region: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """What a list has under this key (in the list's normal form): answered with its value ("" for a plain list), or None.

    CannotJudge is raised into the job by the engine where the list is gone.
    """

    list_id: int
    key: str


@dataclass(frozen=True, slots=True)
class PostsBefore:
    """How many earlier leads came from this IP address in the seconds before this one, in the campaign or the whole instance."""

    ip: str
    seconds: float
    scope: Literal["campaign", "instance"] = "campaign"


Question: TypeAlias = SeenBefore | Listed | PostsBefore
Asks: TypeAlias = Callable[[JobLead], Sequence[Question]]


@dataclass(frozen=True, slots=True)
class Failed:
    """Why a lead did not pass. `reason` is a sentence for people at both ends; `field` the input that it is about, if one."""

    reason: str
    field: str = ""


@dataclass(frozen=True, slots=True)
class QualityCheck:
    """A quality job with its settings: `judge(lead, answers)` is None where the lead passes. CannotJudge: a person has to look."""

    judge: Callable[[JobLead, Sequence[Any]], Failed | None]
    asks: Asks | None = None


@dataclass(frozen=True, slots=True)
class Enriching:
    """An enrichment job with its settings: `enrich(lead, answers)` has the values it adds, by the names in `adds`.

    They stand beside what was posted and never replace it; a value that can't be made is left out.
    """

    enrich: Callable[[JobLead, Sequence[Any]], Mapping[str, str]]
    adds: tuple[str, ...] = ()
    asks: Asks | None = None


# Beside the settings of a job that goes by a client's rule stands the last copy of it, under this name (client_rules.py).
MIRROR = "mirror"


@dataclass(frozen=True, slots=True)
class JobSetting:
    """One box of a job's Configure page.

    field and fields: inputs of the campaign's forms or names that earlier enrichment adds; list: the id of a list of values;
    client_rule: the id of a rule of the client's that is copied (MIRROR has the copy when the job is compiled); campaigns: ids; lines: a text whose lines are entries; map: as kit/text_map.py keeps it; conditions: sections as
    kit/conditions.py reads them. Numbers, dates and booleans are kept as JSON has them (dates as YYYY-MM-DD).
    """

    name: str
    label: str
    type: SettingType = "text"
    required: bool = True
    help: str = ""
    default: Any = ""
    choices: tuple[Choice, ...] = ()
    lists: tuple[str, ...] = ()
    """Of a list: which kinds of lists may be chosen; of a client's rule: which kinds of rules."""
    least: int | None = None
    most: int | None = None
    sides: tuple[str, str] = ("From", "To")
    shown_if: tuple[str, str] | None = None
    """(setting, value): the box matters only while that setting has this value."""


@dataclass(frozen=True, slots=True)
class JobManifest:
    """What a kind of job says of itself. `slug` is never renamed; a shipped one never gains a required setting without a default."""

    slug: str
    name: str
    summary: str
    tab: Tab
    settings: tuple[JobSetting, ...] = ()
    former_names: tuple[str, ...] = ()
    help: str = ""
    hard_fail: bool = False
    """Whether a new job of this kind starts as a hard fail."""
    showable: bool = False
    """Whether publishers can be shown what it checks (integrations/api/publisher_rules.py)."""
    fields: Callable[[Mapping[str, Any]], tuple[str, ...]] | None = None
    """The input keys that a job with these settings reads: what breaks when a field is deleted. None: those of its field boxes."""


Values: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class JobKind:
    """A kind of job. `compile(settings)` reads the settings once; BadSetting where they make no sense."""

    manifest: JobManifest
    compile: Callable[[Values], QualityCheck | Enriching]


@dataclass(frozen=True, slots=True)
class JobCase:
    """A case as a kind's case file keeps it: settings and a lead in, a reason or values out, and why it exists.

    `lead` has what else a lead is, by the names of JobLead; `answers` are those to the questions that the job asks, in their order.
    """

    title: str
    why: str
    settings: Values
    values: Mapping[str, str] = field(default_factory=dict)
    lead: Mapping[str, Any] = field(default_factory=dict)
    answers: Sequence[Any] = ()
    expect: Mapping[str, Any] = field(default_factory=dict)
