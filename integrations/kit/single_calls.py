"""One call at a time, for a person who waits or a look-up of its own: requests, on a connection of its own.

As kit/http.py, it ends every call, to whatever server, as a Response or as NoAnswer, within its time limits, and goes only
where it may.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import ssl
import threading
import time
from collections.abc import Collection, Iterator
from typing import Any

import requests
import requests.adapters
import urllib3

from integrations.kit.addresses import Destination
from integrations.kit.contract import NoAnswer, Request, Response
from integrations.kit.silence import broken_off, check_addresses, gibberish, not_reached, silent
from integrations.kit.wire import BODY_CAP, prepare, taken

CONNECT_S, READ_S = 5.0, 30.0
_READ_CHUNK = 64 * 1024


class _Line:
    """The one connection of a single call: where it may go, how far it came, and the means to cut it from outside.

    A time-out of a socket starts anew with every byte, so that a server that drips keeps a call open for hours; at its
    deadline the line is cut under it.
    """

    def __init__(self, to: Destination, timeout_s: float) -> None:
        self.to = to
        self.deadline = time.monotonic() + timeout_s
        self.connected = False
        self.failure: BaseException | None = None
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(timeout_s, self._cut)
        self._timer.daemon = True

    @property
    def left_s(self) -> float:
        return self.deadline - time.monotonic()

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        self._timer.start()
        try:
            yield
        finally:
            self._timer.cancel()
            with self._lock:
                if self._socket is not None:
                    self._socket.close()
                    self._socket = None

    def _cut(self) -> None:
        with self._lock, contextlib.suppress(OSError):
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)

    def open(self) -> socket.socket:
        """A socket to an address that was resolved, and judged, just now."""
        failure: OSError = TimeoutError()
        for family, address in self._resolve():
            if self.left_s <= 0:
                break
            line = socket.socket(family, socket.SOCK_STREAM)
            try:
                line.settimeout(max(min(CONNECT_S, self.left_s), 0.01))
                line.connect(address)
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                line.close()
                failure = error
                continue
            with self._lock:
                # A second handle on the same connection: TLS takes the first one's away.
                self._socket = line.dup()
            return line
        raise failure

    def _resolve(self) -> list[tuple[int, Any]]:
        answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answers.put(socket.getaddrinfo(self.to.host, self.to.port, type=socket.SOCK_STREAM))
            except (OSError, UnicodeError) as error:
                answers.put(error)

        threading.Thread(target=ask, name="resolve", daemon=True).start()
        try:
            found = answers.get(timeout=max(min(CONNECT_S, self.left_s), 0.01))
        except queue.Empty:
            raise TimeoutError from None
        if isinstance(found, BaseException):
            raise found
        check_addresses(self.to, [str(entry[4][0]) for entry in found])
        return [(entry[0], entry[4]) for entry in found]


def _adapter(line: _Line) -> requests.adapters.HTTPAdapter:
    """requests over `line`. The URL keeps its host name, so that TLS is checked against the name, not the address."""

    class Plain(urllib3.connection.HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return line.open()

        def connect(self) -> None:
            _connect(super().connect)

    class Secure(urllib3.connection.HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return line.open()

        def connect(self) -> None:
            _connect(super().connect)

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Secure

    def _connect(connect: Any) -> None:
        try:
            connect()
        except BaseException as error:
            line.failure = error
            raise
        line.connected = True

    class Adapter(requests.adapters.HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, ssl_context=ssl.create_default_context(), **kwargs)
            self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}

    return Adapter(max_retries=0)


def send_once(request: Request, *, timeout_s: float = 10, private_hosts: Collection[str] = ()) -> Response:
    """The answer to one request on a connection of its own, within `timeout_s` in all; NoAnswer as from Session.send."""
    prepared = prepare(request, private_hosts)
    line = _Line(prepared.to, timeout_s)
    with line.watched(), requests.Session() as client:
        client.trust_env = False
        client.headers.clear()
        client.mount(f"{prepared.to.scheme}://", _adapter(line))
        try:
            answer = client.request(
                prepared.method,
                prepared.url,
                data=prepared.body,
                headers=prepared.headers,
                timeout=(min(CONNECT_S, timeout_s), min(READ_S, timeout_s)),
                allow_redirects=False,
                stream=True,
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError, LookupError, OSError) as error:
            raise _no_answer(line, error, timeout_s) from None
        with answer:
            if line.left_s <= 0:
                # Cut before the headers had ended: http.client takes what there was of them for all.
                raise silent(prepared.to, timeout_s, sent=True)
            body, whole = _read_once(answer, line)
            headers = {name.lower(): value for name, value in reversed(list(answer.raw.headers.items()))}
            return taken(answer.status_code, headers, body, whole=whole)


def _no_answer(line: _Line, error: Exception, timeout_s: float) -> NoAnswer:
    reasons = list(_reasons(error))
    late = line.left_s <= 0.05 or any(isinstance(each, TimeoutError | requests.Timeout) for each in reasons)
    if not line.connected:
        failure = line.failure or error
        late = late or isinstance(failure, TimeoutError)
        return silent(line.to, min(CONNECT_S, timeout_s), sent=False) if late else not_reached(line.to, failure)
    if late:
        return silent(line.to, min(READ_S, timeout_s), sent=True)
    if any(isinstance(each, ConnectionError) for each in reasons):
        return broken_off(line.to)
    return gibberish(line.to)


def _reasons(error: BaseException | None) -> Iterator[BaseException]:
    """An error and all that is inside it: requests wraps what urllib3 wraps."""
    seen: set[int] = set()
    waiting: list[Any] = [error]
    while waiting:
        each = waiting.pop()
        if isinstance(each, BaseException) and id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += [*each.args, each.__cause__, each.__context__, getattr(each, "reason", None)]


def _read_once(answer: requests.Response, line: _Line) -> tuple[bytes, bool]:
    read = bytearray()
    try:
        while chunk := answer.raw.read1(_READ_CHUNK, decode_content=False):
            read += chunk
            if len(read) > BODY_CAP:
                return bytes(read), False
    except (urllib3.exceptions.HTTPError, OSError, ValueError):
        return bytes(read), False
    return bytes(read), line.left_s > 0
