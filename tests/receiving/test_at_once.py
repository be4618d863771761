"""Many at once."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.conf import settings
from django.db import IntegrityError

from leads import intake
from leads.database import uuid7
from leads.intake import KeyReused, LeadRow
from leads.models import Lead
from tests.receiving.conftest import GOOD, Client


def test_fifty_submits_with_one_key_make_one_lead_and_get_one_answer(client: Client) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: client.send(headers={"Idempotency-Key": "same"}), range(50)))
    assert {answer.status_code for answer in answers} == {201}
    assert {answer.json()["data"] for answer in answers} == {Lead.objects.get().pk}


def test_every_one_of_many_leads_is_there_once_when_it_was_answered(client: Client) -> None:
    def send(number: int) -> int:
        return int(client.send({**GOOD, "form[email]": f"lead{number}@example.test"}).json()["data"])

    with ThreadPoolExecutor(16) as pool:
        ids = list(pool.map(send, range(200)))
    stored = {lead.pk: lead.values["email"] for lead in Lead.objects.all()}
    assert stored == {lead_id: f"lead{number}@example.test" for number, lead_id in enumerate(ids)}


def row(client: Client, key: str | None = None, digest: str = "", **given: Any) -> LeadRow:
    found = client.instance
    made = LeadRow(uuid7(), found.campaign.pk, found.publisher.pk, found.form.pk, 1, None, {"firstName": "Ada"})
    return made._replace(idempotency_key=key, body_digest=digest, **given)


def test_a_key_repeated_inside_one_statement_makes_one_lead(client: Client) -> None:
    rows = [row(client, "k", "a"), row(client), row(client, "k", "a"), row(client, "k", "b"), row(client, "l", "a")]
    first, second, again, other, third = intake.leads_insert(rows)
    assert first == again
    assert isinstance(other, KeyReused)
    assert len({first, second, third}) == 3
    assert Lead.objects.count() == 3
    assert intake.leads_insert([row(client, "k", "a")]) == [first]


def test_rows_that_were_written_by_an_earlier_try_are_not_written_again(client: Client) -> None:
    rows = [row(client), row(client, "k", "a")]
    assert intake.leads_insert(rows) == intake.leads_insert(rows)
    assert Lead.objects.count() == 2


def test_a_lead_whose_campaign_has_gone_fails_alone(client: Client) -> None:
    async def main() -> list[object]:
        rows = [row(client), row(client, campaign_id=10**9), row(client)]
        return list(await asyncio.gather(*map(intake.submit, rows), return_exceptions=True))

    answers = asyncio.run(main())
    assert isinstance(answers[1], IntegrityError)
    assert Lead.objects.count() == 2


def test_when_too_much_waits_a_client_is_asked_to_come_again(client: Client) -> None:
    waiting, intake.batcher._max_waiting = intake.batcher._max_waiting, 0
    try:
        answer = client.send()
    finally:
        intake.batcher._max_waiting = waiting
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json()["code"] == 503
    assert client.send().status_code == 201
    assert waiting == settings.INTAKE_QUEUE_ROWS
