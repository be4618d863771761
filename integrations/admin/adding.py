"""Adding an integration to a campaign: the box under [+ Add] that filters as one types, and the plain page behind it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from integrations.kit.contract import Connector, Manifest
from integrations.kit.registry import connectors, find
from integrations.models import Integration
from leads.models import Campaign

SEARCH_CHARS = 100
NAME_CHARS = 200


@dataclass(frozen=True, slots=True)
class Offer:
    """A connector as the box shows it: its mark (two letters on a colour of its own), its name, and one line."""

    manifest: Manifest
    letters: str
    hue: int

    @property
    def also(self) -> str:
        """What it was called before, for those who know it by that name."""
        former = [name for name in self.manifest.former_names if len(name) > 4]
        return f"Formerly {former[0]}." if former else ""


def offer(manifest: Manifest) -> Offer:
    words = manifest.name.split()
    letters = "".join(word[0] for word in words[:2]) if len(words) > 1 else manifest.name[:2]
    hue = int.from_bytes(hashlib.sha256(manifest.slug.encode()).digest()[:2]) % 360
    return Offer(manifest, letters.upper(), hue)


def offers(text: str = "") -> list[Offer]:
    """What is on offer for what was typed, the best match first."""
    return [offer(found.manifest) for found in find(text[:SEARCH_CHARS])]


def add_page(model_admin: Any, request: HttpRequest, campaign: Campaign) -> HttpResponse:
    """The list of connectors, filtered; POST makes the integration (connector, or `first` of those that match q)."""
    text = (request.POST if request.method == "POST" else request.GET).get("q", "")[:SEARCH_CHARS]
    found = find(text)
    chosen = _chosen(request, found) if request.method == "POST" else None
    if chosen is not None:
        integration = integration_add(campaign, chosen)
        model_admin.log_addition(request, integration, [{"added": {}}])
        return HttpResponseRedirect(reverse("admin:integrations_integration_change", args=[integration.pk]))
    context = {"offers": [offer(each.manifest) for each in found], "q": text, "campaign": campaign}
    if request.headers.get("HX-Request"):
        return TemplateResponse(request, "console/campaign/offers.html", context)
    return model_admin.tab(request, campaign, "processr", {**context, "page": "add"})  # type: ignore[no-any-return]


def _chosen(request: HttpRequest, found: Sequence[Connector]) -> Connector | None:
    if slug := request.POST.get("connector", ""):
        connector = connectors().get(slug)
        if connector is None or not connector.manifest.offered:
            raise Http404(f"There is no connector {slug}.")
        return connector
    return found[0] if found and request.POST.get("q", "").strip() else None


def integration_add(campaign: Campaign, connector: Connector) -> Integration:
    """A new integration under the connector's name, with a number where that is taken; last in the campaign's order."""
    while True:
        rows = Integration.objects.filter(campaign=campaign)
        taken = set(rows.values_list("name", flat=True))
        last = rows.aggregate(last=Max("position"))["last"] or 0
        made = Integration(
            campaign=campaign,
            connector=connector.manifest.slug,
            name=_free(connector.manifest.name, taken),
            position=last + 1,
        )
        try:
            with transaction.atomic():
                made.save(force_insert=True)
        except IntegrityError:
            continue  # somebody else took the name in this moment
        return made


def _free(name: str, taken: set[str]) -> str:
    name = name[: NAME_CHARS - 5]
    return next(
        each
        for number in range(1, len(taken) + 2)
        if (each := name if number == 1 else f"{name} {number}") not in taken
    )
