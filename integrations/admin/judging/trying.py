"""What a job makes of the campaign's last leads as it stands on its page, and what changed jobs would have made of those of the
past. Nothing is changed by either."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from integrations.admin.judging.job_form import MOST_SCORE, JobForm
from integrations.judging.job_sets import group_specs, job_spec, job_specs
from integrations.judging.steps import JobSpec, job_compile, job_reads
from integrations.judging.trying import MOST_LEADS, Tried, jobs_try, leads_preview
from integrations.kit.jobs import Enriching, JobManifest
from leads.admin.badges import SHAPES, STATUS_TONES, badge, short
from leads.models import Campaign, Field, Lead, Status
from leads.rights import masked_values, may_see_personal_data, open_keys, without_personal

LEADS = 10
LAST = 1_000
VALUE_CHARS = 80
WORDS = {"passed": ("good", "Passes"), "failed": ("bad", "Fails"), "unjudged": ("wait", "Can’t be judged")}


@dataclass(frozen=True, slots=True)
class Previewed:
    """What a job made of one lead. `values` are those that it read, `added` those that it put beside them."""

    lead: Lead
    values: Sequence[tuple[str, str]]
    outcome: str
    reason: str = ""
    added: Sequence[tuple[str, str]] = ()

    @property
    def tone(self) -> str:
        return WORDS[self.outcome][0]

    @property
    def shape(self) -> str:
        return SHAPES[self.tone]

    @property
    def word(self) -> str:
        return WORDS[self.outcome][1]


def preview_context(request: HttpRequest, form: JobForm) -> dict[str, Any]:
    """The last leads with what stands in the boxes; nothing where that makes no sense yet."""
    job = form.job
    if form.is_bound:
        if form.errors or form.missing:
            return {"preview": None}
        spec = replace(job_spec(job), settings=form.settings)
    else:
        spec = job_spec(job)
    spec = replace(spec, enabled=True, group_id=None)
    if job_compile(spec.kind, spec.settings).problem:
        return {"preview": None}
    return {
        "preview": _preview(job.campaign, spec, form.offered.inputs, clear=may_see_personal_data(request.user)),
        "preview_labels": form.offered.inputs,
        "judges": form.judges,
    }


def _preview(campaign: Campaign, spec: JobSpec, labels: Mapping[str, str], *, clear: bool) -> list[Previewed]:
    """What the job makes of the last leads, after the campaign's enrichment."""
    compiled = job_compile(spec.kind, spec.settings)
    assert compiled.manifest is not None
    reads = job_reads(compiled.manifest, spec.settings)
    adds = compiled.check.adds if isinstance(compiled.check, Enriching) else ()
    seen = leads_preview(campaign, spec, last=LEADS)
    fields: dict[int, list[Field]] = {}
    for field in Field.objects.filter(form__in={lead.form_id for lead, _ in seen}):
        fields.setdefault(field.form_id, []).append(field)
    found = []
    for lead, judged in seen:
        mine = next((entry for entry in judged.failed if entry["job"] == spec.id), None)
        outcome = "passed" if mine is None else "unjudged" if mine["unjudged"] else "failed"
        reason = str(mine["reason"]) if mine is not None else ""
        values: Mapping[str, Any] = {**(judged.enriched or {}), **lead.values}
        if not clear:
            of_form = fields.get(lead.form_id, [])
            reason = without_personal(reason, values, open_keys(of_form))
            values = masked_values(values, of_form)
        found.append(
            Previewed(
                lead,
                [(labels.get(key, key), short(str(values.get(key, "")), VALUE_CHARS)) for key in reads],
                outcome,
                reason,
                [(name, short(str(values.get(name, "")), VALUE_CHARS)) for name in adds],
            )
        )
    return found


# --- on leads of the past -----------------------------------------------------------------------------------------


def last_asked(posted: Mapping[str, Any]) -> int:
    """How many of the last leads are tried; a sensible number where none is written."""
    text = str(posted.get("last", ""))
    return min(max(int(text), 1), MOST_LEADS) if text.isascii() and text.isdigit() and len(text) < 10 else LAST


def form_spec(form: JobForm) -> JobSpec:
    """A job as it stands on its page, as if it were on."""
    said = form.cleaned_data
    spec = replace(job_spec(form.job), settings=form.settings, name=said["name"], enabled=True)
    return replace(spec, score=said["score"], hard_fail=said["hard_fail"]) if form.judges else spec


def tried_context(request: HttpRequest, tried: Tried) -> dict[str, Any]:
    """What changed jobs would have made of the last leads, for the template."""
    clear = may_see_personal_data(request.user)
    leads: dict[int, Lead] = {}
    if not clear:
        leads = Lead.objects.only("values", "enriched").in_bulk([each.lead_id for each in tried.otherwise])

    def words(lead_id: int, reasons: Sequence[str]) -> list[str]:
        if clear or lead_id not in leads:
            return list(reasons)
        given = {**(leads[lead_id].enriched or {}), **leads[lead_id].values}
        return [without_personal(reason, given) for reason in reasons]

    return {
        "tried": tried,
        "tried_counts": [
            (status.label, tried.was.get(status, 0), tried.would.get(status, 0))
            for status in (Status.VALID, Status.CAUTION, Status.INVALID)
        ],
        "tried_rows": [
            {
                "lead_id": each.lead_id,
                "was": badge(each.was.label, STATUS_TONES.get(each.was, "off")),
                "would": badge(each.would.label, STATUS_TONES.get(each.would, "off")),
                "because": words(each.lead_id, each.because) or words(each.lead_id, each.was_because),
                "no_more": not each.because and bool(each.was_because),
            }
            for each in tried.otherwise
        ],
    }


def try_page(model_admin: Any, request: HttpRequest, campaign: Campaign) -> HttpResponse:
    """Try a whole changed Processr: which jobs are on, their scores, hard fails and order, and groups. Nothing is changed."""
    if not request.user.has_perm("integrations.change_job"):
        raise PermissionDenied
    posted = request.POST if request.method == "POST" else None
    specs, groups = job_specs(campaign.pk), group_specs(campaign.pk)
    if posted is not None:
        specs = [_spec_posted(spec, posted) for spec in specs]
        groups = [
            replace(group, score=_whole(posted, f"group-score-{group.id}", group.score),
                    position=_whole(posted, f"group-place-{group.id}", group.position))
            for group in groups
        ]  # fmt: skip
    context: dict[str, Any] = {
        "page": "try",
        "specs": sorted(
            ((spec, job_compile(spec.kind, spec.settings).manifest) for spec in specs),
            key=lambda pair: _place(pair[0], {group.id: group.position for group in groups}, pair[1]),
        ),
        "groups": groups,
        "group_names": {group.id: group.name for group in groups},
        "last": last_asked(posted or {}),
        "most_leads": MOST_LEADS,
        "back": reverse("admin:leads_campaign_jobs", args=[campaign.pk, "quality-assurance"]),
    }
    if posted is not None:
        context |= tried_context(request, jobs_try(campaign, specs, last=last_asked(posted), groups=groups))
    return model_admin.tab(request, campaign, "processr", context)  # type: ignore[no-any-return]


def _place(spec: JobSpec, groups: Mapping[int, int], manifest: JobManifest | None) -> tuple[bool, int, int, int]:
    """Where a job stands in the list: enrichment first, what is in a group where the group is."""
    judges = manifest is None or manifest.tab == "quality"
    return judges, groups.get(spec.group_id or 0, spec.position), spec.position, spec.id


def _spec_posted(spec: JobSpec, posted: Mapping[str, Any]) -> JobSpec:
    return replace(
        spec,
        enabled=f"on-{spec.id}" in posted,
        hard_fail=f"hard-{spec.id}" in posted,
        score=_whole(posted, f"score-{spec.id}", spec.score),
        position=_whole(posted, f"place-{spec.id}", spec.position),
    )


def _whole(posted: Mapping[str, Any], name: str, otherwise: int) -> int:
    text = str(posted.get(name, ""))
    return min(int(text), MOST_SCORE) if text.isascii() and text.isdigit() and len(text) < 6 else otherwise
