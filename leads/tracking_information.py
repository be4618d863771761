"""Tracking Information: what a publisher's programmer needs to send leads to a campaign, with a line that works when pasted.

The same page for staff, who choose the publisher, and for a publisher's own people. A key is shown in the answer that made
it and never again; a rotated one works on for a day.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from leads.access import api_key_issue, api_key_rotate, api_keys_good
from leads.history import record
from leads.models import Campaign, Field, FieldType, Form, Link, Publisher, Source
from leads.tracking.snippet import snippet

GRANT = "https://convertr.cvtr.io/grants/api_key"
VERSION = "2.4"
OVERLAP_HOURS = 24
KEY_PLACE = "YOUR_API_KEY"
PARTNER_KEY_PLACE = "YOUR_PARTNER_KEY"
TABS = (("tracking", "Tracking"), ("credentials", "API Credentials"))
# For staff: what goes on the client's site is none of a publisher's business.
WEBSITE = ("website", "Website")
_SAMPLES = {
    FieldType.EMAIL: "robin@example.com",
    FieldType.TELEPHONE: "(+44)02079460018",
    FieldType.NUMBER: "42",
    FieldType.DATE: "2026-01-31",
    FieldType.CHECKBOX: "1",
}
_NAMES = {
    "firstname": "Robin",
    "lastname": "Example",
    "surname": "Example",
    "company": "Example Ltd",
    "postcode": "SW1A 1AA",
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of the publisher API, as this publisher calls it for this campaign."""

    key: str
    label: str
    method: str
    url: str


@dataclass(slots=True)
class Desk:
    """Who looks at Tracking Information, and of what. `base` is the template of the page around it."""

    request: HttpRequest
    campaign: Campaign
    publisher: Publisher | None
    publishers: Sequence[Publisher]
    may_rotate: bool
    base: str
    back: str
    sources: Sequence[Source] | None = None
    """What goes on a site, for those who may see it."""
    context: dict[str, Any] = field(default_factory=dict)


def tracking_page(desk: Desk) -> HttpResponse:
    """The page, or what goes into the dialog for a request by htmx. POST: action make or rotate, for a new key."""
    request = desk.request
    forms = list(desk.campaign.forms.prefetch_related("fields").order_by("id"))
    asked = request.GET.get("form", "")
    form = next((each for each in forms if str(each.pk) == asked), forms[0] if forms else None)
    new_key = _new_key(desk) if request.method == "POST" else ""
    tab = request.GET.get("tab", TABS[1][0])
    tabs = TABS if desk.sources is None else (*TABS, WEBSITE)
    if tab not in dict(tabs):
        raise Http404
    links = list(desk.campaign.links.all())
    context = {
        **desk.context,
        "title": "Tracking Information",
        "base": desk.base,
        "campaign": desk.campaign,
        "publisher": desk.publisher,
        "publishers": desk.publishers if len(desk.publishers) > 1 else (),
        "forms": forms,
        "form": form,
        "tabs": [(key, name, _address(desk, form, tab=key), key == tab) for key, name in tabs],
        "sources": [(source, snippet(settings.INSTANCE_URL, source.write_key)) for source in desk.sources or ()],
        "tab": tab,
        "address": _address(desk, form, tab=tab),
        "path": request.path,
        "back": desk.back,
        "links": [(link, _posted_to(desk.campaign, desk.publisher, form, link)) for link in links],
        "new_key": new_key,
        "may_rotate": desk.may_rotate,
        "overlap_hours": OVERLAP_HOURS,
    }
    if desk.publisher is not None:
        context |= {
            "keys": api_keys_good(desk.publisher),
            "endpoints": endpoints(desk.campaign, desk.publisher, form) if form else [],
            "curl": curl(desk.campaign, desk.publisher, form, new_key) if form else "",
            "key_place": KEY_PLACE,
        }
    template = "console/tracking_body.html" if request.headers.get("HX-Request") else "console/tracking.html"
    return TemplateResponse(request, template, context)


def endpoints(campaign: Campaign, publisher: Publisher, form: Form) -> list[Endpoint]:
    """The four addresses, in the order in which they are called."""
    base = f"{settings.INSTANCE_URL}/api/v{VERSION}/publisher"
    return [
        Endpoint("token", "Token", "GET", f"{settings.INSTANCE_URL}/oauth/v2/token"),
        Endpoint("fields", "Fields", "GET", f"{base}/fields/{campaign.pk}"),
        Endpoint("links", "Links", "GET", f"{base}/links/{campaign.pk}"),
        Endpoint("lead", "Post a lead", "POST", _posted_to(campaign, publisher, form)),
    ]


def curl(campaign: Campaign, publisher: Publisher, form: Form, key: str = "") -> str:
    """One line for a shell: log in with the key, and post a test lead. Without the key a placeholder stands in its place."""
    token_query = {
        "grant_type": GRANT,
        "client_id": settings.OAUTH_CLIENT_ID,
        "client_secret": settings.OAUTH_CLIENT_SECRET,
        "api_key": key or KEY_PLACE,
    }
    log_in = f"curl -s {shlex.quote(f'{settings.INSTANCE_URL}/oauth/v2/token?{urlencode(token_query)}')}"
    reads = """sed -n 's/.*"access_token": *"\\([^"]*\\)".*/\\1/p'"""
    values = " ".join(f"--data-urlencode {shlex.quote(f'{name}={value}')}" for name, value in sample(form.fields.all()))
    address = shlex.quote(_posted_to(campaign, publisher, form) + "?test=1")
    return f'curl -H "Authorization: Bearer $({log_in} | {reads})" {address} {values}'.rstrip()


def partner_curl(campaign: Campaign, form: Form, example: Mapping[str, Any], key: str = "") -> str:
    """One line for a shell: send a test lead by the partner API. Without the key a placeholder stands in its place."""
    address = f"{settings.INSTANCE_URL}/api/v1/campaigns/{campaign.pk}/forms/{form.pk}/leads?test=true"
    key_header = shlex.quote(f"Authorization: Bearer {key or PARTNER_KEY_PLACE}")
    body = shlex.quote(json.dumps(example, ensure_ascii=False))
    return f"curl -H {key_header} -H 'Content-Type: application/json' {shlex.quote(address)} -d {body}"


def sample(fields: Iterable[Field]) -> list[tuple[str, str]]:
    """Values that a form takes: its required fields, or those that everybody has where it asks for nothing."""
    enabled = [each for each in fields if each.enabled]
    wanted = [each for each in enabled if each.required] or enabled[:4]
    return [
        ("form" + "".join(f"[{part}]" for part in key.split(".")), _sample(each, key))
        for each in wanted
        for key in each.inputs
    ]


def _sample(each: Field, key: str) -> str:
    if each.type == FieldType.OPTIN:
        if key.endswith(".terms"):
            return "1"
        return str(each.choices[0]["value"]) if each.choices else "Email"
    if each.choices:
        return str(each.choices[0]["value"])
    plain = _SAMPLES.get(FieldType(each.type)) or _NAMES.get(each.name.lower().replace("_", ""), "Example")
    if each.min_length and len(plain) < each.min_length:
        plain = plain.ljust(each.min_length, "e" if not plain[-1].isdigit() else "0")
    return plain[: each.max_length] if each.max_length else plain


def _posted_to(campaign: Campaign, publisher: Publisher | None, form: Form | None, link: Link | None = None) -> str:
    if publisher is None or form is None:
        return ""
    base = f"{settings.INSTANCE_URL}/api/v{VERSION}/publisher/{publisher.pk}"
    return f"{base}/forms/{form.pk}/campaign/{campaign.pk}/leads" + (f"?linkId={link.pk}" if link else "")


def _address(desk: Desk, form: Form | None, **more: str) -> str:
    query = dict(more)
    if desk.publisher is not None and len(desk.publishers) > 1:
        query["publisher"] = str(desk.publisher.pk)
    if form is not None and "form" in desk.request.GET:
        query["form"] = str(form.pk)
    return f"{desk.request.path}?{urlencode(query)}"


def _new_key(desk: Desk) -> str:
    if desk.publisher is None or not desk.may_rotate:
        raise PermissionDenied
    if desk.request.POST.get("action") == "rotate":
        key = api_key_rotate(desk.publisher, overlap_hours=OVERLAP_HOURS)
        words = f"API key rotated; the new one ends in {key[-4:]}."
    else:
        key = api_key_issue(publisher=desk.publisher)
        words = f"API key made; it ends in {key[-4:]}."
    record(desk.request.user, desk.publisher, words)
    return key
