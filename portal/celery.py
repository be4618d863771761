"""The Celery application. Tasks are named after what they do and live in integrations/tasks.py."""

from __future__ import annotations

import os

from celery import Celery
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

app = Celery("portal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["integrations"])

# The sweeper wakes whatever has work. A round that is late says nothing more than the next one, so it expires.
app.conf.beat_schedule = {
    "sweep": {
        "task": "integrations.sweep",
        "schedule": settings.SWEEP_SECONDS,
        "options": {"expires": max(settings.SWEEP_SECONDS, 1.0) * 2},
    }
}
# Rounds every few seconds need no memory of the last one: no schedule file on disk.
app.conf.beat_scheduler = "celery.beat:Scheduler"
