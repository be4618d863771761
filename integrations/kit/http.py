"""The only place that opens sockets: Session for batches (aiohttp), send_once for single calls (requests).

Both end every call, to whatever server, as a Response or as NoAnswer, within their time limits: connect, read and whole
call are bounded, a body is read up to a cap, redirects are not followed, cookies and proxies are not used. A host is resolved
once, every address must be public (but for the deployment's private hosts), and the socket goes to what was resolved.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import socket
import ssl
import threading
import time
from collections.abc import Collection, Iterator
from typing import Any

import aiohttp
import requests
import requests.adapters
import urllib3
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from integrations.kit.addresses import Destination, is_public, not_public
from integrations.kit.contract import NoAnswer, NotCalled, Request, Response
from integrations.kit.wire import BODY_CAP, prepare, taken

CONNECT_S, READ_S, WHOLE_S = 5.0, 30.0, 60.0
# Shorter than what common servers wait for the next request, so that a request seldom meets a line being closed.
KEEPALIVE_S = 3.0
_SEND_CHUNK = 64 * 1024


def _seconds(number: float) -> str:
    return f"{number:g} second" + ("" if number == 1 else "s")


def _silent(to: Destination, seconds: float, *, sent: bool) -> NoAnswer:
    return NoAnswer(f"{to.netloc} has not answered for {_seconds(seconds)}.", sent=sent)


def _broken_off(to: Destination) -> NoAnswer:
    return NoAnswer(f"{to.netloc} closed the connection without an answer.", sent=True)


def _gibberish(to: Destination) -> NoAnswer:
    return NoAnswer(f"{to.netloc} answered with something that is no web server's answer.", sent=True)


def _not_reached(to: Destination, error: BaseException) -> NoAnswer:
    """Nothing went out: why, in words."""
    if isinstance(error, _NotPublic):
        return NotCalled(not_public(to.netloc))
    if isinstance(error, socket.gaierror):
        return NoAnswer(f"There is no server by the name {to.host}.", sent=False)
    if isinstance(error, ssl.SSLCertVerificationError | ssl.CertificateError):
        return NoAnswer(f"{to.netloc} can't prove that it is {to.host}: its certificate is not valid.", sent=False)
    if isinstance(error, ssl.SSLError):
        return NoAnswer(f"{to.netloc} does not speak a secure connection.", sent=False)
    if isinstance(error, ConnectionRefusedError):
        return NoAnswer(f"{to.netloc} refused the connection.", sent=False)
    return NoAnswer(f"{to.netloc} can't be reached.", sent=False)


class _NotPublic(OSError):
    """A name that leads into a private network."""


def _check_addresses(to: Destination, addresses: Collection[str]) -> None:
    if not to.private and not all(is_public(address) for address in addresses):
        raise _NotPublic(to.host)


# --- batches ------------------------------------------------------------------------------------------------


class _PublicOnly(AbstractResolver):
    """Resolves names for aiohttp, which then connects to these addresses and no others."""

    def __init__(self, private_hosts: Collection[str]) -> None:
        self._private_hosts = private_hosts

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family, flags=socket.AI_ADDRCONFIG)
        private = f"{host}:{port}" in self._private_hosts
        _check_addresses(Destination("https", host, port, private), [str(entry[4][0]) for entry in found])
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=entry_family,
                proto=proto,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for entry_family, _, proto, _, address in found
        ]

    async def close(self) -> None:
        """Nothing is held."""


class Session:
    """Sends many requests from one event loop, keeping connections between them.

    `private_hosts` are host:port pairs that may be plain http and inside the deployment's network. Made anywhere; opened by
    the first send, on the loop of that send; to be closed on it.
    """

    def __init__(
        self,
        private_hosts: Collection[str] = (),
        *,
        connect_s: float = CONNECT_S,
        read_s: float = READ_S,
        whole_s: float = WHOLE_S,
    ) -> None:
        self._private_hosts = frozenset(private_hosts)
        self._connect_s, self._read_s, self._whole_s = connect_s, read_s, whole_s
        self._client: aiohttp.ClientSession | None = None

    def _open(self) -> aiohttp.ClientSession:
        if self._client is None:
            self._client = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=_PublicOnly(self._private_hosts),
                    ssl=ssl.create_default_context(),
                    limit=0,  # the engine bounds what runs at once, for each host
                    ttl_dns_cache=30,
                    keepalive_timeout=KEEPALIVE_S,
                ),
                timeout=aiohttp.ClientTimeout(
                    total=self._whole_s, connect=self._connect_s, sock_connect=self._connect_s, sock_read=self._read_s
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        return self._client

    async def send(self, request: Request) -> Response:
        """The answer to a request; NoAnswer, with words for account managers, where none came in time."""
        prepared = prepare(request, self._private_hosts)
        to = prepared.to
        try:
            url = URL(prepared.url, encoded=True)
            if (url.raw_host or "").strip("[]") != to.host or url.port != to.port:
                raise NoAnswer("The address can't be read as one.", sent=False)
            async with self._open().request(
                prepared.method, url, data=prepared.body, headers=prepared.headers, allow_redirects=False
            ) as answer:
                body, whole = await self._read(answer)
                headers = {name.lower(): value for name, value in reversed(list(answer.headers.items()))}
                return taken(answer.status, headers, body, whole=whole)
        except aiohttp.InvalidURL:
            raise NoAnswer("The address can't be read as one.", sent=False) from None
        except aiohttp.ConnectionTimeoutError:
            raise _silent(to, self._connect_s, sent=False) from None
        except aiohttp.ClientConnectorCertificateError as error:
            raise _not_reached(to, error.certificate_error) from None
        except aiohttp.ClientConnectorError as error:
            raise _not_reached(to, error.os_error) from None
        except aiohttp.SocketTimeoutError:
            raise _silent(to, self._read_s, sent=True) from None
        except TimeoutError:
            raise _silent(to, self._whole_s, sent=True) from None
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            raise _broken_off(to) from None
        except (aiohttp.ClientError, ValueError, LookupError):
            raise _gibberish(to) from None

    async def _read(self, answer: aiohttp.ClientResponse) -> tuple[bytes, bool]:
        """The body up to the cap. The status has been said by now: a line that breaks here only cuts the body."""
        read = bytearray()
        try:
            async for chunk in answer.content.iter_any():
                read += chunk
                if len(read) > BODY_CAP:
                    answer.close()
                    return bytes(read), False
        except (aiohttp.ClientError, OSError, ValueError):
            answer.close()
            return bytes(read), False
        return bytes(read), True

    async def close(self) -> None:
        """Close all connections; the next send opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()


# --- single calls -------------------------------------------------------------------------------------------


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
        _check_addresses(self.to, [str(entry[4][0]) for entry in found])
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
                raise _silent(prepared.to, timeout_s, sent=True)
            body, whole = _read_once(answer, line)
            headers = {name.lower(): value for name, value in reversed(list(answer.raw.headers.items()))}
            return taken(answer.status_code, headers, body, whole=whole)


def _no_answer(line: _Line, error: Exception, timeout_s: float) -> NoAnswer:
    reasons = list(_reasons(error))
    late = line.left_s <= 0.05 or any(isinstance(each, TimeoutError | requests.Timeout) for each in reasons)
    if not line.connected:
        failure = line.failure or error
        late = late or isinstance(failure, TimeoutError)
        return _silent(line.to, min(CONNECT_S, timeout_s), sent=False) if late else _not_reached(line.to, failure)
    if late:
        return _silent(line.to, min(READ_S, timeout_s), sent=True)
    if any(isinstance(each, ConnectionError) for each in reasons):
        return _broken_off(line.to)
    return _gibberish(line.to)


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
        while chunk := answer.raw.read1(_SEND_CHUNK, decode_content=False):
            read += chunk
            if len(read) > BODY_CAP:
                return bytes(read), False
    except (urllib3.exceptions.HTTPError, OSError, ValueError):
        return bytes(read), False
    return bytes(read), line.left_s > 0
