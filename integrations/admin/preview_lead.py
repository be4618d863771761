"""The real lead that the Configure page tries a mapping on: the newest, or the one that was chosen."""

from __future__ import annotations

from django.http import HttpRequest

from integrations.models import Integration
from leads.models import Lead
from leads.rights import may_see_personal_data

RECENT = 20
_NAMES = ("firstName", "first_name", "name", "email")


def lead_chosen(request: HttpRequest, integration: Integration) -> int:
    """Its id; 0 where the campaign has no lead yet. One of another campaign is none of ours."""
    asked = request.POST.get("lead") or request.GET.get("lead") or ""
    leads = Lead.objects.filter(campaign=integration.campaign_id)
    if asked.isascii() and asked.isdigit() and len(asked) < 19:
        found = leads.filter(pk=int(asked)).values_list("pk", flat=True).first()
        if found:
            return found
    return leads.order_by("-id").values_list("pk", flat=True).first() or 0


def lead_choices(request: HttpRequest, integration: Integration) -> list[tuple[int, str]]:
    """The newest leads, and the chosen one where it is older: id and what it is known by."""
    leads = Lead.objects.filter(campaign=integration.campaign_id).order_by("-id")
    clear = may_see_personal_data(request.user)
    found = [(pk, _label(pk, values if clear else {})) for pk, values in leads.values_list("pk", "values")[:RECENT]]
    chosen = lead_chosen(request, integration)
    if chosen and chosen not in dict(found):
        found += [
            (pk, _label(pk, values if clear else {}))
            for pk, values in leads.filter(pk=chosen).values_list("pk", "values")
        ]
    return found


def _label(pk: int, values: dict[str, str]) -> str:
    known = [str(values[name]) for name in _NAMES if values.get(name)][:2]
    return f"#{pk} {', '.join(known)}".strip()[:60]
