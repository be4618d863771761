"""Audiences and computed traits, made and changed by people."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Count, Max

from leads.membership import AUDIENCE_TASK, membership_locked
from leads.models import Audience, Campaign, Person
from leads.models.audience import KEY_CHARS
from leads.rule_checks import snake_case
from leads.wake import wake


class NameTaken(ValueError):
    """Another audience or computed trait of the campaign has this name, or one that destinations could not tell apart."""


def audience_create(campaign: Campaign, kind: str, name: str, rule: dict[str, Any], **given: Any) -> Audience:
    """Make an audience or a computed trait of a rule that was checked, and begin to compute it.

    ValueError where the name makes no key; NameTaken where the key is another's.
    """
    key = audience_key(campaign, name)
    with transaction.atomic():
        made = Audience.objects.create(campaign=campaign, kind=kind, name=name, key=key, rule=rule, **given)
        audience_compute(made)
    return made


def audience_key(campaign: Campaign, name: str, *, other_than: Audience | None = None) -> str:
    """The key of a name: what destinations are told it by. ValueError, in words, where it can't be had."""
    key = snake_case(name)[:KEY_CHARS]
    if not key:
        raise ValueError("Give it a name with letters or digits: destinations are told it as a property of that name.")
    others = Audience.objects.filter(campaign=campaign, key=key)
    if other_than is not None:
        others = others.exclude(pk=other_than.pk)
    if (taken := others.first()) is not None:
        raise NameTaken(f"“{taken.name}” is told to destinations as {key} already. Choose another name.")
    return key


def audience_change_rule(audience: Audience, rule: dict[str, Any]) -> bool:
    """Let another rule decide; whether it is another. Those who are in by the old one are until all were looked at."""
    with transaction.atomic():
        membership_locked(wait=True)
        audience.refresh_from_db()
        if audience.rule == rule:
            return False
        audience.rule = rule
        audience.save(update_fields=["rule"])
        audience_compute(audience)
    return True


def audience_switch(audience: Audience, *, on: bool) -> None:
    """Keep an audience up to date, or no more. Switched on again it is computed anew: much may have happened meanwhile."""
    with transaction.atomic():
        membership_locked(wait=True)
        audience.refresh_from_db()
        if audience.enabled == on:
            return
        audience.enabled = on
        audience.save(update_fields=["enabled"])
        if on:
            audience_compute(audience)


def audience_compute(audience: Audience) -> None:
    """Begin to look at everybody, in the caller's transaction, with the members of now in force until that is done."""
    membership_locked(wait=True)
    audience.refresh_from_db()
    audience.building = max(audience.generation, audience.building or 0) + 1
    audience.built_to = audience.built = 0
    people = Person.objects.filter(campaign=audience.campaign_id).aggregate(count=Count("pk"), last=Max("pk"))
    audience.to_build, audience.build_until = people["count"], people["last"] or 0
    audience.leftovers = True
    audience.save(update_fields=["building", "built_to", "build_until", "built", "to_build", "leftovers"])
    wake(AUDIENCE_TASK)
