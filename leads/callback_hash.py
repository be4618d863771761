"""The name of a lead that opens its callbacks, and how it is read again (docs/adr, "A lead's name is no key").

Lead.hash names a lead to everybody who may know of it. On the wire of a Convertr instance `leadHash` is a secret: whoever has
it may flag the lead or add to it. So what travels under that name is a callback hash: Lead.hash, enciphered as one block of
AES with a key of this deployment's own. It is stored nowhere, and says nothing to who has no key.
"""

from __future__ import annotations

import hmac
import uuid
from functools import cache

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from django.conf import settings


def callback_hash(lead_hash: uuid.UUID) -> str:
    """What a lead with this hash is called where callbacks are taken: 32 hexadecimal digits, made with the first key."""
    return _ciphers(tuple(settings.ENCRYPTION_KEYS))[0].encryptor().update(lead_hash.bytes).hex()


def lead_hashes(text: str) -> list[uuid.UUID]:
    """The hashes of leads that a callback hash, with or without dashes, can stand for: of each key that decrypts at most one.

    None where it can be nobody's: Lead.hash itself is a hash of another kind, and what comes of it is no time-ordered UUID
    (but for one in 64, and then no lead's).
    """
    given = hash_parsed(text)
    if given is None:
        return []
    found = (
        uuid.UUID(bytes=each.decryptor().update(given.bytes)) for each in _ciphers(tuple(settings.ENCRYPTION_KEYS))
    )
    return [each for each in found if each.version == 7]


def hash_parsed(text: str) -> uuid.UUID | None:
    """A hash as it is posted, with or without dashes; None where it can be none."""
    try:
        return uuid.UUID(hex=text) if len(text) in (32, 36) else None
    except ValueError:
        return None


@cache
def _ciphers(keys: tuple[str, ...]) -> list[Cipher[modes.ECB]]:
    # One block that is never the same twice: the mode that chains nothing is the permutation itself.
    secrets = [hmac.digest(key.encode(), b"callback hash", "sha256") for key in keys]
    return [Cipher(algorithms.AES(secret), modes.ECB()) for secret in secrets]  # noqa: S305
