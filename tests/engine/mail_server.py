"""A mail server for tests: real SMTP on loopback, as much of it as a sender needs."""

from __future__ import annotations

import email
import email.policy
import socketserver
import threading
from email.message import EmailMessage


class MailServer:
    """Takes mail while it runs, on the same port each time; `refused` are addresses that it does not know."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.refused: set[str] = set()
        self.busy = False
        """Answers that it has no room just now."""
        self.port = 0
        self.start()

    def start(self) -> None:
        owner = self

        class Session(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self._say("220 mail.example.test")
                for line in self.rfile:
                    verb = line.split(b":")[0].strip().upper()
                    if verb.startswith((b"EHLO", b"HELO")):
                        self._say("250 mail.example.test")
                    elif verb == b"RCPT TO" and line.split(b"<")[1].split(b">")[0].decode() in owner.refused:
                        self._say("550 no such mailbox")
                    elif verb == b"MAIL FROM" and owner.busy:
                        self._say("451 no room, come back later")
                    elif verb == b"DATA":
                        self._say("354 go on")
                        self._take()
                        self._say("250 taken")
                    elif verb == b"QUIT":
                        self._say("221 bye")
                        return
                    else:
                        self._say("250 ok")

            def _say(self, line: str) -> None:
                self.wfile.write(f"{line}\r\n".encode())

            def _take(self) -> None:
                lines = []
                for line in self.rfile:
                    if line == b".\r\n":
                        break
                    lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
                parsed = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
                assert isinstance(parsed, EmailMessage)
                owner.mails.append(parsed)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._server = Server(("127.0.0.1", self.port), Session)
        self.port = self._server.server_address[1]
        threading.Thread(target=lambda: self._server.serve_forever(poll_interval=0.02), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def subjects(self) -> list[str]:
        return [str(mail["Subject"]) for mail in self.mails]


def text(mail: EmailMessage) -> str:
    """The plain text of a mail."""
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")
