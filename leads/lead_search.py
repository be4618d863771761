"""Finding leads: by what a person types into one box, and by filters. What concerns deliveries is added above."""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import dataclass

from django.db import connection
from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast

from leads.callback_hash import hash_parsed, lead_hashes
from leads.models import Lead, Status

NO_TESTS = "no_tests"
# Names, telephones and parts of addresses are looked for by reading; no further back than this.
NEWEST = 1_000_000
_WHOLE_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@.]{2,}")
_TELEPHONE = re.compile(r"[+(]?[0-9][0-9()+./\s-]{4,}")
_LONGEST_ID = 18
# Of a telephone the last digits count: with or without a country code it is the same one.
_TELEPHONE_DIGITS = 9


@dataclass(frozen=True, slots=True)
class LeadSearch:
    """What leads are looked for; what is empty does not matter. Times are inclusive `since` and exclusive `until`."""

    text: str = ""
    campaign_id: int | None = None
    publisher_id: int | None = None
    form_id: int | None = None
    status: str = ""
    """A status, or NO_TESTS for all others than tests."""
    flag: str = ""
    """A flag, or "none" for those without."""
    reason_code: str = ""
    held: str = ""
    """Why it waits, as Lead.held has it."""
    failed_job: int | None = None
    """The id of a job that it did not pass."""
    since: dt.datetime | None = None
    until: dt.datetime | None = None

    def leads(self) -> QuerySet[Lead]:
        """The leads that match, in no promised order."""
        wanted = {
            "campaign": self.campaign_id,
            "publisher": self.publisher_id,
            "form": self.form_id,
            "status": self.status if self.status != NO_TESTS else "",
            "reason_code": self.reason_code,
            "held": self.held,
            "created_at__gte": self.since,
            "created_at__lt": self.until,
        }
        found = Lead.objects.filter(**{name: value for name, value in wanted.items() if value not in (None, "")})
        if self.status == NO_TESTS:
            found = found.filter(status__in=[each for each in Status if each != Status.TEST])
        if self.flag:
            found = found.filter(flag="" if self.flag == "none" else self.flag)
        if self.held:
            # Said twice, so that a partial index is seen to hold all that can be found.
            found = found.filter(held__gt="")
        if self.failed_job:
            found = _failed(found, self.failed_job)
        return leads_with_text(found, self.text)


def _failed(leads: QuerySet[Lead], job_id: int) -> QuerySet[Lead]:
    """Those that a job turned down. SQLite can't look into JSON lists: there the job stands first in each entry's text."""
    if connection.vendor != "sqlite":
        return leads.filter(failed_jobs__contains=[{"job": job_id}])
    return leads.annotate(failed_text=Cast("failed_jobs", TextField())).filter(
        failed_text__contains=f'{{"job": {job_id},'
    )


def leads_with_text(leads: QuerySet[Lead], text: str) -> QuerySet[Lead]:
    """Those of `leads` that a person means by `text`.

    A hash, a callback hash or an id is one lead; a whole e-mail address is looked up in small letters; a telephone matches by its last nine
    digits however it is written; any other word must begin a word of a value. All words must be there.
    """
    text = text.strip()
    if not text:
        return leads
    if (found := hash_parsed(text)) is not None:
        return leads.filter(hash__in=[found, *lead_hashes(text)])
    number = text.removeprefix("#")
    is_id = number.isascii() and number.isdecimal() and len(number) <= _LONGEST_ID
    if is_id and len(number) < _TELEPHONE_DIGITS - 2:
        return leads.filter(pk=int(number))
    if _WHOLE_EMAIL.fullmatch(text):
        # Said twice, so that a partial index is seen to hold all that can be found.
        return leads.filter(email_key=text.lower()[:254]).exclude(email_key="")
    newest = Lead.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    if newest > NEWEST:
        leads = leads.filter(pk__gt=newest - NEWEST)
    leads = leads.annotate(values_text=Cast("values", TextField()))
    if _TELEPHONE.fullmatch(text):
        condition = _telephone(text)
        return leads.filter(condition | Q(pk=int(number))) if is_id else leads.filter(condition)
    for word in text.split():
        leads = leads.filter(_word(word))
    return leads


def _telephone(text: str) -> Q:
    digits = "".join(filter(str.isdigit, text)).lstrip("0")[-_TELEPHONE_DIGITS:]
    # The pattern costs; what has not even the digits in this order is passed over before it.
    in_order = Q(values_text__iregex=r"[^0-9\"]{0,3}".join(digits))
    if connection.vendor == "sqlite":
        return Q(values_text__contains=digits[-2:]) & in_order
    return in_order


def _word(word: str) -> Q:
    """A value that has a word which begins so; keys of values are never meant: they follow a brace or a comma."""
    condition = Q(pk__in=())
    for written in _spellings(word):
        if "@" in word:
            condition |= Q(values_text__icontains=written)
        else:
            condition |= Q(values_text__icontains=f'": "{written}') | Q(values_text__icontains=f" {written}")
    return condition


def _spellings(word: str) -> list[str]:
    """The word as the database's JSON text has it: SQLite's keeps what is not ASCII as escapes, and knows no letter case there."""
    if connection.vendor != "sqlite" or word.isascii():
        return [json.dumps(word, ensure_ascii=False)[1:-1]]
    forms = dict.fromkeys((word, word.lower(), word.upper(), word.title()))
    return [json.dumps(form)[1:-1] for form in forms]
