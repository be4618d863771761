"""Which addresses may be called: a subdomain becomes an instance's origin, and an address is public or is not."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from integrations.kit.contract import ConnectorError, NotCalled

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")
_VISIBLE = re.compile(r"[!-~]+\Z")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def instance_origin(subdomain: str, environment: Mapping[str, str], field: str = "subdomain") -> str:
    """The origin of a client's instance: "acme" becomes "https://acme.cvtr.io".

    `environment` has CONVERTR_URL (a template with {subdomain}) and CONVERTR_INSTANCES ("sub=url,sub2=url2"), which comes
    first. A subdomain is one DNS label and nothing else; ConnectorError with words, about `field`, where it is not.
    """
    return _origin(
        str(subdomain), environment.get("CONVERTR_URL", ""), environment.get("CONVERTR_INSTANCES", ""), field
    )


@lru_cache(maxsize=1024)
def _origin(subdomain: str, template: str, instances: str, field: str) -> str:
    label = subdomain.strip().lower()
    if not label:
        raise ConnectorError("Fill in the subdomain: the first part of the client's address.", field)
    if not _LABEL.match(label):
        raise ConnectorError(_label_problem(subdomain.strip()), field)
    for pair in instances.split(","):
        name, _, url = pair.strip().partition("=")
        if name.strip().lower() == label and url:
            return url.strip().rstrip("/")
    return (template or "https://{subdomain}.cvtr.io").replace("{subdomain}", label).rstrip("/")


def _label_problem(text: str) -> str:
    shown = text if len(text) <= 80 else text[:80] + "…"
    host = re.sub(r"\A[a-z]*:?//", "", text.lower()).split("/")[0].split(":")[0]
    first = host.split(".")[0]
    if "." in host and _LABEL.match(first):
        return f"“{shown}” is a whole address. Fill in its first part only: {first}"
    if len(text) > 63:
        return "A subdomain has 63 characters at the most."
    return f"“{shown}” is not a subdomain: letters, digits and hyphens only, as in the acme of acme.cvtr.io."


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a URL leads. `private`: listed by the deployment, so it may be plain http and inside its network."""

    scheme: str
    host: str
    port: int
    private: bool

    @property
    def netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.scheme == "https" else 80) else f"{host}:{self.port}"


def destination(url: str, private_hosts: Collection[str]) -> Destination:
    """Where `url` leads, if it may be called at all: https to a public address, or any host:port in `private_hosts`.

    NotCalled, with words, otherwise. A name is looked at again once it is resolved: see is_public.
    """
    return _destination(url.split("?", 1)[0], frozenset(private_hosts))


@lru_cache(maxsize=4096)
def _destination(url: str, private_hosts: frozenset[str]) -> Destination:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    # One reading only: what another parser could take for another host is not called at all.
    if not host or not _VISIBLE.match(url) or "\\" in url or "@" in parts.netloc or "%" in parts.netloc:
        raise NotCalled("The address can't be read as one.")
    if parts.scheme not in ("http", "https"):
        raise NotCalled(f"{parts.scheme}:// addresses are not called, only https.")
    found = Destination(
        parts.scheme, host, port if port is not None else (443 if parts.scheme == "https" else 80), False
    )
    shown = f"[{host}]" if ":" in host else host
    if f"{shown}:{found.port}" in private_hosts:
        return Destination(found.scheme, host, found.port, True)
    if found.scheme != "https":
        raise NotCalled(f"{found.netloc} is not called without encryption: the address must start with https.")
    if _is_address(host) and not is_public(host):
        raise NotCalled(not_public(found.netloc))
    return found


def not_public(netloc: str) -> str:
    """What to say of a host that leads into a private network."""
    return f"{netloc} is not a public address, so it is not called."


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=4096)
def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet, also where an IPv6 address wraps an IPv4 one."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if ip.scope_id:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved
