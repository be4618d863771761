"""Errors in the log without their own words: those of a database quote the row that failed, others the value that did.

So the log has the kind of an error, where it came up, and what a database calls it: never what was posted, or what a client said.
"""

from __future__ import annotations

import logging
import sqlite3
import traceback
from collections.abc import Iterator
from pathlib import Path

from django.db import Error as DatabaseFault
from django.db import InterfaceError, OperationalError

_PLACES = 3


def error_words(error: BaseException) -> str:
    """An error for a line of the log: a database's by class, SQLSTATE and constraint, another one by class and place."""
    if _is_of_database(error):
        return _database_words(error)
    frames = traceback.extract_tb(error.__traceback__)[-_PLACES:]
    places = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))
    return f"{type(error).__name__} at {places}" if places else type(error).__name__


class LogLines(logging.Formatter):
    """Lines of the log; in the traceback of a database's error its words are replaced by error_words()."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        for error in _chain(record.exc_info[1] if record.exc_info else None):
            if _is_of_database(error):
                # As Celery has it in its message, and as a traceback ends.
                for said in (repr(error), str(error)):
                    text = text.replace(said, _database_words(error)) if said else text
        return text


def database_is_away(error: BaseException) -> bool:
    """Whether the database said nothing of what it was asked: it does not answer, is about to end, or is too busy."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    code = _code(error)
    return not code or code.startswith(("08", "57P", "SQLITE_BUSY"))


def _is_of_database(error: BaseException) -> bool:
    return isinstance(error, DatabaseFault | sqlite3.Error) or hasattr(error, "sqlstate")


def _database_words(error: BaseException) -> str:
    driver, code = _driver_error(error), _code(error)
    constraint = getattr(getattr(driver, "diag", None), "constraint_name", None)
    names = dict.fromkeys([type(error).__name__, type(driver).__name__])
    return " ".join([*names, *([code] if code else []), *([f"of {constraint}"] if constraint else [])])


def _code(error: BaseException) -> str:
    driver = _driver_error(error)
    return getattr(driver, "sqlstate", None) or getattr(driver, "sqlite_errorname", None) or ""


def _driver_error(error: BaseException) -> BaseException:
    return error.__cause__ if isinstance(error, DatabaseFault) and error.__cause__ is not None else error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [each.__cause__, each.__context__]
        waiting += each.exceptions if isinstance(each, BaseExceptionGroup) else ()
