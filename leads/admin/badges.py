"""How states are shown: by word and colour and shape, so that none of the three is needed to tell them apart."""

from __future__ import annotations

import datetime as dt

from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from leads.models import Campaign, Flag, Lead, Status

SHAPES = {"good": "●", "busy": "◐", "wait": "▲", "bad": "✕", "off": "○", "test": "◇", "back": "↩"}
LIST_CHARS = 60

CAMPAIGN_TONES = {
    Campaign.Status.ACTIVE: "good",
    Campaign.Status.INACTIVE: "off",
    Campaign.Status.PAUSED: "wait",
    Campaign.Status.ENDED: "off",
    Campaign.Status.SETUP_REQUIRED: "wait",
}
STATUS_TONES = {
    Status.PENDING: "busy",
    Status.VALID: "good",
    Status.CAUTION: "wait",
    Status.INVALID: "bad",
    Status.TEST: "test",
}
FLAG_TONES = {Flag.VALID: "good", Flag.INVALID: "bad", Flag.RETURNED: "back", Flag.TEST: "test"}


def badge(word: str, tone: str, hint: str = "") -> SafeString:
    """A state as an account manager sees it; `tone` is a key of SHAPES, `hint` shows when pointed at."""
    return format_html(
        '<span class="pt-badge pt-{}"{}><span aria-hidden="true">{}</span> {}</span>',
        tone,
        format_html(' title="{}"', Truncator(hint).chars(300)) if hint else "",
        SHAPES[tone],
        word,
    )


def campaign_badge(campaign: Campaign) -> SafeString:
    return badge(
        campaign.get_status_display().split(" (")[0],
        CAMPAIGN_TONES.get(Campaign.Status(campaign.status), "off"),
        campaign.status_reason,
    )


def status_badge(lead: Lead, *, with_jobs: bool = True) -> SafeString:
    """The first check; `with_jobs` tells which jobs failed, whose words may name what was posted."""
    jobs = "; ".join(lead.failed_words) if with_jobs else ""
    return badge(lead.get_status_display(), STATUS_TONES.get(Status(lead.status), "off"), jobs)


def flag_badge(flag: str, hint: str = "") -> SafeString:
    return badge(Flag(flag).label, FLAG_TONES.get(Flag(flag), "off"), hint)


def short(text: str, length: int = LIST_CHARS) -> str:
    """A text cut for a table's cell."""
    return Truncator(text).chars(length)


def two_lines(first: str, second: str, *, strong: bool = False) -> SafeString:
    """A cell of two lines, the second in small; what is long is cut, and whole when pointed at."""
    return format_html(
        '<span class="pt-cell" title="{}"><span class="{}">{}</span><span class="pt-quiet pt-small">{}</span></span>',
        short(f"{first} · {second}" if second else first, 200),
        "pt-strong" if strong else "",
        short(first),
        short(second),
    )


def moment(at: dt.datetime | None) -> SafeString | str:
    """A time for a cell: day and minute, the exact one when pointed at."""
    if at is None:
        return "–"
    local = timezone.localtime(at)
    return format_html(
        '<time class="pt-num" datetime="{}" title="{}">{}</time>',
        local.isoformat(),
        f"{local:%d %b %Y %H:%M:%S %Z}",
        f"{local:%d %b %H:%M}",
    )
