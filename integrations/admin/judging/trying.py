"""What a job makes of the campaign's last leads as it stands on its page. It is shown while one types; nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.http import HttpRequest

from integrations.admin.judging.job_form import JobForm
from integrations.job_sets import JobSpec, job_compile, job_reads, job_set_compile, job_spec, job_specs
from integrations.judging import leads_weigh
from integrations.kit.jobs import Enriching
from integrations.lead_keys import NO_KEYS
from integrations.models import KeyBuild
from leads.admin.badges import SHAPES, short
from leads.models import Campaign, Field, Lead
from leads.rights import masked_values, may_see_personal_data, open_keys, without_personal

LEADS = 10
VALUE_CHARS = 80
WORDS = {"passed": ("good", "Passes"), "failed": ("bad", "Fails"), "unjudged": ("wait", "Can’t be judged")}
SAVE_FIRST = "Save it first: then leads are made comparable by these fields, in the background."


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
    leads = list(
        Lead.objects.filter(campaign=job.campaign_id, erased_at=None)
        .select_related("form")
        .prefetch_related("form__fields")
        .order_by("-pk")[:LEADS]
    )
    return {
        "preview": _preview(job.campaign, spec, leads, form.offered.inputs, clear=may_see_personal_data(request.user)),
        "preview_labels": form.offered.inputs,
        "judges": form.judges,
    }


def _preview(
    campaign: Campaign, spec: JobSpec, leads: Sequence[Lead], labels: Mapping[str, str], *, clear: bool
) -> list[Previewed]:
    """What the job makes of these leads, after the campaign's enrichment."""
    compiled = job_compile(spec.kind, spec.settings)
    manifest = compiled.manifest
    assert manifest is not None
    before = [
        each
        for each in job_specs(campaign.pk)
        if each.enabled and each.id != spec.id and isinstance(job_compile(each.kind, each.settings).check, Enriching)
    ]
    waiting = set(KeyBuild.objects.filter(job=spec.id, finished_at=None).values_list("job_id", flat=True))
    jobs = job_set_compile(campaign, [*before, spec], [], waiting)
    judged = leads_weigh(leads, {campaign.pk: jobs}, again=True, lock=False)
    reads = job_reads(manifest, spec.settings)
    adds = compiled.check.adds if isinstance(compiled.check, Enriching) else ()
    found = []
    for lead in leads:
        came = judged[lead.pk]
        mine = next((entry for entry in came.failed if entry["job"] == spec.id), None)
        outcome = "passed" if mine is None else "unjudged" if mine["unjudged"] else "failed"
        reason = "" if mine is None else SAVE_FIRST if mine["reason"] == NO_KEYS else str(mine["reason"])
        values = {**(came.enriched or {}), **lead.values}
        shown: Mapping[str, Any] = values
        if not clear:
            fields: list[Field] = list(lead.form.fields.all())
            shown = masked_values(values, fields)
            reason = without_personal(reason, values, open_keys(fields))
        found.append(
            Previewed(
                lead,
                [(labels.get(key, key), short(str(shown.get(key, "")), VALUE_CHARS)) for key in reads],
                outcome,
                reason,
                [(name, short(str(shown.get(name, "")), VALUE_CHARS)) for name in adds],
            )
        )
    return found
