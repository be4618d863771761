"""Rows that come together are written together, and none suffers for another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest
from django.db import DatabaseError, OperationalError, connection

from leads.batcher import Batcher, Overloaded


@pytest.fixture
def batches(transactional_db: None) -> list[list[int]]:
    return []


def test_what_arrives_during_a_commit_shares_the_next_one(batches: list[list[int]]) -> None:
    first_is_being_written, go_on = threading.Event(), threading.Event()

    def write(rows: Sequence[int]) -> list[int | Exception]:
        batches.append(list(rows))
        if rows[0] == 0:
            first_is_being_written.set()
            assert go_on.wait(10)
        return [row * 10 for row in rows]

    async def main() -> list[int]:
        first = asyncio.create_task(batcher.submit(0))
        await asyncio.to_thread(first_is_being_written.wait, 10)
        rest = [asyncio.create_task(batcher.submit(row)) for row in range(1, 8)]
        await asyncio.sleep(0)
        go_on.set()
        return list(await asyncio.gather(first, *rest))

    batcher: Batcher[int, int] = Batcher("test", write, max_rows=5)
    assert asyncio.run(main()) == [row * 10 for row in range(8)]
    assert batches == [[0], [1, 2, 3, 4, 5], [6, 7]]
    batcher.close()


def test_a_bad_row_fails_alone(batches: list[list[int]]) -> None:
    def write(rows: Sequence[int]) -> list[int | Exception]:
        batches.append(list(rows))
        if 13 in rows:
            raise DatabaseError("thirteen")
        return [ValueError("seven") if row == 7 else row for row in rows]

    async def main() -> list[int | BaseException]:
        return list(await asyncio.gather(*map(batcher.submit, range(20)), return_exceptions=True))

    batcher: Batcher[int, int] = Batcher("test", write)
    answers = asyncio.run(main())
    batcher.close()
    assert [answer for answer in answers if isinstance(answer, int)] == [n for n in range(20) if n not in (7, 13)]
    assert isinstance(answers[7], ValueError)
    assert isinstance(answers[13], DatabaseError)


def test_a_half_written_batch_leaves_nothing_behind(batches: list[list[int]], transactional_db: None) -> None:
    from leads.models import Advertiser

    def write(rows: Sequence[str]) -> list[str | Exception]:
        for row in rows:
            Advertiser.objects.create(name=row)
        return list(rows)

    async def main() -> list[str | BaseException]:
        return list(await asyncio.gather(*map(batcher.submit, ["a", "b", "a", "c"]), return_exceptions=True))

    batcher: Batcher[str, str] = Batcher("test", write)
    answers = asyncio.run(main())
    batcher.close()
    assert sorted(Advertiser.objects.values_list("name", flat=True)) == ["a", "b", "c"]
    assert [type(answer) for answer in answers].count(str) == 3


def test_beyond_its_bound_it_says_so_at_once_and_recovers(batches: list[list[int]]) -> None:
    writing, go_on = threading.Event(), threading.Event()

    def write(rows: Sequence[int]) -> list[int | Exception]:
        writing.set()
        assert go_on.wait(10)
        return list(rows)

    async def main() -> None:
        tasks = [asyncio.create_task(batcher.submit(0))]
        await asyncio.to_thread(writing.wait, 10)
        tasks += [asyncio.create_task(batcher.submit(row)) for row in (1, 2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await batcher.submit(3)
        go_on.set()
        assert await asyncio.gather(*tasks) == [0, 1, 2]
        assert await batcher.submit(4) == 4

    batcher: Batcher[int, int] = Batcher("test", write, max_waiting=2)
    asyncio.run(main())
    batcher.close()


def test_a_lost_connection_is_opened_anew_and_the_rows_are_tried_once_more(batches: list[list[int]]) -> None:
    lost = [True]

    def write(rows: Sequence[int]) -> list[int | Exception]:
        if lost and lost.pop():
            raise OperationalError("server closed the connection unexpectedly")
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return list(rows)

    async def main() -> int:
        return await batcher.submit(1)

    batcher: Batcher[int, int] = Batcher("test", write)
    assert asyncio.run(main()) == 1
    batcher.close()


def test_a_database_that_stays_away_is_answered_with_try_again(batches: list[list[int]]) -> None:
    def write(rows: Sequence[int]) -> list[int | Exception]:
        raise OperationalError("no database")

    async def main() -> None:
        with pytest.raises(Overloaded):
            await batcher.submit(1)

    batcher: Batcher[int, int] = Batcher("test", write)
    asyncio.run(main())
    batcher.close()


def test_closing_writes_what_waits_and_a_later_row_starts_it_again(batches: list[list[int]]) -> None:
    def write(rows: Sequence[int]) -> list[int | Exception]:
        batches.append(list(rows))
        return list(rows)

    async def main() -> None:
        waiting = asyncio.gather(*map(batcher.submit, range(3)))
        await asyncio.sleep(0)
        await asyncio.to_thread(batcher.close)
        assert await waiting == [0, 1, 2]
        assert await batcher.submit(3) == 3

    batcher: Batcher[int, int] = Batcher("test", write)
    asyncio.run(main())
    batcher.close()


def test_a_caller_that_went_away_does_not_disturb_the_others(batches: list[list[int]]) -> None:
    def write(rows: Sequence[int]) -> list[int | Exception]:
        return list(rows)

    async def main() -> None:
        gone = asyncio.create_task(batcher.submit(0))
        await asyncio.sleep(0)
        gone.cancel()
        assert await batcher.submit(1) == 1

    batcher: Batcher[int, int] = Batcher("test", write)
    asyncio.run(main())
    batcher.close()
