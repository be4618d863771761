"""A secret that was made just now: shown by the page that is led to, and never again. Shown by console/secret.html.

Until then it waits, encrypted, in the session of whoever made it: the page can be loaded anew without making another one.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Model
from django.http import HttpRequest

from leads.encryption import decrypt, encrypt


@dataclass(frozen=True, slots=True)
class Shown:
    """A secret, and what is still to be said of the one that it replaces; empty for a first one."""

    value: str
    before: str = ""


def secret_keep(request: HttpRequest, row: Model, secret: str, *, before: str = "") -> None:
    """Keep a row's new secret for the next page about it; `before` says for how long the old one works."""
    request.session[_name(row)] = encrypt([secret, before])


def secret_shown(request: HttpRequest, row: Model) -> Shown | None:
    """The secret that was kept for this page, which is forgotten with it; None where there is none."""
    kept = request.session.pop(_name(row), None) if request.method == "GET" else None
    return Shown(*decrypt(kept)) if kept is not None else None


def _name(row: Model) -> str:
    return f"new-secret-of-{row._meta.label_lower}-{row.pk}"
