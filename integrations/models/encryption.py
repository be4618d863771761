"""A JSON column that is encrypted at rest with keys of its own (settings.ENCRYPTION_KEYS), for secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models

from leads.encryption import decrypt, encrypt


class EncryptedJSONField(models.TextField):  # type: ignore[type-arg]
    """Keeps any JSON value as one Fernet token. It can't be searched, and is not meant to be."""

    if TYPE_CHECKING:
        # What the checker takes for the types of the attribute on a model.
        _pyi_private_set_type: Any
        _pyi_private_get_type: Any

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        return None if value is None else decrypt(value)

    def to_python(self, value: Any) -> Any:
        return value

    def get_prep_value(self, value: Any) -> str | None:
        return None if value is None else encrypt(value)

    def value_to_string(self, obj: models.Model) -> str:
        return self.get_prep_value(self.value_from_object(obj)) or ""
