"""Runs Celery with its clock ahead: `python -m tests.faults.clock_ahead 3600 -A portal worker …`.

All that asks for the time of day gets it so many seconds too late, as on a machine whose clock is wrong; clocks that only run on
(monotonic) are as they are there too.
"""

from __future__ import annotations

import datetime
import sys
import time
from datetime import datetime as _datetime
from typing import Any

_time, _time_ns = time.time, time.time_ns
_ahead_s = 0.0


class _Kind(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _datetime)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, _datetime)


class _Ahead(_datetime, metaclass=_Kind):
    """datetime as a clock that is ahead tells it; what it makes are plain ones."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return _datetime(*args, **kwargs)  # noqa: DTZ001  it makes what it is asked for

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return _datetime.now(tz) + datetime.timedelta(seconds=_ahead_s)

    @classmethod
    def utcnow(cls) -> Any:
        return cls.now(datetime.UTC).replace(tzinfo=None)

    @classmethod
    def today(cls) -> Any:
        return cls.now()


def put_ahead(seconds: float) -> None:
    """Put the clock ahead for every module that is loaded by now, and for those that come."""
    global _ahead_s
    _ahead_s = seconds
    new: dict[Any, Any] = {
        _datetime: _Ahead,
        _time: lambda: _time() + seconds,
        _time_ns: lambda: _time_ns() + int(seconds * 1_000_000_000),
    }
    for name, module in list(sys.modules.items()):
        if name == __name__:
            continue
        for attribute in ("datetime", "time", "time_ns"):
            held = getattr(module, "__dict__", {}).get(attribute)
            for old, other in new.items():
                if held is old:
                    setattr(module, attribute, other)


def main() -> None:
    # Loaded first, with all that it loads: compiled modules want the real class.
    import celery.bin.celery
    import celery.bin.worker
    import django

    import portal.celery

    django.setup()
    portal.celery.app.loader.import_default_modules()
    put_ahead(float(sys.argv[1]))
    celery.bin.celery.celery(args=sys.argv[2:], prog_name="celery")


if __name__ == "__main__":
    main()
