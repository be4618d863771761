"""Celery tasks: one line to a service each. Their names are how stages wake each other; none carries data of a person."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from celery import shared_task

from integrations import bulk
from integrations.claims import leases_expire
from integrations.delivery import DELIVER_TASK, deliveries_due
from integrations.discovery import PULL_TASK, pulls_due
from integrations.dispatch import integration_begin
from integrations.drift import integration_pull_due
from integrations.early_words import updates_match
from integrations.failing import failures_escalate
from integrations.judging.client_rules import LOOK_TASK, client_rules_due, client_rules_look
from integrations.judging.held import RELEASE_TASK, leads_held_due, leads_held_release
from integrations.judging.key_builds import BUILD_TASK, key_builds_due, keys_build, keys_clean
from integrations.notices.incidents import TELL_TASK
from integrations.notices.mails import MAIL_TASK, mails_due, mails_send
from integrations.notices.silence import silence_look
from integrations.notices.telling import notices_tell, steps_due
from integrations.notices.verdict_shares import verdict_shares_look
from integrations.notices.watching import notices_look
from integrations.polling import POLL_TASK, integration_poll, integrations_to_poll
from integrations.processr import PROCESS_TASK, changes_due, changes_hand_over, leads_due, leads_process
from integrations.reconciliation import APPLY_TASK, updates_due, verdicts_apply
from integrations.stage import Stage
from integrations.tracked_events.audience_sync import SYNC_TASK, audience_syncs_work, syncs_due
from integrations.tracked_events.kept import events_purge
from integrations.tracked_events.routing import ROUTE_TASK, events_due, events_route
from integrations.value_lists.filling import list_files_tidy
from integrations.value_lists.lists import lists_tidy
from integrations.webhooks.routing import OUTBOX_TASK, outbox_due, outbox_route
from integrations.webhooks.subscriptions import subscriptions_tidy
from leads.activity import WORK_TASK
from leads.activity_work import activities_due
from leads.imports import imports_purge
from leads.membership import AUDIENCE_TASK, memberships_due, memberships_update
from leads.status import STATUS_SYNC_TASK
from leads.wake import wake

_process, _route, _apply = Stage(leads_process), Stage(events_route), Stage(verdicts_apply)
_tell_webhooks = Stage(outbox_route)

STAGES: Mapping[str, Callable[..., None]] = MappingProxyType(
    {
        PROCESS_TASK: _process.begin,
        ROUTE_TASK: _route.begin,
        APPLY_TASK: _apply.begin,
        OUTBOX_TASK: _tell_webhooks.begin,
    }
)
"""What a process that works begins when it is rung for, without a message: by task, and none of them waits."""


@shared_task(name=PROCESS_TASK)
def process_leads() -> None:
    """Stage 2: judge received leads."""
    _process()


@shared_task(name=BUILD_TASK)
def build_keys() -> None:
    """Make keys of leads that were there before jobs that compare with them."""
    keys_build()


@shared_task(name=RELEASE_TASK)
def release_held() -> None:
    """Let out what publishers' caps held, as the next day, week or month begins."""
    leads_held_release()


@shared_task(name=ROUTE_TASK)
def route_events() -> None:
    """Stage 2 for tracked events: find out whose they are and where they go."""
    _route()


@shared_task(name=AUDIENCE_TASK)
def update_audiences() -> None:
    """Look at persons to whom something happened, or whose time has come."""
    memberships_update()


@shared_task(name=SYNC_TASK)
def sync_audiences() -> None:
    """Tell destinations who came into audiences and who left."""
    audience_syncs_work()


@shared_task(name=DELIVER_TASK)
def deliver_due(integration_id: int) -> None:
    """Stage 3: send what is due for one integration."""
    integration_begin(integration_id)


@shared_task(name=APPLY_TASK)
def apply_verdicts() -> None:
    """Stage 4: apply what clients said."""
    _apply()


@shared_task(name=STATUS_SYNC_TASK)
def hand_over_changes() -> None:
    """Queue changed flags for the instances that leads came from."""
    changes_hand_over()


@shared_task(name=POLL_TASK)
def poll_verdicts(integration_id: int) -> None:
    """Stage 4: ask one client for verdicts that are due."""
    integration_poll(integration_id)


@shared_task(name=PULL_TASK)
def pull_form(integration_id: int) -> None:
    """Look at a client's form, and hold what a change of it would break."""
    integration_pull_due(integration_id)


@shared_task(name=LOOK_TASK)
def look_at_rules(integration_id: int) -> None:
    """Look at the rules that a client checks leads by, and copy those that jobs go by."""
    client_rules_look(integration_id)


@shared_task(name=WORK_TASK)
def work_activity(activity_id: int) -> None:
    """Work a bulk action or an import."""
    bulk.activity_work(activity_id)


@shared_task(name="integrations.look")
def look() -> None:
    """Tell of integrations that stand otherwise than people know."""
    notices_look()


@shared_task(name="integrations.look_at_leads")
def look_at_leads() -> None:
    """Tell of campaigns without leads, and of clients that suddenly refuse many; remove keys that nobody asks for any more."""
    silence_look()
    verdict_shares_look()
    keys_clean()


@shared_task(name=TELL_TASK)
def tell_notices() -> None:
    """Write the messages to those who want to know."""
    notices_tell()


@shared_task(name=OUTBOX_TASK)
def route_outbox() -> None:
    """Stage 2 for webhooks: make messages of what happened."""
    _tell_webhooks()


@shared_task(name=MAIL_TASK)
def send_mails() -> None:
    """Send e-mails that are due."""
    mails_send()


@shared_task(name="integrations.sweep")
def sweep() -> None:
    """Find whatever a lost wake-up left behind, and what has become due by time."""
    leases_expire()
    failures_escalate()
    imports_purge()
    lists_tidy()
    list_files_tidy()
    events_purge()
    for activity_id in activities_due():
        wake(WORK_TASK, activity_id)
    if leads_due():
        wake(PROCESS_TASK)
    if key_builds_due():
        wake(BUILD_TASK)
    if leads_held_due():
        wake(RELEASE_TASK)
    if events_due():
        wake(ROUTE_TASK)
    if memberships_due():
        wake(AUDIENCE_TASK)
    if syncs_due():
        wake(SYNC_TASK)
    if changes_due():
        wake(STATUS_SYNC_TASK)
    updates_match()
    if updates_due():
        wake(APPLY_TASK)
    for integration_id in deliveries_due():
        wake(DELIVER_TASK, integration_id)
    for integration_id in integrations_to_poll():
        wake(POLL_TASK, integration_id)
    for integration_id in pulls_due():
        wake(PULL_TASK, integration_id)
    for integration_id in client_rules_due():
        wake(LOOK_TASK, integration_id)
    if steps_due():
        wake(TELL_TASK)
    if mails_due():
        wake(MAIL_TASK)
    if outbox_due():
        wake(OUTBOX_TASK)
    subscriptions_tidy()
