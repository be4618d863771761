"""Whether a lead with the same values came before."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, cast
from zoneinfo import ZoneInfo

from integrations.kit.contract import Choice
from integrations.kit.job_settings import (
    COUNTRY,
    choice,
    choices_of,
    country,
    date,
    fields,
    identifier,
    integer,
)
from integrations.kit.jobs import (
    Against,
    BadSetting,
    Failed,
    JobKind,
    JobLead,
    JobManifest,
    JobSetting,
    QualityCheck,
    Scope,
    SeenBefore,
    Values,
)
from integrations.kit.normal_forms import normal_value

MOST_DAYS = 3_650
_WHERE = {
    "campaign": "in this campaign",
    "publisher_campaign": "of the same publisher in this campaign",
    "publisher": "of the same publisher",
    "advertiser": "of the same advertiser",
    "instance": "in any campaign",
    "campaigns": "in the campaigns that are compared",
}
_SCOPE = JobSetting(
    "scope",
    "Compared with leads of",
    "choice",
    default="campaign",
    help="Whose earlier leads count.",
    choices=(
        Choice("campaign", "This campaign"),
        Choice("publisher_campaign", "The same publisher in this campaign"),
        Choice("publisher", "The same publisher in any campaign"),
        Choice("advertiser", "The same advertiser"),
        Choice("instance", "All campaigns"),
        Choice("campaigns", "Chosen campaigns"),
    ),
)
_AGAINST = JobSetting(
    "against",
    "Of these",
    "choice",
    default="all",
    help="Which of those leads count. Test leads never do.",
    choices=(Choice("all", "All leads"), Choice("valid", "Valid leads"), Choice("billable", "Billable leads")),
)


def _compile(values: Values) -> QualityCheck:
    keys, region = fields(values), country(values)
    scope = cast(Scope, choice(values, "scope", choices_of(_SCOPE), "campaign"))
    against = cast(Against, choice(values, "against", choices_of(_AGAINST), "all"))
    listed = values.get("campaigns")
    campaigns = tuple(found for each in listed if (found := identifier(each))) if isinstance(listed, list) else ()
    if scope == "campaigns" and not campaigns:
        raise BadSetting("campaigns", "Choose at least one campaign.")
    days = integer(values, "days", 1, MOST_DAYS)
    first, last = date(values, "from"), date(values, "until")
    if first is not None and last is not None and last < first:
        raise BadSetting("until", "The last day is before the first one.")

    def asks(lead: JobLead) -> Sequence[SeenBefore]:
        normal = tuple(normal_value(lead.value(key), region) for key in keys)
        if not all(normal):
            return ()
        window = lead.received_at - dt.timedelta(days=days) if days is not None else None
        since, until = _begins(first, lead.zone), _begins(last, lead.zone, 1)
        bounds = [moment for moment in (since, window) if moment is not None]
        chosen = campaigns if scope == "campaigns" else ()
        return (SeenBefore(keys, normal, scope, against, chosen, max(bounds, default=None), until, region),)

    which = {"all": "An earlier lead", "valid": "A valid earlier lead", "billable": "A billable earlier lead"}[against]

    def judge(lead: JobLead, answers: Sequence[Any]) -> Failed | None:
        same = " and ".join(map(lead.label, keys))
        return Failed(f"{which} {_WHERE[scope]} has the same {same}.", keys[0]) if any(answers) else None

    return QualityCheck(judge, asks)


def _begins(day: dt.date | None, zone: str, days_later: int = 0) -> dt.datetime | None:
    if day is None:
        return None
    try:
        there = dt.datetime.combine(day + dt.timedelta(days=days_later), dt.time(), ZoneInfo(zone))
        return there.astimezone(dt.UTC)
    except OverflowError:
        return None


KIND = JobKind(
    JobManifest(
        slug="duplicate",
        name="Duplicate",
        summary="Fails a lead whose values came before.",
        tab="quality",
        former_names=(
            "Duplicate Email",
            "Duplicate Email for Same Publisher",
            "Duplicate Field",
            "Enterprise Duplicate",
        ),
        hard_fail=True,
        settings=(
            JobSetting(
                "fields",
                "Fields",
                "fields",
                help="What has to be the same: all of them together. A lead without a value in one is no duplicate.",
            ),
            _SCOPE,
            JobSetting(
                "campaigns",
                "Chosen campaigns",
                "campaigns",
                required=False,
                help="Their leads are compared; add this campaign too if its own shall be.",
                shown_if=("scope", "campaigns"),
            ),
            _AGAINST,
            JobSetting(
                "days",
                "Within days",
                "integer",
                required=False,
                help="How long an earlier lead counts. Empty: for ever.",
                least=1,
                most=MOST_DAYS,
            ),
            JobSetting(
                "from",
                "Received from",
                "date",
                False,
                "Earlier leads since this day count, in the campaign’s time zone.",
            ),
            JobSetting(
                "until",
                "Received until",
                "date",
                False,
                "Earlier leads up to this day count, in the campaign’s time zone.",
            ),
            COUNTRY,
        ),
        help=(
            "Letter case and outer spaces make no difference, and telephone numbers are the same however they are "
            "written. Of two leads that come at the same moment one passes."
        ),
    ),
    _compile,
)
