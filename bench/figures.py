"""What was measured, beside its target: figures, their table, and the table's place in docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


@dataclass(frozen=True)
class Figure:
    """One line of the table. `values`: one for each round; what counts is their median."""

    section: str
    name: str
    values: Sequence[float]
    unit: str = ""
    target: float | None = None
    at_most: bool = False
    """The target is the most that is allowed, not the least."""

    @property
    def value(self) -> float:
        return median(self.values)

    @property
    def reached(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        if self.target is None:
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target


def cells(figure: Figure) -> tuple[str, str, str, str, str]:
    """A figure as text: name, median, the rounds' range, target, mark."""
    low, high = min(figure.values), max(figure.values)
    spread = f"{_number(low)} to {_number(high)}" if len(figure.values) > 1 else ""
    if figure.target is None:
        return figure.name, f"{_number(figure.value)} {figure.unit}".strip(), spread, "", ""
    sign = "≤" if figure.at_most else "≥"
    mark = "reached" if figure.reached else "MISSED"
    return (
        figure.name,
        f"{_number(figure.value)} {figure.unit}".strip(),
        spread,
        f"{sign} {_number(figure.target)}",
        mark,
    )


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table_plain(figures: Sequence[Figure]) -> str:
    """For the terminal."""
    rows = [cells(figure) for figure in figures]
    widths = [max(len(row[place]) for row in rows) for place in range(5)]
    lines, section = [], ""
    for figure, row in zip(figures, rows, strict=True):
        if figure.section != section:
            section = figure.section
            lines += ["", section]
        name, *rest = row
        lines.append(
            f"  {name:<{widths[0]}}  "
            + "  ".join(f"{text:>{width}}" for text, width in zip(rest, widths[1:], strict=True)).rstrip()
        )
    return "\n".join(lines)


def table_markdown(figures: Sequence[Figure]) -> str:
    """For docs/benchmarks.md."""
    lines, section = [], ""
    for figure in figures:
        if figure.section != section:
            section = figure.section
            lines += ["", f"**{section}**", "", "| | median | rounds | target | |", "|---|---:|---:|---:|---|"]
        lines.append("| " + " | ".join(cells(figure)) + " |")
    return "\n".join(lines).strip()


def write(path: Path, conditions: str, figures: Sequence[Figure]) -> None:
    """Put the table between the markers of a document."""
    text = path.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{conditions}\n\n{table_markdown(figures)}\n{END}{after}")
