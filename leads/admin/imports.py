"""Importing leads from a file: upload it, say what its columns are, and have every row checked. Nothing is taken in here:
that is decided on the page of the check (an activity), which shows the rows that fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse

from leads.activity import ActivityError
from leads.admin.filters import number
from leads.catalog import compiled_form
from leads.database import uuid7
from leads.forms import CompiledForm
from leads.import_files import import_offer, import_problems, import_sample, import_upload, input_labels
from leads.imports import import_check
from leads.models import Campaign, Form, ImportFile
from leads.rights import may_see_personal_data
from leads.skin import Select
from leads.tables import DELIMITERS, ENCODING_WORDS, Unreadable, column_letters

IMPORT = "leads.add_importfile"
SAMPLES = 3


def may_import(user: Any) -> bool:
    """Whether this person may bring leads in from files."""
    return bool(user.has_perm(IMPORT))


def import_urls(model_admin: Any) -> list[Any]:
    def view(function: Any) -> Any:
        def checked(request: HttpRequest, **kwargs: Any) -> HttpResponse:
            if not may_import(request.user):
                raise PermissionDenied
            answer: HttpResponse = function(model_admin, request, **kwargs)
            return answer

        return model_admin.admin_site.admin_view(checked)

    return [
        path("import/", view(_upload), name="leads_lead_import"),
        path("import/<int:file_id>/", view(_columns), name="leads_lead_import_columns"),
    ]


class _Campaigns(forms.ModelChoiceField):  # type: ignore[type-arg]
    def label_from_instance(self, obj: Any) -> str:
        return f"{obj.name} ({obj.advertiser.name})"


class UploadForm(forms.Form):
    campaign = _Campaigns(
        Campaign.objects.none(),
        widget=Select,
        empty_label="Choose…",
        error_messages={"required": "Choose the campaign that these leads are for."},
    )
    file = forms.FileField(
        label="File",
        help_text="CSV or XLSX. The first row names the columns; of a workbook the first sheet is read.",
        widget=forms.FileInput(attrs={"accept": ".csv,.tsv,.txt,.xlsx", "class": "pt-file"}),
        error_messages={"required": "Choose a file.", "empty": "This file is empty."},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        active = Campaign.objects.filter(status=Campaign.Status.ACTIVE).select_related("advertiser").order_by("name")
        box = self.fields["campaign"]
        assert isinstance(box, forms.ModelChoiceField)
        box.queryset = active


def _upload(model_admin: Any, request: HttpRequest) -> HttpResponse:
    form = UploadForm(request.POST or None, request.FILES or None, initial={"campaign": request.GET.get("campaign")})
    if request.method == "POST" and form.is_valid():
        upload = form.cleaned_data["file"]
        try:
            file = import_upload(
                upload, name=upload.name, campaign=form.cleaned_data["campaign"], by=request.user.get_username()
            )
        except Unreadable as error:
            form.add_error("file", str(error))
        else:
            return HttpResponseRedirect(reverse("admin:leads_lead_import_columns", args=[file.pk]))
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": "Import leads",
        "form": form,
    }
    return TemplateResponse(request, "console/import_upload.html", context)


class WhereForm(forms.Form):
    """Whose leads these are, and whether they are real."""

    form = forms.ModelChoiceField(Form.objects.none(), widget=Select, empty_label=None)
    publisher = forms.ModelChoiceField(
        Campaign.objects.none(),
        widget=Select,
        empty_label="Choose…",
        error_messages={"required": "Choose whose leads these are."},
    )
    link = forms.ModelChoiceField(Campaign.objects.none(), widget=Select, empty_label="None", required=False)
    test = forms.BooleanField(required=False, label="These are test leads")

    def __init__(self, campaign: Campaign, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        publishers = campaign.publishers.filter(contracts__active=True, contracts__campaign=campaign, active=True)
        found = {"form": campaign.forms.all(), "publisher": publishers.distinct(), "link": campaign.links.all()}
        for name, queryset in found.items():
            box = self.fields[name]
            assert isinstance(box, forms.ModelChoiceField)
            box.queryset = queryset
        if len(publishers) == 1:
            self.initial.setdefault("publisher", publishers[0].pk)


def _columns(model_admin: Any, request: HttpRequest, file_id: int) -> HttpResponse:
    file = ImportFile.objects.select_related("campaign").filter(pk=file_id).first()
    if file is None or file.campaign is None:
        raise Http404("This file is not kept any more. Upload it again.")
    posted = request.POST if request.method == "POST" else None
    first = file.campaign.forms.order_by("pk").first()
    if first is None:
        raise Http404("This campaign has no form yet.")
    asked = number((posted or request.GET).get("form"))
    chosen = file.campaign.forms.filter(pk=asked).first() if asked else None
    form = compiled_form(file.campaign.pk, (chosen or first).pk)
    if form is None:
        raise Http404("This campaign has no such form.")
    # What was chosen on the page goes before what is offered, as far as it was chosen for this form.
    same = posted is not None and posted.get("mapped_for") == str(form.id)
    mapping = _posted(file, posted) if posted is not None and same else import_offer(file, form)
    where = WhereForm(file.campaign, posted, initial={"form": form.id})
    problems: list[str] = []
    if posted is not None and "show" not in posted and where.is_valid():
        problems = import_problems(file, form, mapping)
        if not problems:
            try:
                activity = import_check(
                    file,
                    form_id=form.id,
                    publisher_id=where.cleaned_data["publisher"].pk,
                    link_id=where.cleaned_data["link"].pk if where.cleaned_data["link"] else None,
                    mapping=mapping,
                    test=where.cleaned_data["test"],
                    by=request.user.get_username(),
                    token=posted.get("token", ""),
                )
            except ActivityError as error:
                problems = [str(error)]
            else:
                return HttpResponseRedirect(reverse("admin:leads_activity_change", args=[activity.pk]))
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": "Import: what the columns are",
        "file": file,
        "written": _written(file),
        "where": where,
        "form_id": form.id,
        "several_forms": where.fields["form"].queryset.count() > 1,  # type: ignore[attr-defined]
        "rows": _rows(request, file, form, mapping),
        "missing": _missing(form, mapping),
        "problems": problems,
        "token": (posted.get("token") if posted else "") or uuid7().hex,
    }
    return TemplateResponse(request, "console/import_columns.html", context)


def _posted(file: ImportFile, posted: Mapping[str, str]) -> dict[str, str]:
    chosen = {column: posted.get(f"column-{place}", "") for place, column in enumerate(file.columns)}
    return {column: key for column, key in chosen.items() if key}


def _rows(
    request: HttpRequest, file: ImportFile, form: CompiledForm, mapping: Mapping[str, str]
) -> list[dict[str, Any]]:
    """A row for each column: its letter and name, what stands in it, and what it may be."""
    try:
        sample = import_sample(file, SAMPLES) if may_see_personal_data(request.user) else []
    except Unreadable:
        sample = []
    choices = [(key, label + (" (required)" if required else "")) for key, label, required in _inputs(form)]
    return [
        {
            "name": f"column-{place}",
            "letters": column_letters(place),
            "column": column,
            "sample": [cells[place] for cells in sample if place < len(cells) and cells[place]],
            "chosen": mapping.get(column, ""),
            "choices": choices,
        }
        for place, column in enumerate(file.columns)
    ]


def _inputs(form: CompiledForm) -> list[tuple[str, str, bool]]:
    """A form's inputs: key, what a person calls it, whether it is required."""
    labels = input_labels(form)
    return [(made.key, labels[made.key], made.required) for made in form.inputs.values()]


def _missing(form: CompiledForm, mapping: Mapping[str, str]) -> list[str]:
    used = set(mapping.values())
    return [label for key, label, required in _inputs(form) if required and key not in used]


def _written(file: ImportFile) -> str:
    """How a file is written, in words."""
    if file.format == ImportFile.Format.XLSX:
        return "Workbook, its first sheet"
    delimiter = DELIMITERS.get(file.delimiter, file.delimiter)
    return f"CSV, columns apart by {delimiter}, letters in {ENCODING_WORDS.get(file.encoding, file.encoding)}"
