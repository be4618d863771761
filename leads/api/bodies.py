"""What a call of the partner API brings: read once, and never more of it than API_MAX_BYTES."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any, cast

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.http import QueryDict
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser, JSONParser
from rest_framework.request import Request

from leads.answered_calls import call_digest
from leads.api.problems import raised

MULTIPART = "multipart/form-data"


def body_of(request: Request) -> bytes:
    """The body as it came. Raises ProblemRaised (413) for one that is larger than API_MAX_BYTES."""
    http = request._request
    # As HttpRequest.body does it, which would refuse what is larger than a form may be.
    if not hasattr(http, "_body"):
        most = settings.API_MAX_BYTES
        length = request.headers.get("Content-Length", "")
        body = b"" if length.isdecimal() and int(length) > most else http.read(most + 1)
        if len(body) > most or (not body and length.isdecimal() and int(length) > most):
            raise raised("too-large", f"The body is larger than {most} bytes.")
        http._body = body
    return http._body


def said_in(request: Request) -> Iterator[bytes]:
    """What makes two calls the same, of their bodies. A form's boundary is another each time: what it has in it counts."""
    if not (request.content_type or "").lower().startswith(MULTIPART):
        yield body_of(request)
        return
    for name, values in sorted(cast(QueryDict, request.data).lists()):
        for value in values:
            yield name.encode()
            if isinstance(value, UploadedFile):
                yield call_digest(str(value.name).encode(), *value.chunks()).encode()
                value.seek(0)
            else:
                yield str(value).encode()


class BoundedJsonParser(BaseParser):
    """application/json, of API_MAX_BYTES at the most. No kind of JSONParser: of those REST framework reads the body itself."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        body = body_of((parser_context or {})["request"])
        try:
            return JSONParser().parse(io.BytesIO(body), media_type, parser_context)
        except RecursionError:
            raise ParseError("This JSON is nested too deeply.") from None
