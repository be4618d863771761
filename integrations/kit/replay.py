"""Plays a case through a connector without I/O: data in, differences out. docs/adding-a-connector.md has the format."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from integrations.kit.contract import (
    Call,
    Connector,
    ConnectorError,
    Flow,
    NoAnswer,
    NotCalled,
    Payload,
    Request,
    Response,
)
from integrations.kit.flow import Exchange, run

OPERATIONS = (
    "authenticate",
    "check",
    "options",
    "discover",
    "rules",
    "rule_values",
    "wants",
    "deliver",
    "poll",
    "receive",
)
_EXPECTED = frozenset(
    ["ok", "outcome", "token", "choices", "form", "rules", "page", "verdict", "wanted", "error", "no_answer"]
)


class BadCase(Exception):
    """A case that is not written as cases are. Says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Case:
    """One case file. `input` is what the operation takes: fields, a reference, the name of a setting."""

    name: str
    title: str
    why: str
    operation: str
    expect: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    token: str = ""
    idempotency_key: str = ""
    now: str = ""
    input: Any = None
    exchanges: Sequence[Mapping[str, Any]] = ()


@dataclass(slots=True)
class Played:
    """What came of a case: how it differs from what was expected, and what an attempt would keep of it."""

    differences: list[str]
    log: list[Exchange]
    requests: list[Request]
    result: Any = None


def load_cases(folder: Path) -> list[Case]:
    """The cases of a connector's folder, by file name; BadCase names the file that can't be read."""
    cases = []
    for file in sorted((folder / "cases").glob("*.json")):
        try:
            cases.append(read_case(file.stem, json.loads(file.read_text("utf-8"))))
        except (ValueError, BadCase) as error:
            raise BadCase(f"{file}: {error}") from error
    return cases


def read_case(name: str, data: Any) -> Case:
    """A case from its JSON; BadCase where something is missing or misspelt."""
    if not isinstance(data, dict):
        raise BadCase("a case is an object.")
    if strange := set(data) - set(Case.__dataclass_fields__):
        raise BadCase(f"unknown keys: {', '.join(sorted(strange))}.")
    for key in ("title", "why", "operation", "expect"):
        if not data.get(key):
            raise BadCase(f"“{key}” is missing or empty.")
    if data["operation"] not in OPERATIONS:
        raise BadCase(f"operation is one of {', '.join(OPERATIONS)}.")
    if len(set(data["expect"]) & _EXPECTED) == 0:
        raise BadCase(f"expect says one of {', '.join(sorted(_EXPECTED))}.")
    return Case(name=name, **{key: value for key, value in data.items() if key != "name"})


def play(connector: Connector, case: Case) -> Played:
    """Run a case's operation with the answers that it has; nothing is sent anywhere."""
    played = Played([], [], [])
    exchanges = list(case.exchanges)

    def send(request: Request) -> Response:
        played.requests.append(request)
        number = len(played.requests)
        if number > len(exchanges):
            played.differences.append(
                f"request {number} ({request.method} {request.url}) is one more than the case has"
            )
            raise NoAnswer("The case has no answer for it.", sent=False)
        exchange = exchanges[number - 1]
        played.differences += _request_differences(exchange.get("request", {}), request, f"request {number}")
        return _answer(exchange)

    try:
        if case.operation == "receive":
            played.result = _receive(connector, case)
        elif case.operation == "wants":
            played.result = _wants(connector, case)
        else:
            played.result = run(_flow(connector, case), send, played.log)
        actual = _as_data(case.operation, played.result)
    except ConnectorError as error:
        played.result = error
        actual = {
            "error": {
                "message": error.message,
                "field": error.field,
                "passing": error.passing,
                "renew_token": error.renew_token,
                "after_s": error.after_s,
            }
        }
    except NoAnswer as silence:
        played.result = silence
        actual = {"no_answer": {"message": str(silence), "sent": silence.sent}}
    if len(played.requests) < len(exchanges):
        played.differences.append(f"{len(exchanges)} requests were expected, {len(played.requests)} were made")
    played.differences += _differences(case.expect, actual, "expect")
    return played


def call_of(connector: Connector, case: Case) -> Call:
    """What the connector sees of a case; environment keys that the case leaves out are empty, `now` stops the clock."""
    environment = dict.fromkeys(connector.manifest.environment, "") | dict(case.environment)
    call = Call(case.settings, environment, case.token, case.idempotency_key)
    return replace(call, now=partial(dt.datetime.fromisoformat, case.now)) if case.now else call


def payload_of(connector: Connector, case: Case) -> Payload:
    """The payload of a deliver case: {"fields" or "data", "test"}, or the fields alone."""
    given = case.input or {}
    # A connector of leads and events has its cases of leads without a word, and those of events with `kind`.
    kind: Any = max(connector.manifest.accepts, key=("status", "event", "lead").index)
    if given.keys() & {"fields", "data", "test", "kind"}:
        return Payload(**{"kind": kind, **given})
    return Payload(kind=kind, fields=given)


def _flow(connector: Connector, case: Case) -> Flow[Any]:
    call = call_of(connector, case)
    if case.operation == "deliver":
        return connector.deliver(call, payload_of(connector, case))
    step = getattr(connector, case.operation)
    if step is None:
        raise BadCase(f"{connector.manifest.slug} has no {case.operation}.")
    flow: Flow[Any] = step(call, *step_arguments(case))
    return flow


def step_arguments(case: Case) -> tuple[Any, ...]:
    """What a step is given beside the call."""
    if case.operation == "rule_values":
        return str(case.input["rule"]), str(case.input.get("behind", ""))
    return (case.input,) if case.operation in ("options", "poll") else ()


def _receive(connector: Connector, case: Case) -> Any:
    if connector.receive is None:
        raise BadCase(f"{connector.manifest.slug} has no receive.")
    return connector.receive(case.input["action"], case.input.get("form", {}))


def _wants(connector: Connector, case: Case) -> str:
    if connector.wants is None:
        raise BadCase(f"{connector.manifest.slug} has no wants.")
    return connector.wants(call_of(connector, case), payload_of(connector, case))


def _answer(exchange: Mapping[str, Any]) -> Response:
    if silence := exchange.get("no_answer"):
        if silence.get("not_called"):
            raise NotCalled(silence.get("message", "The address is not called."))
        raise NoAnswer(silence.get("message", "They did not answer."), sent=bool(silence.get("sent", True)))
    answer = exchange["response"]
    body = json.dumps(answer["json"]) if "json" in answer else answer.get("text", "")
    headers = {name.lower(): str(value) for name, value in answer.get("headers", {}).items()}
    return Response(answer["status"], headers, body.encode(), cut=answer.get("cut", False))


def _request_differences(expected: Mapping[str, Any], request: Request, where: str) -> Iterator[str]:
    """What is named is compared; query, form and json whole, headers by those that are named."""
    parts = urlsplit(request.url)
    actual = {
        "method": request.method,
        "url": request.url,
        "host": parts.netloc,
        "path": parts.path,
        "query": dict(request.query),
        "form": dict(request.form or ()),
        "json": request.json,
        "bearer": request.bearer,
        "budget": request.budget,
    }
    headers = {name.lower(): value for name, value in request.headers.items()}
    for key, value in expected.items():
        if key == "headers":
            for name, text in value.items():
                yield from _differences(text, headers.get(name.lower()), f"{where}, header {name}")
        elif key not in actual:
            yield f"{where}: “{key}” is nothing that a request has"
        elif actual[key] != value:
            yield f"{where}, {key}: expected {value!r}, was {actual[key]!r}"


def _as_data(operation: str, result: Any) -> dict[str, Any]:
    plain = _plain(result)
    if operation == "deliver":
        return {**plain, "outcome": plain["kind"]}
    if operation == "authenticate":
        return {"token": plain["value"], "expires_in_s": plain["expires_in_s"]}
    if operation == "wants":
        return {"wanted": not plain, "why": plain}
    names = {
        "options": "choices",
        "discover": "form",
        "rules": "rules",
        "rule_values": "page",
        "poll": "verdict",
        "receive": "verdict",
        "check": "ok",
    }
    return {names[operation]: True if operation == "check" else plain}


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {key: _plain(each) for key, each in asdict(value).items()}
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, StrEnum):
        return value.value
    return value.isoformat() if isinstance(value, dt.datetime) else value


def _differences(expected: Any, actual: Any, where: str) -> Iterator[str]:
    """Objects by the keys that are expected, lists and the rest whole; a key x_has asks for a part of the text x."""
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        for key, value in expected.items():
            if key.endswith("_has") and key not in actual:
                text = str(actual.get(key.removesuffix("_has")))
                if value not in text:
                    yield f"{where}.{key}: expected {value!r} in {text!r}"
            elif key not in actual:
                yield f"{where}.{key}: expected {value!r}, came to {actual!r}"
            else:
                yield from _differences(value, actual[key], f"{where}.{key}")
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for place, (left, right) in enumerate(zip(expected, actual, strict=True)):
            yield from _differences(left, right, f"{where}[{place}]")
    elif expected != actual:
        yield f"{where}: expected {expected!r}, was {actual!r}"
