"""Server mode: one message becomes one request, or two for an order in the hybrid model (README.md, "From servers and apps")."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from integrations.connectors.convertro.manifest import (
    DEVICE,
    HIT_PATH,
    INSTALLED,
    INSTALLS_PATH,
    ORDER,
    SITE,
    TIME,
    TYPE,
    USER,
    USER_PATH,
    VALUE,
    VALUE_WHERE_NONE_IS_GIVEN,
)
from integrations.connectors.convertro.rules import (
    found,
    is_on,
    is_order,
    mapped,
    normal_form,
    order_id,
    sale_types,
    sum_of,
)
from integrations.connectors.convertro.wants import device_id, event_name, user_id, wants
from integrations.kit.answers import is_passing, passing_words, retry_after, said
from integrations.kit.contract import (
    Call,
    ConnectorError,
    Flow,
    NoAnswer,
    NotCalled,
    Outcome,
    Payload,
    Request,
    Response,
    delivered,
    misconfigured,
    refused,
    retry,
)
from integrations.kit.redaction import storable

LONGEST_VALUE = 2_000
_SERVER_SETTINGS = (("clientName", "Client Name"), ("domain", "Domain"), ("siteId", "Site ID"))


def deliver(call: Call, event: Payload) -> Flow[Outcome]:
    """Send one message. The first request that is not taken decides; a repeat sends them all again, with the same ids."""
    if why := wants(call, event):
        return refused(why)
    missing = [label for name, label in _SERVER_SETTINGS if not str(call.settings.get(name) or "").strip()]
    if missing:
        return misconfigured(f"{' and '.join(missing)} missing: events from servers and apps can’t be sent without.")
    for request in requests_of(call, event.data):
        try:
            response = yield request
        except NotCalled as refusal:
            return misconfigured(f"{refusal} Tell whoever runs this portal: CONVERTRO_API_URL has to be another one.")
        except NoAnswer as silence:
            return retry(str(silence))
        outcome = outcome_of(call, response)
        if outcome is not None:
            return outcome
    return delivered()


def outcome_of(call: Call, response: Response) -> Outcome | None:
    """What their answer decides; None for a yes. What is neither a yes nor passing is final, redirects too."""
    status, who = response.status, host(call)
    if 200 <= status <= 299:
        return None
    if is_passing(status):
        return retry(passing_words(status, who), retry_after(response.headers))
    if 300 <= status <= 399:
        return refused(f"{who} sent us on to another address, which is not followed (answer {status}).")
    return refused(f"{who} did not take it (answer {status}).{said(response)}")


def host(call: Call) -> str:
    return urlsplit(_base(call)).netloc


def _base(call: Call) -> str:
    base = call.environment.get("CONVERTRO_API_URL", "").strip().rstrip("/")
    if not urlsplit(base).netloc:
        raise ConnectorError("Tell whoever runs this portal: CONVERTRO_API_URL is not set, so nothing is sent.")
    return base


# --- what is sent -------------------------------------------------------------------------------------------


def requests_of(call: Call, message: Mapping[str, Any]) -> list[Request]:
    """The requests of a message that is wanted."""
    if message["type"] == "identify":
        return [_request(call, USER_PATH, _user(message))]
    site = {SITE: _setting(call, "domain"), TIME: _moment(call, message)}
    name = event_name(message)
    if normal_form(name) == INSTALLED:
        return [_request(call, INSTALLS_PATH, {DEVICE: device_id(message), **site})]
    properties = message.get("properties")
    number = order_id(properties)
    order = {} if number is None else {ORDER: str(number)}
    return [
        _request(
            call,
            HIT_PATH,
            {DEVICE: device_id(message), TYPE: each, VALUE: _value(name, properties), **order, **site},
        )
        for each in event_types(call.settings, name, properties)
    ]


def event_types(settings: Mapping[str, Any], name: str, properties: Any) -> list[str]:
    """What an event is called: an order by the sale types, any other by the events map, or as it is."""
    if is_order(name):
        return sale_types(properties, is_on(settings.get("hybridAttributionModel")))
    return mapped(name, settings.get("events")) or [name]


def _value(name: str, properties: Any) -> str:
    given = [sum_of(properties, "total")] if is_order(name) else []
    given += [sum_of(properties, "revenue")]
    return next((_digits(number) for number in given if number is not None), VALUE_WHERE_NONE_IS_GIVEN)


def _user(message: Mapping[str, Any]) -> dict[str, str]:
    """The device tied to the user, and of an Engage identify its one computed property. No other trait is sent."""
    user = user_id(message)
    if "@" in user:
        user = hashlib.sha256(user.encode("utf-8", "surrogatepass")).hexdigest()
    return {**_computed(message), DEVICE: device_id(message), USER: user}


def _computed(message: Mapping[str, Any]) -> dict[str, str]:
    for engage in found(message.get("context"), "personas"):
        key = engage.get("computation_key") if isinstance(engage, Mapping) else None
        traits = message.get("traits")
        if isinstance(key, str) and key and isinstance(traits, Mapping) and traits.get(key) is not None:
            return {key: _text(traits[key])}
    return {}


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return json.dumps(value, ensure_ascii=False, default=str)
    return _digits(float(value))


def _digits(number: float) -> str:
    """A number as people write it: 20 and 50.99."""
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def _moment(call: Call, message: Mapping[str, Any]) -> str:
    """When it happened, in milliseconds since 1970; now, where the message does not say."""
    try:
        moment = dt.datetime.fromisoformat(str(message.get("timestamp") or ""))
    except ValueError:
        moment = call.now()
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return str(round((moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) / dt.timedelta(milliseconds=1)))


def _setting(call: Call, name: str) -> str:
    return str(call.settings.get(name) or "").strip()


def _request(call: Call, path: str, query: dict[str, str]) -> Request:
    place = "/".join(quote(_setting(call, name), safe="") for name in ("clientName", "siteId"))
    # Who the user is, and what was computed of them, is nobody's business in a log.
    secret = frozenset(query) - {DEVICE, TYPE, VALUE, ORDER, SITE, TIME}
    fit = {name: storable(value)[:LONGEST_VALUE] for name, value in query.items()}
    return Request("GET", f"{_base(call)}/{path}/{place}/", query=fit, secrets=secret)
