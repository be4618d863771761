"""Whether a lead is from the time that it should be from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from integrations.kit.contract import Choice
from integrations.kit.job_settings import choice, choices_of, date, field, integer, text
from integrations.kit.jobs import BadSetting, Failed, JobKind, JobLead, JobManifest, JobSetting, QualityCheck, Values
from integrations.kit.transforms import BadParameter, date_pattern, date_read

MOST_DAYS = 3_650
_BY = JobSetting(
    "by",
    "By",
    "choice",
    default="received",
    help="Which moment counts.",
    choices=(Choice("received", "When it was received"), Choice("field", "A date in a field")),
)


def _compile(values: Values) -> QualityCheck:
    by_field = choice(values, "by", choices_of(_BY), "received") == "field"
    first, last, days = date(values, "from"), date(values, "until"), integer(values, "days", 0, MOST_DAYS)
    if first is not None and last is not None and last < first:
        raise BadSetting("until", "The last day is before the first one.")
    if not by_field:
        if first is None and last is None:
            raise BadSetting("from", "Enter the first or the last day.")
        return QualityCheck(lambda lead, _answers: _outside("It was received", lead.received_on, first, last))
    key, written = field(values), text(values, "format") or "iso"
    try:
        pattern = date_pattern(written)
    except BadParameter as problem:
        raise BadSetting("format", str(problem)) from None

    def judge(lead: JobLead, _answers: Sequence[Any]) -> Failed | None:
        value = lead.value(key)
        if not value:
            return None
        moment = date_read(value, pattern)
        if moment is None:
            return Failed(f"{lead.label(key)} is no date written as {written}.", key)
        day, today = moment.date(), lead.received_on
        # Somewhere it is tomorrow already.
        if day > today + dt.timedelta(days=1):
            return Failed(f"{lead.label(key)} lies in the future.", key)
        if days is not None and (today - day).days > days:
            return Failed(f"{lead.label(key)} is more than {days:,} days before the lead was received.", key)
        return _outside(lead.label(key), day, first, last, key)

    return QualityCheck(judge)


def _outside(what: str, day: dt.date, first: dt.date | None, last: dt.date | None, key: str = "") -> Failed | None:
    verb = " is" if key else ""
    if first is not None and day < first:
        return Failed(f"{what}{verb} before {first.isoformat()}.", key)
    if last is not None and day > last:
        return Failed(f"{what}{verb} after {last.isoformat()}.", key)
    return None


KIND = JobKind(
    JobManifest(
        slug="lead_age",
        name="Lead age",
        summary="Fails a lead that is too old, or is not from a time period.",
        tab="quality",
        former_names=("Lead Within Time Period",),
        settings=(
            _BY,
            JobSetting("field", "Field", "field", False, "The field that has the date.", shown_if=("by", "field")),
            JobSetting(
                "format",
                "Written as",
                required=False,
                help="As in DD/MM/YYYY; iso is 2026-03-04.",
                default="iso",
                shown_if=("by", "field"),
            ),
            JobSetting(
                "days",
                "Days old at the most",
                "integer",
                False,
                "Counted from the date to the day on which the lead was received.",
                least=0,
                most=MOST_DAYS,
                shown_if=("by", "field"),
            ),
            JobSetting("from", "From", "date", False, "The first day that passes, in the campaign’s time zone."),
            JobSetting("until", "Until", "date", False, "The last day that passes, in the campaign’s time zone."),
        ),
        help="A lead without a date passes: the job Required value asks for one. A date in the future fails.",
    ),
    _compile,
)
