"""How bodies are read: whatever the bytes, pairs come out or words for the developer who posted them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests import Request as Prepared

from leads.posted import BadBody, body_pairs, query_pairs, split_name

URLENCODED = "application/x-www-form-urlencoded"


def multipart(*parts: bytes, boundary: bytes = b"b") -> bytes:
    return b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts) + b"--" + boundary + b"--\r\n"


def part(name: str, value: bytes, headers: str = "") -> bytes:
    return f'Content-Disposition: form-data; name="{name}"\r\n{headers}\r\n'.encode() + value


def test_urlencoded_and_multipart_read_the_same() -> None:
    values = {"form[firstName]": "Zoë & Søn", "form[optin][terms]": "1", "form[x]": "a=b+c%20\r\nd"}
    parts = {name: (None, value) for name, value in values.items()}
    for request in (Prepared("POST", "http://x.test/", data=values), Prepared("POST", "http://x.test/", files=parts)):
        sent = request.prepare()
        body = sent.body.encode() if isinstance(sent.body, str) else sent.body
        assert body
        assert dict(body_pairs(sent.headers["Content-Type"], body, 100)) == values


def test_a_body_without_a_type_is_read_as_urlencoded() -> None:
    assert body_pairs("", b"form%5Ba%5D=1&form[b]=2&&c", 10) == [("form[a]", "1"), ("form[b]", "2"), ("c", "")]


def test_a_named_charset_is_respected_in_both_encodings() -> None:
    assert body_pairs(f"{URLENCODED}; charset=ISO-8859-1", b"a=Zo%EB", 10) == [("a", "Zoë")]
    body = multipart(part("a", b"Zo\xeb", "Content-Type: text/plain; charset=windows-1252\r\n"))
    assert body_pairs("multipart/form-data; boundary=b", body, 10) == [("a", "Zoë")]


@pytest.mark.parametrize("charset", ["utf-16", "zlib", "rot13", "idna", "unicode_escape", "klingon"])
def test_a_charset_that_is_not_text_is_refused(charset: str) -> None:
    with pytest.raises(BadBody) as refused:
        body_pairs(f"{URLENCODED}; charset={charset}", b"a=1", 10)
    assert refused.value.status == 415


def test_bytes_that_are_no_utf_8_stay_visible_to_the_form() -> None:
    ((_, value),) = body_pairs(URLENCODED, b"a=%ff%ED%A0%80", 10)
    with pytest.raises(UnicodeEncodeError):
        value.encode()


def test_broken_percent_signs_are_kept_as_they_are() -> None:
    assert body_pairs(URLENCODED, b"a=100%&b=%zz%4", 10) == [("a", "100%"), ("b", "%zz%4")]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", multipart(part("a", b"1"))),
        ("multipart/form-data; boundary=other", multipart(part("a", b"1"))),
        ("multipart/form-data; boundary=b", multipart(part("a", b"1"))[:-6]),
        ("multipart/form-data; boundary=b", multipart(part("a", b"1"))[:30]),
        ("multipart/form-data; boundary=b", b""),
        ("multipart/form-data; boundary=b", multipart(b"Content-Type: text/plain\r\n\r\nx")),
        (
            "multipart/form-data; boundary=b",
            multipart(b'Content-Disposition: form-data; name="a"; filename="f"\r\n\r\n'),
        ),
        (
            "multipart/form-data; boundary=b",
            multipart(part("a", b"MQ==", "Content-Transfer-Encoding: base64\r\n")),
        ),
        ("multipart/form-data; boundary=" + "b" * 5000, multipart(part("a", b"1"))),
    ],
)
def test_a_multipart_body_that_is_not_whole_or_no_form_is_refused(kind: str, body: bytes) -> None:
    with pytest.raises(BadBody) as refused:
        body_pairs(kind, body, 10)
    assert refused.value.status == 400
    assert refused.value.message


@pytest.mark.parametrize("kind", ["application/json", "text/xml", "text/plain; charset=utf-8", "nonsense"])
def test_what_is_no_form_is_refused_by_its_type(kind: str) -> None:
    with pytest.raises(BadBody) as refused:
        body_pairs(kind, b'{"a": 1}', 10)
    assert refused.value.status == 415


def test_too_many_values_are_refused_before_they_are_read() -> None:
    for kind, body in (
        (URLENCODED, b"&".join(b"a=1" for _ in range(11))),
        ("multipart/form-data; boundary=b", multipart(*(part("a", b"1") for _ in range(11)))),
    ):
        with pytest.raises(BadBody, match="at most 10"):
            body_pairs(kind, body, 10)


def test_names_are_taken_apart_and_absurd_ones_are_left_whole() -> None:
    assert split_name("form[optin][terms]") == ("form", "optin", "terms")
    assert split_name("form[x][]") == ("form", "x", "")
    assert split_name("plain") == ("plain",)
    absurd = "form" + "[x]" * 100_000
    assert split_name(absurd) == (absurd,)


BOUNDARY_BYTES = st.lists(
    st.sampled_from(
        [b"--b", b"--b--", b"\r\n", b"\n", b'Content-Disposition: form-data; name="a"', b":", b"x", b"\x00"]
    ),
    max_size=20,
).map(b"".join)


@given(
    st.one_of(
        st.sampled_from([URLENCODED, "", "multipart/form-data; boundary=b", f"{URLENCODED}; charset=cp1252"]), st.text()
    ),
    st.one_of(st.binary(max_size=300), BOUNDARY_BYTES),
)
def test_no_bytes_do_anything_but_become_pairs_or_a_refusal(kind: str, body: bytes) -> None:
    try:
        pairs = body_pairs(kind, body, 20)
    except BadBody as problem:
        pairs, refused = [], (problem.status, problem.message)
    else:
        refused = (400, "no")
    assert refused[0] in (400, 415)
    assert refused[1]
    assert all(isinstance(name, str) and isinstance(value, str) for name, value in pairs)


@given(st.binary(max_size=300))
def test_any_query_string_can_be_read(query: bytes) -> None:
    assert len(query_pairs(query, 1000)) <= query.count(b"&") + 1
