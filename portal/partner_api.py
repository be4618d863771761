"""Settings of the partner API: of REST framework and of the document that describes it. Plain data, read by settings."""

from __future__ import annotations

from typing import Any

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["leads.api.calls.KeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["leads.api.calls.ScopePermission"],
    "DEFAULT_THROTTLE_CLASSES": ["leads.api.calls.KeyThrottle"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "leads.api.calls.AlwaysJson",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["leads.api.bodies.BoundedJsonParser"],
    "DEFAULT_SCHEMA_CLASS": "leads.api.openapi.PartnerSchema",
    # No method OPTIONS: nothing is asked for across sites, and the document says more than it would.
    "DEFAULT_METADATA_CLASS": None,
    "EXCEPTION_HANDLER": "leads.api.problems.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "NON_FIELD_ERRORS_KEY": "non_field_errors",
}

DESCRIPTION = """
For publishers that send leads, clients that say what became of them, and systems of one's own that read.

Send your key as `Authorization: Bearer cp_live_…`. What a key may do are its scopes; what it may not see is not found.
Problems come as RFC 9457 problem details, whose `type` says what to do. A call that writes may have an `Idempotency-Key`:
sent again within a day it is answered as it was, and done once.
"""


SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Partner API",
    "VERSION": "1",
    "DESCRIPTION": DESCRIPTION,
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    # Wherever the document was read from: trying it never goes to another address.
    "SERVERS": [{"url": "/"}],
    "SERVE_PERMISSIONS": [],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "tryItOutEnabled": True, "persistAuthorization": False},
    "PATH_CONVERTER_OVERRIDES": {
        "row": {"type": "integer", "minimum": 1, "maximum": 10**18 - 1},
        "lead": {"type": "string", "pattern": "^([0-9]{1,18}|[0-9a-f]{32})$"},
        "message": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    },
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    # Several fields are called state: each has a name of its own.
    "ENUM_NAME_OVERRIDES": {
        "WebhookState": "integrations.api.webhook_shapes.STANDINGS",
        "WebhookMessageState": "integrations.api.webhook_shapes.MESSAGE_STATES",
        "WebhookEvent": "integrations.api.webhook_shapes.EVENTS",
        "IntegrationState": "integrations.api.integrations.STATES",
        "ImportState": "leads.api.imports.STATES",
        "ImportRowState": "leads.api.imports.ROW_STATES",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "portal.openapi.hot_routes_added",
        "leads.api.openapi.problems_added",
    ],
}
