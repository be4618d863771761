"""Charts as SVG made on the server, each with its numbers as a table. No script draws them, and none is needed to read them.

The plots are stretched to the page and hold no text; what is written stands around them in the page's own letters.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

SLOT, BAR, HEIGHT = 10.0, 7.0, 100.0
# How lines are told apart without their colours.
DASHES = ("", "6 4", "2 3")


@dataclass(frozen=True, slots=True)
class Series:
    """One thing that is counted, day by day; None: nothing to say of that day. `tone` is one of the page's colours."""

    name: str
    tone: str
    values: Sequence[float | None]

    @property
    def total(self) -> float:
        return sum(value or 0 for value in self.values)


@dataclass(frozen=True)
class Chart:
    """What the template shows: the plot, its legend, and the table. `kind`: columns (stacked) or lines."""

    key: str
    title: str
    days: Sequence[dt.date]
    series: Sequence[Series]
    kind: str = "columns"
    note: str = ""
    durations: bool = False
    # Seconds beside hours: only on such a scale can both be seen.
    logarithmic: bool = False
    empty: str = "Nothing in these 14 days."
    shapes: Sequence[str] = field(default=DASHES)

    @property
    def has_data(self) -> bool:
        return any(value for series in self.series for value in series.values)

    @cached_property
    def top(self) -> float:
        """What the upper edge stands for: a round number not below the highest."""
        if self.kind == "columns":
            highest = max(
                (sum(series.values[day] or 0 for series in self.series) for day in range(len(self.days))), default=0
            )
        else:
            highest = max((value or 0 for series in self.series for value in series.values), default=0)
        return _round_up(highest, self.durations)

    @property
    def top_words(self) -> str:
        return self._words(self.top)

    @property
    def half_words(self) -> str:
        """What stands for the middle of the plot."""
        if self.logarithmic:
            return self._words(math.expm1(math.log1p(self.top) / 2))
        return self._words(self.top / 2)

    @property
    def summary(self) -> str:
        """The chart in one sentence, for those who hear it."""
        if not self.has_data:
            return f"{self.title}: {self.empty}"
        if self.kind == "lines":
            last = [
                (series.name, next((v for v in reversed(series.values) if v is not None), None))
                for series in self.series
            ]
            said = ", ".join(f"{name} {self._words(value)} at last" for name, value in last if value is not None)
        else:
            said = ", ".join(f"{series.name} {series.total:,.0f}" for series in self.series)
        return f"{self.title}, {self.days[0]:%-d %b} to {self.days[-1]:%-d %b}: {said}. The same numbers are in the table below."

    @property
    def svg(self) -> SafeString:
        plot = self._columns() if self.kind == "columns" else self._lines()
        return format_html(
            '<svg class="pt-plot" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>',
            _number(SLOT * len(self.days)), _number(HEIGHT), self.summary, plot,
        )  # fmt: skip

    @property
    def legend(self) -> list[tuple[str, str, str]]:
        """Name, tone and dash of each series."""
        return [(s.name, s.tone, self._dash(place)) for place, s in enumerate(self.series)]

    @property
    def rows(self) -> list[tuple[dt.date, list[str]]]:
        """The table, the newest day first."""
        rows = [
            (day, [self._words(series.values[place]) for series in self.series]) for place, day in enumerate(self.days)
        ]
        return rows[::-1]

    @property
    def totals(self) -> list[str]:
        return [] if self.kind == "lines" else [f"{series.total:,.0f}" for series in self.series]

    def _columns(self) -> SafeString:
        bars = []
        for place, day in enumerate(self.days):
            below = 0.0
            for series in self.series:
                value = series.values[place] or 0
                if not value:
                    continue
                height = HEIGHT * value / self.top
                below += height
                bars.append(
                    (
                        series.tone, _number(SLOT * place + (SLOT - BAR) / 2), _number(HEIGHT - below), _number(BAR),
                        _number(height), f"{day:%-d %b}: {value:,.0f} {series.name.lower()}",
                    )
                )  # fmt: skip
        return format_html_join(
            "",
            '<rect class="pt-fill-{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>',
            bars,
        )

    def _lines(self) -> SafeString:
        lines = []
        for place, series in enumerate(self.series):
            for run in _runs(series.values):
                # A day alone is a short dash.
                points = [(SLOT * (day + 0.5), HEIGHT * (1 - self._height(value))) for day, value in run]
                if len(points) == 1:
                    points = [(points[0][0] - 2, points[0][1]), (points[0][0] + 2, points[0][1])]
                drawn = " ".join(f"{_number(x)},{_number(y)}" for x, y in points)
                lines.append((series.tone, self._dash(place), drawn))
        return format_html_join("", '<polyline class="pt-line-{}" stroke-dasharray="{}" points="{}"></polyline>', lines)

    def _height(self, value: float) -> float:
        """Of the plot's height, from 0 to 1."""
        if self.logarithmic:
            return math.log1p(value) / math.log1p(self.top)
        return value / self.top

    def _dash(self, place: int) -> str:
        return self.shapes[place % len(self.shapes)] if self.kind == "lines" else ""

    def _words(self, value: float | None) -> str:
        if value is None:
            return "–"
        return lasting(value) if self.durations else f"{value:,.0f}"


@dataclass(frozen=True, slots=True)
class Share:
    """One row of a chart of shares: of `whole` things `part` were so."""

    name: str
    part: int
    whole: int
    link: str = ""
    note: str = ""

    @property
    def percent(self) -> int | None:
        return percent(self.part, self.whole)

    @property
    def svg(self) -> SafeString:
        return format_html(
            '<svg class="pt-share" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
            '<rect class="pt-fill-none" width="100" height="10"></rect><rect class="pt-fill-good" width="{}" height="10"></rect></svg>',
            self.percent or 0,
        )


@dataclass(frozen=True, slots=True)
class Figure:
    """One big number with what it was in the week before. `number` None: nothing to say yet."""

    label: str
    number: str
    link: str = ""
    change: str = ""
    tone: str = "off"
    hint: str = ""


def figure(label: str, now: int, before: int, link: str = "") -> Figure:
    """A count and how it compares with the seven days before."""
    if not before:
        change = "nothing the week before" if now else "as the week before"
        return Figure(label, f"{now:,}", link, change)
    by = round(100 * (now - before) / before)
    if not by:
        return Figure(label, f"{now:,}", link, f"as the week before ({before:,})")
    return Figure(label, f"{now:,}", link, f"{'▲' if by > 0 else '▼'} {abs(by):,} % ({before:,} the week before)")


def share_figure(label: str, now: tuple[int, int], before: tuple[int, int], link: str = "", hint: str = "") -> Figure:
    """A share in per cent, (part, whole), and how it compares with the seven days before, in points."""
    share, was = percent(*now), percent(*before)
    if share is None:
        return Figure(label, "–", link, "nothing to say yet", hint=hint)
    if was is None:
        return Figure(label, f"{share} %", link, "nothing the week before", hint=hint)
    if share == was:
        return Figure(label, f"{share} %", link, "as the week before", hint=hint)
    up = share > was
    change = (
        f"{'▲' if up else '▼'} {abs(share - was)} point{'' if abs(share - was) == 1 else 's'} ({was} % the week before)"
    )
    return Figure(label, f"{share} %", link, change, "good" if up else "bad", hint)


def percent(part: int, whole: int) -> int | None:
    return round(100 * part / whole) if whole else None


def lasting(seconds: float) -> str:
    """A duration as people say it: 0.8 s, 12 s, 4 min, 3 h, 2 days."""
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            amount = seconds / size
            return f"{amount:.1f} {unit}" if amount < 10 and amount % 1 >= 0.05 else f"{amount:.0f} {unit}"
    return f"{seconds:.1f} s" if 0 < seconds < 10 else f"{seconds:.0f} s"


def last_days(today: dt.date, count: int = 14) -> list[dt.date]:
    """So many days up to today, the oldest first."""
    return [today - dt.timedelta(days=back) for back in range(count - 1, -1, -1)]


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """The stretches of days that have a value."""
    runs: list[list[tuple[int, float]]] = [[]]
    for day, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((day, value))
    return [run for run in runs if run]


def _round_up(value: float, duration: bool) -> float:
    if duration:
        steps = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 43_200, 86_400]
        return next((float(step) for step in steps if step >= value), float(86_400 * -(-value // 86_400)))
    step = 1.0
    while True:
        for factor in (1, 2, 4, 5, 8):
            if step * factor >= max(value, 2):
                return step * factor
        step *= 10


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
