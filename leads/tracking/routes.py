"""Which address of the tracking API is answered by which function."""

from __future__ import annotations

from leads.tracking import calls
from leads.web import Route

ROUTES = (
    Route(["POST"], "/v1/{kind:identify|track|page|screen|group|alias|batch|[itpsgab]}", calls.call),
    Route(["GET"], "/v1/projects/{write_key}/settings", calls.project_settings),
)
