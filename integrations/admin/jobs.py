"""How an integration stands, in words: its state with the cause, as lists of them and the home page say it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from integrations.admin.badges import INTEGRATION_TONES
from integrations.breaker import BREAKER_FAILURES
from integrations.discovery import settings_problems
from integrations.kit.registry import connectors
from integrations.models import FieldMapping, Integration, IntegrationState
from integrations.waiting import gate_words
from leads.admin.badges import badge

NAMED = 3
# It is on, and nothing goes out for its caps or hours.
CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Standing:
    """A state as people see it: `word` and `tone` for the badge, `cause` in words ("" where there is nothing to say)."""

    state: str
    word: str
    tone: str
    cause: str = ""

    @property
    def badge(self) -> SafeString:
        return badge(self.word, self.tone)


def standings(integrations: Sequence[Integration]) -> dict[int, Standing]:
    """How these stand: one query more, however many there are."""
    unfinished = [row.pk for row in integrations if row.state == IntegrationState.NEEDS_SETUP]
    unmapped = required_unmapped(unfinished)
    return {row.pk: _standing(row, unmapped.get(row.pk, [])) for row in integrations}


def required_unmapped(integration_ids: Iterable[int]) -> Mapping[int, list[str]]:
    """Integration to the client's required fields that nothing is mapped to."""
    found: dict[int, list[str]] = {}
    rows = FieldMapping.objects.filter(
        integration__in=list(integration_ids), remote_required=True, source=FieldMapping.Source.NOTHING
    ).exclude(state=FieldMapping.State.VANISHED)
    for row in rows.only("integration_id", "remote_label", "remote_key"):
        found.setdefault(row.integration_id, []).append(str(row))
    return found


def is_failing(integration: Integration) -> bool:
    """Whether it is on and the client's system has not answered a run of calls."""
    if integration.state != IntegrationState.ON:
        return False
    return integration.open_until is not None or integration.failures >= BREAKER_FAILURES


def _standing(integration: Integration, unmapped: Sequence[str]) -> Standing:
    state = IntegrationState(integration.state)
    tone = INTEGRATION_TONES[state]
    if state == IntegrationState.NEEDS_SETUP:
        return Standing(state, state.label, tone, setup_missing(integration, unmapped))
    waits, _ = gate_words(integration, timezone.now())
    if is_failing(integration):
        words = waits or integration.state_reason or "The client’s system does not answer."
        return Standing("failing", "Failing", "bad", words)
    if waits:
        return Standing(CLOSED, "On", "wait", waits)
    if state == IntegrationState.PAUSED:
        return Standing(state, state.label, tone, "Leads wait until somebody resumes it.")
    if state == IntegrationState.ON and integration.pending_form:
        return Standing(state, state.label, tone, "Their form changed: leads that it would break wait.")
    cause = integration.state_reason or ("" if state == IntegrationState.ON else "Its set-up needs a look.")
    return Standing(state, state.label, tone, cause)


def setup_missing(integration: Integration, unmapped: Sequence[str]) -> str:
    """What is missing before an integration can be switched on."""
    connector = connectors().get(integration.connector)
    if connector is None:
        return f"This portal has no connector “{integration.connector}” any more."
    given = integration.all_settings
    labels = {box.name: box.label for box in connector.manifest.settings}
    problems = settings_problems(connector, given)
    empty = [labels.get(name, name) for name in problems if not str(given.get(name) or "").strip()]
    if empty:
        return f"{listed(empty)} {'is' if len(empty) == 1 else 'are'} missing."
    if problems:
        return next(iter(problems.values()))
    if connector.discover is not None and integration.discovered_at is None:
        return "The client’s form has not been pulled yet."
    if unmapped:
        one = len(unmapped) == 1
        fields = f"{len(unmapped)} required field{'' if one else 's'} of the client {'has' if one else 'have'}"
        return f"{fields} no value yet: {listed(unmapped)}."
    return "Ready: switch it on."


def listed(words: Sequence[str]) -> str:
    """Subdomain, API_Key and 2 more."""
    short = [Truncator(word).chars(60) for word in words]
    if len(short) > NAMED + 1:
        return f"{', '.join(short[:NAMED])} and {len(short) - NAMED} more"
    return " and ".join([", ".join(short[:-1]), short[-1]] if len(short) > 1 else short)
