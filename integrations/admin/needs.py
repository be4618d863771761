"""What needs a person, as sentences with a button each: on the home page for all campaigns, on a campaign's for its own."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeAlias
from urllib.parse import urlencode

from django.db.models import Count, F, Max, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.text import Truncator

from integrations.admin.jobs import CLOSED, is_failing, listed, standings
from integrations.admin.judging.needs import judging_needs
from integrations.admin.need import Need, leads_counted
from integrations.admin.tallies import DAYS, conflicts, in_trouble
from integrations.models import DeliveryState, Integration, IntegrationState, ReasonTranslation, StatusUpdate
from leads.models import Campaign, ReasonCode
from leads.rights import without_personal

Counts: TypeAlias = dict[tuple[int, str], int]
Causes: TypeAlias = dict[tuple[int, str], Counter[str]]

_SAID_ALREADY = re.compile(r"\AWaiting: |\AGiven up after \d+ tries\. ")
SHOWN = 50
# So many of the newest rows are looked at for the causes of a trouble, and for the clients' words.
LOOKED_AT = 1_000
WORDS = {
    DeliveryState.HELD: ("wait", "wait"),
    DeliveryState.UNKNOWN: ("wait", "are in doubt: sent, but no answer came"),
    DeliveryState.EXHAUSTED: ("bad", "were given up"),
}


def needs(user: Any, campaign: Campaign | None = None) -> list[Need]:
    """What this person can do something about, the most pressing first; a constant number of bounded queries."""
    found = judging_needs(user, campaign)
    sees = user.has_perm("integrations.view_delivery") or user.has_perm("integrations.change_delivery")
    if not sees:
        return sorted(found, key=lambda need: need.rank)[:SHOWN]
    rows = Integration.objects.filter(managed=False).exclude(campaign__status=Campaign.Status.ENDED)
    if campaign is not None:
        rows = rows.filter(campaign=campaign)
    integrations = list(rows.select_related("campaign").order_by("campaign", "position", "id"))
    by_id = {row.pk: row for row in integrations}
    counts, causes = _trouble(list(by_id) if campaign is not None else None)
    waiting: Counter[int] = Counter()
    for (integration_id, state), count in counts.items():
        if state == DeliveryState.HELD:
            waiting[integration_id] += count
    if user.has_perm("integrations.change_integration"):
        found += _integrations(integrations, waiting, named=campaign is None)
    found += _deliveries(by_id, counts, causes, named=campaign is None)
    if campaign is None:
        found += _conflicts()
    if user.has_perm("leads.change_reasoncode") or user.has_perm("leads.view_reasoncode"):
        found += _unknown_codes(by_id, named=campaign is None)
    return sorted(found, key=lambda need: need.rank)[:SHOWN]


def _name(integration: Integration, named: bool) -> str:
    name = Truncator(integration.name).chars(80)
    return f"{name} ({Truncator(integration.campaign.name).chars(60)})" if named else name


def _integrations(rows: Sequence[Integration], waiting: Counter[int], *, named: bool) -> list[Need]:
    found = []
    states = standings(rows)
    for row in rows:
        standing, count = states[row.pk], waiting[row.pk]
        link = reverse("admin:integrations_integration_change", args=[row.pk])
        subject = _name(row, named)
        held = f"{leads_counted(count)} {'waits' if count == 1 else 'wait'}"
        if row.state == IntegrationState.NEEDS_A_LOOK:
            words = f"{held}. {standing.cause}" if count else standing.cause
            found.append(Need(0, "bad", subject, words, "Review" if not row.pending_form else "Review change", link))
        elif is_failing(row):
            found.append(Need(1, "bad", subject, standing.cause, "Look", link))
        elif row.closed_reason and standing.state == CLOSED:
            for_good = row.closed_until is None
            rank, tone, button = (4, "wait", "Raise it") if for_good else (7, "off", "Open")
            found.append(Need(rank, tone, subject, standing.cause, button, link))
        elif row.pending_form and row.state == IntegrationState.ON:
            found.append(
                Need(2, "wait", subject, f"their form changed{f'; {held}' if count else ''}", "Review change", link)
            )
        elif row.state == IntegrationState.PAUSED and count:
            found.append(Need(5, "wait", subject, f"is paused, and {held}", "Open", link))
        elif row.state == IntegrationState.NEEDS_SETUP and row.campaign.status == Campaign.Status.ACTIVE:
            found.append(Need(6, "off", subject, f"is not set up yet. {standing.cause}", "Configure", link))
    return found


def _trouble(integration_ids: list[int] | None) -> tuple[Counts, Causes]:
    """How many deliveries wait for a person by (integration, state), and the causes.

    Where there are more than a few, each group's newest and a spread of all are looked at.
    """
    rows = in_trouble().order_by()
    if integration_ids is not None:
        rows = rows.filter(integration__in=integration_ids)
    counts: Counts = {}
    newest = []
    grouped = rows.values_list("integration_id", "state").annotate(count=Count("*"), newest=Max("pk"))
    for integration_id, state, count, pk in grouped:
        counts[integration_id, state] = count
        newest.append(pk)
    causes: Causes = {}
    if counts:
        every = -(-sum(counts.values()) // LOOKED_AT)
        looked_at = rows if every == 1 else rows.annotate(place=F("pk") % every).filter(Q(place=0) | Q(pk__in=newest))
        for integration_id, state, reason in looked_at.values_list("integration_id", "state", "reason"):
            causes.setdefault((integration_id, state), Counter())[reason] += 1
    return counts, causes


def _deliveries(
    by_id: dict[int, Integration],
    counts: Counts,
    causes: Causes,
    *,
    named: bool,
) -> list[Need]:
    found = []
    for (integration_id, state), count in counts.items():
        row = by_id.get(integration_id)
        if row is None or (state == DeliveryState.HELD and row.state != IntegrationState.ON):
            continue  # of an integration that is not on all wait for one cause, which is said above
        tone, verb = WORDS[DeliveryState(state)]
        query = urlencode({"state__exact": state, "integration__id__exact": integration_id})
        link = f"{reverse('admin:integrations_delivery_changelist')}?{query}"
        known = causes.get((integration_id, state), Counter())
        for words, share in _causes(known, count):
            said = (
                verb if share != 1 else {"wait": "waits"}.get(verb, verb.replace("are ", "is ").replace("were", "was"))
            )
            because = f": {words}" if words else ""
            found.append(
                Need(
                    3 if tone == "bad" else 4,
                    tone,
                    _name(row, named),
                    f"{leads_counted(share)} {said}{because}",
                    "Look",
                    link,
                )
            )
    return found


def _causes(known: Counter[str], count: int) -> list[tuple[str, int]]:
    """The causes of a trouble with their counts: each of its own where all were looked at, else the most frequent."""
    plain: Counter[str] = Counter()
    for reason, share in known.items():
        words = _SAID_ALREADY.sub("", reason)
        plain[Truncator(without_personal(words, {})).chars(160)] += share
    if not plain:
        return [("", count)]
    if sum(plain.values()) == count and len(plain) <= 3:
        return plain.most_common()
    [(words, _)] = plain.most_common(1)
    return [(words if len(plain) == 1 else f"mostly “{words}”", count)]


def _conflicts() -> list[Need]:
    found = conflicts(timezone.localdate() - dt.timedelta(days=DAYS - 1))
    if not found:
        return []
    one = found == 1
    words = f"{found:,} verdict{'' if one else 's'} contradict{'s' if one else ''} what was decided here"
    link = reverse("admin:integrations_statusupdate_changelist") + f"?state__exact={StatusUpdate.State.CONFLICTING}"
    return [Need(4, "wait", "Clients say otherwise", words, "Compare", link)]


def _unknown_codes(by_id: dict[int, Integration], *, named: bool) -> list[Need]:
    """Reason codes among the latest verdicts that are neither ours nor translated into one of ours."""
    latest = (
        StatusUpdate.objects.filter(delivery__isnull=False)
        .order_by("-id")
        .values_list("delivery__integration_id", "reason_code")[:LOOKED_AT]
    )
    given = Counter((pk, code) for pk, code in latest if code and pk in by_id)
    if not given:
        return []
    ours = {code.casefold() for code in ReasonCode.objects.values_list("code", flat=True)}
    table = {
        (integration_id or connector, theirs.casefold())
        for integration_id, connector, theirs in ReasonTranslation.objects.values_list(
            "integration", "connector", "theirs"
        )
    }
    unknown: dict[int, list[str]] = {}
    for pk, code in sorted(given):
        folded = code.casefold()
        if folded not in ours and not {(pk, folded), (by_id[pk].connector, folded)} & table:
            unknown.setdefault(pk, []).append(code)
    # Several integrations with the same codes are one thing to do.
    same: dict[tuple[str, ...], list[int]] = {}
    for pk, codes in unknown.items():
        same.setdefault(tuple(codes), []).append(pk)
    found = []
    for names, pks in same.items():
        shown = listed([f"“{code}”" for code in names])
        others = f" and {len(pks) - 1} more" if len(pks) > 1 else ""
        verb = "give" if others else "gives"
        words = f"{verb} {'reasons' if len(names) > 1 else 'a reason'} that your list does not have: {shown}"
        where = reverse("admin:integrations_reasontranslation_table", args=[pks[0]])
        found.append(Need(7, "off", _name(by_id[pks[0]], named) + others, words, "Translate", where))
    return found
