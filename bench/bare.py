"""The floor for answers: one Django view that says 201 and nothing else, under the portal's own server.

python -m bench.bare PORT
"""

from __future__ import annotations

import sys

import uvicorn
from a2wsgi import WSGIMiddleware
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import re_path


def view(request: HttpRequest) -> JsonResponse:
    """What a plain view costs: the form is read, the answer has the shape of the portal's."""
    return JsonResponse({"data": len(request.POST)}, status=201)


urlpatterns = [re_path("", view)]


def main(port: int) -> None:
    """Serve until stopped."""
    settings.configure(SECRET_KEY="for the bench only", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], MIDDLEWARE=[])  # noqa: S106
    application = WSGIMiddleware(get_wsgi_application())  # type: ignore[arg-type]
    uvicorn.run(application, port=port, http="httptools", lifespan="off", access_log=False, log_level="warning")


if __name__ == "__main__":
    main(int(sys.argv[1]))
