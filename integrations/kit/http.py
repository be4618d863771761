"""Calls that run many at a time on one event loop: connections are kept between them (kit/line.py).

With kit/single_calls.py the only place that opens sockets. Both end every call, to whatever server, as a Response or as
NoAnswer, within their time limits: connect, read and whole call are bounded, a body is read up to a cap, redirects are not
followed, cookies and proxies are not used. A host is resolved, every address must be public (but for the deployment's
private hosts), and the socket goes to what was resolved.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from aiohappyeyeballs import start_connection

from integrations.kit.addresses import Destination
from integrations.kit.contract import Request, Response
from integrations.kit.line import Answer, BrokenOff, Gibberish, Line, Silent
from integrations.kit.silence import broken_off, check_addresses, gibberish, not_reached, silent
from integrations.kit.wire import Prepared, prepare, taken, written

CONNECT_S, READ_S, WHOLE_S = 5.0, 30.0, 60.0
RESOLVED_S = 30.0
MOST_RESOLVED = 1024
MOST_ASKED = 32
# Of a host with several addresses the next one is tried beside the first after so long (RFC 8305).
NEXT_ADDRESS_S = 0.25

_Place = tuple[str, str, int]


class Session:
    """Sends many requests from one event loop, keeping connections between them.

    `private_hosts` are host:port pairs that may be plain http and inside the deployment's network. Made anywhere; used and
    closed on one loop. How many calls run at once is up to the caller.
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
        self._tls: ssl.SSLContext | None = None
        self._kept: dict[_Place, list[Line]] = {}
        self._resolved: dict[tuple[str, int], tuple[float, list[Any]]] = {}
        self._asking: dict[tuple[str, int], asyncio.Future[list[Any]]] = {}
        # Its threads begin with the first question.
        self._resolvers = ThreadPoolExecutor(MOST_ASKED, thread_name_prefix="resolve")

    async def send(self, request: Request) -> Response:
        """The answer to a request; NoAnswer, with words for account managers, where none came in time."""
        prepared = prepare(request, self._private_hosts)
        message = written(prepared)
        until = asyncio.get_running_loop().time() + self._whole_s
        answer = await self._called(prepared, message, until)
        return taken(answer.status, answer.headers, answer.body, whole=answer.whole)

    async def _called(self, prepared: Prepared, message: bytes, until: float) -> Answer:
        to = prepared.to
        place = (to.scheme, to.host, to.port)
        line = self._line_kept(place) or await self._line_opened(to)
        again = line.used > 0 and prepared.method == "GET"
        try:
            answer = await line.call(message, until=until, whole_s=self._whole_s, bodiless=prepared.method == "HEAD")
        except BrokenOff:
            if again and not line.heard:
                # A line that they closed while it was kept; to read something twice changes nothing.
                self._kept.pop(place, None)
                return await self._called(prepared, message, until)
            raise broken_off(to) from None
        except Gibberish:
            raise gibberish(to) from None
        except Silent as silence:
            raise silent(to, silence.seconds, sent=True) from None
        if line.usable:
            line.rest()
            self._kept.setdefault(place, []).append(line)
        else:
            line.abort()
        return answer

    def _line_kept(self, place: _Place) -> Line | None:
        """The line that was used last, so that those that are not needed come to their end."""
        lines = self._kept.get(place)
        while lines:
            line = lines.pop()
            if line.usable:
                return line
        self._kept.pop(place, None)
        return None

    async def _line_opened(self, to: Destination) -> Line:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_s):
                sock = await start_connection(await self._addresses(to), happy_eyeballs_delay=NEXT_ADDRESS_S, loop=loop)
                try:
                    _, line = await loop.create_connection(
                        lambda: Line(self._read_s),
                        sock=sock,
                        ssl=self._context() if to.scheme == "https" else None,
                        server_hostname=to.host if to.scheme == "https" else None,
                    )
                except BaseException:
                    sock.close()
                    raise
                return line
        except TimeoutError:
            self._resolved.pop((to.host, to.port), None)
            raise silent(to, self._connect_s, sent=False) from None
        except (OSError, RuntimeError, UnicodeError) as error:
            self._resolved.pop((to.host, to.port), None)
            raise not_reached(to, error) from None

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls

    async def _addresses(self, to: Destination) -> list[Any]:
        """Where the host is, asked anew every half minute; NotPublic where it is inside a network that it may not be in."""
        loop = asyncio.get_running_loop()
        until, found = self._resolved.get((to.host, to.port), (0.0, []))
        if until <= loop.time():
            found = await asyncio.shield(self._asking.get((to.host, to.port)) or self._resolve(to))
            if len(self._resolved) >= MOST_RESOLVED:
                self._resolved.clear()
            self._resolved[to.host, to.port] = loop.time() + RESOLVED_S, found
        check_addresses(to, [str(entry[4][0]) for entry in found])
        return found

    def _resolve(self, to: Destination) -> asyncio.Future[list[Any]]:
        """Ask where a host is, in a thread: one for each host, so that a name whose servers are silent holds up no other."""
        place = to.host, to.port
        ask = partial(socket.getaddrinfo, *place, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        asking = asyncio.get_running_loop().run_in_executor(self._resolvers, ask)

        def done(answer: asyncio.Future[list[Any]]) -> None:
            del self._asking[place]
            if not answer.cancelled():
                answer.exception()  # whoever asked may have given up by now

        self._asking[place] = asking
        asking.add_done_callback(done)
        return asking

    async def close(self) -> None:
        """Close the lines that are kept; the next send opens new ones."""
        kept, self._kept = self._kept, {}
        for lines in kept.values():
            for line in lines:
                line.close()
        await asyncio.sleep(0)
