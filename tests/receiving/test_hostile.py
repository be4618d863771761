"""Bodies and requests that no well-behaved client sends: each is answered in words, none gets the server down or stuck."""

from __future__ import annotations

import gzip
import json
import socket
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from leads.models import Lead
from tests.receiving.conftest import GOOD, Client

URLENCODED = b"application/x-www-form-urlencoded"
LEAD = b"form%5BfirstName%5D=Ada&form%5Bemail%5D=ada%40example.test"


def raw(client: Client, *pieces: bytes, half_close: bool = False) -> bytes:
    """Send bytes as they are; return everything that comes back until the server closes or has answered."""
    host, port = urlsplit(client.server).hostname, urlsplit(client.server).port
    with socket.create_connection((host, port), timeout=20) as connection:
        for piece in pieces:
            connection.sendall(piece)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
        return answer


def head(client: Client, *headers: bytes, method: bytes = b"POST", path: str = "") -> bytes:
    token = str(client.session.headers["Authorization"]).encode()
    lines = [
        method + b" " + (path or client.leads_path).encode() + b" HTTP/1.1",
        b"Host: portal.test",
        b"Connection: close",
        b"Authorization: " + token,
        *headers,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def chunked(body: bytes, size: int) -> list[bytes]:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_chunked_body_without_a_length_is_read_whole(client: Client, size: int) -> None:
    start = head(client, b"Transfer-Encoding: chunked", b"Content-Type: " + URLENCODED)
    answer = raw(client, start, *chunked(LEAD, size), b"0\r\n\r\n")
    assert status(answer) == 201, answer
    assert Lead.objects.get().values == {"firstName": "Ada", "email": "ada@example.test"}


def test_a_chunked_multipart_body_is_read_whole(client: Client) -> None:
    body = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), value.encode())
        for name, value in GOOD.items()
    )
    start = head(client, b"Transfer-Encoding: chunked", b"Content-Type: multipart/form-data; boundary=x")
    assert status(raw(client, start, *chunked(body + b"--x--\r\n", 20), b"0\r\n\r\n")) == 201
    assert Lead.objects.get().values["email"] == "ada@example.test"


@pytest.mark.parametrize(
    "body",
    [
        [head, b"Content-Length: 500", LEAD],
        [head, b"Transfer-Encoding: chunked", *chunked(LEAD, 7)],
        [head, b"Transfer-Encoding: chunked", b"5\r\nab"],
    ],
)
def test_a_body_that_was_cut_off_on_the_wire_makes_no_lead(client: Client, body: list[Any]) -> None:
    make, header, *pieces = body
    answer = raw(client, make(client, header, b"Content-Type: " + URLENCODED), *pieces, half_close=True)
    assert status(answer) in (0, 400)
    assert client.send().status_code == 201
    assert Lead.objects.count() == 1


def test_a_body_that_never_comes_is_given_up(client: Client, settings: Any) -> None:
    settings.BODY_TIMEOUT_SECONDS = 0.2
    answer = raw(client, head(client, b"Content-Length: 500", b"Content-Type: " + URLENCODED), LEAD)
    assert status(answer) == 408


HOSTILE_BODIES = {
    "nothing": (URLENCODED, b""),
    "NUL bytes": (URLENCODED, b"form[firstName]=a%00b&form[email]=ada@example.test"),
    "raw NUL bytes": (URLENCODED, b"form[firstName]=\x00&\x00=\x00"),
    "no UTF-8": (URLENCODED, b"form[firstName]=%ff%fe&form[email]=ada@example.test"),
    "lone surrogates": (URLENCODED, b"form[firstName]=%ED%A0%80&%ED%A0%80=%ED%A0%80"),
    "absurd nesting": (URLENCODED, b"form" + b"[a]" * 100_000 + b"=1"),
    "half brackets": (URLENCODED, b"form[firstName=1&form]=2&[=3&form[[firstName]]=4"),
    "very many values": (URLENCODED, b"a=1&" * 100_000),
    "very many separators": (URLENCODED, b"&" * 500_000),
    "one long value": (URLENCODED, b"form[firstName]=" + b"a" * 900_000 + b"&form[email]=ada@example.test"),
    "broken percent signs": (URLENCODED, b"form[firstName]=%&%zz=%1&%%%"),
    "JSON": (b"application/json", b'{"form": {"firstName": "Ada"}}'),
    "deep JSON": (b"application/json", b"[" * 100_000),
    "XML": (b"text/xml", b"<a/>"),
    "no boundary": (b"multipart/form-data", b"--x\r\n\r\n--x--"),
    "wrong boundary": (b"multipart/form-data; boundary=y", b"--x\r\n\r\na\r\n--x--"),
    "empty multipart": (b"multipart/form-data; boundary=x", b""),
    "cut multipart": (b"multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="form[firstN'),
    "endless part headers": (b"multipart/form-data; boundary=x", b"--x\r\n" + b"A: b\r\n" * 10_000),
    "unknown charset": (URLENCODED + b"; charset=klingon", LEAD),
    "a codec that is no charset": (URLENCODED + b"; charset=zlib_codec", LEAD),
    "odd content type": (b"\xff\xfe;;=;charset", LEAD + b"&x=1"),
}


@pytest.mark.parametrize("name", HOSTILE_BODIES)
def test_a_hostile_body_is_refused_in_words(client: Client, name: str) -> None:
    kind, body = HOSTILE_BODIES[name]
    length = b"Content-Length: %d" % len(body)
    answer = raw(client, head(client, length, b"Content-Type: " + kind), body)
    assert status(answer) in (400, 415), answer[:500]
    assert b'"message": "' in answer
    assert not Lead.objects.exists()


@pytest.mark.parametrize("path", ["/api/login", "/oauth/v2/token", "/ajax/lead-append/{}", "/api/webhook/validate/{}"])
@pytest.mark.parametrize("name", HOSTILE_BODIES)
def test_no_hostile_body_makes_a_500_anywhere(client: Client, name: str, path: str) -> None:
    kind, body = HOSTILE_BODIES[name]
    lead_hash = "0123456789abcdef" * 2
    length = b"Content-Length: %d" % len(body)
    answer = raw(client, head(client, length, b"Content-Type: " + kind, path=path.format(lead_hash)), body)
    assert 400 <= status(answer) < 500, answer[:500]


@pytest.mark.parametrize("how", ["length", "chunked"])
@pytest.mark.parametrize("megabytes", [2, 12])
def test_a_body_of_megabytes_is_a_413_that_its_sender_can_read(client: Client, how: str, megabytes: int) -> None:
    body = b"form[firstName]=" + b"a" * (megabytes << 20)
    data: Any = body if how == "length" else (body[at : at + 65536] for at in range(0, len(body), 65536))
    answer = client.post(client.leads_path, data, headers={"Content-Type": URLENCODED.decode()})
    assert answer.status_code == 413
    assert answer.json()["code"] == 413


def test_a_limit_of_ours_is_a_setting(client: Client, settings: Any) -> None:
    settings.MAX_BODY_BYTES = 20
    assert client.send().status_code == 413
    settings.MAX_BODY_BYTES = 1000
    settings.MAX_VALUE_CHARS = 5
    assert client.send().json()["data"][0]["fieldName"] == "form[email]"
    settings.MAX_FORM_PARTS = 1
    assert "at most 1" in client.send().json()["message"]


def test_a_compressed_body_is_refused_in_words(client: Client) -> None:
    headers = {"Content-Type": URLENCODED.decode(), "Content-Encoding": "gzip"}
    answer = client.post(client.leads_path, gzip.compress(LEAD), headers=headers)
    assert answer.status_code == 415


@pytest.mark.parametrize(
    "path",
    [
        "/api/v2.4/publisher/%ff%fe",
        "/api/v2.4/publisher/fields/%00",
        "/webhook/%2e%2e/%2e%2e/etc",
        "/api/webhook/validate/" + "a" * 5000,
        "/ajax/lead-append/%ED%A0%80",
        "/webhook/campaign/1/links?apikey=%ff&%00&&=&apikey",
        "/oauth/v2/token?" + "a&" * 2000,
        "/api/v4/leads?createdTs[after]=%ff",
        "/%ff%fe",
        "/?%ff",
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"POST", b"HEAD", b"OPTIONS", b"PATCH", b"TRACE"])
def test_a_strange_address_is_no_server_error(client: Client, path: str, method: bytes) -> None:
    answer = raw(client, head(client, b"Content-Length: 0", method=method, path=path))
    assert 200 <= status(answer) < 500, answer[:300]


@pytest.mark.parametrize("target", [b"/webhook/\xff\xfe", b"/api/v2.4/publisher/fields/1?\xff=\xfe", b"/?q=\xff", b"*"])
def test_raw_bytes_in_an_address_are_no_server_error(client: Client, target: bytes) -> None:
    start = head(client, method=b"GET", path="/TARGET").replace(b"/TARGET", target)
    assert 200 <= status(raw(client, start)) < 500


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
def test_a_client_that_offers_another_protocol_is_served_all_the_same(client: Client, protocol: bytes) -> None:
    offer = [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: " + protocol, b"HTTP2-Settings: AAEAAEAAAAIAAAAB"]
    start = head(client, *offer, b"Content-Type: " + URLENCODED, b"Content-Length: %d" % len(LEAD))
    answer = raw(client, start.replace(b"Connection: close\r\n", b""), LEAD, half_close=False)
    assert status(answer) == 201
    assert Lead.objects.count() == 1


def test_posts_that_come_before_the_answer_are_answered_in_their_order(client: Client) -> None:
    """Each answer is one write to the line, whose head waited for its body: none of them is torn or changes its place."""
    ours = [b"Content-Type: " + URLENCODED, b"Content-Length: %d" % len(LEAD)]
    more = head(client, *ours).replace(b"Connection: close\r\n", b"") + LEAD
    answer = raw(client, more * 3 + head(client, *ours) + LEAD)
    parts = answer.split(b"HTTP/1.1 ")[1:]
    assert [part[:3] for part in parts] == [b"201"] * 4
    bodies = [json.loads(part.partition(b"\r\n\r\n")[2])["data"] for part in parts]
    assert bodies == sorted(Lead.objects.values_list("pk", flat=True))


def test_a_flood_of_odd_headers_is_no_server_error(client: Client) -> None:
    odd = [b"Authorization: Bearer \xff\xfe", b"Idempotency-Key: \xff\xfe\x80", b"Content-Type: " + URLENCODED]
    answer = raw(client, head(client, *odd, b"Content-Length: %d" % len(LEAD)), LEAD)
    assert status(answer) in (201, 401)


def test_a_chunked_post_reaches_django_whole_too(client: Client) -> None:
    page = "/admin/login/"
    assert client.get(page).status_code == 200
    cookies = {cookie.name: cookie.value or "" for cookie in client.session.cookies}
    token = next(value for name, value in cookies.items() if name.startswith("csrf"))
    form = urlencode({"username": "sam", "password": "manage-it", "csrfmiddlewaretoken": token, "next": "/admin/"})
    pieces = (form[at : at + 7].encode() for at in range(0, len(form), 7))
    headers = {"Content-Type": URLENCODED.decode(), "Referer": client.server + page}
    answer = client.post(page, pieces, headers=headers, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")
