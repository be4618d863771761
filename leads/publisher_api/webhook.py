"""The campaign webhook, oldest, v1 and v2: fields, links and a lead, opened by the campaign's own key (facts, 2, 3, 6)."""

from __future__ import annotations

from leads.catalog import CampaignEntry
from leads.publisher_api import answers
from leads.publisher_api.callers import keyed_campaign
from leads.publisher_api.submitting import lead_submit
from leads.web import Request, Response


async def fields(request: Request) -> Response:
    """GET {campaign_id}/form/fields or {campaign_id}/global-form/fields: inputs as strings."""
    campaign = await keyed_campaign(request)
    return answers.fields_as_strings(campaign.forms.values())


async def fields_v2(request: Request) -> Response:
    """GET v2/{campaign_id}/global-form/fields: inputs as objects."""
    campaign = await keyed_campaign(request)
    return answers.fields_as_objects(campaign.forms.values(), sync_inputs=False)


async def links(request: Request) -> Response:
    """GET {campaign_id}/links."""
    campaign = await keyed_campaign(request)
    return answers.links_list(campaign.links.values())


async def lead(request: Request) -> Response:
    """POST {campaign_id}/global-form/{form_id}/leads?apikey=[&campaignLinkId=][&publisherId=][&test=1]: 201."""
    campaign = await keyed_campaign(request)
    lead_id = await lead_submit(
        request,
        campaign,
        form_id=request.params["form_id"],
        publisher_id=_publisher(campaign, request.argument("publisherId").strip()),
        link_argument="campaignLinkId",
    )
    return answers.created(lead_id, status_key="code")


def _publisher(campaign: CampaignEntry, given: str) -> int:
    """The publisher that is named; the campaign's only one, where none is named. Raises Refusal (404)."""
    if not given and len(campaign.publishers) == 1:
        return next(iter(campaign.publishers))
    if given.isascii() and given.isdecimal() and len(given) < 19 and int(given) in campaign.publishers:
        return int(given)
    raise answers.publisher_not_found()
