"""Verdicts from several machines: a clock that is wrong puts no word out of its order, and none overwrites a newer one unseen."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from integrations.api.callbacks import Callback, callbacks_store
from integrations.dispatch import integration_deliver
from integrations.handing_over import MARK_DELIVERED
from integrations.kit.contract import Verdict
from integrations.models import Delivery, Integration, StatusUpdate
from integrations.polling import integration_poll
from integrations.processr import leads_process
from integrations.reconciliation import Message, doubt_known, messages_store, verdicts_apply
from leads import clock
from leads.models import Activity, Flag, Lead
from leads.models.lead import Via
from leads.publisher_api.callbacks import Flagging, _change, flags_store
from leads.status import FlagChange, leads_flag
from tests.engine.client import Answer, Client

HOUR = dt.timedelta(hours=1)
SAID = {"reason": "Unable to contact", "user": "Kim"}


@pytest.fixture
def delivery(integration: Integration, client: Client, lead: Callable[..., Lead]) -> Delivery:
    lead()
    leads_process()
    integration_deliver(integration.pk)
    return Delivery.objects.get()


# --- clocks -------------------------------------------------------------------------------------------------

Ahead = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> Ahead:
    """Work that is done by a machine whose own clock is an hour ahead."""
    true = timezone.now

    @contextmanager
    def machine() -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(timezone, "now", lambda: true() + HOUR)
            if connection.vendor != "postgresql":
                # The database has no clock: whatever is shared is the true one.
                patch.setattr(clock, "now", true)
            yield

    return machine


def callback(delivery: Delivery, action: str) -> None:
    assert callbacks_store([Callback(delivery.key, action, SAID)]) == [True]
    verdicts_apply()


@pytest.mark.django_db
def test_a_push_that_a_machine_ahead_of_its_time_took_does_not_outrank_the_next(
    delivery: Delivery, ahead: Ahead
) -> None:
    with ahead():
        callback(delivery, "validate")
    callback(delivery, "invalidate")
    assert Lead.objects.get().flag == "invalid"


@pytest.mark.django_db
def test_an_answer_that_a_machine_ahead_of_its_time_asked_for_does_not_outrank_the_next_push(
    delivery: Delivery, integration: Integration, client: Client, ahead: Ahead
) -> None:
    client.results[delivery.reference] = Answer(200)
    Delivery.objects.update(next_poll_at=timezone.now())
    with ahead():
        assert integration_poll(integration.pk) == 1
    verdicts_apply()
    callback(delivery, "invalidate")
    assert Lead.objects.get().flag == "invalid"


@pytest.mark.django_db
def test_a_flag_that_came_to_a_machine_ahead_of_its_time_does_not_outrank_the_next(
    lead: Callable[..., Lead], ahead: Ahead
) -> None:
    about = lead().hash
    with ahead():
        flags_store([Flagging(about, _change("validate", SAID))])
    flags_store([Flagging(about, _change("invalidate", SAID))])
    assert Lead.objects.get().flag == "invalid"


@pytest.mark.django_db
def test_a_colleague_at_a_machine_ahead_of_its_time_does_not_outrank_what_the_client_says_next(
    delivery: Delivery, ahead: Ahead
) -> None:
    with ahead():
        leads_flag({Lead.objects.get().pk: FlagChange(Flag.VALID, "Confirmed", by="maria")})
    callback(delivery, "invalidate")
    assert (Lead.objects.get().flag, StatusUpdate.objects.get().state) == ("invalid", "applied")


@pytest.mark.django_db
def test_what_a_machine_ahead_of_its_time_found_delivered_was_not_delivered_in_the_future(
    delivery: Delivery, ahead: Ahead
) -> None:
    def settle() -> None:
        messages_store([Message(delivery.pk, Verdict("valid"), StatusUpdate.Via.PUSHED, clock.now())])
        verdicts_apply()

    def know() -> None:
        doubt_known([delivery.pk])

    def mark() -> None:
        deed = MARK_DELIVERED.deed({"integrations": [delivery.integration_id]})
        rows, columns = deed.facts(Lead.objects.all())
        deed.act(Activity(by="maria"), list(rows.values("pk", *columns)))

    for work in (settle, know, mark):
        Delivery.objects.update(state="unknown", delivered_at=None, next_poll_at=None)
        with ahead():
            work()
        delivery.refresh_from_db()
        assert delivery.delivered_at is not None
        assert delivery.delivered_at < timezone.now() + HOUR / 2
        assert delivery.next_poll_at is None or delivery.next_poll_at < timezone.now() + HOUR / 2


# --- two connections ----------------------------------------------------------------------------------------


def while_a_colleague_flags(lead: Lead, work: Callable[[], object]) -> None:
    """Do this while a flag of now is written and not committed; it is as soon as somebody waits for it."""
    flagged = threading.Event()
    failed: list[BaseException] = []

    def colleague() -> None:
        try:
            with transaction.atomic():
                leads_flag({lead.pk: FlagChange(Flag.VALID, "Confirmed", by="maria")})
                flagged.set()
                until = time.monotonic() + 20
                with connection.cursor() as cursor:
                    while not cursor.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone():
                        assert time.monotonic() < until, "nobody waits for the flag"
        except BaseException as error:  # noqa: BLE001
            failed.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=colleague)
    thread.start()
    assert flagged.wait(20)
    work()
    thread.join(30)
    assert not failed, failed


two_writers = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite lets one write at a time")


@two_writers
@pytest.mark.django_db(transaction=True)
def test_an_older_word_of_the_client_s_does_not_overwrite_a_flag_that_is_being_written(delivery: Delivery) -> None:
    before = Verdict("invalid", "Duplicate", decided_at=timezone.now() - HOUR)
    messages_store([Message(delivery.pk, before, StatusUpdate.Via.PUSHED, timezone.now())])
    while_a_colleague_flags(Lead.objects.get(), verdicts_apply)
    assert (Lead.objects.get().flag, StatusUpdate.objects.get().state) == ("valid", "conflicting")


@two_writers
@pytest.mark.django_db(transaction=True)
def test_an_older_word_by_hash_does_not_overwrite_a_flag_that_is_being_written(lead: Callable[..., Lead]) -> None:
    about = lead()
    word = FlagChange(Flag.INVALID, "Duplicate", by="Kim", via=Via.WEBHOOK, decided_at=timezone.now() - HOUR)

    def store() -> None:
        with transaction.atomic():
            flags_store([Flagging(about.hash, word)])

    while_a_colleague_flags(about, store)
    assert (Lead.objects.get().flag, Lead.objects.get().changes.count()) == ("valid", 1)
