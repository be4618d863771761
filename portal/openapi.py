"""What async handlers of every layer say of themselves, put into the partner API's document."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularJSONAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from leads.api.openapi import hot_added
from leads.api.routes import HOT


def hot_routes_added(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A hook of drf-spectacular."""
    return hot_added(result, HOT)


class DocumentView(SpectacularJSONAPIView):
    """GET /api/v1/openapi.json."""

    @extend_schema(
        operation_id="document",
        tags=["This document"],
        summary="This document",
        parameters=[],
        responses={(200, "application/vnd.oai.openapi+json"): OpenApiTypes.OBJECT},
    )
    def get(self, request: Request) -> Response:
        response: Response = super().get(request)  # type: ignore[no-untyped-call]
        return response
