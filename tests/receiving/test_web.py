"""What every address has in common."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest
from django.db import OperationalError

from leads.web import Disconnected, Request, Response, Route, dispatch, text_response


def ask(
    *routes: Route, path: str = "/", method: str = "GET", messages: list[dict[str, Any]] | None = None
) -> tuple[int, dict[str, str], bytes] | None:
    """Ask an application of these routes; the answer, or None if there was none."""
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [],
        "client": None,
    }
    coming = list(messages or [{"type": "http.request", "body": b"", "more_body": False}])
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return coming.pop(0)

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    asyncio.run(dispatch(routes)(scope, receive, send))
    if not sent:
        return None
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, sent[1]["body"]


async def broken(request: Request) -> Response:
    raise ZeroDivisionError


async def echo(request: Request) -> Response:
    said = (await request.body()).decode()
    return text_response(f"{request.params} {said}", 200)


def test_a_mistake_of_ours_is_logged_and_answered_as_documented(caplog: pytest.LogCaptureFixture) -> None:
    lead_hash = "0123456789abcdef" * 2
    answer = ask(Route(["GET"], "/{hash}", broken), path=f"/{lead_hash}")
    assert answer is not None
    assert (answer[0], answer[2]) == (500, b'{"code": 500, "message": ""}')
    assert "ZeroDivisionError" in caplog.text
    assert lead_hash not in caplog.text


def test_a_database_that_does_not_answer_is_a_503_and_not_a_mistake() -> None:
    async def unavailable(request: Request) -> Response:
        raise OperationalError("connection refused")

    answer = ask(Route(["GET"], "/", unavailable))
    assert answer is not None
    assert (answer[0], answer[1]["retry-after"]) == (503, "1")


def test_parts_of_a_path_are_text_or_numbers_that_fit_a_key() -> None:
    route = Route(["GET"], "/{kind:a|b}/{id:int}/{rest}", echo)
    assert ask(route, path="/b/007/x y") == (
        200,
        {"content-length": "38", "content-type": "text/plain; charset=utf-8"},
        b"{'kind': 'b', 'id': 7, 'rest': 'x y'} ",
    )
    for path in ("/c/7/x", "/a/7/", "/a/7/x/y", "/a/-7/x", "/a/٧/x", f"/a/{10**18}/x", "/a/7/x\n/", ""):
        answer = ask(route, path=path)
        assert answer is not None
        assert answer[0] == 404


def test_addresses_with_different_methods_may_share_a_path() -> None:
    routes = (Route(["GET"], "/x", broken), Route(["POST"], "/x", echo))
    assert (ask(*routes, path="/x", method="POST") or [0])[0] == 200
    answer = ask(*routes, path="/x", method="PUT")
    assert answer is not None
    assert (answer[0], answer[1]["allow"]) == (405, "GET, HEAD, OPTIONS, POST")


def test_a_body_in_pieces_is_put_together() -> None:
    pieces: list[dict[str, Any]] = [
        {"type": "http.request", "body": piece, "more_body": True} for piece in (b"a", b"", b"b")
    ]
    pieces.append({"type": "http.request", "body": b"c"})
    answer = ask(Route(["GET"], "/", echo), messages=pieces)
    assert answer is not None
    assert answer[2] == b"{} abc"


def test_nobody_is_answered_who_went_away() -> None:
    pieces: list[dict[str, Any]] = [
        {"type": "http.request", "body": b"a", "more_body": True},
        {"type": "http.disconnect"},
    ]
    assert ask(Route(["GET"], "/", echo), messages=pieces) is None

    async def reads(request: Request) -> Response:
        with pytest.raises(Disconnected):
            await request.body()
        return text_response("seen", 200)

    assert (ask(Route(["GET"], "/", reads), messages=pieces) or [0])[0] == 200


def test_an_address_of_a_client_is_kept_only_if_it_is_one() -> None:
    def ip(client: Any) -> str | None:
        return Request({"method": "GET", "path": "/", "client": client}, None).client_ip  # type: ignore[arg-type]

    assert ip(("192.0.2.1", 5)) == "192.0.2.1"
    assert ip(("fe80::1%eth0", 5)) == "fe80::1"
    assert ip(("testclient", 5)) is None
    assert ip(None) is None
