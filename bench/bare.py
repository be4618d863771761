"""The floor for answers: one Django view that says 201 and nothing else, under the portal's own server.

python -m bench.bare PORT
"""

from __future__ import annotations

from typing import Any

import uvicorn
import uvloop
from a2wsgi import WSGIMiddleware
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import re_path


def view(request: HttpRequest) -> JsonResponse:
    """What a plain view costs: the form is read, the answer has the shape of the portal's."""
    answer = JsonResponse({"data": len(request.POST)}, status=201)
    answer["Content-Length"] = str(len(answer.content))
    return answer


urlpatterns = [re_path("", view)]


async def main() -> None:
    """Serve on a port of its own choice, which it prints, until stopped."""
    settings.configure(SECRET_KEY=__name__, ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], MIDDLEWARE=[])
    application: Any = WSGIMiddleware(get_wsgi_application())  # type: ignore[arg-type]
    config = uvicorn.Config(
        application, port=0, http="httptools", lifespan="off", access_log=False, log_level="warning", loop="uvloop"
    )
    server = uvicorn.Server(config)
    listener = config.bind_socket()
    listener.listen()
    print(listener.getsockname()[1], flush=True)
    await server.serve([listener])


if __name__ == "__main__":
    uvloop.run(main())
