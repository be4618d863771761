"""The shapes and words that partners' clients know, in one place (facts, sections 2 to 7)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from leads.catalog import LinkEntry
from leads.forms import CompiledForm, FieldError, FieldSpec
from leads.models.form import SYNC_SUBDOMAIN_NAME, SYNC_TOKEN_NAME, FieldType
from leads.web import Refusal, Response, json_response, refusal, text_response

CREATED = "Lead was created successfully"
PENDING = "Lead has not been processed yet"
# How a client learns that a repeated submit with the same Idempotency-Key makes one lead.
HONOURED = {"Idempotency-Key-Honoured": "true"}


def access_denied() -> Refusal:
    return refusal(401, "Access denied.", {"WWW-Authenticate": "Bearer"})


def not_allowed() -> Refusal:
    """A good token of somebody who may not do this."""
    return refusal(403, "Access denied.")


def publisher_not_found() -> Refusal:
    return refusal(404, "Publisher not found")


def not_found() -> Refusal:
    """For what an address names and is not there: plain text (facts, section 7)."""
    return Refusal(text_response("404 Not Found", 404))


def campaign_inactive() -> Refusal:
    # The code is a string and the words stand under "error": facts, section 7.
    return Refusal(json_response({"code": "403", "error": "Campaign is inactive"}, 403))


def validation_failed(errors: Iterable[FieldError]) -> Refusal:
    data = [{"fieldName": e.name, "message": e.message} if e.name else {"message": e.message} for e in errors]
    return Refusal(json_response({"code": 400, "message": "Validation failed", "data": data}, 400))


def key_reused() -> Refusal:
    return refusal(422, "This Idempotency-Key came before, with another lead.")


def created(lead_id: int, *, status_key: str) -> Response:
    """201. The publisher API says `status`, the campaign webhook `code` (facts, sections 4 and 6)."""
    return json_response({"data": lead_id, "message": CREATED, status_key: 201}, 201)


def links_list(links: Iterable[LinkEntry]) -> Response:
    return json_response([link._asdict() for link in links])


def fields_as_strings(forms: Iterable[CompiledForm]) -> Response:
    return _forms_list(forms, lambda form: list(form.inputs))


def fields_as_objects(forms: Iterable[CompiledForm], *, sync_inputs: bool) -> Response:
    """The v2 list: `key`, `hidden` and `required` as documented; label, type, choices and longest length are ours."""
    tags = _SYNC_INPUTS if sync_inputs else []
    return _forms_list(forms, lambda form: [item for spec in form.fields for item in _field_objects(spec)] + tags)


def _forms_list(forms: Iterable[CompiledForm], fields: Any) -> Response:
    data = [{"formName": form.name, "formId": form.id, "fields": fields(form)} for form in forms]
    return json_response(data, headers=HONOURED)


_SYNC_INPUTS: list[dict[str, Any]] = [
    {
        "key": f"form[{name}]",
        "hidden": True,
        "required": False,
        "label": label,
        "type": "hidden",
        "choices": [],
        "sync": role,
    }
    for name, label, role in (
        (SYNC_TOKEN_NAME, "Sync token", "token"),
        (SYNC_SUBDOMAIN_NAME, "Sync subdomain", "subdomain"),
    )
]


def _field_objects(spec: FieldSpec) -> Sequence[dict[str, Any]]:
    choices = [{"value": c["value"], "label": c.get("label") or c["value"]} for c in spec.choices]
    item: dict[str, Any] = {
        "key": f"form[{spec.name}]",
        "hidden": spec.type == FieldType.HIDDEN,
        "required": spec.required,
        "label": spec.label or spec.name,
        "type": spec.type,
        "choices": choices,
    }
    if spec.type == FieldType.OPTIN:
        terms = {**item, "key": f"{item['key']}[terms]", "choices": _YES_NO}
        contact_types = {
            **item,
            "key": f"{item['key']}[contactTypes]",
            "required": False,
            "label": f"{item['label']}: contact types",
        }
        return [terms, contact_types]
    if spec.max_length is not None:
        item["maxLength"] = spec.max_length
    return [item]


_YES_NO = [{"value": "1", "label": "Yes"}, {"value": "0", "label": "No"}]
