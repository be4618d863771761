"""The client's forms and links, as bare keys or as objects (facts, sections 2 and 3)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from integrations.connectors.convertr_connect.instance import fields_url, host, links_url, refusal
from integrations.kit.answers import plain_text
from integrations.kit.contract import Call, Choice, ConnectorError, Flow, RemoteField, RemoteForm, Request, Response

# What is longer than the portal keeps is left to it to notice: a list or a value that is cut here would look whole.
MAX_FORMS, MAX_FIELDS, MAX_CHOICES, VALUE_CHARS = 200, 1_000, 20_000, 2_000
_KEY = re.compile(r"form(\[[^\[\]\x00-\x20\x7f]{1,64}\]){1,3}\Z")
_BARE = re.compile(r"[A-Za-z]\w{0,63}\Z")
_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|_+")


@dataclass(frozen=True, slots=True)
class ClientForm:
    """One form of the client's campaign."""

    id: str
    name: str
    fields: tuple[RemoteField, ...]


def fields_request(call: Call) -> Request:
    """Asks for objects; an instance that knows only bare keys gives those."""
    return Request("GET", fields_url(call), query={"list": "v2"}, bearer=call.token)


def client_forms(call: Call, response: Response) -> tuple[ClientForm, ...]:
    """The forms in an answer to fields_request. ConnectorError where it has none that can be read."""
    if response.status != 200:
        raise refusal(call, response)
    data = response.json()
    if not isinstance(data, list) or response.cut:
        raise ConnectorError(
            f"{host(call)} answers, but its list of form fields can't be read. Check the subdomain.", "subdomain"
        )
    forms = tuple(form for item in data[:MAX_FORMS] if (form := _form(item)) is not None)
    if not forms:
        raise ConnectorError("The client's campaign has no form yet. Ask them to add one.", "campaign_id")
    return forms


def chosen_form(call: Call, forms: tuple[ClientForm, ...]) -> ClientForm:
    """The form that the settings name; the only one where they name none yet. ConnectorError about Global Form otherwise."""
    wanted = str(call.settings.get("global_form") or "").strip()
    for form in forms:
        if form.id == wanted:
            return form
    if not wanted and len(forms) == 1:
        return forms[0]
    if wanted:
        raise ConnectorError(
            f"The client's campaign has no form {wanted} any more. Choose the Global Form again.", "global_form"
        )
    raise ConnectorError(f"The client's campaign has {len(forms)} forms. Choose the Global Form.", "global_form")


def discover(call: Call) -> Flow[RemoteForm]:
    """The fields of the chosen form, sync inputs and opt-in inputs included.

    `honours_keys` is said by a header of ours, Idempotency-Key-Honoured; an instance that does not send it keeps no keys.
    """
    response = yield fields_request(call)
    form = chosen_form(call, client_forms(call, response))
    honours_keys = response.headers.get("idempotency-key-honoured", "").strip().lower() == "true"
    return RemoteForm(form.fields, form.name, honours_keys)


def options(call: Call, name: str) -> Flow[tuple[Choice, ...]]:
    """The choices of Global Form and of Link; () for any other setting."""
    if name == "global_form":
        response = yield fields_request(call)
        return tuple(Choice(form.id, _form_label(form)) for form in client_forms(call, response))
    if name == "link":
        response = yield Request("GET", links_url(call), bearer=call.token)
        if response.status != 200:
            raise refusal(call, response)
        data = response.json()
        if not isinstance(data, list):
            raise ConnectorError(f"{host(call)} answers, but its list of links can't be read.", "link")
        return tuple(_links(data))
    return ()


def _form_label(form: ClientForm) -> str:
    count = sum(not field.sync for field in form.fields)
    return f"{form.name} ({count} field{'' if count == 1 else 's'})"


def _links(data: list[Any]) -> Iterator[Choice]:
    for item in data[:MAX_CHOICES]:
        if isinstance(item, dict) and (link_id := _id(item.get("id"))):
            name, channel = plain_text(item.get("name"), 200) or f"Link {link_id}", plain_text(item.get("channel"), 100)
            yield Choice(link_id, f"{name} ({channel})" if channel else name)


def _id(value: Any) -> str:
    text = plain_text(value, 20) if not isinstance(value, float) else ""
    return text if text.isascii() and text.isdigit() and len(text) <= 18 else ""


def _form(item: Any) -> ClientForm | None:
    if not isinstance(item, dict) or not (form_id := _id(item.get("formId"))):
        return None
    found: dict[str, RemoteField] = {}
    listed = item.get("fields")
    for entry in listed[:MAX_FIELDS] if isinstance(listed, list) else ():
        for field in _fields(entry):
            found.setdefault(field.key, field)
    return ClientForm(form_id, plain_text(item.get("formName"), 200) or f"Form {form_id}", tuple(found.values()))


def _fields(entry: Any) -> Iterator[RemoteField]:
    """The inputs of one listed field: itself, or both inputs of an opt-in that is listed as one (facts, section 2)."""
    about: dict[str, Any] = entry if isinstance(entry, dict) else {"key": entry}
    key = _key(about.get("key"))
    if not key:
        return
    required, hidden = about.get("required") in (True, 1, "true", "1"), about.get("hidden") in (True, 1, "true", "1")
    label, kind = plain_text(about.get("label"), 200) or label_of(key), plain_text(about.get("type"), 30) or "text"
    if kind == "optin" and key.count("[") == 1:
        yield RemoteField(f"{key}[terms]", f"{label}: terms", "checkbox", required, hidden)
        yield RemoteField(f"{key}[contactTypes]", f"{label}: contact types", "text", False, hidden)
        return
    longest = about.get("maxLength")
    yield RemoteField(
        key,
        label,
        kind,
        required,
        hidden,
        choices=tuple(_choices(about.get("choices"))),
        max_length=longest if isinstance(longest, int) and not isinstance(longest, bool) and longest > 0 else None,
        sync=str(about.get("sync")) if about.get("sync") in ("token", "subdomain") else "",
    )


def _key(value: Any) -> str:
    if not isinstance(value, str):
        return ""
    if _KEY.match(value) and value.isprintable():
        return value
    # The post needs the wrapper, so a bare name gets one.
    return f"form[{value}]" if _BARE.match(value) else ""


def label_of(key: str) -> str:
    """Words from a bare key: form[firstName] is First name, form[optin][contactTypes] is Optin contact types."""
    words = _HUMPS.sub(" ", key.removeprefix("form").replace("][", " ").strip("[]")).split()
    text = " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in words)
    return text[:1].upper() + text[1:]


def _choices(listed: Any) -> Iterator[Choice]:
    seen: set[str] = set()
    for item in listed[:MAX_CHOICES] if isinstance(listed, list) else ():
        about = item if isinstance(item, dict) else {"value": item}
        value = plain_text(about.get("value"), VALUE_CHARS)
        if value and value not in seen:
            seen.add(value)
            yield Choice(value, plain_text(about.get("label"), 500) or value)
