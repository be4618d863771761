"""How long a change may take to be in force."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from leads import catalog
from leads.models import Campaign
from tests.receiving.conftest import Client, Instance


def active(instance: Instance) -> bool | None:
    async def main() -> bool | None:
        found = await catalog.campaign(instance.campaign.pk)
        return found.active if found else None

    return asyncio.run(main())


def grown_older(by: float) -> None:
    kept = catalog._campaigns._entries
    kept.update({key: (read_at - by, value) for key, (read_at, value) in kept.items()})


def test_what_was_read_is_used_until_it_is_too_old(instance: Instance, settings: Any) -> None:
    settings.CATALOG_MAX_AGE_SECONDS = 100
    assert active(instance) is True
    Campaign.objects.update(status="paused")
    assert active(instance) is True
    grown_older(by=101)
    assert active(instance) is False


def test_shortly_before_that_it_is_read_anew_and_nobody_waits(instance: Instance, settings: Any) -> None:
    settings.CATALOG_MAX_AGE_SECONDS = 100
    assert active(instance) is True
    Campaign.objects.update(status="paused")
    grown_older(by=80)
    assert active(instance) is True
    for reading in list(catalog._campaigns._loading.values()):
        reading.result(timeout=10)
    assert active(instance) is False


def test_all_that_ask_at_once_share_one_read(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    load = catalog._campaigns._load

    def counted(key: int) -> Any:
        reads.append(key)
        return load(key)

    monkeypatch.setattr(catalog._campaigns, "_load", counted)

    async def main() -> None:
        answers = await asyncio.gather(*(catalog.campaign(instance.campaign.pk) for _ in range(50)))
        assert all(answers)

    asyncio.run(main())
    assert reads == [instance.campaign.pk]


def test_a_read_that_failed_is_tried_again_by_the_next_one(instance: Instance, settings: Any) -> None:
    settings.CATALOG_MAX_AGE_SECONDS = 100

    def broken(key: int) -> Any:
        raise RuntimeError("no answer")

    load, catalog._campaigns._load = catalog._campaigns._load, broken
    try:
        with pytest.raises(RuntimeError):
            active(instance)
    finally:
        catalog._campaigns._load = load
    assert active(instance) is True


def test_a_flood_of_made_up_tokens_takes_no_memory_for_good(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "MAX_ENTRIES", 5)
    for number in range(20):
        assert (
            client.get("/api/v2.4/publisher/fields/1", headers={"Authorization": f"Bearer {number}"}).status_code == 401
        )
    assert len(catalog._principals._entries) <= 5
