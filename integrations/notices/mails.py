"""Sends the e-mails that wait, at least once each, and tries again while the mail server is down.

A mail server can't be asked whether it has taken a message: one that took it while our worker died gets it again, with the
same Message-ID.
"""

from __future__ import annotations

import datetime as dt
import logging
import smtplib
import time
from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.text import Truncator

from integrations.kit.contract import retry
from integrations.models import NoticeMessage
from integrations.standing import next_try

logger = logging.getLogger(__name__)

MAIL_TASK = "integrations.send_mails"
BATCH = 20
# How long a worker has a batch to itself; then another one takes it up.
LEASE_SECONDS = 300
NO_SERVER = "This portal has no mail server yet: EMAIL_URL is not set."


def mails_due() -> bool:
    """Whether an e-mail waits to be sent now."""
    return NoticeMessage.objects.filter(due_at__lte=timezone.now()).exists()


def mails_send() -> int:
    """Send what is due; how many were taken by the mail server."""
    sent = 0
    while claimed := _claim():
        sent += _send(claimed)
    return sent


def _claim() -> list[NoticeMessage]:
    now = timezone.now()
    with transaction.atomic():
        due = NoticeMessage.objects.select_for_update(skip_locked=True).filter(due_at__lte=now)
        ids = list(due.order_by("due_at").values_list("pk", flat=True)[:BATCH])
        NoticeMessage.objects.filter(pk__in=ids).update(
            due_at=now + dt.timedelta(seconds=LEASE_SECONDS), tries=F("tries") + 1
        )
    return list(NoticeMessage.objects.filter(pk__in=ids).order_by("pk"))


def _send(mails: list[NoticeMessage]) -> int:
    sent, down = 0, ""
    connection: Any = get_connection()
    begun = time.monotonic()
    for number, mail in enumerate(mails):
        if number and time.monotonic() - begun > LEASE_SECONDS / 2:
            # The mail server is slow: whoever takes up the rest must not meet us at it.
            _give_back(mails[number:])
            break
        problem, again = down or _open(connection), True
        if problem:
            # The others would wait as long for nothing.
            down = problem
        else:
            try:
                _message(mail, connection).send()
            except smtplib.SMTPRecipientsRefused as refusal:
                problem, again = _refused(mail, refusal)
                _close(connection)
            except (smtplib.SMTPException, OSError, ValueError) as error:
                problem = _words(error)
                _close(connection)
        if problem:
            _failed(mail, problem, again=again)
        else:
            sent += 1
            _record(mail, sent_at=timezone.now(), due_at=None, error="")
    _close(connection)
    return sent


def _give_back(mails: list[NoticeMessage]) -> None:
    NoticeMessage.objects.filter(pk__in=[mail.pk for mail in mails]).update(due_at=timezone.now(), tries=F("tries") - 1)


def _open(connection: Any) -> str:
    """Why the mail server can't be reached, in words; empty when it can."""
    if not settings.EMAIL_URL:
        return NO_SERVER
    try:
        connection.open()
    except (smtplib.SMTPException, OSError) as error:
        return _words(error)
    return ""


def _message(mail: NoticeMessage, connection: Any) -> EmailMultiAlternatives:
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"
    message = EmailMultiAlternatives(
        mail.subject,
        mail.text,
        to=[mail.to],
        connection=connection,
        headers={
            "Message-ID": f"<notice-{mail.pk}.{settings.INSTANCE_SUBDOMAIN}@{domain}>",
            "Auto-Submitted": "auto-generated",
        },
    )
    message.attach_alternative(mail.html, "text/html")
    return message


def _refused(mail: NoticeMessage, refusal: smtplib.SMTPRecipientsRefused) -> tuple[str, bool]:
    """The mail server's words on an address, and whether it may take it later."""
    codes = [(code, words) for code, words in refusal.recipients.values()]
    code, words = codes[0] if codes else (0, b"")
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else str(words)
    return f"The mail server does not take mail for {mail.to}: {text}", code < 500


def _words(error: Exception) -> str:
    return f"The mail server did not take it: {Truncator(str(error) or type(error).__name__).chars(300)}"


def _failed(mail: NoticeMessage, words: str, *, again: bool) -> None:
    when = next_try(mail.tries, retry(words), timezone.now()) if again else None
    if when is None:
        words = f"Given up after {mail.tries} {'try' if mail.tries == 1 else 'tries'}. {words}"
    logger.warning("notice message %s: not sent", mail.pk)
    _record(mail, sent_at=None, due_at=when, error=words)


def _record(mail: NoticeMessage, **columns: Any) -> None:
    # Who took it up after us has a try more: what we found is then no news.
    NoticeMessage.objects.filter(pk=mail.pk, tries=mail.tries).update(**columns)


def _close(connection: Any) -> None:
    try:
        connection.close()
    except (smtplib.SMTPException, OSError):
        connection.connection = None
