"""Who calls: the bearer token of a publisher or of an own user, checked and counted."""

from __future__ import annotations

from leads import catalog, limits
from leads.access import Principal
from leads.catalog import CampaignEntry
from leads.publisher_api import answers
from leads.web import Request

MAX_TOKEN_CHARS = 200


def _token(request: Request) -> str:
    """From the Authorization header, else from the query (facts, section 1d)."""
    scheme, _, token = request.header("authorization").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else request.argument("access_token")


async def caller(request: Request) -> Principal:
    """Whose token it is. Raises Refusal (401, 429)."""
    token = _token(request)
    found = await catalog.principal(token) if 0 < len(token) <= MAX_TOKEN_CHARS else None
    if found is None:
        raise answers.access_denied()
    await limits.count("calls", found.limit_key)
    return found


async def publisher(request: Request) -> int:
    """The id of the publisher that calls. Raises Refusal (401, 403, 429; 404 when the path names another one)."""
    found = await caller(request)
    if found.publisher_id is None:
        raise answers.not_allowed()
    if request.params.get("publisher_id", found.publisher_id) != found.publisher_id:
        raise answers.publisher_not_found()
    return found.publisher_id


async def own_user(request: Request) -> Principal:
    """The instance's own user that calls. Raises Refusal (401, 403, 429)."""
    found = await caller(request)
    if not found.staff:
        raise answers.not_allowed()
    return found


async def publishers_campaign(request: Request, publisher_id: int) -> CampaignEntry:
    """The campaign that the path names. Raises Refusal (404), also when the publisher has no part in it."""
    campaign = await catalog.campaign(request.params["campaign_id"])
    if campaign is None or publisher_id not in campaign.publishers:
        raise answers.not_found()
    return campaign


async def keyed_campaign(request: Request) -> CampaignEntry:
    """The campaign that the path names, opened by its own API key. Raises Refusal (401, 404, 429)."""
    campaign = await catalog.campaign(request.params["campaign_id"])
    if campaign is None:
        raise answers.not_found()
    if not await campaign.opened_by(request.argument("apikey")):
        raise answers.access_denied()
    await limits.count("calls", f"campaign:{campaign.id}")
    return campaign
