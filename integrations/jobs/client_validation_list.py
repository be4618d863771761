"""Whether a value stands on the client's own list, before the client is asked."""

from __future__ import annotations

from collections.abc import Mapping

from integrations.kit.job_settings import FIELD, boolean, field, identifier
from integrations.kit.jobs import MIRROR, BadSetting, JobKind, JobManifest, JobSetting, QualityCheck, Values
from integrations.kit.judging import cannot_yet, list_check

_NOT_YET = (
    "The client's list has not been copied yet, or is gone. Look at the lead yourself, and at what the job goes by."
)


def _compile(values: Values) -> QualityCheck:
    key = field(values)
    if not identifier(values.get("rule")):
        raise BadSetting("rule", "Choose one of the client's lists.")
    copied = values.get(MIRROR)
    if not isinstance(copied, Mapping) or not identifier(copied.get("list")):
        return cannot_yet(_NOT_YET)
    return list_check(
        key,
        identifier(copied.get("list")),
        boolean(copied, "wanted", True),
        boolean(copied, "several"),
        boolean(copied, "empty_fails"),
    )


KIND = JobKind(
    JobManifest(
        slug="client_validation_list",
        name="Convertr Connect: Validation List",
        summary="Fails a lead whose value the client's own list would refuse.",
        tab="quality",
        settings=(
            FIELD,
            JobSetting(
                "rule",
                "The client's list",
                "client_rule",
                help="One of the lists that the client shows you. It is copied, and follows what the client changes.",
                lists=("list",),
            ),
        ),
        help="While the client's instance can't be reached, its last copy is used.",
    ),
    _compile,
)
