"""Whether an e-mail address can be one, and is a person's."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from email_validator import EmailNotValidError, validate_email

from integrations.kit.job_settings import EMPTY, FIELD, choice, choices_of, field, list_id, list_setting
from integrations.kit.jobs import Failed, JobKind, JobLead, JobManifest, Listed, QualityCheck, Values
from integrations.kit.lists import DOMAINS, ROLES
from integrations.kit.normal_forms import normal_domain, normal_text

# RFC 5321: 64 before the @, 255 behind it.
MOST_CHARS, _MOST_LOCAL_CHARS = 320, 64
_MOST_DOMAINS = 5


# Asked for the questions, and once more for the judgement: of the batch of leads that is at work.
@lru_cache(maxsize=1_000)
def address_parts(value: str) -> tuple[str, str] | None:
    """What stands before the @ of an address, and its domain; None where mail servers take it for none. Nobody is asked."""
    if len(value) > MOST_CHARS:
        return None
    try:
        # Domains under .test are let through here: whether a lead is a test is asked by another job.
        found = validate_email(value, check_deliverability=False, test_environment=True)
    except (EmailNotValidError, ValueError):
        return None
    if len(found.local_part.encode()) > _MOST_LOCAL_CHARS:
        return None
    return found.local_part, found.ascii_domain or found.domain


def domains_above(domain: str) -> list[str]:
    """A domain and those that it stands under, without the last part alone."""
    parts = normal_domain(domain).split(".")
    return [".".join(parts[place:]) for place in range(len(parts) - 1)][-_MOST_DOMAINS:]


def _compile(values: Values) -> QualityCheck:
    key = field(values)
    disposable, roles = list_id(values, "disposable", required=False), list_id(values, "roles", required=False)
    empty_fails = choice(values, "empty", choices_of(EMPTY), "passes") == "fails"

    def asks(lead: JobLead) -> Sequence[Listed]:
        parts = address_parts(lead.value(key))
        if parts is None:
            return ()
        asked = [Listed(disposable, domain) for domain in domains_above(parts[1])] if disposable else []
        # info+web@ is the mailbox of info@ all the same.
        return [*asked, Listed(roles, normal_text(parts[0].partition("+")[0]))] if roles else asked

    def judge(lead: JobLead, answers: Sequence[Any]) -> Failed | None:
        value = lead.value(key)
        if not value:
            return Failed(f"{lead.label(key)} is empty or missing.", key) if empty_fails else None
        if address_parts(value) is None:
            return Failed(f"{lead.label(key)} is no e-mail address.", key)
        by_domain, by_role = (answers[:-1], answers[-1:]) if roles else (answers, ())
        if any(answer is not None for answer in by_domain):
            return Failed(f"{lead.label(key)} is an address of a provider whose addresses are thrown away.", key)
        if any(answer is not None for answer in by_role):
            return Failed(f"{lead.label(key)} is the address of an office or a role, and no person's.", key)
        return None

    return QualityCheck(judge, asks if disposable or roles else None)


KIND = JobKind(
    JobManifest(
        slug="email_address",
        name="E-mail address",
        summary="Fails a lead whose e-mail address can be none, is thrown away, or is no person's.",
        tab="quality",
        former_names=("E-mail verification", "Email verification"),
        settings=(
            FIELD,
            list_setting(
                DOMAINS,
                "Disposable domains",
                "A list of domains whose addresses are thrown away. None: not asked.",
                name="disposable",
                required=False,
            ),
            list_setting(
                ROLES,
                "Role names",
                "A list of names such as info and sales. None: not asked.",
                name="roles",
                required=False,
            ),
            EMPTY,
        ),
        help="How the address is written is looked at. No mail server is asked, so an address may still be nobody's.",
    ),
    _compile,
)
