"""Edit and send again: a refused lead's values beside the client's words, mended and sent under a new key."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from integrations.admin.badges import delivery_badge
from integrations.mending import Box, MendError, delivery_mend, mend_boxes, mendable, waits_for_it
from integrations.models import Delivery
from leads.rights import may_see_personal_data
from leads.skin import Select, Textarea, TextInput

TITLE = "Edit and send again"
RIGHTS = ("leads.change_lead", "integrations.change_delivery")
LONG = 120


class MendForm(forms.Form):
    """One box for each value; the client's words stand at the box of the value that they are about."""

    def __init__(self, boxes: list[Box], data: Any = None) -> None:
        super().__init__(data, prefix="value")
        self.boxes = boxes
        for place, box in enumerate(boxes):
            self.fields[str(place)] = forms.CharField(
                label=box.label, required=False, initial=box.value, strip=True, widget=_widget(box)
            )

    def values(self) -> dict[str, str]:
        return {box.key: self.cleaned_data[str(place)] for place, box in enumerate(self.boxes)}

    def refuse(self, problems: dict[str, str]) -> None:
        for place, box in enumerate(self.boxes):
            if box.key in problems:
                self.add_error(str(place), problems[box.key])

    @property
    def lines(self) -> list[tuple[Box, forms.BoundField]]:
        return [(box, self[str(place)]) for place, box in enumerate(self.boxes)]


def _widget(box: Box) -> Any:
    if box.choices:
        offered = [("", "–"), *box.choices]
        if box.value and box.value not in dict(box.choices):
            offered.append((box.value, f"{box.value} (no choice of this field)"))
        return Select(choices=offered)
    if len(box.value) > LONG:
        return Textarea(attrs={"rows": 4})
    return TextInput(attrs={"autocomplete": "off", "spellcheck": "false"})


def may_mend(user: Any) -> bool:
    return user.has_perms(RIGHTS) and may_see_personal_data(user)


def mend_link(delivery: Delivery) -> str:
    return reverse("admin:integrations_delivery_mend", args=[delivery.pk])


def mend_page(model_admin: Any, request: HttpRequest, delivery_id: int) -> HttpResponse:
    """The page, and what its button does."""
    rows = Delivery.objects.select_related("integration__campaign", "lead__form")
    delivery = rows.filter(pk=delivery_id, integration__managed=False).first()
    if delivery is None or delivery.lead is None:
        raise Http404(f"There is no delivery {delivery_id} of a lead.")
    if not may_mend(request.user):
        raise PermissionDenied
    here = reverse("admin:integrations_delivery_change", args=[delivery.pk])
    if not mendable(delivery):
        messages.warning(request, "It can’t be mended and sent again as it stands now.")
        return HttpResponseRedirect(here)
    form = MendForm(mend_boxes(delivery), request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            sent = delivery_mend(delivery.pk, form.values(), by=request.user.get_username())
        except MendError as error:
            form.refuse(error.problems)
            messages.error(request, f"Nothing is saved or sent. {error}")
            if not error.problems:
                return HttpResponseRedirect(here)
        else:
            waits = waits_for_it(delivery)
            messages.success(request, waits or f"On its way to {delivery.integration.name} again.")
            return HttpResponseRedirect(reverse("admin:integrations_delivery_change", args=[sent]))
    about = {box.said for box in form.boxes if box.said}
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "original": delivery,
        "title": f"{TITLE}: lead {delivery.lead_id} to {delivery.integration.name}",
        "delivery": delivery,
        "state_badge": delivery_badge(delivery),
        "form": form,
        # What the client says of no value that is here: of the lead as a whole, or of a field with a fixed value.
        "others": [problem for problem in delivery.problems if str(problem[-1]) not in about],
        "waits": waits_for_it(delivery),
        "back": here,
    }
    return TemplateResponse(request, "console/mend.html", context)
