"""Many leads in one call: an answer for each row, whatever they are written in."""

from __future__ import annotations

import datetime as dt
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from django.utils import timezone

from leads.models import AnsweredCall, Campaign, Lead
from tests.api.conftest import Instance, Partner
from tests.api.test_keys import problem
from tests.api.test_leads import leads_path

TYPES = {"ndjson": "application/x-ndjson", "json": "application/json", "csv": "text/csv"}


@pytest.fixture
def send(reach: Partner, instance: Instance) -> Any:
    """Sends rows as the publisher, in a kind of body."""

    def sent(body: bytes, kind: str = "ndjson", *, key: str = "", **headers: str) -> requests.Response:
        headers = {"Content-Type": TYPES.get(kind, kind), **headers, **({"Idempotency-Key": key} if key else {})}
        return reach.call("POST", f"{leads_path(instance)}/bulk", data=body, headers=headers)

    return sent


def lead(number: int) -> dict[str, Any]:
    return {"firstName": f"Ada {number}", "email": f"lead{number}@example.test"}


def lines(*rows: Any) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def said(answer: requests.Response) -> tuple[list[Any], dict[str, int]]:
    """The rows' answers and the counts, of either kind of answer."""
    assert answer.status_code == 200, answer.text
    if answer.headers["Content-Type"] == "application/json":
        body = answer.json()
        return body["rows"], {"received": body["received"], "refused": body["refused"]}
    *rows, counts = map(json.loads, answer.text.splitlines())
    return rows, counts


@pytest.mark.parametrize("kind", ["ndjson", "json", "csv"])
def test_good_rows_are_kept_and_bad_ones_told_with_row_and_column(send: Any, kind: str) -> None:
    rows = [lead(1), {"firstName": "Bob", "email": "nobody"}, lead(3)]
    bodies = {
        "ndjson": lines(*rows),
        "json": json.dumps(rows).encode(),
        "csv": b"firstName;email\r\n" + b"".join(f"{row['firstName']};{row['email']}\r\n".encode() for row in rows),
    }
    answers, counts = said(send(bodies[kind], kind))
    assert counts == {"received": 2, "refused": 1}
    first = 2 if kind == "csv" else 1  # as a spreadsheet shows it
    assert [(row["row"], row["status"]) for row in answers] == [(first, 201), (first + 1, 422), (first + 2, 201)]
    error = answers[1]["errors"][0]
    assert (error["row"], error["column"]) == (first + 1, "email")
    assert error["place"] == f"row {first + 1}, column email"
    stored = {found.pk: (found.hash.hex, found.values["email"]) for found in Lead.objects.all()}
    assert stored == {
        row["id"]: (row["hash"], f"lead{n}@example.test") for row, n in ((answers[0], 1), (answers[2], 3))
    }


def test_ten_thousand_leads_come_in_with_one_call_and_one_more_is_too_many(send: Any) -> None:
    body = lines(*map(lead, range(10_000)))
    answers, counts = said(send(body))
    assert counts == {"received": 10_000, "refused": 0}
    assert [row["row"] for row in answers] == list(range(1, 10_001))
    stored = dict(Lead.objects.values_list("pk", "values__email"))
    assert [stored[row["id"]] for row in answers] == [f"lead{n}@example.test" for n in range(10_000)]
    said_ = problem(send(body + lines(lead(10_001))), 413, "too-large")
    assert "10,000 rows" in said_["detail"]
    assert Lead.objects.count() == 10_000


def test_rows_that_can_t_be_read_cost_their_neighbours_nothing(send: Any) -> None:
    body = b'{"firstName": \n[]\n\n"x"\n\xff\n' + lines(lead(1)) + json.dumps(lead(2)).encode()
    answers, counts = said(send(body))
    assert counts == {"received": 2, "refused": 4}
    assert [(row["row"], row["status"]) for row in answers] == [
        (1, 422),
        (2, 422),
        (4, 422),
        (5, 422),
        (6, 201),
        (7, 201),
    ]


def test_a_row_that_is_too_large_is_refused_alone(send: Any, settings: Any) -> None:
    settings.MAX_BODY_BYTES = 1_000
    answers, counts = said(send(lines({"firstName": "x" * 5_000}, lead(1))))
    assert counts == {"received": 1, "refused": 1}
    assert "larger than 1000 bytes" in answers[0]["errors"][0]["message"]


def test_bodies_that_can_t_be_used_at_all_take_nothing_in(send: Any, settings: Any) -> None:
    problem(send(b"[1", "json"), 400, "unreadable")
    problem(send(b"{}", "json"), 422, "invalid")
    problem(send(b"[]", "json"), 422, "invalid")
    problem(send(b"", "ndjson"), 422, "invalid")
    problem(send(b"", "csv"), 400, "unreadable")
    unknown = problem(send(b"firstName,e-mail\nAda,a@b.de\n", "csv"), 422, "invalid")
    assert [error["column"] for error in unknown["errors"]] == ["e-mail"]
    problem(send(b"x", "text/plain"), 415, "wrong-media-type")
    problem(send(b"x", "ndjson", **{"Content-Encoding": "gzip"}), 415, "wrong-media-type")
    settings.API_MAX_BYTES = 100
    problem(send(lines(lead(1), lead(2))), 413, "too-large")
    Campaign.objects.update(status=Campaign.Status.ENDED)
    problem(send(lines(lead(1))), 403, "campaign-inactive")
    assert Lead.objects.count() == 0


def test_parts_of_an_opt_in_and_several_choices_are_columns_and_comma_lists_of_a_table(send: Any) -> None:
    body = 'firstName,email,topics,optin.terms,optin.contactTypes\nZoë,zoe@example.test,"a,b, c",yes,"Email,SMS"\n'.encode()
    assert said(send(body, "csv"))[1] == {"received": 1, "refused": 0}
    values = Lead.objects.get().values
    assert (values["topics"], values["optin.terms"], values["optin.contactTypes"]) == ("a,b, c", "1", "Email,SMS")


def test_a_repeated_call_is_answered_as_it_was_and_takes_nothing_in_twice(send: Any) -> None:
    body = lines(lead(1), {}, lead(2))
    first, again = send(body, key="call-1"), send(body, key="call-1")
    assert again.content == first.content
    assert again.headers["Idempotency-Replayed"] == "true"
    problem(send(lines(lead(3)), key="call-1"), 422, "idempotency-key-reused")
    assert Lead.objects.count() == 2


def test_calls_at_once_with_one_key_take_each_row_in_once(send: Any) -> None:
    body = lines(*map(lead, range(300)))
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: send(body, key="same"), range(12)))
    for answer in answers:
        if answer.status_code == 409:
            problem(answer, 409, "still-running")
            assert int(answer.headers["Retry-After"]) > 0
    assert len({answer.content for answer in answers if answer.status_code == 200}) == 1
    assert Lead.objects.count() == 300


def test_a_call_whose_portal_died_in_the_middle_is_finished_by_the_next_one(send: Any) -> None:
    body = lines(*map(lead, range(4)))
    first = send(body, key="died")
    # As it was when the process was killed after its first rows were committed.
    AnsweredCall.objects.update(status=None, body=None, alive_at=timezone.now() - dt.timedelta(minutes=5))
    kept = Lead.objects.order_by("pk").first()
    assert kept is not None
    Lead.objects.exclude(pk=kept.pk).delete()
    answers, counts = said(send(body, key="died"))
    assert counts == {"received": 4, "refused": 0}
    assert answers[0]["id"] == kept.pk == said(first)[0][0]["id"]
    assert Lead.objects.count() == 4


def test_after_a_day_a_key_may_be_used_for_something_else(send: Any) -> None:
    send(lines(lead(1)), key="k")
    AnsweredCall.objects.update(created_at=timezone.now() - dt.timedelta(hours=25))
    assert said(send(lines(lead(2)), key="k"))[1] == {"received": 1, "refused": 0}


def test_a_call_that_took_nothing_in_may_be_mended_and_sent_with_the_same_key(send: Any) -> None:
    problem(send(b"[1", "json", key="k"), 400, "unreadable")
    assert said(send(json.dumps([lead(1)]).encode(), "json", key="k"))[1]["received"] == 1
