"""Whether leads come faster from one address than people type."""

from __future__ import annotations

from integrations.kit.job_settings import SENDERS_SCOPE, choice, choices_of, integer
from integrations.kit.jobs import JobKind, JobManifest, JobSetting, QualityCheck, Values
from integrations.kit.judging import posts_check


def _compile(values: Values) -> QualityCheck:
    seconds = integer(values, "seconds", 1, 3_600, 30) or 30
    return posts_check(
        seconds,
        0,
        choice(values, "scope", choices_of(SENDERS_SCOPE), "campaign"),
        f"Another lead came from the same IP address within {seconds:,} seconds before.",
    )


KIND = JobKind(
    JobManifest(
        slug="rapid_posts",
        name="Rapid posts",
        summary="Fails a lead that comes from the same IP address seconds after another one.",
        tab="quality",
        former_names=("Rapid post",),
        settings=(
            JobSetting("seconds", "Seconds", "integer", False, "The least time between.", 30, least=1, most=3_600),
            SENDERS_SCOPE,
        ),
        help="For leads that visitors post themselves. Where a publisher posts all leads from its own servers, all have its address.",
    ),
    _compile,
)
