"""The three groups that people of a portal belong to, and what each may do. Export and erasure are given one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions

VIEWER = "Viewer"
ACCOUNT_MANAGER = "Account manager"
ADMINISTRATOR = "Administrator"

_APPS = ("auth", "leads", "integrations")
_READ = (
    "leads.advertiser", "leads.campaign", "leads.campaignpublisher", "leads.link", "leads.form", "leads.field",
    "leads.publisher", "leads.lead", "leads.reasoncode", "leads.source", "leads.event", "leads.person", "leads.eventname",
    "leads.audience", "integrations.audiencesync",
    "integrations.integration", "integrations.delivery", "integrations.statusupdate",
    "integrations.mappingversion", "integrations.reasontranslation", "integrations.notice",
    "integrations.job", "integrations.jobgroup", "integrations.valuelist", "integrations.valuelistitem",
)  # fmt: skip
_KEPT = (
    "leads.advertiser", "leads.campaign", "leads.campaignpublisher", "leads.link", "leads.form", "leads.field",
    "leads.publisher", "leads.apikey", "leads.partnerkey", "leads.reasoncode", "leads.activity", "leads.importfile", "leads.importmapping",
    "leads.source", "leads.audience", "integrations.audiencesync", "leads.subscription",
    "integrations.integration", "integrations.fieldmapping", "integrations.mappingversion",
    "integrations.reasontranslation", "integrations.noticetarget",
    "integrations.job", "integrations.jobgroup", "integrations.valuelist", "integrations.valuelistitem",
)  # fmt: skip
# Flagged, released, sent again: never made or removed by hand.
_WORKED = ("leads.lead", "integrations.delivery")
# What an account manager may also take away again: parts of something, and what has done nothing yet.
_REMOVED = (
    "leads.campaignpublisher", "leads.link", "leads.field", "leads.reasoncode", "leads.apikey",
    "integrations.integration", "integrations.fieldmapping", "integrations.reasontranslation",
    "integrations.noticetarget", "leads.subscription",
    "integrations.job", "integrations.jobgroup", "integrations.valuelist", "integrations.valuelistitem",
)  # fmt: skip


def _viewer() -> Iterator[str]:
    for model in _READ:
        yield _right(model, "view")


def _account_manager() -> Iterator[str]:
    yield from _viewer()
    for model in _KEPT:
        yield from (_right(model, what) for what in ("view", "add", "change"))
    for model in _WORKED:
        yield _right(model, "change")
    for model in _REMOVED:
        yield _right(model, "delete")
    yield "leads.see_personal_data"


def _right(model: str, what: str) -> str:
    app, name = model.split(".")
    return f"{app}.{what}_{name}"


def roles_write(apps: Any = installed) -> None:
    """Make the three groups, and give each the rights it lacks; what a group was given beyond them stays.

    `apps` are the historical ones in a migration. To be called again whenever a new model comes.
    """
    for label in _APPS:
        create_permissions(installed.get_app_config(label), verbosity=0, interactive=False, apps=apps)
    group_model, permission_model = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    rows = permission_model.objects.filter(content_type__app_label__in=_APPS).select_related("content_type")
    known = {f"{row.content_type.app_label}.{row.codename}": row.pk for row in rows}
    rights = {
        VIEWER: [known[right] for right in _viewer() if right in known],
        ACCOUNT_MANAGER: [known[right] for right in _account_manager() if right in known],
        ADMINISTRATOR: list(known.values()),
    }
    for name, found in rights.items():
        group, _ = group_model.objects.get_or_create(name=name)
        group.permissions.add(*found)
