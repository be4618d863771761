"""What was posted: bodies and query strings to pairs of name and value. Pure functions; no bytes make them fail.

Facts, sections 4, 8 and 13: form data only, urlencoded or multipart, flat and nested keys. A value that is not valid in its
charset is kept with lone surrogates, so that the form's check can say which field it was.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

Pairs = list[tuple[str, str]]

# Only what real clients send and what turns bytes into text one to one; Python knows codecs that do other things.
_CHARSETS = {
    "": "utf-8", "utf-8": "utf-8", "utf8": "utf-8", "us-ascii": "utf-8", "ascii": "utf-8",
    "iso-8859-1": "cp1252", "latin1": "cp1252", "latin-1": "cp1252", "windows-1252": "cp1252", "cp1252": "cp1252",
    "iso-8859-15": "iso-8859-15",
}  # fmt: skip
_PLAIN_TRANSFER = {"", "7bit", "8bit", "binary"}


class BadBody(Exception):
    """A body that can't be read as a form. Its words go to the developer at the other end."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


def query_pairs(query_string: bytes, max_parts: int) -> Pairs:
    """A query string as pairs; raises BadBody when it has too many of them."""
    return _urlencoded(query_string, "utf-8", max_parts)


def body_pairs(content_type: str, body: bytes, max_parts: int) -> Pairs:
    """A form body as pairs in their order, repeated names kept.

    Raises BadBody (415 for what is no form at all, such as JSON; else 400) and nothing else, whatever the bytes.
    """
    kind, options = _content_type(content_type)
    if kind == "multipart/form-data":
        return _multipart(body, options.get("boundary", ""), max_parts)
    if kind in ("application/x-www-form-urlencoded", ""):
        return _urlencoded(body, _codec(options.get("charset", "")), max_parts)
    if not body:
        return []
    raise BadBody(f"Post form data (urlencoded or multipart), not {kind[:60]}.", 415)


def split_name(name: str) -> tuple[str, ...]:
    """`form[optin][terms]` as ("form", "optin", "terms"); a name in no such shape as it is."""
    match = _NESTED.fullmatch(name)
    return (match[1], *match[2][1:-1].split("][")) if match else (name,)


_NESTED = re.compile(r"([^\[\]]{1,100})((?:\[[^\[\]]{0,100}\]){1,5})")


def _content_type(header: str) -> tuple[str, dict[str, str]]:
    kind, options = parse_options_header(header.encode("latin-1", "replace"))
    return kind.decode("latin-1"), {key.decode("latin-1").lower(): v.decode("latin-1") for key, v in options.items()}


def _codec(charset: str) -> str:
    try:
        return _CHARSETS[charset.strip().lower()]
    except KeyError:
        raise BadBody("Post the body in UTF-8; its charset is not known here.", 415) from None


def _too_many(max_parts: int) -> BadBody:
    return BadBody(f"Post at most {max_parts} values.")


def _urlencoded(body: bytes, codec: str, max_parts: int) -> Pairs:
    if not body:
        return []
    if body.count(b"&") >= max_parts:
        raise _too_many(max_parts)
    pairs = []
    for piece in body.split(b"&"):
        if piece:
            name, _, value = piece.partition(b"=")
            # Names are few and come again with every post; only short ones are remembered.
            read = _name(name, codec) if len(name) <= 100 else _text(_unquoted(name), codec)
            pairs.append((read, _text(_unquoted(value), codec)))
    return pairs


@lru_cache(maxsize=4096)
def _name(raw: bytes, codec: str) -> str:
    return _text(_unquoted(raw), codec)


def _unquoted(raw: bytes) -> bytes:
    if b"+" in raw:
        raw = raw.replace(b"+", b" ")
    return unquote_to_bytes(raw) if b"%" in raw else raw


def _text(raw: bytes, codec: str) -> str:
    return raw.decode(codec, "surrogateescape")


class _Parts:
    """Gathers the parts that the multipart parser finds."""

    def __init__(self, max_parts: int) -> None:
        self.pairs: Pairs = []
        self.ended = False
        self._max_parts = max_parts
        self._field = b""
        self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._data: list[bytes] = []

    def on_part_begin(self) -> None:
        if len(self.pairs) >= self._max_parts:
            raise _too_many(self._max_parts)
        self._headers = {}
        self._data = []

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        self._headers[self._field.strip().lower()] = self._value
        self._field = self._value = b""

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._data.append(data[start:end])

    def on_part_end(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        if b"name" not in options:
            raise BadBody("A part of the multipart body has no name.")
        name = _text(options[b"name"], "utf-8")
        if b"filename" in options:
            raise BadBody("Post values, not files.")
        encoding = self._headers.get(b"content-transfer-encoding", b"").strip().lower().decode("latin-1")
        if encoding not in _PLAIN_TRANSFER:
            raise BadBody("Post the parts of the multipart body as they are, without a transfer encoding.")
        _, part_type = _content_type(self._headers.get(b"content-type", b"").decode("latin-1"))
        self.pairs.append((name, _text(b"".join(self._data), _codec(part_type.get("charset", "")))))

    def on_end(self) -> None:
        self.ended = True


def _multipart(body: bytes, boundary: str, max_parts: int) -> Pairs:
    if not boundary:
        raise BadBody("The Content-Type of the multipart body names no boundary.")
    parts = _Parts(max_parts)
    callbacks = {name: getattr(parts, name) for name in dir(parts) if name.startswith("on_")}
    try:
        parser = MultipartParser(boundary.encode("latin-1"), callbacks)  # type: ignore[arg-type]
        parser.write(body)
        parser.finalize()
    except FormParserError:
        raise BadBody("The multipart body does not fit its boundary or is broken.") from None
    if not parts.ended:
        raise BadBody("The multipart body was cut off before its last boundary.")
    return parts.pairs
