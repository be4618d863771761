"""Why no answer came, in words for account managers, the same for both clients (kit/http.py, kit/single_calls.py)."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Collection

from integrations.kit.addresses import Destination, is_public, not_public
from integrations.kit.contract import NoAnswer, NotCalled


class NotPublic(OSError):
    """A name that leads into a private network."""


def silent(to: Destination, seconds: float, *, sent: bool) -> NoAnswer:
    """Nothing came for so many seconds."""
    span = f"{seconds:g} second" + ("" if seconds == 1 else "s")
    return NoAnswer(f"{to.netloc} has not answered for {span}.", sent=sent)


def broken_off(to: Destination) -> NoAnswer:
    """They closed the line."""
    return NoAnswer(f"{to.netloc} closed the connection without an answer.", sent=True)


def gibberish(to: Destination) -> NoAnswer:
    """What came is no answer."""
    return NoAnswer(f"{to.netloc} answered with something that is no web server's answer.", sent=True)


def unreadable() -> NoAnswer:
    """Nothing went out: the address is none."""
    return NoAnswer("The address can't be read as one.", sent=False)


def not_reached(to: Destination, error: BaseException) -> NoAnswer:
    """Nothing went out: why, in words."""
    if isinstance(error, NotPublic):
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


def check_addresses(to: Destination, addresses: Collection[str]) -> None:
    """NotPublic where a name leads to an address that may not be called."""
    if not to.private and not all(is_public(address) for address in addresses):
        raise NotPublic(to.host)
