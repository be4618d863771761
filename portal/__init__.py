"""Wiring: settings, addresses, servers. Importing it sets the Celery application as the current one."""

from portal.celery import app as celery_app

__all__ = ["celery_app"]
