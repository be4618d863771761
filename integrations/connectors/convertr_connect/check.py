"""Test connection: whether leads would be taken with these settings, as far as can be known without sending one."""

from __future__ import annotations

from integrations.connectors.convertr_connect.discover import chosen_form, client_forms, fields_request
from integrations.connectors.convertr_connect.instance import (
    password_expired,
    publisher_id,
    publisher_words,
    refusal,
    result_url,
)
from integrations.kit.contract import Call, ConnectorError, Flow, Request

# A lead that nobody has: asked for, it shows whether the publisher is known, and nothing else.
NO_LEAD = "0"


def check(call: Call) -> Flow[None]:
    """Campaign, form and publisher, in this order. ConnectorError about the first setting that is wrong."""
    publisher_id(call)
    response = yield fields_request(call)
    chosen_form(call, client_forms(call, response))
    response = yield Request("GET", result_url(call, NO_LEAD), bearer=call.token, budget="result")
    if response.status == 401 or password_expired(response):
        raise refusal(call, response)
    # Any other answer is about the lead that is not there, and fine.
    words = response.text.casefold()
    if response.status in (403, 404) and "publisher" in words:
        raise ConnectorError(publisher_words(call), "publisher_id")
