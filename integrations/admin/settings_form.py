"""The boxes of the Configure page, made from a connector's manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cryptography.fernet import InvalidToken
from django import forms

from integrations.admin.asking import Asked, BoxState
from integrations.discovery import settings_problems
from integrations.kit.contract import Choice, Connector, SettingField
from integrations.kit.text_map import bad_lines, map_kept, setting_text, text_to_pairs
from integrations.models import Integration
from leads.encryption import decrypt, encrypt
from leads.skin import PasswordInput, Select, Switch, Textarea, TextInput

MAX_CHARS = 2_000
MAX_MAP_CHARS = 50_000
SEALED = "sealed"


class SettingsForm(forms.Form):
    """Name and settings of an integration.

    What is missing doesn't keep it from being saved, for the client's lists come only once the boxes above them are saved;
    what is written wrongly does. A secret goes in and never comes out: on a page that shows problems it is sent along
    sealed with the deployment's key, so that it need not be typed again.
    """

    def __init__(
        self,
        integration: Integration,
        connector: Connector,
        asked: Asked | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(data, prefix="settings")
        self.integration = integration
        self.connector = connector
        self.asked = asked
        self.fields["name"] = forms.CharField(
            max_length=200, widget=TextInput, label="Name", initial=integration.name, help_text="For colleagues."
        )
        for box in connector.manifest.settings:
            self.fields[_input(box)] = self._field(box)
            if box.type == "secret":
                self.fields[f"{_input(box)}-{SEALED}"] = forms.CharField(required=False, widget=forms.HiddenInput)

    def _field(self, box: SettingField) -> forms.Field:
        initial = self.integration.settings.get(box.name, box.default)
        common: dict[str, Any] = {"label": box.label, "required": False, "help_text": box.help}
        if box.type == "boolean":
            return forms.BooleanField(widget=Switch, initial=initial in (True, "true", "True", "1"), **common)
        if box.type == "secret":
            secret = PasswordInput(attrs={"autocomplete": "new-password", "spellcheck": "false"})
            return forms.CharField(max_length=MAX_CHARS, widget=secret, **common)
        attrs = {"autocomplete": "off", "spellcheck": "false"}
        if box.type == "map":
            # Lines of "own = theirs"; pairs.js makes two columns of them.
            sides = {"data-pairs": "", "data-left": box.sides[0], "data-right": box.sides[1], "rows": "4"}
            lines = Textarea(attrs={**attrs, **sides, "placeholder": " = ".join(box.sides)})
            return forms.CharField(max_length=MAX_MAP_CHARS, widget=lines, initial=setting_text(initial), **common)
        if box.type == "choice" or box.choices:
            current = self._current(box)
            widget = Select(choices=self._choices(box, current))
            return forms.CharField(widget=widget, initial=current, **common)
        if box.type == "integer":
            attrs["inputmode"] = "numeric"
        return forms.CharField(max_length=MAX_CHARS, widget=TextInput(attrs=attrs), initial=initial, **common)

    def _choices(self, box: SettingField, current: str) -> list[tuple[str, str]]:
        known: tuple[Choice, ...] = box.choices or (self.asked.choices.get(box.name, ()) if self.asked else ())
        offered = [] if box.default else [("", "Choose…" if box.required else "None")]
        offered += [(choice.value, choice.label or choice.value) for choice in known]
        if current and current not in {value for value, _ in offered}:
            note = " (no longer among the client’s choices)" if known else ""
            offered.append((current, f"{current}{note}"))
        return offered

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        problems = settings_problems(self.connector, self.all_settings)
        for box in self.connector.manifest.settings:
            if box.name in problems and str(self.all_settings.get(box.name) or "").strip():
                self.add_error(_input(box), problems[box.name])
            if box.type == "map" and (bad := bad_lines(str(cleaned.get(_input(box), "")))):
                words = f"“{bad[0][:80]}” lacks a side. Write a name on both sides of the = sign."
                self.add_error(_input(box), words)
        twin = Integration.objects.filter(campaign=self.integration.campaign_id, name=cleaned.get("name"))
        if twin.exclude(pk=self.integration.pk).exists():
            self.add_error("name", "Another integration of this campaign has this name. Take another one.")
        return cleaned

    @property
    def all_settings(self) -> dict[str, Any]:
        """Settings and secrets as they were typed, unchanged secrets included."""
        values: dict[str, Any] = {}
        for box in self.connector.manifest.settings:
            # What is written wrongly is no longer among the cleaned.
            typed = self.cleaned_data.get(_input(box), str(self.data.get(f"settings-{_input(box)}", "")).strip())
            if box.type == "map":
                typed = map_kept(text_to_pairs(str(typed)))
            values[box.name] = (self._secret(box) or "") if box.type == "secret" else typed
        return values

    def _secret(self, box: SettingField) -> str:
        typed = self.cleaned_data.get(_input(box)) or self._unsealed(box)
        return str(typed or self.integration.secrets.get(box.name, ""))

    def _unsealed(self, box: SettingField) -> str:
        try:
            sealed = decrypt(self.cleaned_data.get(f"{_input(box)}-{SEALED}") or "")
        except (InvalidToken, ValueError):
            return ""
        # Sealed for this box of this integration only.
        matches = isinstance(sealed, list) and sealed[:2] == [self.integration.pk, box.name]
        return str(sealed[2]) if matches else ""

    def store(self) -> bool:
        """Put what was typed on the integration, unsaved; True where a setting changed."""
        before = self.integration.all_settings
        settings: dict[str, Any] = {}
        secrets: dict[str, Any] = {}
        for box in self.connector.manifest.settings:
            value = self.all_settings[box.name]
            (secrets if box.type == "secret" else settings)[box.name] = value
        self.integration.name = self.cleaned_data["name"]
        self.integration.settings, self.integration.secrets = settings, secrets
        return any(
            setting_text(before.get(name)) != setting_text(value) for name, value in {**settings, **secrets}.items()
        )

    def boxes(self, *, advanced: bool = False) -> Iterator[dict[str, Any]]:
        """What the template shows of each box, in the manifest's order."""
        for box in self.connector.manifest.settings:
            if box.advanced == advanced:
                bound = self[_input(box)]
                state = None if bound.errors and self.asked is None else self._state(box)
                yield {
                    "box": box,
                    "field": bound,
                    "state": state,
                    "options": self.options(box),
                    "current": self._current(box),
                    **self._secret_state(box),
                }

    def advanced_boxes(self) -> list[dict[str, Any]]:
        return list(self.boxes(advanced=True))

    @property
    def advanced_problem(self) -> bool:
        return any(box["field"].errors or box["state"] for box in self.boxes(advanced=True))

    def options(self, box: SettingField) -> list[tuple[str, str]]:
        """What a dropdown offers, the client's own choices where they were asked."""
        if box.type != "choice" and not box.choices:
            return []
        return self._choices(box, self._current(box))

    def _current(self, box: SettingField) -> str:
        filled = self.asked.filled.get(box.name, "") if self.asked else ""
        initial = str(self.integration.settings.get(box.name, box.default))
        return filled or str(self.data.get(f"settings-{_input(box)}", initial) if self.is_bound else initial)

    def _state(self, box: SettingField) -> BoxState | None:
        if self.asked is not None:
            return self.asked.states.get(box.name)
        missing = settings_problems(self.connector, self.integration.all_settings) if self.integration.settings else {}
        return BoxState("wait", missing[box.name]) if not self.is_bound and box.name in missing else None

    def _secret_state(self, box: SettingField) -> dict[str, Any]:
        if box.type != "secret":
            return {}
        stored = str(self.integration.secrets.get(box.name, ""))
        typed = ""
        if self.is_bound and hasattr(self, "cleaned_data"):
            typed = str(self.cleaned_data.get(_input(box)) or self._unsealed(box))
        return {
            "ending": stored[-4:] if len(stored) >= 12 else "",
            "is_set": bool(stored),
            "sealed": encrypt([self.integration.pk, box.name, typed]) if typed else "",
            "sealed_name": f"settings-{_input(box)}-{SEALED}",
        }


def _input(box: SettingField) -> str:
    # Behind a word of its own: a connector's setting may be called "name".
    return f"s-{box.name}"
