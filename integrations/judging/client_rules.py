"""Clients' rules, copied and kept up to date for the jobs that go by them.

A client is asked for the list of rules on a schedule; a rule that a job uses is copied whole when it is another one. Until it is
copied whole the last copy is in force; while the client can't be reached it stays so, and its age is said.
Nothing here may run inside a transaction where it asks the client.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from integrations.discovery import next_pull_at
from integrations.flows import run_step
from integrations.judging.changes import processr_changed
from integrations.judging.rule_mirrors import rule_kinds, rule_of
from integrations.kit.contract import Call, ConnectorError, Flow, NoAnswer, RemoteRule, RulePage
from integrations.kit.job_registry import job_kinds
from integrations.kit.lists import CLIENTS
from integrations.kit.registry import connector as find_connector
from integrations.kit.registry import connectors
from integrations.models import ClientRule, Integration, Job, ValueList
from integrations.value_lists.lists import ListError, list_put_in_force, list_replacement_add, list_replacement_begin

T = TypeVar("T")
logger = logging.getLogger(__name__)

LOOK_TASK = "integrations.look_at_rules"
LOOK_AGAIN_SECONDS = 300
LOOKS_AT_ONCE = 50


def offers_rules(slug: str) -> bool:
    """Whether clients of this connector can show us rules."""
    return slug in connectors() and connectors()[slug].rules is not None


def client_rules_find(integration: Integration) -> list[ClientRule]:
    """The rules that the client shows now, for a person who wants to choose one. ConnectorError says why there are none.

    Values of lists are copied in the background, once a job goes by them.
    """
    found = _ask_rules(integration)
    _store(integration, found)
    return list(ClientRule.objects.filter(integration=integration, gone=False))


def client_rules_look(integration_id: int) -> None:
    """The scheduled look at one client's rules: those that jobs go by are copied where they are others now."""
    integration = Integration.objects.filter(pk=integration_id).first()
    now = timezone.now()
    used = ClientRule.objects.filter(integration=integration_id, pk__in=_used())
    claimed = used.filter(_due(now)).update(next_look_at=next_pull_at(now))
    if integration is None or not claimed:
        return
    try:
        found = {shown.id: shown for shown in _ask_rules(integration)}
        _store(integration, found.values())
        for rule in used.filter(gone=False).exclude(copied_version=F("version")):
            _copy(integration, rule, found[rule.remote_id])
    except ConnectorError as error:
        again = min(settings.DISCOVERY_SECONDS, LOOK_AGAIN_SECONDS * settings.SCHEDULE_FACTOR)
        used.update(problem=error.message, next_look_at=now + dt.timedelta(seconds=again))
        logger.info("integration %s: its client's rules can't be had: %s", integration_id, error)


def client_rules_due() -> list[int]:
    """Integrations whose client's rules are to be looked at now, because a job goes by one of them."""
    used = _used()
    if not used:
        return []
    due = ClientRule.objects.filter(_due(timezone.now()), pk__in=used).order_by("next_look_at")
    return list(dict.fromkeys(due.values_list("integration_id", flat=True)[:LOOKS_AT_ONCE]))


def client_rule_look_soon(rule_id: int) -> None:
    """Have a rule looked at in the next round of the sweeper: somebody wants it, or says that it changed."""
    ClientRule.objects.filter(pk=rule_id).update(next_look_at=None)


def client_rules_offered(campaign_id: int, kinds: Sequence[str] = ()) -> list[ClientRule]:
    """The rules that jobs of a campaign can go by: those of its integrations that their clients have shown."""
    found = ClientRule.objects.filter(integration__campaign=campaign_id).select_related("integration")
    return list(found.filter(kind__in=kinds) if kinds else found)


def client_rule_words(rule: ClientRule) -> str:
    """How fresh the copy of a rule is, as a sentence or two."""
    if not rule.copied_version:
        said = "It has not been copied yet: leads wait for a person until it is."
    else:
        assert rule.looked_at is not None
        said = f"Copied; the client last answered {_ago(rule.looked_at)}."
    if rule.gone:
        return f"The client does not show this rule any more. The last copy is used. {said}"
    return f"{said} They can’t be asked since, so this copy stays in use: {rule.problem}" if rule.problem else said


def _ago(moment: dt.datetime) -> str:
    minutes = int((timezone.now() - moment).total_seconds() // 60)
    for size, noun in ((1_440, "day"), (60, "hour"), (1, "minute")):
        if minutes >= size:
            count = minutes // size
            return f"{count:,} {noun}{'' if count == 1 else 's'} ago"
    return "just now"


def _due(now: dt.datetime) -> Q:
    return Q(next_look_at__isnull=True) | Q(next_look_at__lte=now)


def _used() -> set[int]:
    """The rules that jobs go by."""
    kinds = {slug: job_kinds()[slug].manifest for slug in rule_kinds()}
    rows = Job.objects.filter(kind__in=kinds).values_list("kind", "settings")
    return {pk for kind, values in rows if (pk := rule_of(kinds[kind], values))}


def _ask_rules(integration: Integration) -> tuple[RemoteRule, ...]:
    rules = find_connector(integration.connector).rules
    if rules is None:
        raise ConnectorError("Clients of this kind show no rules.")
    return _ask(integration, rules)


def _ask(integration: Integration, step: Callable[[Call], Flow[T]]) -> T:
    """Run a step; once more with a new token where theirs was refused."""
    connector, values = find_connector(integration.connector), integration.all_settings
    try:
        try:
            return run_step(connector, step, values)
        except ConnectorError as error:
            if not error.renew_token:
                raise
            return run_step(connector, step, values, fresh_login=True)
    except NoAnswer as silence:
        raise ConnectorError(str(silence), passing=True) from silence


def _store(integration: Integration, found: Iterable[RemoteRule]) -> None:
    """Write what the client shows. A rule that is gone stays, for jobs that go by it; a conditional is copied by this."""
    now = timezone.now()
    with transaction.atomic():
        Integration.objects.select_for_update().get(pk=integration.pk)
        known = {rule.remote_id: rule for rule in ClientRule.objects.filter(integration=integration)}
        for shown in found:
            rule = known.pop(shown.id, None) or ClientRule(integration=integration, remote_id=shown.id)
            rule.kind, rule.name, rule.version = shown.kind, shown.name, shown.version or "1"
            rule.remote_campaign, rule.remote_field = shown.campaign, shown.field
            rule.looked_at, rule.gone, rule.problem = now, False, ""
            if shown.kind == "conditional" and rule.copied_version != rule.version:
                _now_is(rule, {"operator": shown.operator, "values": list(shown.values)})
            rule.save()
        ClientRule.objects.filter(pk__in=[rule.pk for rule in known.values()]).update(
            gone=True, looked_at=now, problem=""
        )


def _copy(integration: Integration, rule: ClientRule, shown: RemoteRule) -> None:
    """Copy a list whole, part by part. One that changes meanwhile is copied at the next look."""
    step = find_connector(integration.connector).rule_values
    if rule.kind != ClientRule.Kind.LIST or step is None:
        return
    value_list = rule.value_list or _list_for(rule)
    generation = list_replacement_begin(value_list)
    behind, count = "", 0
    while True:
        page = _ask(integration, _page_step(step, rule.remote_id, behind))
        if page.version and page.version != rule.version:
            client_rule_look_soon(rule.pk)
            return
        count += len(page.values)
        if count > settings.LIST_MAX_VALUES:
            raise ConnectorError(
                f"The client's list “{rule.name}” has more than {settings.LIST_MAX_VALUES:,} values, the most that is copied."
            )
        list_replacement_add(value_list, generation, page.values)
        if not page.next:
            break
        behind = page.next
    try:
        with transaction.atomic():
            list_put_in_force(value_list, generation)
            rule.value_list = value_list
            _now_is(rule, {"wanted": shown.wanted, "several": shown.several, "empty_fails": shown.empty_fails})
            rule.save(update_fields=["value_list", "about", "copied_version", "changed_at"])
    except ListError:
        # Another copy was begun after this one and is in force.
        client_rule_look_soon(rule.pk)


def _page_step(
    step: Callable[[Call, str, str], Flow[RulePage]], remote_id: str, behind: str
) -> Callable[[Call], Flow[RulePage]]:
    return lambda call: step(call, remote_id, behind)


def _list_for(rule: ClientRule) -> ValueList:
    """The list that a rule's values are copied into, made for it alone."""
    made = ValueList.objects.create(
        name=f"{rule.integration.name[:80]}: {rule.name[:80]} (client's rule {rule.pk})",
        kind=CLIENTS,
        help="Kept as the client has it.",
    )
    ClientRule.objects.filter(pk=rule.pk).update(value_list=made)
    return made


def _now_is(rule: ClientRule, about: Mapping[str, object]) -> None:
    """The copy is another one now: jobs that go by it are compiled anew. The caller saves the rule, in a transaction."""
    rule.about, rule.copied_version, rule.changed_at = dict(about), rule.version, timezone.now()
    if rule.pk is None:
        return
    kinds = {slug: job_kinds()[slug].manifest for slug in rule_kinds()}
    rows = Job.objects.filter(kind__in=kinds).values_list("campaign_id", "kind", "settings")
    for campaign_id in sorted({row[0] for row in rows if rule_of(kinds[row[1]], row[2]) == rule.pk}):
        processr_changed(campaign_id)
