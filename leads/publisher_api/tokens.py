"""Log-ins: the token endpoint with its three grants, and /api/login (facts, section 1)."""

from __future__ import annotations

import hmac

from django.conf import settings

from leads import access, limits, pool
from leads.access import Tokens
from leads.web import Refusal, Request, Response, json_response

# Public clients send it with http, the documentation says https (facts, section 1b).
API_KEY_GRANTS = ("https://convertr.cvtr.io/grants/api_key", "http://convertr.cvtr.io/grants/api_key")
_NOT_KEPT = {"Cache-Control": "no-store"}


def _error(code: str, description: str) -> Refusal:
    return Refusal(json_response({"error": code, "error_description": description}, 400, _NOT_KEPT))


def _required(given: dict[str, str], *names: str) -> list[str]:
    missing = [name for name in names if not given.get(name)]
    if missing:
        raise _error("invalid_request", f"Missing: {', '.join(missing)}.")
    return [given[name] for name in names]


async def _parameters(request: Request) -> dict[str, str]:
    """What stands in the query and, for a POST, in the body; the body wins."""
    given = dict(request.query)
    if request.method == "POST":
        given.update(await request.form())
    return given


async def token(request: Request) -> Response:
    """GET or POST /oauth/v2/token. 400 with `error` and `error_description` for whatever is wrong; 429."""
    given = await _parameters(request)
    grant = given.get("grant_type", "")
    if not grant:
        raise _error("invalid_request", "Missing: grant_type.")
    if grant not in (*API_KEY_GRANTS, "password", "refresh_token"):
        raise _error("unsupported_grant_type", "This grant_type is not known here.")
    _check_client(given)
    tokens: Tokens | None
    if grant == "password":
        username, password = _required(given, "username", "password")
        tokens = await _password_login(request, username, password)
    elif grant == "refresh_token":
        (refresh_token,) = _required(given, "refresh_token")
        await limits.count("logins", "refresh:" + access.digest(refresh_token))
        tokens = await pool.slow(access.tokens_for_refresh, refresh_token)
    else:
        (api_key,) = _required(given, "api_key")
        await limits.count("logins", "key:" + access.digest(api_key))
        tokens = await pool.slow(access.tokens_for_api_key, api_key)
    if tokens is None:
        raise _error("invalid_grant", "These credentials are not good.")
    return json_response(_token_body(tokens), headers=_NOT_KEPT)


async def login(request: Request) -> Response:
    """POST /api/login with username and password; like a token, with the client's pair and the user's id beside it."""
    username, password = _required(await _parameters(request), "username", "password")
    tokens = await _password_login(request, username, password)
    if tokens is None:
        raise _error("invalid_grant", "Invalid username and password combination.")
    body = {
        **_token_body(tokens),
        "client_id": settings.OAUTH_CLIENT_ID,
        "client_secret": settings.OAUTH_CLIENT_SECRET,
        "user_id": tokens.user_id,
        "password_expired": False,
    }
    return json_response(body, headers=_NOT_KEPT)


async def _password_login(request: Request, username: str, password: str) -> Tokens | None:
    """Passwords can be guessed, keys can't: so the address is counted too, and first, lest it use up what many names have."""
    await limits.count("passwords", limits.address_key(request.client_ip))
    await limits.count("logins", "user:" + access.digest(username.strip().lower()))
    if len(username) > 254 or len(password) > 1000:
        return None
    return await pool.password(access.tokens_for_password, username, password)


def _check_client(given: dict[str, str]) -> None:
    client_id, client_secret = _required(given, "client_id", "client_secret")
    if not (_same(client_id, settings.OAUTH_CLIENT_ID) and _same(client_secret, settings.OAUTH_CLIENT_SECRET)):
        raise _error("invalid_client", "The client credentials are not good.")


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), wanted.encode())


def _token_body(tokens: Tokens) -> dict[str, object]:
    return {
        "access_token": tokens.access_token,
        "expires_in": settings.OAUTH_TOKEN_SECONDS,
        "token_type": "bearer",
        "scope": None,
        "refresh_token": tokens.refresh_token,
    }
