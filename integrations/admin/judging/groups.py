"""The page of a group: its name and score, and which jobs are in it, each with the leads that it runs for."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict

from integrations.admin.judging.conditions_form import fields_offered
from integrations.admin.judging.job_form import MOST_SCORE
from integrations.admin.judging.rows import when_words
from integrations.admin.judging.tab import NameForm, tab_address
from integrations.judging.arranging import group_fill, group_store, job_tab, name_free
from integrations.judging.problems import campaigns_inputs, inputs_before
from integrations.models import Job, JobGroup
from leads.history import Change, changed, record
from leads.models import Campaign
from leads.opened import Box, Conflict, boxes_conflict, boxes_seal
from leads.skin import NumberInput

VALUES_CHARS = 20_000


class GroupForm(NameForm):
    score = forms.IntegerField(
        min_value=0, max_value=MOST_SCORE, widget=NumberInput(attrs={"class": "pt-number"}),
        help_text="What a lead gets where the job that ran passes; the jobs’ own scores do not count.",
    )  # fmt: skip

    def __init__(self, unit: JobGroup, *args: Any, **kwargs: Any) -> None:
        super().__init__(unit, *args, **kwargs)
        self.initial["score"] = unit.score


def group_new_page(model_admin: Any, request: HttpRequest, campaign: Campaign) -> HttpResponse:
    """A new group, with nothing in it yet."""
    taken = set(JobGroup.objects.filter(campaign=campaign).values_list("name", flat=True))
    return _page(model_admin, request, campaign, JobGroup(campaign=campaign, name=name_free("Group", taken)))


def group_page(model_admin: Any, request: HttpRequest, campaign: Campaign, group_id: int) -> HttpResponse:
    group = JobGroup.objects.filter(campaign=campaign, pk=group_id).first()
    if group is None:
        raise Http404(f"This campaign has no group {group_id}.")
    return _page(model_admin, request, campaign, group)


def _page(model_admin: Any, request: HttpRequest, campaign: Campaign, group: JobGroup) -> HttpResponse:
    if not request.user.has_perm("integrations.change_job"):
        raise PermissionDenied
    posted: QueryDict | None = request.POST if request.method == "POST" else None
    opened, conflict = "", None
    if group.pk is not None:
        opened = request.POST.get("opened_with") or boxes_seal(_boxes(group, _rows(campaign, group, None)))
    with transaction.atomic():
        if posted is not None and group.pk is not None:
            JobGroup.objects.select_for_update().get(pk=group.pk)
            now = _boxes(group, kept := _rows(campaign, group, None))
            conflict = boxes_conflict(posted, group, now, _boxes(group, _rows(campaign, group, posted), posted))
            if conflict is not None and (decided := conflict.decided(posted)):
                posted = _merged(posted, conflict, kept) if decided == "merge" else posted
                conflict = None
        form = GroupForm(group, posted)
        rows = _rows(campaign, group, posted)
        wrong = any(row["error"] for row in rows)
        if posted is not None and form.is_valid() and not wrong and conflict is None:
            # What runs for all other leads is asked last.
            inside = sorted((row for row in rows if row["inside"]), key=lambda row: not row["field"])
            _store(request, group, form, inside)
            messages.success(request, f"{group.name} is saved.")
            return HttpResponseRedirect(tab_address(campaign.pk))
    context = {"page": "group", "group": group, "form": form, "rows": rows, "back": tab_address(campaign.pk)}
    context |= {"conflict": conflict, "opened_with": opened}
    return model_admin.tab(request, campaign, "processr", context)  # type: ignore[no-any-return]


def _boxes(group: JobGroup, rows: list[dict[str, Any]], posted: QueryDict | None = None) -> dict[str, Box]:
    """What the page says of a group, box by box: which jobs are in it, for which leads, and in which order."""
    name, score = str(group.name), str(group.score)
    if posted is not None:
        name, score = (posted.get(each, "").strip() for each in ("name", "score"))
    inside = [row["job"] for row in rows if row["inside"]]
    order = Box("Order of the jobs", tuple(str(job.pk) for job in inside), ", ".join(job.name for job in inside))
    boxes = {"name": Box("Name", (name,), name), "score": Box("Score", (score,), score), "order": order}
    for row in rows:
        values = _tidy(row["values"]) if row["field"] else ""
        words = f"where {row['field']} is {values}" if row["field"] else "for all other leads"
        boxes[f"job-{row['job'].pk}"] = Box(
            f"Job “{row['job'].name}”",
            (row["field"], values) if row["inside"] else (),
            words if row["inside"] else "not in the group",
        )
    return boxes


def _merged(posted: QueryDict, conflict: Conflict, kept: list[dict[str, Any]]) -> QueryDict:
    """What was posted, with theirs where nothing was changed on the page."""
    result = posted.copy()
    for key, values in conflict.merged.items():
        if key == "order":
            for place, pk in enumerate([*values, *(str(row["job"].pk) for row in kept if not row["inside"])], 1):
                result[f"place-{pk}"] = str(place)
        elif key.startswith("job-"):
            pk = key.removeprefix("job-")
            result.pop(f"in-{pk}", None)
            if values:
                result[f"in-{pk}"] = "on"
                result[f"field-{pk}"], result[f"values-{pk}"] = values
        else:
            result[key] = values[0] if values else ""
    return result


def _rows(campaign: Campaign, group: JobGroup, posted: QueryDict | None) -> list[dict[str, Any]]:
    """The jobs that may be in the group, those in it first, with what was chosen or typed for each."""
    all_jobs = list(Job.objects.filter(campaign=campaign))
    own = campaigns_inputs([campaign.pk])[campaign.pk]
    free = Q(group=None) if group.pk is None else Q(group=None) | Q(group=group.pk)
    jobs = [job for job in Job.objects.filter(free, campaign=campaign) if job_tab(job) == "quality"]
    jobs.sort(key=lambda job: (job.group_id is None, job.position, job.pk))
    rows = []
    for number, job in enumerate(jobs, 1):
        row: dict[str, Any] = {
            "job": job,
            "inside": job.group_id is not None,
            "field": job.when_field,
            "values": job.when_values,
            "place": number,
        }
        # A job that the page did not have yet is as it is kept.
        if posted is not None and f"field-{job.pk}" in posted:
            row["inside"] = f"in-{job.pk}" in posted
            row["field"] = posted.get(f"field-{job.pk}", "")[:200]
            row["values"] = posted.get(f"values-{job.pk}", "")[:VALUES_CHARS]
            place = posted.get(f"place-{job.pk}", "")
            row["place"] = int(place) if place.isascii() and place.isdigit() and len(place) < 5 else number
        row["error"] = _error(row)
        row["fields"] = fields_offered(inputs_before(job, all_jobs, own), row["field"])
        row["fields"][0] = ("", "All other leads")
        rows.append(row)
    return sorted(rows, key=lambda row: row["place"]) if posted is not None else rows


def _error(row: dict[str, Any]) -> str:
    if not row["inside"]:
        return ""
    given = any(value.strip() for value in row["values"].split(";"))
    if row["field"] and not given:
        return "Write the values that it runs for, apart by semicolons: GB; IE."
    if given and not row["field"]:
        return "Choose the field that has these values."
    return ""


def _store(request: HttpRequest, group: JobGroup, form: GroupForm, rows: list[dict[str, Any]]) -> None:
    """Save it all, with its history."""
    new = group.pk is None
    before = {} if new else _said(group)
    group.name, group.score = form.cleaned_data["name"], form.cleaned_data["score"]
    with transaction.atomic():
        group_store(group)
        group_fill(group, [(row["job"], row["field"], _tidy(row["values"]) if row["field"] else "") for row in rows])
        after = _said(group)
        changes = [Change(name, before.get(name, ""), now) for name, now in after.items() if before.get(name) != now]
        if changes:
            record(request.user, group, changed(*changes))


def _said(group: JobGroup) -> dict[str, str]:
    jobs = Job.objects.filter(group=group).order_by("position", "id")
    inside = "; ".join(f"{job.name} {when_words(job)}" for job in jobs)
    return {"Name": group.name, "Score": str(group.score), "Jobs": inside}


def _tidy(values: str) -> str:
    return "; ".join(value for each in values.split(";") if (value := each.strip()))
