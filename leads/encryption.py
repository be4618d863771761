"""Values that are encrypted with keys of the deployment's own (settings.ENCRYPTION_KEYS): the first encrypts, all decrypt."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings


@cache
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def encrypt(value: Any) -> str:
    """Any JSON value as one Fernet token."""
    return _fernet(tuple(settings.ENCRYPTION_KEYS)).encrypt(json.dumps(value).encode()).decode()


def decrypt(text: str) -> Any:
    """The value of a token; InvalidToken (of cryptography) where no key opens it."""
    return json.loads(_fernet(tuple(settings.ENCRYPTION_KEYS)).decrypt(text.encode()))
