"""Sources of a campaign: their keys, the snippet to paste, and what comes in, as it comes.

What became of events is put together above, in integrations/admin/sources.py.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, Subquery
from django.db.models.fields.json import KeyTextTransform
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from leads.admin.badges import SHAPES, badge, short
from leads.admin.lead_events import lead_events_form
from leads.history import record
from leads.models import Campaign, Event, PersonEvent, Source
from leads.rights import masked, masked_email, may_see_personal_data
from leads.skin import ModelAdmin
from leads.tracking.lead_events import NOBODY, lead_of_event
from leads.tracking.snippet import snippet
from leads.tracking.sources import OVERLAP_HOURS, key_rotate

EVENTS_SHOWN = 50
MESSAGE_CHARS = 40_000
NAME_CHARS = 200


def source_badge(source: Source) -> SafeString:
    return badge("Takes events", "good") if source.enabled else badge("Switched off", "off")


def source_snippet(source: Source) -> str:
    """What is pasted into the pages of a site."""
    return snippet(settings.INSTANCE_URL, source.write_key)


def sources_tab(request: HttpRequest, campaign: Campaign) -> dict[str, Any]:
    """The campaign's sources, for its tab."""
    # The newest by its id: found at the end of an index, however many events are kept.
    newest = Event.objects.filter(source=OuterRef("pk")).order_by("-pk").values("received_at")[:1]
    rows = Source.objects.filter(campaign=campaign).annotate(latest=Subquery(newest))
    return {
        "rows": [{"source": row, "badge": source_badge(row), "latest": row.latest} for row in rows],
        "can_add": request.user.has_perm("leads.add_source"),
        "lead_events": lead_events_form(campaign),
        "can_change": request.user.has_perm("leads.change_source"),
    }


def source_add(request: HttpRequest, campaign: Campaign) -> HttpResponse:
    """Make a source of the posted name, and show it."""
    if not request.user.has_perm("leads.add_source"):
        raise PermissionDenied
    name = " ".join(request.POST.get("name", "").split())[:NAME_CHARS]
    if not name or Source.objects.filter(campaign=campaign, name=name).exists():
        messages.error(request, "Give it a name." if not name else f"There is a source named {name} already.")
        return HttpResponseRedirect(reverse("admin:leads_campaign_sources", args=[campaign.pk]))
    made = Source.objects.create(campaign=campaign, name=name)
    record(request.user, made, [{"added": {}}])
    return HttpResponseRedirect(reverse("admin:leads_source_change", args=[made.pk]))


@admin.register(Source)
class SourceAdmin(ModelAdmin):
    """A source's page. There is no list of all of them: they stand on their campaign's page."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Source | None = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        wrap, name = self.admin_site.admin_view, "leads_source_{}".format
        return [
            path("<int:source_id>/events/", wrap(self.events_view), name=name("events")),
            path("<int:source_id>/events/<int:event_id>/", wrap(self.event_view), name=name("event")),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:leads_campaign_changelist"))

    def outcomes(self, request: HttpRequest, event_ids: Sequence[int]) -> dict[int, list[dict[str, str]]]:
        """What became of routed events at each destination; extended above by what is known of deliveries."""
        return {}

    def source(self, request: HttpRequest, source_id: int) -> Source:
        """The source that a page is about, for those who may see it."""
        found = Source.objects.select_related("campaign__advertiser").filter(pk=source_id).first()
        if found is None:
            raise Http404(f"There is no source {source_id}.")
        if not self.has_view_or_change_permission(request, found):
            raise PermissionDenied
        return found

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Snippet, key, test and live view. POST: action rotate, on, off or rename."""
        source = self.source(request, int(object_id) if object_id.isdigit() and len(object_id) < 19 else 0)
        if request.method == "POST":
            if not self.has_change_permission(request, source):
                raise PermissionDenied
            return self._do(request, source)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": source,
            "source": source,
            "campaign": source.campaign,
            "title": source.name,
            "badge": source_badge(source),
            "snippet": source_snippet(source),
            "endpoint": f"{settings.INSTANCE_URL}/v1/batch",
            "may_change": self.has_change_permission(request, source),
            "may_see_events": request.user.has_perm("leads.view_event"),
            "overlap_hours": OVERLAP_HOURS,
            "overlaps": source.previous_until is not None and source.previous_until > timezone.now(),
        }
        return TemplateResponse(request, "console/source.html", context)

    def _do(self, request: HttpRequest, source: Source) -> HttpResponse:
        action = request.POST.get("action")
        if action == "rotate":
            key = key_rotate(source)
            words = f"Write key changed; the new one ends in {key[-4:]}."
        elif action in ("on", "off"):
            source.enabled = action == "on"
            source.save(update_fields=["enabled"])
            words = "Switched on." if source.enabled else "Switched off: it takes no events."
        elif action == "rename" and (name := " ".join(request.POST.get("name", "").split())[:NAME_CHARS]):
            if Source.objects.filter(campaign=source.campaign_id, name=name).exclude(pk=source.pk).exists():
                messages.error(request, f"There is a source named {name} already.")
                return HttpResponseRedirect(request.path)
            source.name = name
            source.save(update_fields=["name"])
            words = f"Renamed to {name}."
        else:
            return HttpResponseRedirect(request.path)
        self.log_change(request, source, words)
        messages.success(request, words)
        return HttpResponseRedirect(request.path)

    # --- what comes in --------------------------------------------------------------------------------------

    def events_view(self, request: HttpRequest, source_id: int) -> HttpResponse:
        """The last events as JSON, newest first; `first` is the earliest that came after the one whose id is given."""
        source = self.source(request, source_id)
        if not request.user.has_perm("leads.view_event"):
            raise PermissionDenied
        after = request.GET.get("after", "")
        rows = list(_shown(source).order_by("-pk")[:EVENTS_SHOWN])
        first = None
        if after.isascii() and after.isdigit() and len(after) < 19:
            first = _shown(source).filter(pk__gt=int(after)).order_by("pk").first()
        told = {row["id"]: row for row in self._told(request, source, [*rows, *([first] if first else [])])}
        return JsonResponse(
            {
                "newest": rows[0].pk if rows else 0,
                "first": told[first.pk] if first else None,
                "events": [told[row.pk] for row in rows],
            }
        )

    def _told(self, request: HttpRequest, source: Source, events: Sequence[Any]) -> list[dict[str, Any]]:
        clear = may_see_personal_data(request.user)
        outcomes = self.outcomes(request, [event.pk for event in events if event.routed])
        return [
            {
                "id": event.pk,
                "at": timezone.localtime(event.received_at).isoformat(),
                "who": short(_who(event.said_user or event.said_visitor or "", clear), 40),
                "known": bool(event.said_user),
                "type": event.get_type_display() or "?",
                "name": short(event.name, 80),
                "became": _became(event, outcomes.get(event.pk, [])),
                "address": reverse("admin:leads_source_event", args=[source.pk, event.pk]),
            }
            for event in events
        ]

    def event_view(self, request: HttpRequest, source_id: int, event_id: int) -> HttpResponse:
        """One event: what was said, and what became of it; in a dialog, or on a page of its own."""
        source = self.source(request, source_id)
        if not request.user.has_perm("leads.view_event"):
            raise PermissionDenied
        event = _shown(source, whole=True).filter(pk=event_id).first()
        if event is None:
            raise Http404(f"There is no event {event_id}.")
        clear = may_see_personal_data(request.user)
        message = json.dumps(event.data, indent=2, ensure_ascii=False) if clear else ""
        outcomes = self.outcomes(request, [event.pk] if event.routed else [])
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": source,
            "title": f"Event {event.pk}",
            "source": source,
            "event": event,
            "who": _who(event.user_id or event.anonymous_id, clear),
            "became": _became(event, outcomes.get(event.pk, [])),
            "message": message[:MESSAGE_CHARS],
            "cut": len(message) > MESSAGE_CHARS,
            "clear": clear,
            "lead_id": lead_of_event(source.campaign_id, event.data)
            if request.user.has_perm("leads.view_lead")
            else None,
        }
        template = (
            "console/source_event.html" if request.headers.get("HX-Request") else "console/source_event_page.html"
        )
        return TemplateResponse(request, template, context)


def _shown(source: Source, *, whole: bool = False) -> Any:
    """Events of a source with what a row of the live view shows: not their messages, which may be large."""
    rows = Event.objects.filter(source=source).annotate(
        said_user=KeyTextTransform("userId", "data"),
        said_visitor=KeyTextTransform("anonymousId", "data"),
        routed=Exists(PersonEvent.objects.filter(event=OuterRef("pk"))),
    )
    return rows if whole else rows.defer("data")


def _who(name: str, clear: bool) -> str:
    if clear or not name:
        return name
    return masked_email(name) if "@" in name else masked(name)


def _became(event: Any, outcomes: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    if event.problem == NOBODY:
        return [outcome("", "Nobody known", "off", event.problem)]
    if event.problem:
        return [outcome("", "Not taken", "bad", event.problem)]
    if event.said_user is None and event.said_visitor is None:
        return [outcome("", "Erased", "off", "What it said of a person was erased.")]
    if not event.routed:
        return [outcome("", "Just in", "busy", "")]
    return list(outcomes) or [outcome("", "No destination", "off", "No integration of the campaign takes events.")]


def outcome(where: str, word: str, tone: str, reason: str, address: str = "") -> dict[str, str]:
    """What became of an event at a destination, as the live view shows it; `tone` is a key of SHAPES."""
    return {
        "where": short(where, 40),
        "word": word,
        "tone": tone,
        "shape": SHAPES[tone],
        "reason": short(reason, 160),
        "address": address,
    }
