"""What stands between slashes in the partner API's addresses."""

from __future__ import annotations


class RowConverter:
    """A row's id, of as many digits as a database key has: `<row:key_id>`."""

    regex = "[0-9]{1,18}"

    def to_python(self, value: str) -> int:
        return int(value)

    def to_url(self, value: int) -> str:
        return str(value)


class LeadConverter:
    """A lead, by its id or its hash (32 hexadecimal digits): `<lead:lead>`."""

    regex = "[0-9]{1,18}|[0-9a-f]{32}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: object) -> str:
        return str(value)


# What the document says of them.
ROW_SCHEMA = {"type": "integer", "minimum": 1, "maximum": 10**18 - 1}
LEAD_SCHEMA = {"type": "string", "pattern": f"^({LeadConverter.regex})$"}
