"""What may stand in a configuration file. docs/operating.md shows one; demo/*.yml are two."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from integrations.configuration.reading import (
    ConfigurationError,
    Item,
    Place,
    Reader,
    Shape,
    boolean,
    dictionary,
    list_of,
    name,
    number,
    one_of,
    or_name,
    or_nothing,
    read,
    setting,
    text,
)
from integrations.kit.lists import LIST_KINDS
from integrations.kit.text_map import map_kept
from integrations.models import InDoubt, IntegrationState
from leads.models import Campaign, CampaignPublisher, FieldType, Flag
from leads.tracking.lead_events import NAMES as LEAD_EVENT_NAMES

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
# A mapping row has at most one of these keys: where its value comes from.
SOURCES = ("field", "fact", "fixed", "template")


def choices(reader: Reader, node: Any, place: Place) -> list[dict[str, str]]:
    """Choices as a list of values, a list of value and label, or a mapping of values to labels."""
    if isinstance(node, CommentedMap):
        labels = dictionary(text)(reader, node, place)
        return [{"value": value, "label": label or value} for value, label in labels.values.items()]
    choice = or_name(Shape({"value": text, "label": text}, required=("value",)), "value")
    items: list[Item] = list_of(choice)(reader, node, place)
    found = [(item.values.get("value", ""), item.values.get("label", "")) for item in items]
    return [{"value": value, "label": label or value} for value, label in found]


def setting_or_map(reader: Reader, node: Any, place: Place) -> Any:
    """A setting: text or a switch, or a map of texts, kept as kit/text_map.py says."""
    if isinstance(node, CommentedMap):
        return map_kept(dictionary(text)(reader, node, place).values.items())
    if isinstance(node, CommentedSeq):
        pair = or_name(Shape({"key": name, "value": name}, required=("key", "value")), "key")
        items: list[Item] = list_of(pair)(reader, node, place)
        return map_kept((item.values["key"], item.values.get("value", item.values["key"])) for item in items)
    return setting(reader, node, place)


def structure(reader: Reader, node: Any, place: Place) -> Any:
    """Anything that YAML and JSON both have: what it means is known to the kind of job that takes it."""
    if isinstance(node, CommentedMap):
        return dictionary(structure)(reader, node, place).values
    if isinstance(node, CommentedSeq):
        return list_of(structure)(reader, node, place)
    if isinstance(node, dt.date):
        return node.isoformat()
    return node if isinstance(node, bool | int | None) else str(node)


def transform(reader: Reader, node: Any, place: Place) -> dict[str, str]:
    """A transform's name, or its name and parameters."""
    if isinstance(node, CommentedMap):
        item = dictionary(text)(reader, node, place)
        if not item.values.get("name"):
            raise reader.bad(place, "“name” is missing: which transform is it?")
        return dict(item.values)
    return {"name": name(reader, node, place)}


def clock(reader: Reader, node: Any, place: Place) -> dt.time:
    """A time of the day, as in "09:00"."""
    try:
        return dt.time.fromisoformat(text(reader, node, place))
    except ValueError:
        raise reader.bad(place, f'a time is wanted, as in "09:00", not “{node}”.') from None


def weekday(reader: Reader, node: Any, place: Place) -> int:
    """A day of the week by its English name, whole or its first three letters, as a number from Monday = 0."""
    word = text(reader, node, place).strip().casefold()
    for number_of, day in enumerate(WEEKDAYS):
        if word in (day, day[:3]):
            return number_of
    raise reader.bad(place, f"“{node}” is no day of the week; there is {', '.join(WEEKDAYS)}.")


ADVERTISER = Shape({"name": name}, required=("name",), identity=("name",))
REASON_CODE = Shape(
    {"flag": one_of(flag for flag in Flag.values if flag), "code": name, "label": text, "active": boolean},
    required=("flag", "code"),
    identity=("flag", "code"),
)
USER = Shape(
    {"username": name, "email": text, "password": setting, "active": boolean},
    required=("username",),
    identity=("username",),
)
PUBLISHER = Shape(
    {"name": name, "active": boolean, "api_key": setting, "users": list_of(USER)},
    required=("name",),
    identity=("name",),
)
FIELD = Shape(
    {
        "name": name,
        "label": text,
        "type": one_of(FieldType.values),
        "required": boolean,
        "enabled": boolean,
        "choices": choices,
        "multiple": boolean,
        "min_length": number,
        "max_length": number,
    },
    required=("name",),
    identity=("name",),
)
FORM = Shape({"name": name, "fields": list_of(FIELD)}, required=("name",), identity=("name",))
LINK = Shape({"name": name, "channel": text, "destination": text}, required=("name",), identity=("name",))
CONTRACT = Shape(
    {
        "name": name,
        "active": boolean,
        **{f"cap_{span}": or_nothing(number) for span in ("day", "week", "month", "total")},
        "over_cap": one_of(CampaignPublisher.OverCap.values),
    },
    required=("name",),
    identity=("name",),
)
VALUE_LIST = Shape(
    {"name": name, "kind": one_of(LIST_KINDS), "help": text}, required=("name", "kind"), identity=("name",)
)
GROUP = Shape({"name": name, "score": number}, required=("name",), identity=("name",))
JOB = Shape(
    {
        "name": name,
        "kind": name,
        "on": boolean,
        "score": number,
        "hard_fail": boolean,
        "group": name,
        "when_field": text,
        "when_values": text,
        "settings": dictionary(structure),
    },
    required=("name", "kind"),
    identity=("name",),
)
MAPPING = Shape(
    {
        "to": name,
        "field": name,
        "fact": name,
        "fixed": text,
        "template": text,
        "value_map": dictionary(text),
        "transforms": list_of(transform),
        # How the client's form describes it, for what was never pulled: a pull of their form replaces these.
        "label": text,
        "type": text,
        "required": boolean,
        "hidden": boolean,
        "choices": choices,
        "added_by_hand": boolean,
    },
    required=("to",),
    identity=("to",),
)
# What goes out when. A cap that is null has no bound; what is left out stays as it is.
SENDING = Shape(
    {
        "cap_day": or_nothing(number),
        "cap_week": or_nothing(number),
        "cap_total": or_nothing(number),
        "weekdays": list_of(weekday),
        "hours_from": or_nothing(clock),
        "hours_to": or_nothing(clock),
        "release_per_minute": number,
        "in_doubt": one_of(InDoubt.values),
    }
)
INTEGRATION = Shape(
    {
        "name": name,
        "connector": name,
        "state": one_of([IntegrationState.ON, IntegrationState.PAUSED, IntegrationState.NEEDS_SETUP]),
        "settings": dictionary(setting_or_map),
        "sending": SENDING,
        "mapping": list_of(MAPPING),
    },
    required=("name", "connector"),
    identity=("name",),
)
# A site, an app or a server whose calls are tracked. Without a write_key it gets one that nobody can guess.
SOURCE = Shape({"name": name, "write_key": setting, "enabled": boolean}, required=("name",), identity=("name",))
# What becomes of leads as events of one of these sources.
LEAD_EVENTS = Shape(
    {
        "source": name,
        "events": list_of(one_of(LEAD_EVENT_NAMES.values())),
        "revenue": or_nothing(text),
        "currency": text,
    },
    required=("source", "events"),
)
CAMPAIGN = Shape(
    {
        "name": name,
        "advertiser": name,
        "status": one_of(Campaign.Status.values),
        "status_reason": text,
        "time_zone": name,
        "verdict_days": number,
        "lets_out": one_of(Campaign.LetsOut.values),
        "releases_held": boolean,
        "api_key": setting,
        "forms": list_of(name),
        "publishers": list_of(or_name(CONTRACT, "name")),
        "links": list_of(LINK),
        "sources": list_of(SOURCE),
        "lead_events": LEAD_EVENTS,
        "groups": list_of(GROUP),
        "jobs": list_of(JOB),
        "integrations": list_of(INTEGRATION),
    },
    required=("name", "advertiser"),
    identity=("advertiser", "name"),
)
DOCUMENT = Shape(
    {
        "advertisers": list_of(ADVERTISER),
        "reason_codes": list_of(REASON_CODE),
        "publishers": list_of(PUBLISHER),
        "forms": list_of(FORM),
        "lists": list_of(VALUE_LIST),
        "campaigns": list_of(CAMPAIGN),
    }
)


def parse(text: str, file: str, environ: Mapping[str, str]) -> Item:
    """A configuration file's text, read and checked as far as that goes without a database.

    env:NAME is replaced by the variable's value in `environ`. ConfigurationError has every problem and its place.
    """
    document = read(text, file, DOCUMENT, environ)
    problems = []
    for campaign in document.values.get("campaigns", []):
        for integration in campaign.values.get("integrations", []):
            for row in integration.values.get("mapping", []):
                given = [source for source in SOURCES if source in row.values]
                if len(given) > 1:
                    words = f"a value comes from one place: give {' or '.join(given)}, not both."
                    problems.append((row.at(given[1]), words))
    if problems:
        raise ConfigurationError(problems)
    return document
