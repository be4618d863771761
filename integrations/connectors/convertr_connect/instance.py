"""The client's instance: its addresses, the log-in, and how it says no (facts, sections 1, 7 and 13).

The API version is a setting and the addresses are made here alone, so that what the facts leave open is cheap to change.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from integrations.connectors.convertr_connect.manifest import API_VERSIONS, DEFAULT_API_VERSION, WINDOW_S
from integrations.kit.addresses import instance_origin
from integrations.kit.answers import is_passing, passing_error, said, their_words
from integrations.kit.contract import Call, ConnectorError, Flow, Request, Response, Token

API_KEY_GRANT = "https://convertr.cvtr.io/grants/api_key"
TOKEN_S = 3600.0
_SHORTEST_TOKEN_S, _LONGEST_TOKEN_S = 60.0, 24 * 3600.0

KEY_REFUSED = "The client's instance refused the API_Key. Copy it again from their campaign: Tracking, API Credentials."
PASSWORD_EXPIRED = "The password of your user on the client's instance has expired. Log in there and set a new one."  # noqa: S105


def origin(call: Call) -> str:
    return instance_origin(call.settings.get("subdomain") or "", call.environment)


def host(call: Call) -> str:
    """The client's host, with the port where it is not the usual one."""
    return urlsplit(origin(call)).netloc


def number(call: Call, name: str, label: str) -> str:
    """A setting that is one of the client's ids; ConnectorError about it where it is none."""
    text = str(call.settings.get(name) or "").strip()
    if not text:
        raise ConnectorError(f"{label} is missing.", name)
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise ConnectorError(f"{label} is a number, such as 204.", name)
    return text


def campaign_id(call: Call) -> str:
    return number(call, "campaign_id", "Campaign ID")


def publisher_id(call: Call) -> str:
    return number(call, "publisher_id", "Publisher ID")


def form_id(call: Call) -> str:
    return number(call, "global_form", "Global Form")


def _api(call: Call) -> str:
    version = str(call.settings.get("api_version") or DEFAULT_API_VERSION).strip().removeprefix("v")
    if version not in API_VERSIONS:
        raise ConnectorError(f"API version: choose one of {', '.join(API_VERSIONS)}.", "api_version")
    return f"{origin(call)}/api/v{version}/publisher"


def fields_url(call: Call) -> str:
    return f"{_api(call)}/fields/{campaign_id(call)}"


def links_url(call: Call) -> str:
    return f"{_api(call)}/links/{campaign_id(call)}"


def rules_url(call: Call, rule_id: str = "") -> str:
    """All rules that the client shows this publisher, or the values of one: an address of ours (docs/publisher-api.md)."""
    return f"{_api(call)}/rules" + (f"/{quote(rule_id, safe='')}/values" if rule_id else "")


def leads_url(call: Call) -> str:
    return f"{_api(call)}/{publisher_id(call)}/forms/{form_id(call)}/campaign/{campaign_id(call)}/leads"


def result_url(call: Call, reference: str) -> str:
    return f"{_api(call)}/{publisher_id(call)}/lead-result/{quote(reference, safe='')}"


# --- how it says no -----------------------------------------------------------------------------------------


def password_expired(response: Response) -> bool:
    """Facts, section 13: said in `detail`, with a status that is not documented."""
    return 400 <= response.status <= 499 and "password expired" in their_words(response).casefold()


def campaign_inactive(response: Response) -> bool:
    words = their_words(response).casefold()
    return response.status == 403 and "campaign" in words and ("inactive" in words or "not active" in words)


def publisher_unknown(response: Response) -> bool:
    return response.status == 404 and "publisher" in their_words(response).casefold()


def inactive_words(call: Call) -> str:
    return (
        f"The client's campaign {campaign_id(call)} is not active, so it takes no leads. "
        "Ask them to start it, then switch this on again."
    )


def publisher_words(call: Call) -> str:
    return (
        f"The client's instance knows no publisher {publisher_id(call)}. "
        "Copy the Publisher ID again from their campaign: Tracking, API Credentials."
    )


def campaign_words(call: Call) -> str:
    return f"The client's instance knows no campaign {campaign_id(call)} for this publisher."


def refusal(call: Call, response: Response) -> ConnectorError:
    """Why a look-up in the client's instance was not answered, whatever status and shape the answer has."""
    status, who = response.status, host(call)
    if is_passing(status):
        return passing_error(response, who, WINDOW_S)
    if password_expired(response):
        return ConnectorError(PASSWORD_EXPIRED, "api_key")
    if status == 401:
        return ConnectorError(KEY_REFUSED, "api_key", passing=True, renew_token=True)
    if campaign_inactive(response):
        return ConnectorError(inactive_words(call), "campaign_id")
    if publisher_unknown(response):
        return ConnectorError(publisher_words(call), "publisher_id")
    if status == 403:
        return ConnectorError(
            f"The client's instance does not allow this with your API_Key.{said(response)}", "api_key"
        )
    if status in (404, 410):
        return ConnectorError(campaign_words(call), "campaign_id")
    if 300 <= status <= 399:
        return ConnectorError(
            f"{who} sends us on to another address, which is not followed. Check the subdomain.", "subdomain"
        )
    return ConnectorError(f"{who} gave an answer that can't be used ({status}).{said(response)}")


# --- log-in -------------------------------------------------------------------------------------------------


def authenticate(call: Call) -> Flow[Token]:
    """A token for the publisher's key, by the api_key grant (facts, section 1b).

    ConnectorError where the key or this deployment is refused; a passing one where the client is busy or out of order.
    """
    key = str(call.settings.get("api_key") or "").strip()
    if not key:
        raise ConnectorError("API_Key is missing.", "api_key")
    response = yield Request(
        "GET",
        f"{origin(call)}/oauth/v2/token",
        query={
            "grant_type": API_KEY_GRANT,
            "client_id": call.environment.get("CONVERTR_CLIENT_ID", ""),
            "client_secret": call.environment.get("CONVERTR_CLIENT_SECRET", ""),
            "api_key": key,
        },
        secrets=frozenset({"client_secret", "api_key"}),
        budget="login",
    )
    data = response.json()
    if response.status == 200 and isinstance(data, dict):
        if data.get("password_expired") is True:
            raise ConnectorError(PASSWORD_EXPIRED, "api_key")
        value = data.get("access_token")
        if isinstance(value, str) and value and len(value) <= 4096 and value.isascii() and value.isprintable():
            return Token(value, _lifetime(data))
    raise _login_refused(call, response)


def _lifetime(data: Mapping[str, object]) -> float:
    try:
        seconds = float(data.get("expires_in") or TOKEN_S)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return TOKEN_S
    return min(max(seconds, _SHORTEST_TOKEN_S), _LONGEST_TOKEN_S) if seconds == seconds else TOKEN_S


def _login_refused(call: Call, response: Response) -> ConnectorError:
    status, who = response.status, host(call)
    data = response.json()
    code = data.get("error") if isinstance(data, dict) else ""
    if is_passing(status):
        return passing_error(response, who, WINDOW_S)
    if password_expired(response):
        return ConnectorError(PASSWORD_EXPIRED, "api_key")
    if code in ("invalid_client", "unauthorized_client", "unsupported_grant_type"):
        return ConnectorError(
            f"The client's instance does not know this portal ({code}). Tell whoever runs it: "
            "CONVERTR_CLIENT_ID and CONVERTR_CLIENT_SECRET have to be those of the client's platform."
        )
    if status in (400, 401, 403):
        return ConnectorError(KEY_REFUSED, "api_key")
    if 300 <= status <= 399 or status in (404, 405, 410, 200):
        return ConnectorError(f"{who} answers, but not like a Convertr instance. Check the subdomain.", "subdomain")
    return ConnectorError(f"{who} gave an answer to the log-in that can't be used ({status}).{said(response)}")
