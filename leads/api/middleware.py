"""What stands on every answer of the partner API that Django gives: limits, deprecations, and problems where nothing else made one."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from leads.api.calls import limit_headers
from leads.api.deprecations import deprecation_headers
from leads.api.problems import CONTENT_TYPE, problem_json, problem_of_status

UNDER = "/api/v1/"


class PartnerApiMiddleware:
    """For addresses of the partner API alone."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self._get_response(request)
        if not request.path.startswith(UNDER):
            return response
        if response.status_code >= 400 and response.headers.get("Content-Type") != CONTENT_TYPE:
            # Django's own pages: an address that is not there, a host that is not ours.
            response = problem_json(problem_of_status(response.status_code))
        for name, value in limit_headers(getattr(request, "partner_use", None)).items():
            response.headers[name] = value
        for name, value in deprecation_headers(request.method or "", request.path).items():
            response.headers[name] = value
        return response
