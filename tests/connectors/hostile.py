"""A raw-socket server on loopback that answers as badly as it is told to, and a TLS one with a certificate of its own."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Behaviour = Callable[[socket.socket, threading.Event, bytes], None]


class Server:
    """Accepts, reads one request's head and what came with it, and does what `behaviour` does with the connection."""

    def __init__(self, behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self.seen: list[bytes] = []
        self.stop = threading.Event()
        self._behaviour, self._tls = behaviour, tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.netloc = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.netloc}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._tls is not None:
                line = self._tls.wrap_socket(line, server_side=True)
            with line:
                head = b""
                while b"\r\n\r\n" not in head:
                    if not (chunk := line.recv(65536)):
                        return
                    head += chunk
                self.seen.append(head)
                self._behaviour(line, self.stop, head)

    def close(self) -> None:
        self.stop.set()
        self._listener.close()


@contextlib.contextmanager
def server(behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    running = Server(behaviour, tls)
    try:
        yield running
    finally:
        running.close()


def says(answer: bytes) -> Behaviour:
    """Says this and closes."""
    return lambda line, _stop, _head: line.sendall(answer)


def drips(start: bytes, drop: bytes, every_s: float = 0.05) -> Behaviour:
    """Says `start`, then `drop` again and again until it is stopped."""

    def behave(line: socket.socket, stop: threading.Event, _head: bytes) -> None:
        line.sendall(start)
        while not stop.wait(every_s):
            line.sendall(drop)

    return behave


def floods(start: bytes, chunk: bytes) -> Behaviour:
    """Says `start`, then `chunk` as fast as it is taken."""

    def behave(line: socket.socket, stop: threading.Event, _head: bytes) -> None:
        line.sendall(start)
        while not stop.is_set():
            line.sendall(chunk)

    return behave


def keeps_silent(line: socket.socket, stop: threading.Event, _head: bytes) -> None:
    stop.wait()


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS context for `name`, and the file to trust it by."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([_alternative(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    key_file, certificate_file = folder / "key.pem", folder / "certificate.pem"
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    certificate_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file, key_file)
    return context, certificate_file


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
