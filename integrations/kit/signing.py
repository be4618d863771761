"""Signs and verifies messages as Standard Webhooks v1 do: HMAC-SHA256 over "id.timestamp.body", in three headers.

Pure functions: the time is passed in, the body is the bytes that are on the wire. More than one secret counts while one is
rotated, and then there are as many signatures.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import hmac
import secrets as entropy
from collections.abc import Mapping, Sequence
from functools import lru_cache

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
PREFIX = "whsec_"
TOLERANCE = dt.timedelta(minutes=5)
# What the standard allows a key to have.
MIN_KEY_BYTES, MAX_KEY_BYTES = 24, 64
_NEW_KEY_BYTES = 32
_VERSION = "v1"
_MAX_SIGNATURES = 20


class BadSecret(ValueError):
    """A signing secret that is none. Says what one looks like, and nothing of what was given."""


class BadSignature(Exception):
    """A message that is not from who has the secret, or not from now. Says why."""


def secret_new() -> str:
    """A new signing secret: whsec_ and 32 random bytes in base64."""
    return PREFIX + base64.b64encode(entropy.token_bytes(_NEW_KEY_BYTES)).decode("ascii")


@lru_cache(maxsize=1024)
def secret_key(secret: str) -> bytes:
    """The key in a secret; BadSecret where it is not whsec_ and 24 to 64 bytes in base64."""
    text = secret.strip()
    try:
        if not text.startswith(PREFIX):
            raise ValueError
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
        if not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
            raise ValueError
    except (ValueError, binascii.Error):
        raise BadSecret(
            f"A signing secret starts with {PREFIX}, and {MIN_KEY_BYTES} to {MAX_KEY_BYTES} bytes in base64 follow."
        ) from None
    return key


def signed_headers(secrets: Sequence[str], message_id: str, at: dt.datetime, body: bytes) -> dict[str, str]:
    """The three headers of a message: signed with each of the secrets, the first first, at the moment `at`.

    The id stays the same in every try of one message. BadSecret where a secret is none; ValueError for an id with a full
    stop in it or for no secret at all: neither can be verified.
    """
    if not message_id or "." in message_id or not secrets:
        raise ValueError("A message needs an id without a full stop, and a secret.")
    timestamp = str(int(at.timestamp()))
    signatures = [_signature(secret_key(secret), message_id, timestamp, body) for secret in dict.fromkeys(secrets)]
    return {ID: message_id, TIMESTAMP: timestamp, SIGNATURE: " ".join(signatures)}


def verify(secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now: dt.datetime) -> str:
    """The id of a message that was signed with one of the secrets at most five minutes from `now`.

    `headers` by lower-case names. BadSignature otherwise; BadSecret where one of ours is none. Every signature is compared
    with every secret in full, so that how long it takes says nothing.
    """
    message_id, timestamp = headers.get(ID, ""), headers.get(TIMESTAMP, "").strip()
    given = headers.get(SIGNATURE, "").split()
    if not (message_id and timestamp and given):
        raise BadSignature("It is not signed.")
    if "." in message_id or not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise BadSignature("Its id or its timestamp is not one.")
    expected = [_signature(secret_key(secret), message_id, timestamp, body).encode() for secret in secrets]
    known = False
    for signature in given[:_MAX_SIGNATURES]:
        for ours in expected:
            known |= hmac.compare_digest(signature.encode("utf-8", "replace"), ours)
    if not known:
        raise BadSignature("Its signature is not made with this secret.")
    if abs(int(timestamp) - now.timestamp()) > TOLERANCE.total_seconds():
        raise BadSignature("It is older or newer than five minutes.")
    return message_id


def _signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    signed = f"{message_id}.{timestamp}.".encode("utf-8", "replace") + body
    return f"{_VERSION},{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode('ascii')}"
