"""Whether a value is as the client's own condition says, before the client is asked."""

from __future__ import annotations

from collections.abc import Mapping

from integrations.kit.job_settings import FIELD, field, identifier, lines, text
from integrations.kit.jobs import MIRROR, BadSetting, JobKind, JobManifest, JobSetting, QualityCheck, Values
from integrations.kit.judging import cannot_yet, condition_check

_NOT_YET = "The client's condition has not been copied yet, or is gone. Look at the lead yourself, and at what the job goes by."
_NOT_KNOWN = "The client's condition can't be read by this portal. Look at the lead yourself, or switch the job off."


def _compile(values: Values) -> QualityCheck:
    key = field(values)
    if not identifier(values.get("rule")):
        raise BadSetting("rule", "Choose one of the client's conditions.")
    copied = values.get(MIRROR)
    if not isinstance(copied, Mapping):
        return cannot_yet(_NOT_YET)
    try:
        return condition_check(key, text(copied, "operator"), lines(copied, "values"))
    except BadSetting:
        return cannot_yet(_NOT_KNOWN)


KIND = JobKind(
    JobManifest(
        slug="client_simple_conditional",
        name="Convertr Connect: Simple Conditional",
        summary="Fails a lead whose value the client's own condition would refuse.",
        tab="quality",
        settings=(
            FIELD,
            JobSetting(
                "rule",
                "The client's condition",
                "client_rule",
                help="One of the conditions that the client shows you. It is copied, and follows what the client changes.",
                lists=("conditional",),
            ),
        ),
        help="While the client's instance can't be reached, its last copy is used.",
    ),
    _compile,
)
