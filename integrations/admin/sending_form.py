"""The Configure page's section "Sending": the most in a day, a week and in all, days and hours, the release rate, and doubt."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from django import forms

from integrations.gate import integration_reopen
from integrations.models import InDoubt, Integration
from leads.skin import Select, TextInput

PREFIX = "sending"
# Posted with the section, so that a page without it changes nothing.
SHOWN = f"{PREFIX}-shown"
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MOST = 100_000_000
FASTEST = 100_000
CAPS = {"cap_day": "Most in a day", "cap_week": "Most in a week", "cap_total": "Most in all"}
HOURS = {"hours_from": "From", "hours_to": "To"}
RATE = "release_per_minute"
COLUMNS = (*CAPS, *HOURS, "weekdays", RATE, "in_doubt")


class SendingForm(forms.Form):
    """Bound where the page sent the section; unbound it shows what is stored."""

    def __init__(self, integration: Integration, data: Mapping[str, Any] | None = None) -> None:
        shown = data is not None and SHOWN in data
        super().__init__(data if shown else None, prefix=PREFIX)
        self.integration = integration
        self.asks_doubt = not integration.honours_keys
        number = {"inputmode": "numeric", "autocomplete": "off", "size": "8"}
        for name, label in CAPS.items():
            self.fields[name] = forms.IntegerField(
                label=label,
                required=False,
                min_value=1,
                max_value=MOST,
                initial=getattr(integration, name),
                widget=TextInput(attrs={**number, "placeholder": "no bound"}),
                error_messages={
                    "invalid": "Write a whole number, or leave it empty.",
                    "min_value": "Write 1 or more, or leave it empty. To send nothing, pause the integration.",
                    "max_value": f"At most {MOST:,}; leave it empty for no bound.",
                },
            )
        for name, label in HOURS.items():
            stored: dt.time | None = getattr(integration, name)
            self.fields[name] = forms.TimeField(
                label=label,
                required=False,
                initial=f"{stored:%H:%M}" if stored else "",
                input_formats=["%H:%M", "%H:%M:%S"],
                widget=TextInput(attrs={"type": "time", "autocomplete": "off"}),
                error_messages={"invalid": "Write a time as 09:00."},
            )
        for place, label in enumerate(DAYS):
            self.fields[f"day-{place}"] = forms.BooleanField(
                label=label, required=False, initial=place in integration.weekdays
            )
        self.fields[RATE] = forms.IntegerField(
            label="What waited goes out at",
            required=False,
            min_value=0,
            max_value=FASTEST,
            initial=integration.release_per_minute,
            widget=TextInput(attrs=number),
            error_messages={
                "invalid": "Write a whole number; 0 lets all go at once.",
                "min_value": "Write 0 or more; 0 lets all go at once.",
                "max_value": f"At most {FASTEST:,} a minute; 0 lets all go at once.",
            },
        )
        if self.asks_doubt:
            self.fields["in_doubt"] = forms.ChoiceField(
                label="Sent, but no answer came",
                required=False,
                choices=InDoubt.choices,
                initial=integration.in_doubt,
                widget=Select(choices=InDoubt.choices),
            )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        begins, ends = cleaned.get("hours_from"), cleaned.get("hours_to")
        if begins is not None and begins == ends:
            self.add_error("hours_to", "Both are the same. Leave both empty for the whole day.")
        day, week, total = (cleaned.get(name) for name in CAPS)
        if day and week and day > week:
            self.add_error("cap_day", "This is more than the most in a week.")
        if total and max(day or 0, week or 0) > total:
            self.add_error("cap_total", "This is less than the most in a day or a week.")
        return cleaned

    def is_valid(self) -> bool:
        """True also where the page did not send the section: then nothing changes."""
        return not self.is_bound or super().is_valid()

    def store(self) -> list[str]:
        """Save what changed, in the caller's transaction, and lift a closure at once; what changed, in words."""
        if not self.is_bound:
            return []
        before, said = sending_texts(self.integration), []
        given = self.cleaned_data
        for name in (*CAPS, *HOURS):
            setattr(self.integration, name, given[name])
        chosen = [place for place in range(7) if given[f"day-{place}"]]
        self.integration.weekdays = [] if len(chosen) == 7 else chosen
        if given[RATE] is not None:
            self.integration.release_per_minute = given[RATE]
        if self.asks_doubt and given["in_doubt"]:
            self.integration.in_doubt = given["in_doubt"]
        for label, now in sending_texts(self.integration).items():
            if before[label] != now:
                said.append(f"{label}: {before[label]} → {now}.")
        if said:
            self.integration.save(update_fields=[*COLUMNS, "updated_at"])
            integration_reopen(self.integration.pk)
            self.integration.closed_until, self.integration.closed_reason = None, ""
        return said

    @property
    def caps(self) -> list[forms.BoundField]:
        return [self[name] for name in CAPS]

    @property
    def hours(self) -> list[forms.BoundField]:
        return [self[name] for name in HOURS]

    @property
    def days(self) -> list[forms.BoundField]:
        return [self[f"day-{place}"] for place in range(7)]


def sending_posted(integration: Integration) -> dict[str, str]:
    """What the page would send for the section as it is stored, by the names of its boxes."""
    boxes = {name: _text(getattr(integration, name)) for name in CAPS}
    boxes |= {name: f"{value:%H:%M}" if (value := getattr(integration, name)) else "" for name in HOURS}
    boxes |= {f"day-{place}": "on" if place in integration.weekdays else "" for place in range(7)}
    boxes |= {RATE: _text(integration.release_per_minute), "in_doubt": str(integration.in_doubt)}
    return {f"{PREFIX}-{name}": value for name, value in boxes.items()}


def sending_labels() -> dict[str, str]:
    """What the boxes of the section are called, by their names."""
    days = {f"day-{place}": f"On {label}" for place, label in enumerate(DAYS)}
    labels = {**CAPS, **HOURS, **days, RATE: "Release rate", "in_doubt": "Sent, but no answer came"}
    return {f"{PREFIX}-{name}": label for name, label in labels.items()}


def sending_texts(integration: Integration) -> dict[str, str]:
    """The rules as they stand, by what they are called, for the history."""
    days = ", ".join(DAYS[place] for place in sorted(integration.weekdays))
    hours = {label: getattr(integration, name) for name, label in HOURS.items()}
    return {
        **{label: _text(getattr(integration, name)) or "no bound" for name, label in CAPS.items()},
        **{label: f"{value:%H:%M}" if value else "–" for label, value in hours.items()},
        "Days": days or "every day",
        "Release rate": f"{integration.release_per_minute:,} a minute"
        if integration.release_per_minute
        else "all at once",
        "Sent, but no answer came": InDoubt(integration.in_doubt).label,
    }


def _text(value: int | None) -> str:
    return "" if value is None else str(value)
