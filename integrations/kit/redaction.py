"""What attempts keep of a request and an answer: enough to see what happened, no secret, no personal value in clear."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus

from integrations.kit.contract import Request, Response

MASK = "•••"
BODY_CHARS = 4096
SECRET_NAMES = frozenset(
    [
        "access_token",
        "refresh_token",
        "id_token",
        "api_key",
        "apikey",
        "client_secret",
        "password",
        "mfa_token",
        "mfa_code",
    ]
)
# One of these is in each of the names.
_SECRET_WORDS = ("token", "key", "secret", "password", "mfa_")
_KEPT_HEADERS = ("content-type", "retry-after", "location", "date", "x-request-id", "idempotency-key-honoured")
_SECRET_IN_TEXT = re.compile(
    rf"""(["']?(?:{"|".join(SECRET_NAMES)}|secret)["']?\s*[:=]\s*["']?)((?:[^"'\\&\s,}}]|\\.)+)""", re.IGNORECASE
)
_HASH_IN_PATH = re.compile(r"(?<=/)([0-9a-fA-F]{6})[0-9a-fA-F]{26}(?=/|\?|\Z)")
_PLAIN_RUN = re.compile(r"[A-Za-z0-9]+")
_LONG_RUN = re.compile(r"[A-Za-z0-9]{4,}")
_UNSTORABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def storable(text: str) -> str:
    """Text that any database takes: control characters, NUL and lone surrogates replaced."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def mask(value: str) -> str:
    """The first character of a value and nothing else; nothing at all of one or two characters."""
    return value[0] + MASK if len(value) > 2 else MASK if value else ""


def redact_request(request: Request) -> dict[str, Any]:
    """Method, URL and headers without secrets, and the form in its order with personal values masked."""
    hidden = _hidden(request.secrets)
    kept: dict[str, Any] = {"method": request.method, "url": _url(request, hidden)}
    headers = {name: mask(value) if _is_secret_header(name) else value for name, value in request.headers.items()}
    if request.bearer:
        headers["Authorization"] = f"Bearer {MASK}"
    if headers:
        kept["headers"] = headers
    if request.form is not None:
        kept["form"] = [
            [storable(key), MASK if key in hidden else storable(value if key in request.plain else mask(value))]
            for key, value in request.form
        ]
    if request.json is not None:
        kept["json"] = _masked_json(request.json, hidden)
    elif request.body is not None:
        kept["body"] = f"{len(request.body)} bytes"
    return kept


def redact_response(response: Response, request: Request) -> dict[str, Any]:
    """Status, a few headers, and the start of the body without tokens and without what `request` sent."""
    kept: dict[str, Any] = {"status": response.status}
    sent = list(_sent_values(request))
    headers = {name: storable(response.headers[name][:300]) for name in _KEPT_HEADERS if name in response.headers}
    if "location" in headers:
        headers["location"] = _without(_without_secrets(headers["location"]), sent)
    if headers:
        kept["headers"] = headers
    # Masked before it is cut, so that no half value is left at the end.
    text = storable(response.body[: BODY_CHARS * 4].decode("utf-8", "replace"))[: BODY_CHARS * 2]
    text = _without(_without_secrets(text), sent)
    kept["body"] = text[:BODY_CHARS]
    if response.cut or len(text) > BODY_CHARS or len(response.body) > BODY_CHARS * 4:
        kept["cut"] = True
    return kept


@lru_cache(maxsize=1024)
def _is_secret_header(name: str) -> bool:
    lowered = name.lower()
    if lowered in ("authorization", "proxy-authorization", "cookie"):
        return True
    return lowered.endswith(("-key", "-token", "-secret")) and lowered != "idempotency-key"


@lru_cache(maxsize=1024)
def _hidden(secrets: frozenset[str]) -> frozenset[str]:
    return SECRET_NAMES | secrets


def _url(request: Request, hidden: frozenset[str]) -> str:
    url = _url_itself(request.url, hidden)
    if not request.query:
        return url
    query = "&".join(
        f"{quote_plus(name)}={MASK if name in hidden else quote_plus(value, safe='/:', errors='replace')}"
        for name, value in request.query.items()
    )
    return storable(url + ("&" if "?" in url else "?") + query)


@lru_cache(maxsize=1024)
def _url_itself(text: str, hidden: frozenset[str]) -> str:
    """Most calls of an integration go to one address: it is looked through once."""
    url, _, inline = text.partition("?")
    pairs = [pair.partition("=") for pair in inline.split("&") if pair]
    query = [f"{name}={MASK if name in hidden else value}" for name, _, value in pairs]
    return storable(_HASH_IN_PATH.sub(rf"\1{MASK}", url) + ("?" + "&".join(query) if query else ""))


def _masked_json(value: Any, hidden: Collection[str], name: str = "") -> Any:
    if isinstance(value, str):
        return MASK if name in hidden else storable(mask(value))
    if _is_object(value):
        return {storable(str(key)): _masked_json(each, hidden, str(key)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_masked_json(each, hidden, name) for each in value]
    return MASK if name in hidden else value


def _sent_values(request: Request) -> Iterable[str]:
    """What must not be found again in what came back, secrets first."""
    for name, value in request.query.items():
        if name in SECRET_NAMES or name in request.secrets:
            yield value
    if request.bearer:
        yield request.bearer
    for key, value in request.form or ():
        if key not in request.plain:
            yield value
    yield from _texts(request.json)


def _is_object(value: Any) -> bool:
    # To ask an abstract class costs more than all the rest here, and hardly anything else than a dict comes.
    return type(value) is dict or isinstance(value, Mapping)


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif _is_object(value):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)


def _without_secrets(text: str) -> str:
    """`text` with the values of secrets masked, where it names any: to look for the words first costs a tenth."""
    lowered = text.casefold()
    if any(word in lowered for word in _SECRET_WORDS):
        return _SECRET_IN_TEXT.sub(rf"\1{MASK}", text)
    return text


def _without(text: str, values: Iterable[str]) -> str:
    """`text` with every value of three or more characters masked, however the other side has escaped it."""
    if not text:
        return text
    lowered = text.lower()
    # Every way to write a value keeps its plain letters and digits, so a text without these has none of them: most don't.
    there = {value for value in values if len(value) > 2 and _plain_run(value).lower() in lowered}
    for value in sorted(there, key=len, reverse=True):
        for written in _ways_to_write(value):
            if written.lower() in lowered:
                text = re.sub(re.escape(written), mask(value).replace("\\", r"\\"), text, flags=re.IGNORECASE)
                lowered = text.lower()
    return text


def _plain_run(value: str) -> str:
    """Letters and digits that stand together in a value: enough of them to be seldom found where it is not."""
    if value.isascii() and value.isalnum():
        return value
    found = _LONG_RUN.search(value)
    return found[0] if found else max(_PLAIN_RUN.findall(value), key=len, default="")


def _ways_to_write(value: str) -> tuple[str, ...]:
    if value.isascii() and value.isalnum():
        return (value,)
    escaped = json.dumps(value)[1:-1]
    ways = {
        value,
        escaped,
        escaped.replace("/", r"\/"),
        json.dumps(value, ensure_ascii=False)[1:-1],
        html.escape(value),
        quote_plus(value, errors="replace"),
        quote(value, errors="replace"),
    }
    # The longest first: a shorter one may be its beginning.
    return tuple(sorted(ways, key=len, reverse=True))
