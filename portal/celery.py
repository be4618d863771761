"""The Celery application. Tasks are named after what they do and live in integrations/tasks.py."""

from __future__ import annotations

import os
import threading
from typing import Any

from celery import Celery, signals
from django.conf import settings

from leads.bell import BellListener
from leads.wake import EXPIRE_SECONDS
from portal.long_lived import process_settle

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

app = Celery("portal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["integrations"])

# The sweeper wakes whatever has work. A round that is late says nothing more than the next one, so it expires: by its reader's
# clock, which may differ.
app.conf.beat_schedule = {
    "sweep": {
        "task": "integrations.sweep",
        "schedule": settings.SWEEP_SECONDS,
        "options": {"expires": EXPIRE_SECONDS},
    },
    "look": {
        "task": "integrations.look",
        "schedule": settings.NOTICE_LOOK_SECONDS,
        "options": {"expires": max(settings.NOTICE_LOOK_SECONDS, 1.0) * 2},
    },
    "look_at_leads": {
        "task": "integrations.look_at_leads",
        "schedule": settings.NOTICE_LOOK_SECONDS * 30,
        "options": {"expires": max(settings.NOTICE_LOOK_SECONDS, 1.0) * 30},
    },
}
# Rounds every few seconds need no memory of the last one: no schedule file on disk.
app.conf.beat_scheduler = "celery.beat:Scheduler"

# A worker that is told to stop has this long for what is on its way to clients.
LEAVE_SECONDS = 20


_bell: BellListener | None = None


@signals.worker_init.connect
def worker_prepare(**_: Any) -> None:
    """What a process that works tasks does by itself, without a message."""
    from integrations.delivery import DELIVER_TASK
    from integrations.dispatch import integration_begin
    from integrations.tasks import STAGES
    from leads.wake import followed_here

    global _bell
    followed_here(DELIVER_TASK, integration_begin)
    for task, begin in STAGES.items():
        followed_here(task, begin)
    if settings.REDIS_URL:
        _bell = BellListener(STAGES)
        _bell.start()


@signals.worker_ready.connect
def _settle(**_: Any) -> None:
    process_settle()


@signals.worker_shutting_down.connect
def _leave(**_: Any) -> None:
    """Let deliveries come to their end, in a thread: the signal's own must not wait."""
    if _bell is not None:
        _bell.stop()
    threading.Thread(target=_deliveries_leave, name="leave").start()


def _deliveries_leave() -> None:
    from integrations.dispatch import deliveries_leave

    deliveries_leave(LEAVE_SECONDS)
