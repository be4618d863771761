"""Audiences and computed traits: their tab on the campaign, the page of each, and the builder of their rules.

Which destinations are told of them is put together above, in integrations/admin/audiences.py.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from leads import clock
from leads.admin.audience_form import blank, boxes, offers, rule_do, rule_read
from leads.admin.badges import badge, short
from leads.admin.charts import Chart, Series, last_days
from leads.audience_preview import SHOWN, Preview, members_newest, rule_preview
from leads.audiences import audience_change_rule, audience_create, audience_key, audience_switch
from leads.membership import members_count, membership_locked
from leads.models import Audience, AudienceCount, Campaign
from leads.models.audience import KEY_CHARS
from leads.opened import Box, Boxes, Conflict, boxes_conflict, boxes_seal
from leads.rights import masked, masked_email, may_see_personal_data
from leads.rule_checks import rule_checked
from leads.rule_values import number_of
from leads.rule_words import rule_words
from leads.skin import ModelAdmin

CHART_DAYS = 14
MOST_HOURS = 24 * 30
_FREQUENCIES = (("first_sync_minutes", "first_hours"), ("sync_minutes", "later_hours"))


def audience_badge(audience: Audience) -> SafeString:
    if not audience.enabled:
        return badge("Switched off", "off", "It is not kept up to date, and nobody is told of it.")
    if audience.building is not None:
        return badge(f"Computing, {built_percent(audience)} %", "busy")
    return badge("Up to date", "good")


def built_percent(audience: Audience) -> int:
    return min(100, round(100 * audience.built / audience.to_build)) if audience.to_build else 0


def audiences_tab(request: HttpRequest, campaign: Campaign) -> dict[str, Any]:
    """The campaign's audiences and computed traits, for its tab."""
    rows = Audience.objects.filter(campaign=campaign)
    return {
        "rows": [
            {
                "audience": row,
                "badge": audience_badge(row),
                "words": rule_words(row.rule),
                "members": members_count(row),
            }
            for row in rows
        ],
        "can_add": request.user.has_perm("leads.add_audience"),
    }


@admin.register(Audience)
class AudienceAdmin(ModelAdmin):
    """An audience's page. There is no list of all of them: they stand on their campaign's page."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Audience | None = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        wrap, name = self.admin_site.admin_view, "leads_audience_{}".format
        return [
            path("new/<int:campaign_id>/<slug:kind>/", wrap(self.new_view), name=name("new")),
            path("<int:audience_id>/rule/", wrap(self.rule_view), name=name("rule")),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:leads_campaign_changelist"))

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:leads_campaign_changelist"))

    def audience(self, request: HttpRequest, audience_id: int) -> Audience:
        """The audience that a page is about, for those who may see it."""
        found = Audience.objects.select_related("campaign__advertiser").filter(pk=audience_id).first()
        if found is None:
            raise Http404(f"There is no audience {audience_id}.")
        if not self.has_view_or_change_permission(request, found):
            raise PermissionDenied
        return found

    # --- the page of one ------------------------------------------------------------------------------------

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Who is in, since when, how many over time. POST: action on, off, or one that is known above."""
        audience = self.audience(request, int(object_id) if object_id.isdigit() and len(object_id) < 19 else 0)
        if request.method == "POST":
            if not self.has_change_permission(request, audience):
                raise PermissionDenied
            if words := self.do(request, audience, request.POST.get("action", "")):
                self.log_change(request, audience, words)
                messages.success(request, words)
            return HttpResponseRedirect(request.path)
        members = members_count(audience)
        clear = may_see_personal_data(request.user)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": audience,
            "audience": audience,
            "campaign": audience.campaign,
            "title": audience.name,
            "badge": audience_badge(audience),
            "percent": built_percent(audience) if audience.enabled and audience.building is not None else None,
            "words": rule_words(audience.rule),
            "words_in_force": rule_words(audience.rule_in_force) if audience.generation else "",
            "members": members,
            "people": [
                _person(user, value, clear, since, counts=_counts(audience.rule_in_force))
                for _, user, value, since in members_newest(audience)
            ],
            "shown": min(SHOWN, members),
            "charts": [members_chart(audience, members)],
            "may_change": self.has_change_permission(request, audience),
            **self.told(request, audience),
        }
        return TemplateResponse(request, "console/audience.html", context)

    def told(self, request: HttpRequest, audience: Audience) -> dict[str, Any]:
        """What else stands on the page; extended above by the destinations that are told."""
        return {}

    def do(self, request: HttpRequest, audience: Audience, action: str) -> str:
        """Do what a button says; the words for it, "" where nothing was done."""
        if action in ("on", "off"):
            audience_switch(audience, on=action == "on")
            return "Switched on; it is computed anew." if action == "on" else "Switched off."
        return ""

    # --- the builder ----------------------------------------------------------------------------------------

    def new_view(self, request: HttpRequest, campaign_id: int, kind: str) -> HttpResponse:
        campaign = Campaign.objects.select_related("advertiser").filter(pk=campaign_id).first()
        if campaign is None or kind not in Audience.Kind.values:
            raise Http404
        if not request.user.has_perm("leads.add_audience"):
            raise PermissionDenied
        return self._builder(request, campaign, Audience(campaign=campaign, kind=kind, rule=blank(kind)))

    def rule_view(self, request: HttpRequest, audience_id: int) -> HttpResponse:
        audience = self.audience(request, audience_id)
        if not self.has_change_permission(request, audience):
            raise PermissionDenied
        return self._builder(request, audience.campaign, audience)

    def _builder(self, request: HttpRequest, campaign: Campaign, audience: Audience) -> HttpResponse:
        typed = {"name": audience.name, "first_hours": _hours(audience.first_sync_minutes)}
        typed |= {"later_hours": _hours(audience.sync_minutes)}
        rule, do, focus = audience.rule, "", ""
        if request.method == "POST":
            rule, do = rule_read(request.POST, audience.kind), request.POST.get("do", "")
            typed = {name: request.POST.get(name, "") for name in typed}
            focus = rule_do(rule, do)
        clean, errors = rule_checked(rule)
        problems: dict[str, str] = {}
        preview = conflict = None
        opened = request.POST.get("opened_with") or boxes_seal(_boxes(audience)) if audience.pk else ""
        if do in ("save", "merge", "over"):
            problems = _settings(audience, campaign, typed)[1]
            if not errors and not problems:
                conflict = self._save(request, campaign, audience, clean, typed)
                if not isinstance(conflict, Conflict):
                    return conflict
        elif do == "preview" and not errors:
            preview = _shown(rule_preview(campaign, clean, clock.now()), clean, may_see_personal_data(request.user))
        told = errors if do in ("save", "merge", "over", "preview") else {}
        context = {
            **self.admin_site.each_context(request),
            **boxes(rule, told, focus),
            **offers(campaign),
            "opts": self.opts,
            "original": audience if audience.pk else None,
            "audience": audience,
            "campaign": campaign,
            "title": audience.name if audience.pk else f"New {audience.get_kind_display().lower()}",
            "words": rule_words(clean),
            "typed": typed,
            "problems": problems,
            "wrong": len(told) + len(problems),
            "preview": preview,
            "key": audience.key,
            "conflict": conflict,
            "opened_with": opened,
        }
        return TemplateResponse(request, "console/audience_rule.html", context)

    def _save(
        self,
        request: HttpRequest,
        campaign: Campaign,
        audience: Audience,
        rule: dict[str, Any],
        typed: dict[str, str],
    ) -> HttpResponse | Conflict:
        """Saves what was typed and is right; what somebody else changed since the page was opened stops it until decided."""
        with transaction.atomic():
            if audience.pk is not None:
                membership_locked(wait=True)
                audience.refresh_from_db()
                conflict = boxes_conflict(request.POST, audience, _boxes(audience), _boxes(audience, typed, rule))
                if conflict is not None and not (decided := conflict.decided(request.POST)):
                    return conflict
                if conflict is not None and decided == "merge":
                    theirs = {key: values[0] if values else "" for key, values in conflict.merged.items()}
                    rule = json.loads(theirs.pop("rule", "null")) or rule
                    typed = typed | theirs
            minutes, _ = _settings(audience, campaign, typed)
            name = " ".join(typed["name"].split())
            if audience.pk is None:
                audience = audience_create(campaign, audience.kind, name, rule, **minutes)
                self.log_addition(request, audience, f"Made: {rule_words(rule)}")
            else:
                self._change(request, audience, rule, name, minutes)
        messages.success(request, f"{name} is saved.")
        return HttpResponseRedirect(reverse("admin:leads_audience_change", args=[audience.pk]))

    def _change(
        self, request: HttpRequest, audience: Audience, rule: dict[str, Any], name: str, minutes: dict[str, int]
    ) -> None:
        before = (audience.name, audience.first_sync_minutes, audience.sync_minutes)
        changed = audience_change_rule(audience, rule)
        Audience.objects.filter(pk=audience.pk).update(name=name, **minutes)
        said = [f"Rule changed: {rule_words(rule)}"] if changed else []
        if before != (name, *minutes.values()):
            said.append(f"{name}: first sync over {_hours(minutes['first_sync_minutes'])} hours, ")
            said[-1] += f"later ones every {_hours(minutes['sync_minutes'])} hours"
        if said:
            self.log_change(request, audience, "; ".join(said))


def _boxes(audience: Audience, typed: dict[str, str] | None = None, rule: dict[str, Any] | None = None) -> Boxes:
    """What the builder's page says of an audience, box by box."""
    typed = typed or {
        "name": audience.name,
        "first_hours": _hours(audience.first_sync_minutes),
        "later_hours": _hours(audience.sync_minutes),
    }
    rule = audience.rule if rule is None else rule
    labels = {"name": "Name", "first_hours": "First sync over (hours)", "later_hours": "Later syncs every (hours)"}
    said = {name: " ".join(typed[name].replace(",", ".").split()) if name != "name" else typed[name] for name in labels}
    boxes = {name: Box(label, (said[name],), said[name]) for name, label in labels.items()}
    return {**boxes, "rule": Box("Rule", (json.dumps(rule, sort_keys=True),), rule_words(rule))}


def _settings(audience: Audience, campaign: Campaign, typed: dict[str, str]) -> tuple[dict[str, int], dict[str, str]]:
    """Minutes of the syncs, and what is wrong with what was typed beside the rule."""
    problems = {}
    name = " ".join(typed["name"].split())
    if len(name) > KEY_CHARS:
        problems["name"] = f"A name has {KEY_CHARS} letters at most."
    elif audience.pk is None or not name:
        try:
            audience_key(campaign, name)
        except ValueError as error:
            problems["name"] = str(error)
    minutes = {}
    for column, box in _FREQUENCIES:
        hours = number_of(typed[box].replace(",", "."))
        if hours is None or not 0 <= hours <= MOST_HOURS:
            problems[box] = f"Give hours from 0 to {MOST_HOURS}, as in 2.5."
        else:
            minutes[column] = round(hours * 60)
    return minutes, problems


def _hours(minutes: int) -> str:
    return f"{minutes / 60:.4g}"


def _counts(rule: Mapping[str, Any]) -> bool:
    """Whether its values are made of many: how often, and sums. All others are what a person said, number or text."""
    return rule.get("compute", "count") in ("count", "sum")


def _shown(found: Preview, rule: Mapping[str, Any], clear: bool) -> dict[str, Any]:
    people = [_person(user, value, clear, counts=_counts(rule)) for _, user, value in found.some]
    return {"found": found, "people": people}


def _person(user_id: str, value: Any, clear: bool, since: dt.datetime | None = None, *, counts: bool) -> dict[str, Any]:
    hidden = user_id if clear else (masked_email(user_id) if "@" in user_id else masked(user_id))
    said = [str(each) for each in (value if isinstance(value, list) else [value])]
    shown = said if clear or counts else [masked(each) for each in said]
    return {
        "who": short(hidden, 80),
        "value": short(", ".join(shown), 120),
        "since": since,
    }


def members_chart(audience: Audience, now: int) -> Chart:
    """How many were in, day by day; of days nobody counted, as many as the day before."""
    days = last_days(timezone.now().date(), CHART_DAYS)
    counted = dict(AudienceCount.objects.filter(audience=audience, day__gte=days[0]).values_list("day", "members"))
    before = AudienceCount.objects.filter(audience=audience, day__lt=days[0]).order_by("-day").first()
    last: int | None = before.members if before else None
    values: list[float | None] = []
    for day in days:
        last = counted.get(day, last)
        values.append(last)
    if audience.generation:
        values[-1] = now
    word = "With a value" if audience.is_trait else "Members"
    return Chart(
        "members", f"{word} over time", days, [Series(word, "busy", values)], kind="lines", empty="Nobody yet."
    )
