"""Activity: work on many rows, as a list and as pages that show how far it has come. It can be left and found again."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from integrations.admin.activity_results import results_page
from integrations.admin.activity_words import (
    activity_badge,
    activity_noun,
    activity_title,
    integration_names,
    params_shown,
    rate,
    right_for,
    sentence,
    time_left,
)
from integrations.bulk import KINDS, activity_failures_csv
from integrations.exports import DELIVERY_COLUMNS
from leads.activity import AT_WORK, ActivityError, activity_cancel, activity_progress, activity_retry_failed
from leads.admin.badges import moment
from leads.admin.filters import DaysFilter
from leads.admin.flagging import counted
from leads.admin.leads import exported
from leads.bulk import EXPORT as LEADS_EXPORT
from leads.bulk import leads_exported
from leads.database import uuid7
from leads.exports import CONTENT_TYPES, leads_csv, leads_xlsx
from leads.imports import import_take
from leads.models import Activity, ActivityState
from leads.rights import may_see_personal_data
from leads.skin import ChoicesDropdownFilter, DropdownFilter, ModelAdmin


class KindFilter(DropdownFilter):  # type: ignore[misc]
    title = "what"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, kind.label) for name, kind in KINDS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Activity]) -> QuerySet[Activity]:
        return queryset.filter(kind=self.value()) if self.value() else queryset


@admin.register(Activity)
class ActivityAdmin(ModelAdmin):
    """Read only but for Cancel, Retry and Take in. Who may not see all activities sees those that they began."""

    nothing_yet = "Imports, exports and what is done to many leads at once is kept here."
    list_display = ("what", "state_label", "came_to", "campaign", "by", "began")
    list_display_links = ("what",)
    list_filter = (KindFilter, ("state", ChoicesDropdownFilter), ("created_at", DaysFilter))
    list_filter_submit = True
    list_select_related = ("campaign",)
    list_per_page = 50
    show_full_result_count = False
    sortable_by = ()
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Activity | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Activity | None = None) -> bool:
        """Cancel and Retry: whoever may do such work anew."""
        return obj is not None and bool(request.user.has_perm(right_for(obj)))

    def has_view_permission(self, request: HttpRequest, obj: Activity | None = None) -> bool:
        if obj is not None and obj.by == request.user.get_username():
            return True
        return bool(request.user.has_perm("leads.view_activity"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Activity]:
        queryset: QuerySet[Activity] = super().get_queryset(request)
        return queryset

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        # One look-up of names for the whole page.
        names = integration_names(changelist.result_list)
        for activity in changelist.result_list:
            activity.title = activity_title(activity, names)
        return changelist

    @admin.display(description="What", ordering="id")
    def what(self, activity: Activity) -> SafeString:
        return format_html(
            '<span class="pt-cell pt-cell-wide"><span class="pt-strong">{}</span><span class="pt-quiet pt-small">{}</span></span>',
            getattr(activity, "title", ""),
            counted(activity.total, activity_noun(activity)),
        )

    @admin.display(description="State")
    def state_label(self, activity: Activity) -> SafeString:
        return activity_badge(activity)

    @admin.display(description="Done / failed / left")
    def came_to(self, activity: Activity) -> SafeString:
        progress = activity_progress(activity)
        return format_html(
            '<span class="pt-num">{} / {} / {}</span>',
            f"{progress.done:,}",
            f"{progress.failed:,}",
            f"{progress.left:,}",
        )

    @admin.display(description="Began", ordering="id")
    def began(self, activity: Activity) -> SafeString | str:
        return moment(activity.created_at)

    def get_urls(self) -> list[Any]:
        def page(address: str, view: Any, name: str) -> Any:
            return path(
                f"<int:activity_id>/{address}/", self.admin_site.admin_view(view), name=f"leads_activity_{name}"
            )

        return [
            page("progress", self.progress_view, "progress"),
            page("cancel", require_POST(self.cancel_view), "cancel"),
            page("retry", require_POST(self.retry_view), "retry"),
            page("take", require_POST(self.take_view), "take"),
            page("file", self.file_view, "file"),
            page("failed.csv", self.failures_view, "failures"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        activity = self._get(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": activity,
            "title": activity_title(activity, integration_names([activity])),
            **self._context(request, activity),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "console/activity.html", context)

    def progress_view(self, request: HttpRequest, activity_id: int) -> HttpResponse:
        """The part of the page that changes while it works; what is pressed is renewed only when its state has changed."""
        activity = self._get(request, activity_id)
        context = {**self._context(request, activity), "changed": request.GET.get("was") != activity.state}
        return TemplateResponse(request, "console/activity_progress.html", context)

    def cancel_view(self, request: HttpRequest, activity_id: int) -> HttpResponse:
        activity = self._get(request, activity_id, to_change=True)
        if not activity_cancel(activity.pk):
            messages.info(request, "It had ended before.")
        return _to(activity)

    def retry_view(self, request: HttpRequest, activity_id: int) -> HttpResponse:
        activity = self._get(request, activity_id, to_change=True)
        token = request.POST.get("token", "")
        return _to(activity_retry_failed(activity, by=request.user.get_username(), token=token))

    def take_view(self, request: HttpRequest, activity_id: int) -> HttpResponse:
        """Takes the good rows of a checked import in."""
        activity = self._get(request, activity_id, to_change=True)
        if activity.kind != "import":
            raise Http404
        try:
            import_take(activity, lawful_basis="lawful_basis" in request.POST, by=request.user.get_username())
        except ActivityError as error:
            messages.error(request, str(error))
        return _to(activity)

    def failures_view(self, request: HttpRequest, activity_id: int) -> StreamingHttpResponse:
        """The rows that failed, as a file. Of an import these are the rows themselves: personal data."""
        activity = self._get(request, activity_id)
        if activity.kind == "import" and not may_see_personal_data(request.user):
            raise PermissionDenied
        response = StreamingHttpResponse(
            (piece.encode() for piece in _with_mark(activity)), content_type="text/csv; charset=utf-8"
        )
        response["Content-Disposition"] = f'attachment; filename="failed-{activity.pk}.csv"'
        response["Cache-Control"] = "no-store"
        return response

    def file_view(self, request: HttpRequest, activity_id: int) -> StreamingHttpResponse:
        """The file of an export, streamed. Who may not see personal data gets it masked; that it was taken stands in the history."""
        activity = self._get(request, activity_id, to_change=True)
        if activity.kind != LEADS_EXPORT.name or activity.state in AT_WORK:
            raise Http404
        masked, kind = not may_see_personal_data(request.user), activity.params["format"]
        write = leads_xlsx if kind == "xlsx" else leads_csv
        exported(request, activity.done, kind, masked=masked)
        response = StreamingHttpResponse(
            write(leads_exported(activity), more=DELIVERY_COLUMNS, masked=masked), content_type=CONTENT_TYPES[kind]
        )
        response["Content-Disposition"] = f'attachment; filename="leads-{timezone.localtime():%Y-%m-%d-%H%M}.{kind}"'
        response["Cache-Control"] = "no-store"
        return response

    def _get(self, request: HttpRequest, key: Any, *, to_change: bool = False) -> Activity:
        text = str(key)
        pk = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
        activity = Activity.objects.select_related("campaign", "retry_of").filter(pk=pk).first()
        if activity is None:
            raise Http404(f"There is no activity {text}.")
        if not self.has_view_permission(request, activity):
            raise PermissionDenied
        if to_change and not self.has_change_permission(request, activity):
            raise PermissionDenied
        return activity

    def _context(self, request: HttpRequest, activity: Activity) -> dict[str, Any]:
        progress = activity_progress(activity)
        may, ended = (
            self.has_change_permission(request, activity),
            activity.state not in (*AT_WORK, ActivityState.READY),
        )
        is_import, clear = activity.kind == "import", may_see_personal_data(request.user)
        return {
            "activity": activity,
            "badge": activity_badge(activity),
            "sentence": sentence(activity, progress),
            "progress": progress,
            "handled": progress.total - progress.left,
            "rate": rate(progress.per_second),
            "time_left": time_left(progress.seconds_left),
            "live": activity.state in AT_WORK,
            "ready": activity.state == ActivityState.READY and is_import and may,
            "is_import": is_import,
            "noun": activity_noun(activity),
            "params": params_shown(activity) if clear else [],
            "may_cancel": may and not ended and not activity.cancel_requested,
            "may_retry": may and ended and not is_import and activity.failed,
            "may_download": activity.failed and (clear or not is_import),
            "may_take_file": may and ended and activity.kind == LEADS_EXPORT.name and activity.done,
            "may_upload": may and is_import and (ended or activity.state == ActivityState.READY),
            "token": uuid7().hex,
            **results_page(activity, request, clear=clear),
        }


def _to(activity: Activity) -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:leads_activity_change", args=[activity.pk]))


def _with_mark(activity: Activity) -> Any:
    # By this mark spreadsheets know that it is UTF-8.
    yield "\ufeff"
    yield from activity_failures_csv(activity)
