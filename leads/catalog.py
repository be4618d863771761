"""What the hot path knows of campaigns, forms, publishers and tokens: read by the ORM in threads, kept for a moment.

An entry is used for CATALOG_MAX_AGE_SECONDS, so that a change made in the console (or in another process) is in force at once
for people and free for thousands of leads a second. All that ask while an entry is being read share that one read.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import datetime as dt
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Generic, NamedTuple, TypeVar

from django.conf import settings
from django.utils import timezone

from leads import access, partner_keys, pool
from leads.access import Principal
from leads.forms import CompiledForm, FieldSpec, compile_form
from leads.models import ApiKey, Campaign, CampaignPublisher, Field, Form, Link
from leads.partner_keys import Partner

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

MAX_ENTRIES = 10_000


class LinkEntry(NamedTuple):
    id: int
    name: str
    channel: str
    destination: str


@dataclass(frozen=True, slots=True)
class CampaignEntry:
    """A campaign as intake needs it. `publishers` are those that may send; `keys` digests of its keys to their end."""

    id: int
    active: bool
    forms: Mapping[int, CompiledForm]
    publishers: frozenset[int]
    links: Mapping[int, LinkEntry]
    keys: Mapping[str, dt.datetime | None]

    async def opened_by(self, api_key: str) -> bool:
        """Whether this is one of its API keys, and good now; that it was used is written down now and then."""
        key = access.digest(api_key)
        if key not in self.keys:
            return False
        ends = self.keys[key]
        if ends is not None and ends <= timezone.now():
            return False
        await _uses.get(key)
        return True


class Kept(Generic[K, V]):
    """Values by key, none older than the setting says.

    From three quarters of that age on a value is still used while a new one is read: a reading thread takes turns with a
    busy event loop, and hundreds of requests should not stand and wait for it.
    """

    def __init__(self, load: Callable[[K], V]) -> None:
        self._load = load
        self._entries: dict[K, tuple[float, V]] = {}
        self._loading: dict[K, concurrent.futures.Future[V]] = {}

    async def get(self, key: K) -> V:
        entry = self._entries.get(key)
        if entry is not None:
            age, most = time.monotonic() - entry[0], settings.CATALOG_MAX_AGE_SECONDS
            if age < most:
                if age > most * 0.75 and key not in self._loading:
                    self._start(key)
                return entry[1]
        return await asyncio.shield(asyncio.wrap_future(self._loading.get(key) or self._start(key)))

    def _start(self, key: K) -> concurrent.futures.Future[V]:
        loading = self._loading[key] = pool.start(self._load, key)
        loading.add_done_callback(partial(self._keep, key, time.monotonic()))
        return loading

    def _keep(self, key: K, started: float, loading: concurrent.futures.Future[V]) -> None:
        """In the thread that read the value, before anybody who waits for it goes on."""
        self._loading.pop(key, None)
        if loading.cancelled() or loading.exception() is not None:
            return
        if len(self._entries) >= MAX_ENTRIES:
            self._entries.clear()
        self._entries[key] = (started, loading.result())

    def clear(self) -> None:
        self._entries.clear()


# Compiled forms outlive the entries: compiling costs more than reading, and only a changed form needs it anew.
_compiled: dict[tuple[int, str, int, str], CompiledForm] = {}


def _load_campaign(campaign_id: int) -> CampaignEntry | None:
    campaign = Campaign.objects.filter(pk=campaign_id).values_list("status").first()
    if campaign is None:
        return None
    contracts = CampaignPublisher.objects.filter(campaign_id=campaign_id, active=True, publisher__active=True)
    links = Link.objects.filter(campaign_id=campaign_id).values_list("id", "name", "channel", "destination")
    return CampaignEntry(
        id=campaign_id,
        active=campaign[0] == Campaign.Status.ACTIVE,
        forms=_load_forms(campaign_id),
        publishers=frozenset(contracts.values_list("publisher_id", flat=True)),
        links={link[0]: LinkEntry(*link) for link in links},
        keys=dict(ApiKey.objects.filter(campaign_id=campaign_id).values_list("digest", "expires_at")),
    )


def _load_forms(campaign_id: int) -> dict[int, CompiledForm]:
    forms = list(Form.objects.filter(campaigns=campaign_id).order_by("id").values_list("id", "name", "version"))
    fields: dict[int, list[FieldSpec]] = {form[0]: [] for form in forms}
    rows = Field.objects.filter(form_id__in=fields, enabled=True).order_by("position", "id")
    for form_id, *row in rows.values_list("form_id", *FieldSpec._fields):
        fields[form_id].append(FieldSpec(*row))
    compiled = {}
    for form_id, name, version in forms:
        key = (form_id, name, version, repr(fields[form_id]))
        if key not in _compiled:
            if len(_compiled) >= MAX_ENTRIES:
                _compiled.clear()
            _compiled[key] = compile_form(form_id, name, version, fields[form_id])
        compiled[form_id] = _compiled[key]
    return compiled


def compiled_form(campaign_id: int, form_id: int) -> CompiledForm | None:
    """A campaign's form as it is now, read by whoever may wait for the database; None where it has no such form."""
    return _load_forms(campaign_id).get(form_id)


_campaigns = Kept(_load_campaign)
_principals = Kept(access.principal)
_partners = Kept(partner_keys.partner)
_uses = Kept(access.api_key_used)


async def campaign(campaign_id: int) -> CampaignEntry | None:
    """The campaign, or None."""
    return await _campaigns.get(campaign_id)


async def principal(token: str) -> Principal | None:
    """Who the access token speaks for now, or None."""
    found = await _principals.get(token)
    return found if found is not None and found.expires_at > timezone.now() else None


async def partner(token: str) -> Partner | None:
    """Who a key of the partner API speaks for now, or None."""
    found = await _partners.get(token)
    return found if found is not None and (found.expires_at is None or found.expires_at > timezone.now()) else None


def forget() -> None:
    """Read everything anew at the next question."""
    _campaigns.clear()
    _principals.clear()
    _partners.clear()
    _uses.clear()
