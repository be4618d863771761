"""Makes the database say what a configuration file says: all of it, or nothing.

What the file names is created or brought up to date; what it does not name stays as it is, and nothing is deleted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import models, transaction

from integrations.configuration.judging import caps_read, judging_apply, list_apply
from integrations.configuration.pipelines import (
    CREATED,
    UNCHANGED,
    UPDATED,
    Applied,
    integration_apply,
    pull_and_switch_on,
    save_clean,
)
from integrations.configuration.reading import ConfigurationError, Item, Place, did_you_mean
from leads.access import api_key_issue, digest
from leads.models import (
    Advertiser,
    Campaign,
    CampaignPublisher,
    Field,
    Form,
    LeadEvents,
    Link,
    Publisher,
    ReasonCode,
    Source,
    User,
)
from leads.tracking.lead_events import NAMES as LEAD_EVENT_NAMES
from leads.tracking.sources import LONGEST_KEY


@dataclass(slots=True)
class Report:
    """What applying a file did. `lines` name what was created or updated; `ids` are the ids of what the file names."""

    counts: Counter[str] = field(default_factory=Counter)
    lines: list[str] = field(default_factory=list)
    ids: dict[str, dict[str, int]] = field(default_factory=dict)
    to_pull: list[Applied] = field(default_factory=list)

    def note(self, outcome: str, kind: str, name: str) -> None:
        self.counts[outcome] += 1
        if outcome != UNCHANGED:
            self.lines.append(f"{outcome} {kind} “{name}”")

    def summary(self) -> str:
        return ", ".join(f"{self.counts[outcome]} {outcome}" for outcome in (CREATED, UPDATED, UNCHANGED))


def apply(document: Item) -> Report:
    """Apply what parse() returned. ConfigurationError names the place of what can't be done, and then nothing was."""
    report = Report()
    with transaction.atomic():
        for item in document.values.get("advertisers", []):
            _row(report, "advertiser", Advertiser, item, {"name": item.values["name"]})
        for item in document.values.get("reason_codes", []):
            _row(report, "reason code", ReasonCode, item, {key: item.values[key] for key in ("flag", "code")})
        for item in document.values.get("publishers", []):
            _publisher(report, item)
        for item in document.values.get("forms", []):
            _form(report, item)
        for item in document.values.get("lists", []):
            list_apply(item, report.note)
        for item in document.values.get("campaigns", []):
            _campaign(report, item)
    return report


def ask_clients(report: Report) -> None:
    """Pull the forms of clients that integrations need to be on, and switch those on: after apply() has committed.

    ConfigurationError names every integration for which that failed; the others are done.
    """
    problems: list[tuple[Place, str]] = []
    for applied in report.to_pull:
        try:
            pull_and_switch_on(applied)
        except ConfigurationError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigurationError(problems)


def _row(
    report: Report,
    kind: str,
    model: type[models.Model],
    item: Item,
    identity: dict[str, Any],
    values: dict[str, Any] | None = None,
) -> tuple[Any, str]:
    """The row with this identity, created or brought up to date with the values; and which of it."""
    values = {key: value for key, value in item.values.items() if key not in identity} if values is None else values
    row = model._default_manager.filter(**identity).first()
    outcome = UNCHANGED
    if row is None:
        row, outcome = model(**identity), CREATED
    changed = [key for key, value in values.items() if getattr(row, key) != value]
    if changed and outcome == UNCHANGED:
        outcome = UPDATED
    if outcome != UNCHANGED:
        for key in changed:
            setattr(row, key, values[key])
        save_clean(row, item)
    report.note(outcome, kind, str(next(reversed(identity.values()))))
    return row, outcome


def _find(kind: str, model: type[models.Model], name: str, place: Place) -> Any:
    row = model._default_manager.filter(name=name).first()
    if row is None:
        known = list(model._default_manager.values_list("name", flat=True)[:1000])
        words = f"there is no {kind} “{name}”, neither in this file nor in the portal{did_you_mean(name, known)}."
        raise ConfigurationError([(place, words)])
    return row


def _publisher(report: Report, item: Item) -> None:
    values = {key: item.values[key] for key in ("active",) if key in item.values}
    publisher, _ = _row(report, "publisher", Publisher, item, {"name": item.values["name"]}, values)
    report.ids.setdefault("publishers", {})[publisher.name] = publisher.pk
    _api_key(report, item, publisher)
    for user in item.values.get("users", []):
        _user(report, user, publisher)


def _api_key(report: Report, item: Item, owner: Publisher | Campaign) -> None:
    key = item.values.get("api_key")
    if not key:
        return
    known = owner.api_keys.filter(digest=digest(key), expires_at__isnull=True).exists()
    try:
        if not known:
            api_key_issue(
                publisher=owner if isinstance(owner, Publisher) else None,
                campaign=owner if isinstance(owner, Campaign) else None,
                key=key,
            )
    except ValueError as error:
        raise ConfigurationError([(item.at("api_key"), f"{error}.")]) from None
    report.note(UNCHANGED if known else CREATED, "API key of", str(owner))


def _user(report: Report, item: Item, publisher: Publisher) -> None:
    username = item.values["username"]
    user = User.objects.filter(username=username).first()
    outcome = UPDATED
    if user is None:
        user, outcome = User(username=username, publisher=publisher), CREATED
        user.set_unusable_password()
    elif user.publisher_id != publisher.pk:
        raise ConfigurationError([(item.at("username"), f"the user “{username}” is not this publisher's.")])
    wanted = {"email": item.values.get("email", user.email), "is_active": item.values.get("active", user.is_active)}
    changed = outcome == CREATED or any(getattr(user, key) != value for key, value in wanted.items())
    for key, value in wanted.items():
        setattr(user, key, value)
    password = item.values.get("password")
    if password and not user.check_password(password):
        try:
            validate_password(password, user)
        except ValidationError as error:
            raise ConfigurationError([(item.at("password"), " ".join(error.messages))]) from None
        user.set_password(password)
        changed = True
    if changed:
        save_clean(user, item)
    report.note(outcome if changed else UNCHANGED, "user", username)


def _form(report: Report, item: Item) -> None:
    form, outcome = _row(report, "form", Form, item, {"name": item.values["name"]}, {})
    report.ids.setdefault("forms", {})[form.name] = form.pk
    fields_changed = False
    for position, entry in enumerate(item.values.get("fields", [])):
        values = {**entry.values, "position": position}
        values.pop("name")
        identity = {"form": form, "name": entry.values["name"]}
        fields_changed |= _row(report, f"field of “{form.name}”", Field, entry, identity, values)[1] != UNCHANGED
    if fields_changed and outcome != CREATED:
        form.version += 1
        form.save(update_fields=["version"])


def _campaign(report: Report, item: Item) -> None:
    advertiser = _find("advertiser", Advertiser, item.values["advertiser"], item.at("advertiser"))
    plain = ("status", "status_reason", "time_zone", "verdict_days", "lets_out", "releases_held")
    values = {key: item.values[key] for key in plain if key in item.values}
    identity = {"advertiser": advertiser, "name": item.values["name"]}
    campaign, _ = _row(report, "campaign", Campaign, item, identity, values)
    report.ids.setdefault("campaigns", {})[campaign.name] = campaign.pk
    _api_key(report, item, campaign)
    for name in item.values.get("forms", []):
        form = _find("form", Form, name, item.at("forms"))
        known = campaign.forms.filter(pk=form.pk).exists()
        campaign.forms.add(form)
        report.note(UNCHANGED if known else UPDATED, f"form “{name}” of campaign", campaign.name)
    capped = False
    for contract in item.values.get("publishers", []):
        publisher = _find("publisher", Publisher, contract.values["name"], contract.at("name"))
        values = {key: contract.values[key] for key in ("active",) if key in contract.values} | caps_read(contract)
        identity = {"campaign": campaign, "publisher": publisher}
        _, outcome = _row(report, f"publisher of “{campaign.name}”:", CampaignPublisher, contract, identity, values)
        capped |= outcome != UNCHANGED
    for link in item.values.get("links", []):
        _row(report, f"link of “{campaign.name}”", Link, link, {"campaign": campaign, "name": link.values["name"]})
    _sources(report, campaign, item)
    judging_apply(campaign, item, report.note, caps=capped)
    for position, entry in enumerate(item.values.get("integrations", [])):
        applied = integration_apply(campaign, entry, position)
        report.ids.setdefault("integrations", {})[applied.integration.name] = applied.integration.pk
        if applied.pull:
            report.to_pull.append(applied)
        report.note(applied.outcome, f"integration of “{campaign.name}”", applied.integration.name)


def _sources(report: Report, campaign: Campaign, item: Item) -> None:
    """The campaign's sources, and what becomes of its leads as events of one of them."""
    kind = f"source of “{campaign.name}”"
    for entry in item.values.get("sources", []):
        identity = {"campaign": campaign, "name": entry.values["name"]}
        key = entry.values.get("write_key")
        if key is not None and not (key.isascii() and key.isalnum() and len(key) <= LONGEST_KEY):
            words = f"a write key has letters and digits only, {LONGEST_KEY} at the most."
            raise ConfigurationError([(entry.at("write_key"), words)])
        source, _ = _row(report, kind, Source, entry, identity)
        report.ids.setdefault("sources", {})[source.name] = source.pk
    given = item.values.get("lead_events")
    if given is None:
        return
    source = campaign.sources.filter(name=given.values["source"]).first()
    if source is None:
        known = list(campaign.sources.values_list("name", flat=True))
        words = f"the campaign has no source “{given.values['source']}”{did_you_mean(given.values['source'], known)}."
        raise ConfigurationError([(given.at("source"), words)])
    names = given.values["events"]
    values: dict[str, Any] = {"source_id": source.pk, **{key: name in names for key, name in LEAD_EVENT_NAMES.items()}}
    if "revenue" in given.values:
        try:
            values["revenue"] = Decimal(given.values["revenue"]) if given.values["revenue"] else None
        except InvalidOperation:
            words = f'“{given.values["revenue"]}” is no sum. Write it as "12.50".'
            raise ConfigurationError([(given.at("revenue"), words)]) from None
    if "currency" in given.values:
        values["currency"] = given.values["currency"]
    _row(report, "leads as events of", LeadEvents, given, {"campaign": campaign}, values)
