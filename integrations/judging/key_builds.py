"""Keys of the leads that were there before a job that compares with them: made in the background, in batches that can be resumed.

While they are made, leads of the job's campaign wait to be judged: it takes about a minute for a million leads. If for some minutes
nobody gets on with it they are judged all the same; then what is found counts, and a lead of which nothing is found is in Caution,
for it can't be told (judging.py).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from typing import Any

from django.db import transaction
from django.db.models import F, Max, Min, Q, QuerySet

from integrations.judging.job_sets import JobSet, KeyWriter, job_spec, reaches
from integrations.judging.lead_keys import keys_of, keys_write, kind_named, may_count, questions_kept
from integrations.judging.steps import JobSpec, job_compile
from integrations.judging.weighing import job_lead
from integrations.kit.jobs import JobLead, PostsBefore, SeenBefore
from integrations.models import Job, KeyBuild
from leads import clock
from leads.models import Campaign, KeyKind, Lead, LeadKey, Status
from leads.wake import wake

BUILD_TASK = "integrations.build_keys"
PROCESS_TASK = "integrations.process_leads"
BATCH = 1_000
# A worker lets others have their turn after so many batches.
BATCHES = 20
LEADS_WAIT = dt.timedelta(minutes=10)
# By then whoever judged when a job was changed has ended.
SETTLED = dt.timedelta(seconds=60)


class _Anything(dict[str, str]):
    """Values of a lead that has all fields."""

    def get(self, key: str, default: Any = None) -> str:
        return "probe"

    def __getitem__(self, key: str) -> str:
        return "probe"


def job_reach(spec: JobSpec) -> list[dict[str, Any]]:
    """What a job compares and among which leads, as KeyBuild keeps it; empty for one that compares nothing.

    Settings decide this, never a lead's values: a lead that has all of them is asked about.
    """
    asks = job_compile(spec.kind, spec.settings).asks
    if asks is None:
        return []
    try:
        questions = list(asks(JobLead(_Anything(), ip="192.0.2.1")))
    except Exception:  # noqa: BLE001  it says so where it judges
        return []
    found = []
    for question in questions:
        if isinstance(question, SeenBefore):
            fields, campaigns = list(question.fields), list(question.campaigns)
            found.append({"scope": question.scope, "fields": fields, "campaigns": campaigns, "region": question.region})
        elif isinstance(question, PostsBefore):
            found.append({"scope": question.scope, "fields": [], "campaigns": [], "region": ""})
    return found


def _is_wide(reach: Collection[Mapping[str, Any]]) -> bool:
    return any(entry["scope"] not in ("campaign", "publisher_campaign") for entry in reach)


def key_builds_follow(campaign: Campaign) -> None:
    """Bring the builds of a campaign's jobs in line with their settings; in the transaction that changed them.

    A job that compares something else than before has its keys made anew, and its campaign's leads wait for them. Campaigns
    whose leads it compares with begin to write keys for it.
    """
    builds = {build.job_id: build for build in KeyBuild.objects.filter(job__campaign=campaign.pk)}
    touched: list[Mapping[str, Any]] = []
    waits = False
    for job in Job.objects.filter(campaign=campaign.pk):
        reach, build = job_reach(job_spec(job)), builds.get(job.pk)
        if (build.reach if build is not None else []) == reach:
            waits = waits or (build is not None and build.finished_at is None)
            continue
        touched += [*reach, *(build.reach if build is not None else ())]
        if build is not None:
            build.delete()
        if reach:
            waits = not _build_begin(job, campaign, reach) or waits
    if _is_wide(touched):
        others = Campaign.objects.exclude(pk=campaign.pk)
        ids = [other.pk for other in others if reaches(touched, other, campaign)]
        campaigns_bump(ids)
    Campaign.objects.filter(pk=campaign.pk).update(judging_waits_until=clock.now() + LEADS_WAIT if waits else None)
    if waits:
        wake(BUILD_TASK)


def campaigns_bump(ids: Collection[int]) -> None:
    """What is compiled of these campaigns' jobs is compiled anew."""
    Campaign.objects.filter(pk__in=ids).update(processr_version=F("processr_version") + 1)


def job_removed(job: Job) -> None:
    """Campaigns that write keys for a job stop it; in the transaction that removes the job, before it does."""
    build = KeyBuild.objects.filter(job=job.pk, wide=True).first()
    if build is not None:
        others = Campaign.objects.exclude(pk=job.campaign_id)
        campaigns_bump([other.pk for other in others if reaches(build.reach, other, job.campaign)])


def _build_begin(job: Job, campaign: Campaign, reach: list[dict[str, Any]]) -> bool:
    """Note that keys are to be made for a job; True where there are no leads that want them."""
    for entry in reach:
        _kind_keep(*kind_named(entry["scope"], tuple(entry["fields"])))
    now = clock.now()
    leads = _leads_in(reach, campaign)
    up_to = leads.aggregate(last=Max("pk"))["last"] or 0
    open_from = leads.filter(processed_at__isnull=True).aggregate(first=Min("pk"))["first"]
    done = not up_to
    KeyBuild.objects.create(
        job=job,
        reach=reach,
        wide=_is_wide(reach),
        up_to=up_to,
        again_from=open_from,
        started_at=now,
        finished_at=now if done else None,
    )
    return done


def _kind_keep(scope: str, fields: str) -> None:
    """Make sure of a kind of keys, and that nobody removes it as unused before the build that wants it is there."""
    while True:
        kind, _ = KeyKind.objects.get_or_create(scope=scope, fields=fields)
        if KeyKind.objects.select_for_update().filter(pk=kind.pk).exists():
            return


def _leads_in(reach: Collection[Mapping[str, Any]], campaign: Campaign) -> QuerySet[Lead]:
    """The leads that a job with this reach compares with, or more."""
    scopes = {entry["scope"] for entry in reach}
    if scopes & {"instance", "publisher"}:
        return Lead.objects.all()
    wanted = Q(campaign__in={pk for entry in reach for pk in entry["campaigns"]})
    if "advertiser" in scopes:
        wanted |= Q(campaign__advertiser=campaign.advertiser_id)
    if scopes & {"campaign", "publisher_campaign"}:
        wanted |= Q(campaign=campaign.pk)
    return Lead.objects.filter(wanted)


def key_builds_due() -> bool:
    """Whether keys are to be made."""
    return _due().exists()


def _due() -> QuerySet[KeyBuild]:
    return KeyBuild.objects.filter(Q(finished_at=None) | Q(again_at__lte=clock.now()))


def keys_build() -> int:
    """Make keys of leads that were there before jobs; how many leads were looked at. Others get their turn in between."""
    total = 0
    for _ in range(BATCHES):
        count = _build_batch()
        if count is None:
            return total
        total += count
    wake(BUILD_TASK)
    return total


def _build_batch() -> int | None:
    """One batch of one build, which nobody else has at work; None where there is none."""
    with transaction.atomic():
        build = (
            _due()
            .select_for_update(skip_locked=True, of=("self",))
            .select_related("job__campaign")
            .order_by("pk")
            .first()
        )
        if build is None:
            return None
        campaign = build.job.campaign
        again = build.finished_at is not None
        leads = list(
            # Locked: keys of what a lead said a moment ago must not come after those of what it says now.
            _leads_in(build.reach, campaign)
            .select_for_update(of=("self",))
            .filter(pk__gt=build.done_to, pk__lte=build.up_to, processed_at__isnull=False, erased_at__isnull=True)
            .exclude(status=Status.TEST)
            .annotate(channel=F("link__channel"), advertiser=F("campaign__advertiser"))
            .only("campaign_id", "publisher_id", "values", "enriched", "created_at", "ip", "status", "flag")
            .order_by("pk")[:BATCH]
        )
        kinds = {(scope, fields): pk for pk, scope, fields in KeyKind.objects.values_list("pk", "scope", "fields")}
        compiled = job_compile(build.job.kind, build.job.settings)
        if compiled.asks is not None:
            writers = (KeyWriter(compiled.asks, campaign.pk),)
            keys_write(
                key
                for lead in leads
                for jobs in [JobSet(lead.campaign_id, writers=writers, kinds=kinds, advertiser_id=lead.advertiser)]
                for seen in [job_lead(lead, jobs, {**(lead.enriched or {}), **lead.values})]
                for key in keys_of(seen, questions_kept(seen, jobs), kinds, may_count(lead.status, lead.flag))
            )
        if leads:
            build.done_to = leads[-1].pk
        if len(leads) < BATCH:
            _finish(build, again)
        build.save(update_fields=["done_to", "again_from", "again_at", "finished_at"])
        if build.finished_at is None:
            Campaign.objects.filter(pk=campaign.pk, judging_waits_until__isnull=False).update(
                judging_waits_until=clock.now() + LEADS_WAIT
            )
        elif not again:
            _finished(build)
    return len(leads)


def _finish(build: KeyBuild, again: bool) -> None:
    now = clock.now()
    build.finished_at = build.finished_at or now
    if again or build.again_from is None:
        build.again_from = build.again_at = None
    else:
        build.done_to = build.again_from - 1
        build.again_at = now + SETTLED


def _finished(build: KeyBuild) -> None:
    """The job judges for sure from now on."""
    campaign_id = build.job.campaign_id
    campaigns_bump([campaign_id])
    if not KeyBuild.objects.filter(job__campaign=campaign_id, finished_at=None).exclude(pk=build.pk).exists():
        Campaign.objects.filter(pk=campaign_id).update(judging_waits_until=None)
        wake(PROCESS_TASK)


def keys_clean(most: int = 10_000) -> int:
    """Remove keys that no job asks for any more, so many at a time; how many that were."""
    for kind in KeyKind.objects.all():
        if (kind.scope, kind.fields) in _wanted():
            continue
        with transaction.atomic():
            # Whoever is about to want it has it locked.
            held = KeyKind.objects.select_for_update(skip_locked=True).filter(pk=kind.pk)
            if not held or (kind.scope, kind.fields) in _wanted():
                continue
            digests = set(LeadKey.objects.filter(kind=kind.pk).values_list("digest", flat=True)[:most])
            if digests:
                return LeadKey.objects.filter(kind=kind.pk, digest__in=digests).delete()[0]
            kind.delete()
    return 0


def _wanted() -> set[tuple[str, str]]:
    reaches_kept = KeyBuild.objects.values_list("reach", flat=True)
    return {kind_named(entry["scope"], tuple(entry["fields"])) for reach in reaches_kept for entry in reach}
