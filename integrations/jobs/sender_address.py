"""How many leads come from one address."""

from __future__ import annotations

from integrations.kit.job_settings import SENDERS_SCOPE, choice, choices_of, integer
from integrations.kit.jobs import JobKind, JobManifest, JobSetting, QualityCheck, Values
from integrations.kit.judging import posts_check


def _compile(values: Values) -> QualityCheck:
    most, hours = integer(values, "most", 1, 100_000, 1) or 1, integer(values, "hours", 1, 24 * 31, 1) or 1
    return posts_check(
        hours * 3_600.0,
        most - 1,
        choice(values, "scope", choices_of(SENDERS_SCOPE), "campaign"),
        f"More than {most:,} lead{'' if most == 1 else 's'} came from the same IP address within {hours:,} "
        f"hour{'' if hours == 1 else 's'}.",
    )


KIND = JobKind(
    JobManifest(
        slug="sender_address",
        name="Repeated IP address",
        summary="Fails a lead where too many came from the same IP address.",
        tab="quality",
        former_names=("Unique IP", "Over-activity"),
        settings=(
            JobSetting("most", "Leads", "integer", False, "So many may come.", 1, least=1, most=100_000),
            JobSetting("hours", "Within hours", "integer", False, "In this time.", 1, least=1, most=24 * 31),
            SENDERS_SCOPE,
        ),
        help="For leads that visitors post themselves. Where a publisher posts all leads from its own servers, all have its address.",
    ),
    _compile,
)
