"""A posted lead on its way to intake, the same for the publisher API and the campaign webhook."""

from __future__ import annotations

from django.conf import settings
from django.db import IntegrityError

from leads import intake, pool
from leads.batcher import Overloaded
from leads.catalog import CampaignEntry
from leads.forms import FieldError, clean
from leads.intake import KeyReused, LeadRow, Received
from leads.publisher_api import answers
from leads.web import Refusal, Request, overloaded


async def lead_submit(
    request: Request, campaign: CampaignEntry, *, form_id: int, publisher_id: int, link_argument: str
) -> int:
    """Check what was posted and receive it; return the lead's id once it is committed.

    Raises Refusal: 404 (no such form), 403 (campaign not active), 400 (what was posted, the link or the key), 408, 413, 415
    (a body that can't be read), 422 (an idempotency key that came with another lead), 503 (too busy).

    With an Idempotency-Key that this publisher has used, the first answer is given again, whatever the campaign or its form
    has become since.
    """
    pairs = await request.form()
    key = _idempotency_key(request)
    test = request.argument("test") == "1"
    link = request.argument(link_argument)
    digest = intake.body_digest(pairs, campaign.id, form_id, link, test) if key else ""
    try:
        form = campaign.forms.get(form_id)
        if form is None:
            raise answers.not_found()
        if not campaign.active:
            raise answers.campaign_inactive()
        link_id = _link_id(campaign, link, link_argument)
        cleaned = clean(form, pairs, settings.MAX_VALUE_CHARS)
        if isinstance(cleaned, list):
            raise answers.validation_failed(cleaned)
    except Refusal:
        if key and (first := await _first_answer(publisher_id, key, digest)) is not None:
            return first.lead_id
        raise
    return await _receive(
        intake.row_of(
            form,
            cleaned,
            campaign_id=campaign.id,
            publisher_id=publisher_id,
            link_id=link_id,
            test=test,
            ip=request.client_ip,
            key=key or None,
            digest=digest,
        )
    )


def _idempotency_key(request: Request) -> str:
    key = request.header("idempotency-key")
    if len(key) > intake.MAX_KEY_CHARS:
        message = f"The Idempotency-Key is longer than {intake.MAX_KEY_CHARS} characters."
        raise answers.validation_failed([FieldError("", message)])
    return key


def _link_id(campaign: CampaignEntry, link: str, argument: str) -> int | None:
    if not link.strip():
        return None
    if link.isascii() and link.isdecimal() and len(link) < 19 and int(link) in campaign.links:
        return int(link)
    raise answers.validation_failed([FieldError(argument, "This campaign has no such link.")])


async def _first_answer(publisher_id: int, key: str, digest: str) -> Received | None:
    try:
        return await pool.quick(intake.lead_of_key, publisher_id, key, digest)
    except KeyReused:
        raise answers.key_reused() from None


async def _receive(row: LeadRow) -> int:
    try:
        return (await intake.submit(row)).lead_id
    except Overloaded:
        raise Refusal(overloaded()) from None
    except KeyReused:
        raise answers.key_reused() from None
    except IntegrityError:
        # The campaign, form, link or publisher went between the look into the catalog and the commit.
        raise answers.not_found() from None
