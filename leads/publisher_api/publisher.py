"""The publisher API: fields, links, a lead, its result (facts, sections 2 to 5)."""

from __future__ import annotations

from typing import Any

from leads import limits, pool
from leads.came_to import came_to
from leads.models import Flag, Lead, LeadChange
from leads.publisher_api import answers
from leads.publisher_api.callers import publisher, publishers_campaign
from leads.publisher_api.submitting import lead_submit
from leads.web import Request, Response, json_response, text_response


async def fields(request: Request) -> Response:
    """GET fields/{campaign_id}: the campaign's forms, their inputs as strings; as objects with `?list=v2` (ours)."""
    campaign = await publishers_campaign(request, await publisher(request))
    if request.argument("list") == "v2":
        return answers.fields_as_objects(campaign.forms.values(), sync_inputs=True)
    return answers.fields_as_strings(campaign.forms.values())


async def links(request: Request) -> Response:
    """GET links/{campaign_id}."""
    campaign = await publishers_campaign(request, await publisher(request))
    return answers.links_list(campaign.links.values())


async def lead(request: Request) -> Response:
    """POST {publisher_id}/forms/{form_id}/campaign/{campaign_id}/leads[?linkId=][&test=1]: 201 with the lead's id."""
    publisher_id = await publisher(request)
    campaign = await publishers_campaign(request, publisher_id)
    lead_id = await lead_submit(
        request, campaign, form_id=request.params["form_id"], publisher_id=publisher_id, link_argument="linkId"
    )
    return answers.created(lead_id, status_key="status")


async def lead_result(request: Request) -> Response:
    """GET {publisher_id}/lead-result/{lead_id}: 202 text while it is not decided, 200 empty or 200 with the reasons.

    What was flagged later wins over the status. What is held (in Caution, beyond a cap) waits: it is not decided. `?detail=1` (ours) answers
    with the verdict itself, its reason code, comment, time and event id.
    """
    publisher_id = await publisher(request)
    await limits.count("results", f"publisher:{publisher_id}")
    detail = request.argument("detail") == "1"
    return await pool.quick(_result, publisher_id, request.params["lead_id"], detail)


def _result(publisher_id: int, lead_id: int, detail: bool) -> Response:
    lead = Lead.objects.filter(pk=lead_id, publisher_id=publisher_id).first()
    if lead is None:
        raise answers.not_found()
    result = came_to(lead.status, lead.flag, lead.held)
    if result == "pending" or (not lead.flag and lead.processed_at is None):
        return text_response(answers.PENDING, 202)
    if detail:
        return json_response({"verdict": _verdict(lead)})
    if lead.flag in (Flag.INVALID, Flag.RETURNED):
        reasons = [": ".join(part for part in (lead.reason_code, lead.comment) if part) or lead.get_flag_display()]
        return _invalid(lead, qa_reasons=lead.reason_code, failed_jobs=reasons)
    if result == "invalid":
        return _invalid(lead, qa_reasons="", failed_jobs=lead.failed_words)
    return Response(200)


def _invalid(lead: Lead, *, qa_reasons: str, failed_jobs: list[str]) -> Response:
    return json_response({"qaReasons": qa_reasons, "failedJobs": failed_jobs, "leadData": lead.values})


def _verdict(lead: Lead) -> dict[str, Any]:
    kind = LeadChange.Kind.FLAGGED if lead.flag else LeadChange.Kind.JUDGED
    change = LeadChange.objects.filter(lead=lead, kind=kind).order_by("-id").first()
    decided_at = change.decided_at if change else lead.flagged_at or lead.processed_at
    return {
        "state": lead.flag or lead.status,
        "reason_code": change.reason_code if change else lead.reason_code,
        "comment": change.comment if change else lead.comment,
        "by": change.by if change else lead.flagged_by,
        "decided_at": decided_at.isoformat() if decided_at else None,
        "event_id": change.event_id.hex if change else None,
    }
