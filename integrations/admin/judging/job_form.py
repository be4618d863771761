"""The boxes of a job's Configure page, made from its kind's manifest, and back to what is kept."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import QueryDict

from integrations.admin.asking import BoxState
from integrations.admin.judging.conditions_form import (
    conditions_context,
    conditions_do,
    conditions_kept,
    conditions_read,
    fields_offered,
)
from integrations.judging.client_rules import client_rule_words
from integrations.kit.jobs import BadSetting, JobKind, JobSetting
from integrations.kit.text_map import bad_lines, map_kept, setting_text, text_to_pairs
from integrations.models import ClientRule, Job, ValueList
from leads.skin import NumberInput, Select, Switch, Textarea, TextInput

PREFIX = "settings"
MAX_CHARS = 2_000
MAX_LINES_CHARS = 100_000
MOST_SCORE = 1_000
MOST_FIELDS = 20
NEEDED = "This is needed."
PLAIN = {"autocomplete": "off", "spellcheck": "false"}


@dataclass(frozen=True, slots=True)
class Offered:
    """What the boxes of a job choose from: fields (input key to label), lists of values, campaigns (id and name), clients' rules."""

    inputs: Mapping[str, str]
    lists: Sequence[ValueList]
    campaigns: Sequence[tuple[int, str]]
    client_rules: Sequence[ClientRule] = ()


class JobForm(forms.Form):
    """Name, score, hard fail and settings of a job.

    What is missing doesn't keep a job that is not on from being saved; what is written wrongly does.
    """

    def __init__(
        self, job: Job, kind: JobKind, offered: Offered, data: QueryDict | None = None, *, complete: bool = False
    ) -> None:
        """`complete`: nothing may be missing, for the job is on, or is to be switched on."""
        super().__init__(data, prefix=PREFIX)
        self.job, self.kind, self.offered, self.complete = job, kind, offered, complete
        self.focus = ""
        self.fields["name"] = forms.CharField(
            max_length=200, widget=TextInput(attrs=PLAIN), label="Name", initial=job.name,
            help_text="For colleagues, and for the publisher where a lead does not pass.",
        )  # fmt: skip
        if self.judges:
            self.fields["score"] = forms.IntegerField(
                min_value=0, max_value=MOST_SCORE, widget=NumberInput(attrs={"class": "pt-number"}), initial=job.score,
                help_text="What a lead gets where it passes. All reached: Valid; over 80 %: Caution; less: Invalid.",
            )  # fmt: skip
            self.fields["hard_fail"] = forms.BooleanField(
                required=False, widget=Switch, label="Hard fail", initial=job.hard_fail,
                help_text="A lead that does not pass is Invalid, whatever it has scored.",
            )  # fmt: skip
        if kind.manifest.showable:
            self.fields["shown_to_publishers"] = forms.BooleanField(
                required=False, widget=Switch, label="Shown to publishers", initial=job.shown_to_publishers,
                help_text="Publishers of the campaign can read what it checks, and check leads by it before they send them.",
            )  # fmt: skip
        for box in kind.manifest.settings:
            self.fields[_input(box)] = self._field(box)

    @property
    def judges(self) -> bool:
        """Whether it is a quality job: those that enrich have no score."""
        return self.kind.manifest.tab == "quality"

    def _field(self, box: JobSetting) -> forms.Field:
        widget: Any
        common: dict[str, Any] = {"label": box.label, "required": False, "help_text": box.help}
        initial = self._kept(box)
        match box.type:
            case "boolean":
                return forms.BooleanField(widget=Switch, initial=bool(initial), **common)
            case "integer":
                common |= {"min_value": box.least, "max_value": box.most}
                return forms.IntegerField(widget=NumberInput(attrs={"class": "pt-number"}), initial=initial, **common)
            case "date":
                widget = forms.DateInput(attrs={"type": "date", "class": "pt-input pt-date"}, format="%Y-%m-%d")
                return forms.DateField(widget=widget, initial=_date(initial), input_formats=["%Y-%m-%d"], **common)
            case "choice":
                offered = [] if box.default else [("", "Choose…" if box.required else "None")]
                offered += [(choice.value, choice.label or choice.value) for choice in box.choices]
                return forms.ChoiceField(widget=Select, choices=offered, initial=initial, **common)
            case "field":
                widget = Select(choices=fields_offered(self.offered.inputs, self._current_field(box)))
                return forms.CharField(widget=widget, initial=initial, max_length=MAX_CHARS, **common)
            case "fields" | "conditions":
                # Several boxes each: read where they are wanted.
                return forms.Field(widget=forms.HiddenInput, **common)
            case "list":
                return forms.TypedChoiceField(
                    widget=Select, choices=self._lists(box, initial), initial=initial, coerce=int, empty_value=None, **common
                )  # fmt: skip
            case "client_rule":
                return forms.TypedChoiceField(
                    widget=Select, choices=self._client_rules(box, initial), initial=initial, coerce=int,
                    empty_value=None, **common,
                )  # fmt: skip
            case "campaigns":
                return forms.TypedMultipleChoiceField(
                    widget=forms.CheckboxSelectMultiple,
                    choices=self.offered.campaigns,
                    initial=initial,
                    coerce=int,
                    empty_value=[],
                    **common,
                )
            case "map":
                sides = {"data-pairs": "", "data-left": box.sides[0], "data-right": box.sides[1], "rows": "4"}
                widget = Textarea(attrs={**PLAIN, **sides, "placeholder": " = ".join(box.sides)})
                initial = setting_text(initial)
                return forms.CharField(max_length=MAX_LINES_CHARS, widget=widget, initial=initial, **common)
            case "lines":
                widget = Textarea(attrs={**PLAIN, "rows": "5"})
                return forms.CharField(max_length=MAX_LINES_CHARS, widget=widget, initial=initial, **common)
            case _:
                widget = TextInput(attrs=PLAIN)
                return forms.CharField(max_length=MAX_CHARS, widget=widget, initial=initial, strip=False, **common)

    def _kept(self, box: JobSetting) -> Any:
        return self.job.settings.get(box.name, box.default)

    def _current_field(self, box: JobSetting) -> str:
        if self.is_bound:
            return str(self.data.get(f"{PREFIX}-{_input(box)}", ""))
        return str(self._kept(box) or "")

    def _fields_typed(self, box: JobSetting) -> list[str]:
        """The fields that are chosen, in their order."""
        if self.is_bound:
            posted = self.data.getlist(f"{PREFIX}-{_input(box)}") if isinstance(self.data, QueryDict) else []
            return [key for key in dict.fromkeys(posted) if key][:MOST_FIELDS]
        kept = self._kept(box)
        return [str(key) for key in kept] if isinstance(kept, list | tuple) else []

    def _lists(self, box: JobSetting, current: Any) -> list[tuple[str, str]]:
        offered = [("", "Choose…" if box.required else "None")]
        offered += [(str(row.pk), row.name) for row in self.offered.lists if not box.lists or row.kind in box.lists]
        if current and str(current) not in dict(offered):
            offered.append((str(current), "A list that was removed"))
        return offered

    def _client_rules(self, box: JobSetting, current: Any) -> list[tuple[str, str]]:
        rules = [rule for rule in self.offered.client_rules if rule.kind in box.lists]
        offered = [("", "Choose…"), *((str(rule.pk), f"{rule} · {rule.integration.name}") for rule in rules)]
        if current and str(current) not in dict(offered):
            offered.append((str(current), "A rule that was removed"))
        return offered

    def client_rule_words(self, box: JobSetting) -> str:
        """How fresh the copy of the chosen rule is; of none chosen, where rules come from."""
        chosen = next((rule for rule in self.offered.client_rules if rule.pk == self._kept(box)), None)
        if chosen is not None:
            return client_rule_words(chosen)
        return "What the clients of this campaign's integrations show is offered once they were asked."

    # --- what is typed ----------------------------------------------------------------------------------------

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for box in self.kind.manifest.settings:
            if box.type == "map" and (bad := bad_lines(str(cleaned.get(_input(box), "")))):
                words = f"“{bad[0][:80]}” lacks a side. Write something on both sides of the = sign."
                self.add_error(_input(box), words)
        twin = Job.objects.filter(campaign=self.job.campaign_id, name=cleaned.get("name")).exclude(pk=self.job.pk)
        if twin.exists():
            self.add_error("name", "Another job of this campaign has this name. Take another one.")
        if self.complete:
            for name in self.missing:
                self.add_error(name, NEEDED)
        if not self.errors and not self.missing:
            self._try_settings()
        return cleaned

    def _try_settings(self) -> None:
        """Whether the kind takes these settings: an expression that never ends is found here."""
        try:
            self.kind.compile(self.settings)
        except BadSetting as bad:
            name = f"s-{bad.name}"
            self.add_error(name if name in self.fields else None, bad.words)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings as they were typed, as they are kept."""
        return {box.name: self._typed(box) for box in self.kind.manifest.settings}

    def _typed(self, box: JobSetting) -> Any:
        name = _input(box)
        value = self.cleaned_data.get(name)
        match box.type:
            case "fields":
                return self._fields_typed(box)
            case "conditions":
                return conditions_kept(conditions_read(self.data, f"{PREFIX}-{name}"))
            case "map":
                return map_kept(text_to_pairs(str(value or "")))
            case "date":
                return value.isoformat() if isinstance(value, dt.date) else ""
            case "integer":
                return value
            case "boolean":
                return bool(value)
            case "campaigns":
                return list(value or ())
            case "list" | "client_rule":
                return value
            case "lines":
                return "\n".join(str(value or "").splitlines())
            case _:
                return str(value or "") if box.type == "text" else str(value or "").strip()

    @property
    def missing(self) -> list[str]:
        """The boxes that are needed and empty, as far as they matter with what is chosen in the others."""
        settings = self.settings
        return [
            _input(box)
            for box in self.kind.manifest.settings
            if box.required
            and box.type != "boolean"
            and _input(box) not in self.errors
            and _matters(box, settings)
            and _is_empty(settings[box.name])
        ]

    def store(self) -> None:
        """Put what was typed on the job, unsaved."""
        self.job.name = self.cleaned_data["name"]
        if self.judges:
            self.job.score, self.job.hard_fail = self.cleaned_data["score"], self.cleaned_data["hard_fail"]
        if self.kind.manifest.showable:
            self.job.shown_to_publishers = self.cleaned_data["shown_to_publishers"]
        self.job.settings = self.settings

    def do(self, what: str) -> bool:
        """Do what a button of an editor says, to what was typed; whether it was one of them. Nothing is saved by it."""
        for box in self.kind.manifest.settings:
            name = f"{PREFIX}-{_input(box)}"
            if box.type != "conditions":
                continue
            conditions = conditions_read(self.data, name)
            if place := conditions_do(conditions, what, name):
                self.edited = {box.name: (conditions, place)}
                return True
        return False

    edited: Mapping[str, tuple[dict[str, Any], str]] = {}

    # --- what is shown ----------------------------------------------------------------------------------------

    def boxes(self) -> Iterator[dict[str, Any]]:
        """What the template shows of each box, in the manifest's order."""
        for box in self.kind.manifest.settings:
            bound = self[_input(box)]
            shown: dict[str, Any] = {"box": box, "field": bound, "state": self._state(box)}
            if box.shown_if is not None:
                shown["only_if"] = (f"{PREFIX}-s-{box.shown_if[0]}", box.shown_if[1])
            if box.type == "fields":
                chosen = self._fields_typed(box)
                shown["picks"] = [(key, fields_offered(self.offered.inputs, key)) for key in [*chosen, ""]]
            if box.type == "client_rule":
                shown["fresh"] = self.client_rule_words(box)
            if box.type == "conditions":
                shown["editor"] = self._editor(box)
            yield shown

    def _editor(self, box: JobSetting) -> dict[str, Any]:
        name = f"{PREFIX}-{_input(box)}"
        if box.name in self.edited:
            conditions, focus = self.edited[box.name]
            return conditions_context(conditions, name, self.offered.inputs, focus)
        given = conditions_read(self.data, name) if self.is_bound else self._kept(box)
        return conditions_context(given, name, self.offered.inputs)

    def _state(self, box: JobSetting) -> BoxState | None:
        """What stands beside a box: what is wrong with it, or still missing."""
        if not self.is_bound:
            return None
        if errors := self.errors.get(_input(box)):
            return BoxState("bad", " ".join(map(str, errors)))
        if _input(box) in self.missing:
            return BoxState("wait", NEEDED)
        return BoxState("good", "") if not _is_empty(self.settings[box.name]) and box.type != "boolean" else None


def _input(box: JobSetting) -> str:
    # Behind a word of its own: a kind's setting may be called "name".
    return f"s-{box.name}"


def _matters(box: JobSetting, settings: Mapping[str, Any]) -> bool:
    """Whether a box is used with what is chosen in the others."""
    if box.shown_if is None:
        return True
    name, wanted = box.shown_if
    value = settings.get(name)
    return (str(value).lower() if isinstance(value, bool) else str(value or "")) == wanted


def _is_empty(value: Any) -> bool:
    if isinstance(value, Mapping):
        return not value.get("sections")
    return value is None or value == "" or value == [] or (isinstance(value, str) and not value.strip())


def _date(value: Any) -> dt.date | None:
    try:
        return dt.date.fromisoformat(str(value)) if value else None
    except ValueError:
        return None
