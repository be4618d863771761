"""What stands between slashes in the partner API's addresses, beside what leads/api/addresses.py has."""

from __future__ import annotations


class MessageConverter:
    """A webhook's message, by its webhook-id: `<message:message_id>`."""

    regex = "[0-9a-f]{32}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: object) -> str:
        return str(value)
