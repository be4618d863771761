"""A campaign with jobs, and leads that come in."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from integrations.judging.changes import campaign_caps_changed, processr_changed
from integrations.judging.job_sets import job_sets_forget
from integrations.models import Integration, Job, JobGroup
from integrations.processr import leads_process
from leads.database import uuid7
from leads.models import Advertiser, Campaign, CampaignPublisher, Field, Form, Lead, Publisher, Status

FIELDS = ("firstName", "lastName", "email", "telephone", "country")


@pytest.fixture(autouse=True)
def no_jobs_of_another_test() -> None:
    """Rolled back tests use the same ids again; a portal never does."""
    job_sets_forget()


def make_campaign(name: str = "Spring webinar", advertiser: str = "Acme") -> Campaign:
    """A campaign with a form, a publisher, and an integration that leads are queued for."""
    campaign = Campaign.objects.create(advertiser=Advertiser.objects.get_or_create(name=advertiser)[0], name=name)
    form, made = Form.objects.get_or_create(name="Sign-up")
    if made:
        for position, field in enumerate(FIELDS):
            Field.objects.create(form=form, name=field, position=position)
    campaign.forms.add(form)
    campaign.contracts.create(publisher=Publisher.objects.get_or_create(name="Northbeam")[0])
    Integration.objects.create(campaign=campaign, name="Acme EU", connector="webhook", state="paused")
    return campaign


@pytest.fixture
def campaign(db: None) -> Campaign:
    return make_campaign()


def add_job(campaign: Campaign, kind: str, /, name: str = "", settings: Any = None, **columns: Any) -> Job:
    """Add a job and put it in force."""
    job = Job.objects.create(
        campaign=campaign,
        kind=kind,
        name=name or f"{kind} {Job.objects.filter(campaign=campaign).count()}",
        settings=settings or {},
        position=Job.objects.filter(campaign=campaign).count(),
        **columns,
    )
    processr_changed(campaign.pk)
    return job


def required(campaign: Campaign, field: str, **columns: Any) -> Job:
    return add_job(campaign, "required_value", f"{field} required", {"fields": [field]}, **columns)


def duplicate(campaign: Campaign, *fields: str, settings: Any = None, **columns: Any) -> Job:
    asked = {"fields": list(fields or ("email",)), **(settings or {})}
    return add_job(campaign, "duplicate", "", asked, **{"hard_fail": True, **columns})


def add_group(campaign: Campaign, name: str, score: int = 10) -> JobGroup:
    return JobGroup.objects.create(campaign=campaign, name=name, score=score)


def cap(campaign: Campaign, **columns: Any) -> CampaignPublisher:
    """Set caps of the campaign's only publisher."""
    contract = campaign.contracts.get()
    for name, value in columns.items():
        setattr(contract, name, value)
    contract.save()
    campaign_caps_changed(campaign.pk)
    return contract


def receive(campaign: Campaign, status: Status = Status.PENDING, **columns: Any) -> Lead:
    """A lead as intake leaves it; what is no column is a value that was posted."""
    own: dict[str, Any] = {
        name: columns.pop(name) for name in ("ip", "publisher", "created_at", "sync_token") if name in columns
    }
    if "sync_token" in own:
        own["sync_subdomain"] = "origin"
    form = campaign.forms.earliest("pk")
    return Lead.objects.create(
        hash=uuid7(),
        campaign=campaign,
        form=form,
        form_version=form.version,
        values={name: value for name, value in columns.items() if value},
        status=status,
        **{"publisher": campaign.publishers.first(), "created_at": timezone.now(), **own},
    )


def judge(campaign: Campaign, status: Status = Status.PENDING, **columns: Any) -> Lead:
    """A lead comes in and is judged."""
    lead = receive(campaign, status, **columns)
    leads_process()
    lead.refresh_from_db()
    return lead


def days_ago(count: float) -> dt.datetime:
    return timezone.now() - dt.timedelta(days=count)


Received = Callable[..., Lead]
