"""Asks the client what the Configure page wants to know of the boxes as they are typed, and says it box by box.

Which boxes an answer speaks for is found by watching which settings a step reads, so that a connector need not say it.
Everything here waits for the client: never inside a transaction.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.conf import settings as deployment

from integrations.discovery import form_bounded, settings_problems
from integrations.flows import SingleCalls, connector_call, run_step, token_get
from integrations.kit.contract import Call, Choice, Connector, ConnectorError, Flow, NoAnswer, RemoteForm

T = TypeVar("T")

SAVE_ANYWAY = "You can save now and check again later."


@dataclass(frozen=True, slots=True)
class BoxState:
    """What stands beside a box. `tone`: good, bad (mend it) or wait (nothing to mend in the box)."""

    tone: str
    words: str


@dataclass(slots=True)
class Asked:
    """What the client said. `busy`: it was not asked, for too many ask already."""

    states: dict[str, BoxState] = field(default_factory=dict)
    choices: dict[str, tuple[Choice, ...]] = field(default_factory=dict)
    filled: dict[str, str] = field(default_factory=dict)
    """Choices that made themselves: required, not made yet, and the client offers one only."""
    form: RemoteForm | None = None
    form_read: frozenset[str] = frozenset()
    """The settings that their form depends on."""
    problem: str = ""
    passed: bool = False
    """All that can be asked was asked, and is right."""
    busy: bool = False


class _Read(dict[str, Any]):
    """Settings that remember which of them were read."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return super().get(name, default)

    def __getitem__(self, name: str) -> Any:
        self.names.add(name)
        return super().__getitem__(name)


class _Stop(Exception):
    """Nothing more is asked."""


def settings_ask(connector: Connector, values: Mapping[str, Any], *, fresh_login: bool = False) -> Asked:
    """Ask as much as the boxes that are filled in allow, in ten seconds in all.

    Nobody is asked while something is written wrongly, and a box that is still empty is no error.
    """
    asked = Asked()
    for name, words in settings_problems(connector, values).items():
        if str(values.get(name) or "").strip():
            asked.states[name] = BoxState("bad", words)
    if asked.states:
        asked.problem = " ".join(state.words for state in asked.states.values())
        return asked
    talk = _Talk(connector, values, asked, fresh_login)
    with _slot(talk.host) as free:
        if not free:
            asked.busy = True
            asked.problem = f"Other checks still wait for {talk.host or 'a client'}. This one is tried again by itself."
            return asked
        with suppress(_Stop):
            talk.run()
    return asked


class _Talk:
    """One round of asking."""

    def __init__(self, connector: Connector, values: Mapping[str, Any], asked: Asked, fresh_login: bool) -> None:
        self.connector, self.asked, self.fresh_login = connector, asked, fresh_login
        self.values = _Read(values)
        self.calls = SingleCalls(deployment.CONFIGURE_CHECK_SECONDS)
        self.unsure: set[str] = set()
        self.order = [box.name for box in connector.manifest.settings]
        self.host = ""
        try:
            self.host = connector.host(connector_call(connector, self.values))
            self.host_box = next((name for name in self.order if name in self.values.names), self.order[0])
        except ConnectorError:
            self.host_box = self.order[0] if self.order else ""

    def run(self) -> None:
        connector = self.connector
        if connector.authenticate is not None:
            self._do(lambda: token_get(connector, self.values, fresh=self.fresh_login, calls=self.calls))
        if connector.options is not None:
            for box in connector.manifest.settings:
                if box.type == "choice" and not box.choices:
                    self._options(box.name, required=box.required)
        before = set(self.values.names)
        if (discover := connector.discover) is not None:
            self.values.names = set()
            self.asked.form = self._do(lambda: form_bounded(self._step(discover)))
            self.asked.form_read = frozenset(self.values.names)
            self.values.names |= before
        if (check := connector.check) is not None:
            self._do(lambda: self._step(check))
        if not self.calls.answers and connector.authenticate is not None:
            # All that was said by now comes from a token of before: nobody has answered yet.
            self._do(lambda: token_get(connector, self.values, fresh=True, calls=self.calls))
        self.asked.passed = not self.asked.problem and not settings_problems(connector, self.values)

    def _options(self, name: str, *, required: bool) -> None:
        offered = self._do(lambda: self._step(lambda call: self._flow_of_options(call, name)))
        if offered is None:
            return
        self.asked.choices[name] = offered
        chosen = str(self.values.get(name) or "")
        if required and not chosen and len(offered) == 1:
            self.asked.filled[name] = self.values[name] = offered[0].value
            self.asked.states[name] = BoxState("good", "filled in from the client")
        elif chosen and chosen not in {choice.value for choice in offered}:
            self._say(name, BoxState("bad", "This is no longer among the client’s choices. Choose again."))

    def _flow_of_options(self, call: Call, name: str) -> Flow[tuple[Choice, ...]]:
        assert self.connector.options is not None
        return self.connector.options(call, name)

    def _step(self, step: Callable[[Call], Flow[T]]) -> T:
        try:
            return run_step(self.connector, step, self.values, calls=self.calls)
        except ConnectorError as error:
            if not error.renew_token:
                raise
            return run_step(self.connector, step, self.values, fresh_login=True, calls=self.calls)

    def _do(self, ask: Callable[[], T]) -> T | None:
        """Ask once; mark what the answer speaks for. None where boxes that it needs are empty."""
        try:
            answer = ask()
        except ConnectorError as error:
            if error.field and not str(self.values.get(error.field) or "").strip():
                return None
            if self.calls.answers and error.field in self.order:
                self._good(self.order[: self.order.index(error.field)])
            tone = "wait" if error.passing or not error.field else "bad"
            self._say(error.field or self.host_box, BoxState(tone, error.message))
            raise _Stop from None
        except NoAnswer as silence:
            self._say(self.host_box, BoxState("wait", f"{silence} {SAVE_ANYWAY}"))
            raise _Stop from None
        if self.calls.answers:
            self._good(self.order)
        return answer

    def _good(self, names: list[str]) -> None:
        """What was read by now, and is filled in, is right."""
        for box in self.connector.manifest.settings:
            if box.name in names and box.name in self.values.names and box.name not in self.asked.states:
                if not str(dict(self.values).get(box.name) or "").strip() or box.advanced:
                    continue
                known = "accepted" if box.type == "secret" else "known there"
                words = f"{self.host} answers" if box.name == self.host_box else known
                if box.type == "choice":
                    words = "theirs"
                self.asked.states[box.name] = BoxState("good", words)

    def _say(self, name: str, state: BoxState) -> None:
        self.asked.states[name] = state
        self.asked.problem = state.words


# --- how many ask at once -----------------------------------------------------------------------------------

# A request that waits for a client holds one of the server's threads.
AT_ONCE = 4
AT_ONCE_A_HOST = 2
_lock = threading.Lock()
_asking: Counter[str] = Counter()


@contextmanager
def _slot(host: str) -> Iterator[bool]:
    """Whether one more may ask, so that clients that don't answer can't take all of the server's threads."""
    with _lock:
        free = _asking.total() < AT_ONCE and _asking[host] < AT_ONCE_A_HOST
        if free:
            _asking[host] += 1
    try:
        yield free
    finally:
        if free:
            with _lock:
                _asking[host] -= 1
                if not _asking[host]:
                    del _asking[host]
