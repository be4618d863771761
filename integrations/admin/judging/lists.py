"""Lists of values and look-up tables: all of them, and the page of each with its values and the jobs that use it.

Files are read in the background: their page is an activity, with the rows that were left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.text import slugify

from integrations.judging.problems import job_lists
from integrations.judging.rule_mirrors import rule_of
from integrations.kit.job_registry import job_kinds
from integrations.kit.lists import LIST_KINDS
from integrations.models import ClientRule, Job, ValueList, ValueListItem
from integrations.value_lists.filling import list_import_start
from integrations.value_lists.lists import (
    ListError,
    list_add,
    list_export,
    list_find,
    list_kind,
    list_remove,
)
from leads.activity import ActivityError
from leads.admin.badges import moment, two_lines
from leads.admin.filters import number
from leads.admin.flagging import counted
from leads.database import uuid7
from leads.history import Change, changed, record
from leads.personal import tells_of_person
from leads.rights import masked_contact, may_see_personal_data
from leads.skin import ChoicesDropdownFilter, ModelAdmin, Select, TextInput
from leads.tables import Unreadable

SHOWN = 100
VALUE_CHARS = 1_000
LAST_COLUMN = 100


class ListForm(forms.ModelForm):  # type: ignore[type-arg]
    """What a list is called and what it is for; its kind is chosen once, when it is made."""

    class Meta:
        model = ValueList
        fields = ("name", "kind", "help")
        widgets = {"name": TextInput, "help": TextInput}
        help_texts = {"help": "For colleagues: where its values come from, and when it is replaced."}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is not None:
            del self.fields["kind"]
            return
        kinds = [
            ("", "Choose…"),
            *((kind.name, f"{kind.label}: {kind.help}") for kind in LIST_KINDS.values() if not kind.mirrored),
        ]
        self.fields["kind"].widget = Select(choices=kinds)


class FileForm(forms.Form):
    """A file to fill a list from."""

    file = forms.FileField(
        help_text="CSV or XLSX; of a workbook the first sheet is read. A first row with names of columns is passed over.",
        widget=forms.FileInput(attrs={"accept": ".csv,.tsv,.txt,.xlsx", "class": "pt-file"}),
        error_messages={"required": "Choose a file.", "empty": "This file is empty."},
    )
    how = forms.ChoiceField(
        label="What becomes of the values that are there",
        choices=[("add", "They stay: add the file’s"), ("replace", "The file’s take their place, all at once")],
        widget=forms.RadioSelect,
        initial="add",
    )
    column = forms.IntegerField(
        required=False, min_value=1, max_value=LAST_COLUMN, label="Column of the values",
        widget=forms.NumberInput(attrs={"class": "pt-input pt-number"}),
        help_text="Only where the file has several: 1 is the first.",
    )  # fmt: skip


@admin.register(ValueList)
class ValueListAdmin(ModelAdmin):
    """Lists are filled by files or one value at a time; one that a job uses can't be removed."""

    nothing_yet = "Jobs look values up in lists: unwanted addresses, wanted companies, translations."
    list_display = ("called", "kind_label", "values_count", "used_by", "changed")
    list_display_links = ("called",)
    list_filter = (("kind", ChoicesDropdownFilter),)
    list_filter_submit = True
    search_fields = ("name", "help")

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        export = path("<str:object_id>/export/", wrap(self.export_view), name="integrations_valuelist_export")
        return [export, *super().get_urls()]

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        self.uses = uses_of_lists()
        return super().get_changelist_instance(request)

    def has_delete_permission(self, request: HttpRequest, obj: ValueList | None = None) -> bool:
        """One that a job looks values up in stays: its leads would all land in Caution."""
        if obj is None or list_kind(obj).mirrored or uses_of_lists().get(obj.pk):
            return False
        return bool(super().has_delete_permission(request, obj))

    @admin.display(description="List", ordering="name")
    def called(self, row: ValueList) -> SafeString:
        return two_lines(row.name, row.help, strong=True)

    @admin.display(description="Kind", ordering="kind")
    def kind_label(self, row: ValueList) -> str:
        return LIST_KINDS[row.kind].label if row.kind in LIST_KINDS else row.kind

    @admin.display(description="Values", ordering="count")
    def values_count(self, row: ValueList) -> str:
        return f"{row.count:,}"

    @admin.display(description="Used by")
    def used_by(self, row: ValueList) -> str:
        return counted(len(self.uses.get(row.pk, ())), "job") if self.uses.get(row.pk) else "–"

    @admin.display(description="Changed", ordering="updated_at")
    def changed(self, row: ValueList) -> SafeString | str:
        return moment(row.updated_at)

    # --- the page of one --------------------------------------------------------------------------------------

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Name and kind; then on to its page, to be filled."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = ListForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            made = form.save()
            self.log_addition(request, made, [{"added": {}}])
            return HttpResponseRedirect(reverse("admin:integrations_valuelist_change", args=[made.pk]))
        context = {**self._site(request, None), "title": "New list of values", "form": form}
        return TemplateResponse(request, "console/judging/list_add.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Its values, to be searched, and what fills it. POST: action import, add, remove or rename."""
        row = self._list(request, object_id)
        files, about = FileForm(), ListForm(instance=row)
        if request.method == "POST":
            if not self.has_change_permission(request, row):
                raise PermissionDenied
            action = request.POST.get("action", "")
            if action == "import":
                files = FileForm(request.POST, request.FILES)
                if (started := self._import(request, row, files)) is not None:
                    return started
            elif action == "rename":
                before = {"Name": row.name, "What it is for": row.help}
                about = ListForm(request.POST, instance=row)
                if about.is_valid():
                    self._rename(request, about.save(), before)
                    return HttpResponseRedirect(request.path)
                row.refresh_from_db()
            else:
                self._one(request, row, action)
                return HttpResponseRedirect(request.get_full_path())
        text = request.GET.get("q", "")[:VALUE_CHARS]
        kind = list_kind(row)
        context = {
            **self._site(request, row),
            "title": row.name,
            "row": row,
            "kind": kind,
            "items": _found(row, text, clear=may_see_personal_data(request.user)),
            "q": text,
            "most": SHOWN,
            "files": files,
            "about": about,
            "token": uuid7().hex,
            "jobs": uses_of_lists().get(row.pk, []),
            "may_change": self.has_change_permission(request, row) and not kind.mirrored,
            "may_remove": self.has_delete_permission(request, row),
        }
        return TemplateResponse(request, "console/judging/list.html", context)

    def export_view(self, request: HttpRequest, object_id: str) -> StreamingHttpResponse:
        """All of it as CSV, made while it is downloaded."""
        row = self._list(request, object_id)
        masked = not may_see_personal_data(request.user)
        how = ", addresses and telephone numbers masked" if masked and not list_kind(row).hashed else ""
        record(request.user, row, f"Exported: {counted(row.count, 'value')}{how}.")
        response = StreamingHttpResponse(list_export(row, masked=masked), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="{slugify(row.name) or "list"}.csv"'
        return response

    def _site(self, request: HttpRequest, row: ValueList | None) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "opts": self.opts, "original": row}

    def _list(self, request: HttpRequest, object_id: str) -> ValueList:
        row = ValueList.objects.filter(pk=number(object_id) or 0).first()
        if row is None:
            raise Http404(f"There is no list {object_id}.")
        if not self.has_view_or_change_permission(request, row):
            raise PermissionDenied
        return row

    def _import(self, request: HttpRequest, row: ValueList, form: FileForm) -> HttpResponse | None:
        """Start to fill it; None where that can't be, which the form says."""
        if not form.is_valid():
            return None
        upload, column = form.cleaned_data["file"], form.cleaned_data["column"]
        replace = form.cleaned_data["how"] == "replace"
        try:
            activity = list_import_start(
                row, upload, name=upload.name, by=request.user.get_username(), token=request.POST.get("token", ""),
                replace=replace, column=column - 1 if column else None,
            )  # fmt: skip
        except (Unreadable, ActivityError, ListError) as error:
            form.add_error("file", str(error))
            return None
        record(request.user, row, f"{'Replaced by' if replace else 'Filled from'} the file “{upload.name[:200]}”.")
        return HttpResponseRedirect(reverse("admin:leads_activity_change", args=[activity.pk]))

    def _rename(self, request: HttpRequest, row: ValueList, before: Mapping[str, str]) -> None:
        now = {"Name": row.name, "What it is for": row.help}
        changes = [Change(name, before[name], value) for name, value in now.items() if before[name] != value]
        if changes:
            record(request.user, row, changed(*changes))
        messages.success(request, "Saved.")

    def _one(self, request: HttpRequest, row: ValueList, action: str) -> None:
        """Add or remove single values. Of a suppression list nothing is written down in clear."""
        if action == "add":
            text, value = (request.POST.get(name, "").strip()[:VALUE_CHARS] for name in ("text", "value"))
            try:
                new = list_add(row, text, value)
            except ListError as error:
                messages.error(request, str(error))
                return
            shown = "One value" if list_kind(row).hashed else f"“{text[:100]}”"
            record(request.user, row, f"{shown} added{f': {value[:100]}' if value else ''}.")
            messages.success(request, f"{shown} is on the list now." if new else f"{shown} was on the list already.")
        elif action == "remove":
            ids = [pk for each in request.POST.getlist("item")[:SHOWN] if (pk := number(each))]
            removed = list_remove(row, ids) if ids else 0
            if not removed:
                messages.warning(request, "Tick the values that are to go.")
                return
            record(request.user, row, f"{counted(removed, 'value')} removed.")
            messages.success(request, f"{counted(removed, 'value')} removed.")


def _found(row: ValueList, text: str, *, clear: bool) -> list[ValueListItem]:
    """What is shown of a list. Who may see no personal data finds an address by the whole of it alone, and reads it masked."""
    items = list_find(row, text, SHOWN)
    kind = list_kind(row)
    if clear or kind.hashed:
        return items
    sought = kind.key(text) if text.strip() else ""
    shown = []
    for item in items:
        if sought and tells_of_person(item.key) and item.key != sought:
            continue
        item.key, item.value = masked_contact(item.key), masked_contact(item.value)
        shown.append(item)
    return shown


def uses_of_lists() -> Mapping[int, list[Job]]:
    """List id to the jobs that look values up in it, those by a client's rule too; two queries."""
    kinds, found = job_kinds(), defaultdict(list)
    copied = dict(ClientRule.objects.exclude(value_list=None).values_list("pk", "value_list_id"))
    for job in Job.objects.select_related("campaign").order_by("campaign__name", "position", "id"):
        if job.kind in kinds:
            theirs = copied.get(rule_of(kinds[job.kind].manifest, job.settings))
            for pk in (*job_lists(kinds[job.kind], job.settings), *([theirs] if theirs else ())):
                found[pk].append(job)
    return found
