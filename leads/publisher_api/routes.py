"""Which address is answered by which function. Versions 2.0 to 2.5 and 3.0 of the publisher API are one and the same."""

from __future__ import annotations

from leads.publisher_api import collection, publisher, tokens, webhook
from leads.web import Route

_PUBLISHER = "/api/v{version:2\\.[0-5]|3\\.0}/publisher"
_CAMPAIGN = "/webhook/campaign/{campaign_id:int}"
_CAMPAIGN_V2 = "/webhook/campaign/v2/{campaign_id:int}"

ROUTES = (
    # First what comes by the thousand.
    Route(
        ["POST"],
        f"{_PUBLISHER}/{{publisher_id:int}}/forms/{{form_id:int}}/campaign/{{campaign_id:int}}/leads",
        publisher.lead,
    ),
    Route(["GET"], f"{_PUBLISHER}/{{publisher_id:int}}/lead-result/{{lead_id:int}}", publisher.lead_result),
    Route(["POST"], f"{_CAMPAIGN}/{{kind:global-form|form}}/{{form_id:int}}/leads", webhook.lead),
    Route(["POST"], f"{_CAMPAIGN_V2}/global-form/{{form_id:int}}/leads", webhook.lead),
    Route(["GET"], f"{_PUBLISHER}/fields/{{campaign_id:int}}", publisher.fields),
    Route(["GET"], f"{_PUBLISHER}/links/{{campaign_id:int}}", publisher.links),
    Route(["GET"], f"{_CAMPAIGN}/{{kind:global-form|form}}/fields", webhook.fields),
    Route(["GET"], f"{_CAMPAIGN_V2}/global-form/fields", webhook.fields_v2),
    Route(["GET"], f"{_CAMPAIGN}/links", webhook.links),
    Route(["GET"], f"{_CAMPAIGN_V2}/links", webhook.links),
    Route(["GET", "POST"], "/oauth/v2/token", tokens.token),
    Route(["POST"], "/api/login", tokens.login),
    Route(["GET"], "/api/v4/leads(?:\\.jsonld)?", collection.leads),
    Route(["GET"], "/api/v4/leads/{lead_id:int}(?:\\.jsonld)?", collection.lead),
)
