"""Flagging a selection of leads: one page asks for the reason and the comment, once for all of them."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import helpers
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from leads.models import Flag, Lead, ReasonCode
from leads.skin import Select, Textarea, TextInput
from leads.status import FlagChange, leads_flag

OWN_REASON_CHARS = 200
COMMENT_CHARS = 10_000


class FlagForm(forms.Form):
    reason_code = forms.ChoiceField(required=False, label="Reason code", widget=Select)
    own_reason = forms.CharField(
        required=False,
        label="or in your own words",
        max_length=OWN_REASON_CHARS,
        widget=TextInput,
        help_text="Takes the place of the reason code.",
    )
    comment = forms.CharField(
        required=False,
        max_length=COMMENT_CHARS,
        widget=Textarea(attrs={"rows": 3}),
        help_text="Whoever sent the lead reads it.",
    )

    def __init__(self, flag: Flag, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        codes = ReasonCode.objects.filter(flag=flag, active=True)
        choices = [
            ("", "No reason code"),
            *((code.code, f"{code.code} – {code.label}" if code.label else code.code) for code in codes),
        ]
        field = self.fields["reason_code"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices


def flag_selection(model_admin: Any, request: HttpRequest, leads: QuerySet[Lead], flag: Flag) -> HttpResponse:
    """Ask once what to say of these leads; then say it. To be returned by an action of the lead list."""
    form = FlagForm(flag, request.POST if "confirmed" in request.POST else None)
    if form.is_valid():
        return _flag(request, leads, flag, form.cleaned_data)
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": f"Flag {flag.label.lower()}",
        "flag": flag,
        "count": leads.count(),
        "form": form,
        **selection_context(request),
    }
    return TemplateResponse(request, "console/flag.html", context)


def selection_context(request: HttpRequest) -> dict[str, Any]:
    """What a page between an action and its doing has to send along, so that the list finds the same selection again."""
    across = request.POST.get("select_across") == "1"
    selected = request.POST.getlist(helpers.ACTION_CHECKBOX_NAME)
    return {
        "action_name": request.POST.get("action", ""),
        "selected": selected[:1] if across else selected,
        "select_across": "1" if across else "0",
        "back": request.POST.get("back", ""),
        "cancel_url": back_to(request),
    }


def back_to(request: HttpRequest) -> str:
    """Where to go after an action: the list as it was filtered, or the page of the one lead that it was called from."""
    back = request.POST.get("back", "")
    if back.isdigit():
        return reverse("admin:leads_lead_change", args=[back])
    return request.get_full_path()


def counted(number: int, noun: str = "lead") -> str:
    """1 lead, 1,204 leads."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _flag(request: HttpRequest, leads: QuerySet[Lead], flag: Flag, asked: dict[str, str]) -> HttpResponse:
    ids = list(leads.order_by("pk").values_list("pk", flat=True))
    reason = asked["own_reason"].strip() or asked["reason_code"]
    by = request.user.get_username()
    changed = leads_flag(
        {lead_id: FlagChange(flag, reason_code=reason, comment=asked["comment"].strip(), by=by) for lead_id in ids}
    )
    if changed:
        verb = "is" if len(changed) == 1 else "are"
        messages.success(request, f"{counted(len(changed))} {verb} flagged {flag.label.lower()} now.")
    if same := len(ids) - len(changed):
        messages.info(request, f"{counted(same)} said so already: nothing was changed there.")
    return HttpResponseRedirect(back_to(request))
