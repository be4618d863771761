"""What a receiving instance shows its publishers of how it checks leads: lists and simple conditionals, where it chooses to.

An address of ours beside the publisher API (docs/publisher-api.md): publishers check by it before they send, and instances of this
portal copy it. Only what the job itself says is shown, and only of campaigns that the publisher works for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from integrations.kit.job_settings import boolean, identifier, lines, text
from integrations.kit.jobs import BadSetting
from integrations.kit.lists import LIST_KINDS
from integrations.models import Job, ValueList
from integrations.value_lists.lists import list_items
from leads import pool
from leads.models import CampaignPublisher
from leads.publisher_api import answers
from leads.publisher_api.callers import publisher
from leads.web import Request, Response, Route, json_response

LIST, CONDITIONAL = "value_list", "simple_conditional"
SHOWN_KINDS = (LIST, CONDITIONAL)
PAGE = 10_000
_MOST_KEY_CHARS = 500


async def rules(request: Request) -> Response:
    """GET rules: what is shown to this publisher, over all its campaigns."""
    return await pool.quick(_rules, await publisher(request))


async def rule_values(request: Request) -> Response:
    """GET rules/{rule_id}/values[?after=]: a part of a list's values; `next` is what to ask for behind, null at the end."""
    publisher_id = await publisher(request)
    return await pool.slow(_values, publisher_id, request.params["rule_id"], request.argument("after"))


def _shown(publisher_id: int) -> Any:
    works = CampaignPublisher.objects.filter(publisher=publisher_id, active=True).values("campaign")
    found = Job.objects.filter(campaign__in=works, kind__in=SHOWN_KINDS, enabled=True, shown_to_publishers=True)
    return found.select_related("campaign").order_by("campaign_id", "position", "id")


def _rules(publisher_id: int) -> Response:
    jobs = list(_shown(publisher_id))
    wanted = {identifier(job.settings.get("list")) for job in jobs if job.kind == LIST}
    lists = {row.pk: row for row in ValueList.objects.filter(pk__in=wanted)}
    return json_response([rule for job in jobs if (rule := _rule(job, lists)) is not None])


def _rule(job: Job, lists: Mapping[int, ValueList]) -> dict[str, Any] | None:
    """A rule as it is told; None for a job that judges nobody, because it is not set up or its list is gone or is hashed."""
    values = job.settings
    about: dict[str, Any] = {
        "id": job.pk,
        "type": "list" if job.kind == LIST else "conditional",
        "name": job.name,
        "campaignId": job.campaign_id,
        "campaign": job.campaign.name,
        "field": _wire(text(values, "field")),
    }
    if job.kind == CONDITIONAL:
        try:
            listed = list(lines(values, "values"))
        except BadSetting:
            return None
        about |= {"operator": text(values, "operator") or "equal", "values": listed}
    else:
        value_list = lists.get(identifier(values.get("list")))
        if value_list is None or LIST_KINDS[value_list.kind].hashed:
            return None
        about |= {
            "wanted": text(values, "wanted") != "not_listed",
            "several": boolean(values, "several"),
            "emptyFails": text(values, "empty") == "fails",
            "count": value_list.count,
        }
        return {**about, "version": _version(about, _list_version(value_list))}
    return {**about, "version": _version(about, "")}


def _values(publisher_id: int, rule_id: int, after: str) -> Response:
    job = _shown(publisher_id).filter(pk=rule_id, kind=LIST).first()
    value_list = ValueList.objects.filter(pk=identifier(job.settings.get("list"))).first() if job is not None else None
    if job is None or value_list is None or (rule := _rule(job, {value_list.pk: value_list})) is None:
        raise answers.not_found()
    items = list_items(value_list).order_by("key")
    if after:
        items = items.filter(key__gt=after.replace("\x00", "")[:_MOST_KEY_CHARS])
    keys = list(items.values_list("key", flat=True)[: PAGE + 1])
    following = keys[PAGE - 1] if len(keys) > PAGE else None
    return json_response({"version": rule["version"], "values": keys[:PAGE], "next": following})


def _list_version(value_list: ValueList) -> str:
    return f"{value_list.pk}:{value_list.generation}:{value_list.updated_at.isoformat()}"


def _version(about: Mapping[str, Any], of_list: str) -> str:
    return hashlib.sha256(f"{sorted(about.items())}{of_list}".encode("utf-8", "replace")).hexdigest()[:16]


def _wire(key: str) -> str:
    """An input as it is posted: optin.terms is form[optin][terms]."""
    return "form" + "".join(f"[{part}]" for part in key.split("."))


_RULES = "/api/v{version:2\\.[0-5]|3\\.0}/publisher/rules"
ROUTES = [
    Route(["GET"], _RULES, rules),
    Route(["GET"], f"{_RULES}/{{rule_id:int}}/values", rule_values),
]
