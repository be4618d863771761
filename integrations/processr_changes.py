"""What has to happen when what judges a campaign's leads is changed: jobs, groups, caps, its time zone, what it lets out."""

from __future__ import annotations

from django.db import transaction
from django.db.models import F

from leads.models import Campaign


def processr_changed(campaign_id: int) -> None:
    """Put changes of a campaign's jobs, groups, caps or rules in force. To be called in the transaction that makes them.

    What is compiled of the Processr is kept by a number that this raises: the next batch of leads is judged by what is new.
    """
    with transaction.atomic():
        Campaign.objects.filter(pk=campaign_id).update(processr_version=F("processr_version") + 1)
