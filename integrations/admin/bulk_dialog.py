"""The page between choosing rows and working on them: it asks once, and says what would happen before it does.

Its address holds what was chosen (`ids`, or `all` with the filters of the list), so that it can be reloaded, and an error
loses nothing of what was typed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import path, reverse

from integrations.admin.bulk_forms import Asking
from integrations.bulk import DELIVERY_ACTIONS, LEAD_ACTIONS, bulk_dry_run, bulk_start
from integrations.handing_over import DELIVER, RESEND
from integrations.models import Integration
from integrations.releasing import release_words
from integrations.selections import DeliverySelection, Selection
from leads.activity import ActivityError
from leads.admin.filters import number
from leads.admin.flagging import counted
from leads.database import uuid7

# Of leads: what goes out at each integration's release rate.
AT_A_RATE = (DELIVER.name, RESEND.name)
SPREAD_SHOWN = 10


def bulk_urls(model_admin: Any, askings: Mapping[str, Asking]) -> list[Any]:
    """One page for each action, under the list of its rows. The admin has `selection(request)`."""

    def page(request: HttpRequest, name: str) -> HttpResponseBase:
        if name not in askings:
            raise Http404(f"There is no action {name}.")
        if not request.user.has_perm(askings[name].right):
            raise PermissionDenied
        return _page(model_admin, request, askings[name])

    opts = model_admin.opts
    name = f"{opts.app_label}_{opts.model_name}_bulk"
    return [path("bulk/<slug:name>/", model_admin.admin_site.admin_view(page), name=name)]


def bulk_actions(askings: Mapping[str, Asking]) -> tuple[Any, ...]:
    """The actions of a list: each leads to its page. Who lacks the right is not offered it."""
    return tuple(_action(asking) for asking in askings.values())


def _action(asking: Asking) -> Any:
    @admin.action(description=f"{asking.title}…")
    def choose(model_admin: Any, request: HttpRequest, queryset: Any) -> HttpResponseBase:
        return HttpResponseRedirect(_address(model_admin, request, asking.name))

    choose.__name__ = asking.name
    return choose


def allowed(askings: Mapping[str, Asking], request: HttpRequest, actions: dict[str, Any]) -> dict[str, Any]:
    """Of a list's actions those that this person has the right to."""
    return {
        name: action
        for name, action in actions.items()
        if name in askings and request.user.has_perm(askings[name].right)
    }


def chosen_ids(request: HttpRequest) -> tuple[int, ...] | None:
    """The ids in the address of an action's page; None where all that match are meant."""
    if "all" in request.GET:
        return None
    return tuple(pk for text in request.GET.get("ids", "").split(",") if (pk := number(text)) is not None)


def _address(model_admin: Any, request: HttpRequest, name: str) -> str:
    opts = model_admin.opts
    query = _filters(request.GET)
    if request.POST.get("select_across") == "1":
        query["all"] = "1"
    else:
        query["ids"] = ",".join(request.POST.getlist(helpers.ACTION_CHECKBOX_NAME))
    page = reverse(f"admin:{opts.app_label}_{opts.model_name}_bulk", args=[name])
    return f"{page}?{query.urlencode(safe=',')}"


def _filters(asked: QueryDict) -> QueryDict:
    query = asked.copy()
    for name in ("ids", "all", "from", "p", "flag"):
        query.pop(name, None)
    return query


def _back(model_admin: Any, request: HttpRequest) -> str:
    opts = model_admin.opts
    ids = chosen_ids(request) or ()
    if request.GET.get("from") == "page" and len(ids) == 1:
        return reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=ids)
    query = _filters(request.GET).urlencode()
    return reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist") + (f"?{query}" if query else "")


def _page(model_admin: Any, request: HttpRequest, asking: Asking) -> HttpResponseBase:
    selection: Selection = model_admin.selection(request)
    action = (DELIVERY_ACTIONS if isinstance(selection, DeliverySelection) else LEAD_ACTIONS).get(asking.name)
    noun = action.noun if action else "lead"
    try:
        rows = selection.deliveries() if isinstance(selection, DeliverySelection) else selection.leads()
        count = rows.count()
    except ActivityError as error:
        messages.error(request, str(error))
        return HttpResponseRedirect(_back(model_admin, request))
    posted = request.POST if request.method == "POST" else None
    more = {"rows": rows} if asking.wants_rows else {}
    form = asking.form(posted, initial={"flag": request.GET.get("flag", "")}, **more)
    only_asking = posted is not None and "HX-Request" in request.headers
    report, asks_for = None, getattr(form, "nothing_to_offer", "")
    if action is not None and count and not asks_for:
        # As it stands: what is filled in, or what it begins with.
        standing = form if form.is_bound else asking.form(_begins_with(form), **more)
        standing.is_valid()
        try:
            report = bulk_dry_run(asking.name, selection, standing.params())
        except ActivityError as error:
            asks_for = str(error)
    if posted is not None and not only_asking and form.is_valid() and count and report and not report.will:
        form.add_error(None, "There is nothing to do: what is chosen can’t be done with any of them.")
    elif posted is not None and not only_asking and form.is_valid() and count:
        try:
            activity = bulk_start(
                asking.name,
                selection,
                form.params(),
                by=request.user.get_username(),
                token=posted.get("token", ""),
                campaign_id=getattr(selection, "campaign_id", None) or _campaign(selection),
            )
        except ActivityError as error:
            form.add_error(None, str(error))
        else:
            return HttpResponseRedirect(reverse("admin:leads_activity_change", args=[activity.pk]))
    context = {
        "asking": asking,
        "noun": noun,
        "count": count,
        "rows_words": counted(count, noun),
        "report": report,
        "will_words": counted(report.will, noun) if report else counted(count, noun),
        "cant": sorted(report.cant.items(), key=lambda reason: -reason[1]) if report else [],
        "cant_count": sum(report.cant.values()) if report else 0,
        "asks_for": asks_for,
        "spread": _spread(asking.name, rows, report.will, standing.params()) if report else [],
    }
    if only_asking:
        return TemplateResponse(request, "console/bulk_dry_run.html", {**context, "oob": True})
    context |= {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": f"{asking.title}: {counted(count, noun)}",
        "form": form,
        "token": (posted.get("token") if posted else "") or uuid7().hex,
        "back": _back(model_admin, request),
        "all_of_them": "all" in request.GET,
    }
    return TemplateResponse(request, "console/bulk.html", context)


def _spread(name: str, rows: QuerySet[Any], will: int, params: Mapping[str, Any]) -> list[str]:
    """How long it takes where what is let out, or sent again, goes at a rate: a line for each integration."""
    counts: dict[int, int] = {}
    if name in DELIVERY_ACTIONS:
        counts = dict(rows.order_by().values_list("integration").annotate(count=Count("pk"))[:SPREAD_SHOWN])
    elif name in AT_A_RATE:
        counts = dict.fromkeys(params.get("integrations", ())[:SPREAD_SHOWN], will)
    found = []
    for integration in Integration.objects.filter(pk__in=counts).order_by("pk"):
        # What can't be done is not counted out for each: at the most so many.
        if words := release_words(min(counts[integration.pk], will), integration):
            found.append(words if len(counts) == 1 else f"{integration.name}: {words}")
    return found


def _campaign(selection: Any) -> int | None:
    search = getattr(selection, "search", None)
    return search.campaign_id if search is not None else None


def _begins_with(form: Any) -> dict[str, Any]:
    return {name: form.get_initial_for_field(box, name) for name, box in form.fields.items()}


def link_to(model: str, name: str, pk: int, **more: str) -> str:
    """The address of an action's page for one row, from the page of that row."""
    return f"{reverse(f'admin:{model}_bulk', args=[name])}?{urlencode({'ids': pk, 'from': 'page', **more})}"
