"""The receiver's form: there is none to be pulled, so it is what the settings say."""

from __future__ import annotations

from integrations.connectors.webhook.message import Clash, nested
from integrations.kit.contract import Call, ConnectorError, Flow, RemoteField, RemoteForm

MAX_FIELDS, NAME_CHARS = 500, 200


def discover(call: Call) -> Flow[RemoteForm]:
    """The fields that the settings name; none is a form too, whose mapping is added by hand. Nobody is asked.

    ConnectorError where a name is there twice or is too long, or one holds another.
    """
    fields: dict[str, RemoteField] = {}
    for written in str(call.settings.get("fields") or "").split(","):
        name = written.strip().removesuffix("*").strip()
        if not name:
            continue
        if name in fields:
            raise ConnectorError(f"{name} is there twice.", "fields")
        if len(name) > NAME_CHARS or not name.isprintable():
            raise ConnectorError(f"{name[:40]}… is no name: {NAME_CHARS} letters at the most.", "fields")
        fields[name] = RemoteField(name, required=written.strip().endswith("*"))
    if len(fields) > MAX_FIELDS:
        raise ConnectorError(f"{MAX_FIELDS} fields at the most.", "fields")
    try:
        nested(dict.fromkeys(fields, ""))
    except Clash as clash:
        raise ConnectorError(str(clash), "fields") from None
    knows_repeats = str(call.settings.get("knows_repeats") or "").lower() in ("true", "1", "on", "yes")
    yield from ()  # every step is a generator, and this one has nobody to ask
    return RemoteForm(tuple(fields.values()), honours_keys=knows_repeats)
