"""The document and the routes are one: what is served is described, and what is described is served."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from django.urls import URLPattern, URLResolver, get_resolver

from leads.api.routes import HOT
from leads.partner_keys import SCOPES

UNDER = "api/v1/"
# A page for people, which shows the document.
NOT_DESCRIBED = {("GET", "/api/v1/docs")}


def view_routes(patterns: Any = None, before: str = "") -> Iterator[tuple[str, str, Any]]:
    """(method, path, view) of all that Django serves of the partner API."""
    for entry in get_resolver().url_patterns if patterns is None else patterns:
        path = before + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from view_routes(entry.url_patterns, path)
        elif isinstance(entry, URLPattern) and path.startswith(UNDER):
            view = getattr(entry.callback, "cls", None) or getattr(entry.callback, "view_class", None)
            assert view is not None, f"{path} is no view of REST framework"
            for method in ("get", "post", "put", "patch", "delete"):
                if hasattr(view, method):
                    yield method.upper(), "/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path), view


@pytest.fixture(scope="module")
def document(server: str) -> Any:
    return requests.get(f"{server}/api/v1/openapi.json", timeout=60).json()


def described(document: Any) -> set[tuple[str, str]]:
    return {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}


def test_every_route_is_in_the_document_and_nothing_else(document: Any) -> None:
    served = {(method, path) for method, path, _ in view_routes()} | {(hot.method, hot.path) for hot in HOT}
    assert described(document) == served - NOT_DESCRIBED


def test_every_view_says_which_scope_each_method_asks_for(document: Any) -> None:
    for method, path, view in view_routes():
        if view.permission_classes:
            assert view.scopes.get(method, "") in {*SCOPES, ""}, path
            if path != "/api/v1/keys/own":
                assert method in view.scopes, f"{method} {path}"
                assert f"Scope: `{view.scopes[method]}`." in document["paths"][path][method.lower()]["description"]
    assert all(hot.scope in SCOPES for hot in HOT)


def test_every_operation_has_a_summary_a_name_of_its_own_and_its_problems(document: Any) -> None:
    names = []
    for operations in document["paths"].values():
        for operation in operations.values():
            names.append(operation["operationId"])
            if any(operation.get("security", ())):
                assert operation["summary"]
                assert {"401", "403", "429", "503"} <= set(operation["responses"])
    assert len(names) == len(set(names))


def test_the_document_is_openapi_3_1_and_the_page_that_shows_it_needs_no_internet(server: str, document: Any) -> None:
    assert document["openapi"] == "3.1.0"
    page = requests.get(f"{server}/api/v1/docs", timeout=20)
    assert page.status_code == 200
    wanted = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert wanted
    for address in wanted:
        assert address.startswith("/"), address
        assert requests.get(server + address, timeout=20).status_code == 200, address


def test_nothing_is_offered_to_pages_of_other_sites(server: str, document: Any) -> None:
    for hot in ("keys/own", "openapi.json", "leads/1"):
        for method in ("GET", "OPTIONS"):
            answer = requests.request(
                method, f"{server}/api/v1/{hot}", headers={"Origin": "https://evil.example"}, timeout=20
            )
            assert not [name for name in answer.headers if name.lower().startswith("access-control")]
