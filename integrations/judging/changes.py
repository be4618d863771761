"""What has to happen when what judges a campaign's leads is changed: jobs, groups, caps, its time zone, what it lets out."""

from __future__ import annotations

from django.db import transaction

from integrations.judging.caps import caps_changed
from integrations.judging.key_builds import campaigns_bump, key_builds_follow
from leads.models import Campaign, CampaignPublisher


def processr_changed(campaign_id: int) -> None:
    """Put changes of a campaign's jobs, groups or rules in force. To be called in the transaction that makes them.

    What is compiled of the Processr is kept by a number that this raises: the next batch of leads is judged by what is new.
    For a job that compares leads, keys of the leads before are made (key_builds.py).
    """
    with transaction.atomic():
        campaigns_bump([campaign_id])
        key_builds_follow(Campaign.objects.get(pk=campaign_id))


def campaign_caps_changed(campaign_id: int) -> None:
    """Put changed caps of a campaign's publishers, or its changed time zone, in force; in the transaction that makes them.

    What went out is counted anew, and what was held goes out as far as there is room now.
    """
    with transaction.atomic():
        campaigns_bump([campaign_id])
        caps_changed(CampaignPublisher.objects.filter(campaign=campaign_id).values_list("pk", flat=True))
