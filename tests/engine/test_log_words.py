"""The log says what went wrong with a row, and nothing of what is in it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, connection

from integrations.models import Delivery, Integration
from integrations.processr import leads_process
from integrations.records import Journal, Record
from leads.error_words import LogLines, error_words
from leads.models import Lead

MakeLead = Callable[..., Lead]
DETAIL = "null value violates a constraint\nDETAIL:  Failing row contains (7, ada@example.test, She hung up)."


def raised_by_the_database() -> BaseException:
    try:
        try:
            raise psycopg.errors.NotNullViolation(DETAIL)
        except psycopg.Error as error:
            raise IntegrityError(*error.args) from error
    except IntegrityError as error:
        return error


def test_a_database_s_error_is_said_by_its_kind_alone() -> None:
    assert error_words(raised_by_the_database()) == "IntegrityError NotNullViolation 23502"


def test_another_error_is_said_by_its_kind_and_place() -> None:
    with pytest.raises(ValueError, match="ada") as raised:
        int("ada@example.test")
    assert error_words(raised.value).startswith("ValueError at test_log_words.py:")
    assert "ada@" not in error_words(raised.value)


@pytest.mark.parametrize("message", ["Task failed: %(exc)s", "It failed: %(words)s"])
def test_a_traceback_in_the_log_has_no_row_in_it(message: str) -> None:
    found = raised_by_the_database()
    try:
        raise RuntimeError("the batch failed") from found
    except RuntimeError:
        info = sys.exc_info()
    said = ({"exc": repr(found), "words": str(found)},)
    record = logging.LogRecord("celery", logging.ERROR, __file__, 1, message, said, info)
    text = LogLines("%(levelname)s %(message)s").format(record)
    assert "ada@example.test" not in text
    assert "hung up" not in text
    assert "NotNullViolation 23502" in text
    assert "the batch failed" in text
    assert "test_log_words.py" in text


@pytest.mark.django_db
def test_an_outcome_that_is_not_taken_is_logged_without_the_client_s_words(
    integration: Integration, lead: MakeLead, caplog: pytest.LogCaptureFixture
) -> None:
    lead()
    leads_process()
    delivery = Delivery.objects.get()
    words = "Ada Lovelace hung up"
    row: tuple[Any, ...] = (delivery.pk, delivery.fence, None, words, [], None, None, "", None, None, 0, 1, False)
    with caplog.at_level(logging.WARNING):
        Journal(integration.pk).write(Record([row]), host="", probing=False)
    assert f"integration {integration.pk}: 1 outcomes not written: IntegrityError" in caplog.text
    assert ("23502" if connection.vendor == "postgresql" else "NOTNULL") in caplog.text
    assert "Ada" not in caplog.text
