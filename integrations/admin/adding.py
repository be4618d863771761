"""Adding a row to a campaign's Processr: the box under [+ Add] that filters as one types, and the plain page behind it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import Max, Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from integrations.judging.arranging import job_add, name_free
from integrations.kit.job_registry import job_kinds_find
from integrations.kit.jobs import Tab
from integrations.kit.registry import connectors, find
from integrations.models import Integration
from leads.models import Campaign

SEARCH_CHARS = 100


class Manifest(Protocol):
    """What a connector's manifest and that of a kind of job have both."""

    @property
    def slug(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def summary(self) -> str: ...
    @property
    def former_names(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Offer:
    """What can be added, as the box shows it: its mark (two letters on a colour of its own), its name, and one line."""

    manifest: Manifest
    letters: str
    hue: int

    @property
    def also(self) -> str:
        """What it was called before, for those who know it by that name."""
        former = [name for name in self.manifest.former_names if len(name) > 4]
        return f"Formerly {former[0]}." if former else ""


@dataclass(frozen=True, slots=True)
class Shelf:
    """What the box of one tab offers. `key` is the tab's word in addresses, `noun` what is chosen.

    `find` has what is offered for a text, the best match first; `add` makes the row, or raises KeyError for a slug that is
    not on offer.
    """

    key: str
    title: str
    noun: str
    right: str
    find: Callable[[str], Sequence[Manifest]]
    add: Callable[[Campaign, str], Model]
    change: str
    """The name of the address of Configure."""


def offer(manifest: Manifest) -> Offer:
    words = manifest.name.split()
    letters = "".join(word[0] for word in words[:2]) if len(words) > 1 else manifest.name[:2]
    hue = int.from_bytes(hashlib.sha256(manifest.slug.encode()).digest()[:2]) % 360
    return Offer(manifest, letters.upper(), hue)


def shelf_context(shelf: Shelf, text: str = "") -> dict[str, Any]:
    """What the box shows for what was typed."""
    return {"shelf": shelf, "offers": [offer(each) for each in shelf.find(text[:SEARCH_CHARS])], "q": text}


def add_page(model_admin: Any, request: HttpRequest, campaign: Campaign, shelf: Shelf) -> HttpResponse:
    """What is on offer, filtered; POST makes the row (`offer`, or the first of those that match q)."""
    if not request.user.has_perm(shelf.right):
        raise PermissionDenied
    text = (request.POST if request.method == "POST" else request.GET).get("q", "")[:SEARCH_CHARS]
    if request.method == "POST" and (slug := _chosen(request, shelf, text)):
        try:
            made = shelf.add(campaign, slug)
        except KeyError:
            raise Http404(f"There is no {shelf.noun} {slug}.") from None
        model_admin.log_addition(request, made, [{"added": {}}])
        return HttpResponseRedirect(reverse(shelf.change, args=[made.pk]))
    context = {**shelf_context(shelf, text), "campaign": campaign}
    if request.headers.get("HX-Request"):
        return TemplateResponse(request, "console/campaign/offers.html", context)
    return model_admin.tab(request, campaign, "processr", {**context, "page": "add"})  # type: ignore[no-any-return]


def _chosen(request: HttpRequest, shelf: Shelf, text: str) -> str:
    if slug := request.POST.get("offer", ""):
        return slug
    matching = shelf.find(text) if text.strip() else ()
    return matching[0].slug if matching else ""


def _connectors_found(text: str) -> Sequence[Manifest]:
    return [connector.manifest for connector in find(text)]


def _kinds_found(tab: Tab) -> Callable[[str], Sequence[Manifest]]:
    def find_kinds(text: str) -> Sequence[Manifest]:
        return [kind.manifest for kind in job_kinds_find(text, tab)]

    return find_kinds


def integration_add(campaign: Campaign, slug: str) -> Integration:
    """A new integration under the connector's name, with a number where that is taken; last in the campaign's order."""
    connector = connectors()[slug]
    if not connector.manifest.offered:
        raise KeyError(slug)
    while True:
        rows = Integration.objects.filter(campaign=campaign)
        taken = set(rows.values_list("name", flat=True))
        last = rows.aggregate(last=Max("position"))["last"] or 0
        made = Integration(
            campaign=campaign,
            connector=connector.manifest.slug,
            name=name_free(connector.manifest.name, taken),
            position=last + 1,
        )
        try:
            with transaction.atomic():
                made.save(force_insert=True)
        except IntegrityError:
            continue  # somebody else took the name in this moment
        return made


INTEGRATIONS = Shelf(
    key="integrations",
    title="Add an integration",
    noun="connector",
    right="integrations.add_integration",
    find=_connectors_found,
    add=integration_add,
    change="admin:integrations_integration_change",
)


def _jobs(key: str, title: str, tab: Tab) -> Shelf:
    return Shelf(key, title, "job", "integrations.add_job", _kinds_found(tab), job_add, "admin:integrations_job_change")


SHELVES = {
    shelf.key: shelf
    for shelf in (
        _jobs("quality-assurance", "Add a quality job", "quality"),
        _jobs("enrichment", "Add an enrichment job", "enrichment"),
        INTEGRATIONS,
    )
}
