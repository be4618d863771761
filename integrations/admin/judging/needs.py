"""What of judging needs a person: leads that wait for a decision, and jobs that can't judge."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.db.models import Count
from django.urls import reverse
from django.utils.text import Truncator

from integrations.admin.need import Need, leads_counted
from integrations.judging.problems import jobs_problems
from integrations.models import Job
from leads.models import Campaign, Held, Lead

# A cap of the day, week or month opens by itself.
WAITS_FOR_A_PERSON = (Held.CAUTION, Held.CAP_TOTAL)


def judging_needs(user: Any, campaign: Campaign | None) -> list[Need]:
    """Leads that wait for a person before they go anywhere, and jobs that can't judge."""
    found: list[Need] = []
    campaigns = Campaign.objects.exclude(status=Campaign.Status.ENDED)
    if campaign is not None:
        campaigns = campaigns.filter(pk=campaign.pk)
    if user.has_perm("leads.change_lead"):
        waiting = Lead.objects.filter(held__in=WAITS_FOR_A_PERSON, campaign__in=campaigns.values("pk"), held__gt="")
        counted = waiting.order_by().values_list("campaign_id", "campaign__name", "held").annotate(count=Count("*"))
        for pk, name, held, count in counted:
            query = urlencode({"campaign__id__exact": pk, "held": held})
            link = f"{reverse('admin:leads_lead_changelist')}?{query}"
            subject = Truncator(name).chars(60) if campaign is None else "Quality Assurance"
            verb = "waits" if count == 1 else "wait"
            why = "in Caution" if held == Held.CAUTION else "because their publisher has sent as many as are wanted"
            found.append(Need(3, "wait", subject, f"{leads_counted(count)} {verb} {why}", "Review", link))
    if user.has_perm("integrations.change_job"):
        jobs = list(Job.objects.filter(campaign__in=campaigns.values("pk")).select_related("campaign"))
        problems = jobs_problems(jobs)
        for job in jobs:
            if not (problem := problems.get(job.pk)):
                continue
            name = Truncator(job.name).chars(80)
            subject = f"{name} ({Truncator(job.campaign.name).chars(60)})" if campaign is None else name
            link = reverse("admin:integrations_job_change", args=[job.pk])
            if job.enabled:
                found.append(Need(1, "bad", subject, f"{problem} Until then leads land in Caution", "Configure", link))
            elif job.campaign.status == Campaign.Status.ACTIVE:
                found.append(Need(6, "off", subject, f"is not set up yet. {problem}", "Configure", link))
    return found
