"""How the API describes itself: what every operation shares, and the operations of async handlers, which stand beside them.

REST framework's views are described by drf-spectacular. Hooks of it, named in portal/partner_api.py, add what follows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema

from leads.api.addresses import LEAD_SCHEMA, ROW_SCHEMA, LeadConverter
from leads.api.deprecations import DEPRECATED
from leads.api.problems import CONTENT_TYPE, TYPES
from leads.partner_keys import Partner
from leads.web import Request, Response

SECURITY = "key"
_PLACES: Mapping[str, tuple[str, dict[str, Any]]] = {
    "row": ("int", ROW_SCHEMA),
    "lead": (LeadConverter.regex, LEAD_SCHEMA),
}


@dataclass(frozen=True, slots=True)
class Hot:
    """An address that an async handler answers: how it is routed, and how the document tells of it.

    `path` is written as "/api/v1/leads/{lead}"; `places` says what each part of it is: "row" or "lead".
    """

    method: str
    path: str
    places: Mapping[str, str]
    scope: str
    handler: Callable[[Request, Partner], Awaitable[Response]]
    operation: Mapping[str, Any]

    @property
    def pattern(self) -> str:
        """Its path, as leads/web.py writes routes."""
        path = self.path
        for name, kind in self.places.items():
            path = path.replace(f"{{{name}}}", f"{{{name}:{_PLACES[kind][0]}}}")
        return path

    def described(self) -> dict[str, Any]:
        """The operation, as the document has it."""
        of_path = [
            {"name": name, "in": "path", "required": True, "schema": _PLACES[kind][1]}
            for name, kind in self.places.items()
        ]
        said = dict(self.operation)
        said["parameters"] = [*of_path, *said.get("parameters", ())]
        said["description"] = _with_scope(str(said.get("description", "")), self.scope)
        said["security"] = [{SECURITY: []}]
        return said


def _with_scope(description: str, scope: str) -> str:
    return "\n\n".join(filter(None, (description, f"Scope: `{scope}`." if scope else "")))


class PartnerSchema(AutoSchema):
    """Each operation says which scope it asks for."""

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        operation: dict[str, Any] | None = super().get_operation(*args, **kwargs)
        if operation is not None:
            scopes: Mapping[str, str] = getattr(self.view, "scopes", {})
            operation["description"] = _with_scope(operation.get("description", ""), scopes.get(self.method, ""))
        return operation


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """`Authorization: Bearer cp_live_…`"""

    target_class = "leads.api.calls.KeyAuthentication"
    name = SECURITY

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": "A partner key: `cp_live_…`"}


_PROBLEM = {
    "type": "object",
    "description": "What is wrong with a call (RFC 9457).",
    "required": ["type", "title", "status", "detail", "help"],
    "properties": {
        "type": {"type": "string", "enum": [each.uri for each in TYPES.values()]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened, in words."},
        "help": {"type": "string", "description": "What to do."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "place", "message"],
                "properties": {
                    "field": {"type": "string"},
                    "place": {"type": "string", "examples": ["row 17, column email"]},
                    "message": {"type": "string"},
                    "row": {"type": "integer"},
                    "column": {"type": "string"},
                    "pointer": {"type": "string", "description": "Where it stands in the body (RFC 6901)."},
                },
            },
        },
    },
}
_HEADERS = {
    "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds, where it can be sent again."},
    "RateLimit": {"schema": {"type": "string"}, "description": "Calls left, and seconds until there are more."},
    "RateLimit-Policy": {"schema": {"type": "string"}},
}
_READS = ("401", "403", "429", "503")
_WRITES = ("400", "408", "409", "413", "415", "422")


def problems_added(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """The problems that an operation can answer with, told of each; and what will go."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = _PROBLEM
    words = {
        str(status): "; ".join(t.title for t in TYPES.values() if t.status == status)
        for status in sorted({each.status for each in TYPES.values()})
    }
    components["responses"] = {
        f"Problem{status}": {
            "description": words[status],
            "headers": _HEADERS,
            "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in words
    }
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            for status in _statuses(method, operation):
                operation["responses"].setdefault(status, {"$ref": f"#/components/responses/Problem{status}"})
            if any(each.path == path and method.upper() in each.methods for each in DEPRECATED):
                operation["deprecated"] = True
    return result


def _statuses(method: str, operation: Mapping[str, Any]) -> Iterable[str]:
    places = {parameter["in"] for parameter in operation.get("parameters", ())}
    if not any(operation.get("security", ())):
        return ("404",) if "path" in places else ()
    found = [*_READS]
    if "path" in places or method in ("post", "put", "patch"):
        # What a body names may be none of the key's business, too.
        found.append("404")
    if "query" in places:
        found.append("422")
    if method in ("post", "put", "patch"):
        found += _WRITES
    if method == "delete":
        # It may have an Idempotency-Key, as all that writes.
        found += ["409", "422"]
    return found


def hot_added(result: dict[str, Any], routes: Iterable[Hot]) -> dict[str, Any]:
    """The document with the operations of async handlers in it."""
    for hot in routes:
        result["paths"].setdefault(hot.path, {})[hot.method.lower()] = hot.described()
    result["paths"] = dict(sorted(result["paths"].items()))
    return result
