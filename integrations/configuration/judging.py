"""The part of a configuration file that is judging: lists of values by their names, a campaign's jobs and groups, and caps.

Lists and campaigns that a job's settings name by id stand in the file by name. The values of lists are not in it: they are files
of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ruamel.yaml.comments import CommentedMap

from integrations.configuration.pipelines import CREATED, UNCHANGED, UPDATED, save_clean
from integrations.configuration.reading import ConfigurationError, Item, did_you_mean
from integrations.judging.arranging import group_store, job_store
from integrations.judging.changes import campaign_caps_changed, processr_changed
from integrations.kit.job_registry import job_kinds
from integrations.kit.jobs import BadSetting, JobKind, JobSetting
from integrations.kit.text_map import map_kept, pairs_of
from integrations.models import Job, JobGroup, ValueList
from leads.models import Campaign, CampaignPublisher

CAPS = ("cap_day", "cap_week", "cap_month", "cap_total")
Note = Callable[[str, str, str], None]


# --- applied ----------------------------------------------------------------------------------------------------


def list_apply(item: Item, note: Note) -> None:
    """Make a list, empty, or bring what is said of it up to date; its values stay as they are."""
    name = item.values["name"]
    row = ValueList.objects.filter(name=name).first()
    if row is not None and row.kind != item.values["kind"]:
        raise ConfigurationError([(item.at("kind"), f"the list “{name}” is of the kind {row.kind} already.")])
    outcome = UNCHANGED
    if row is None:
        row, outcome = ValueList(name=name, kind=item.values["kind"]), CREATED
    if "help" in item.values and row.help != item.values["help"]:
        row.help, outcome = item.values["help"], outcome if outcome == CREATED else UPDATED
    if outcome != UNCHANGED:
        save_clean(row, item)
    note(outcome, "list of values", name)


def caps_read(contract: Item) -> dict[str, Any]:
    """What the file says of a publisher's caps."""
    given = {name: contract.values[name] for name in (*CAPS, "over_cap") if name in contract.values}
    if zero := [name for name in CAPS if given.get(name) == 0]:
        words = "write 1 or more, or null for no bound. To take no leads, set active: false."
        raise ConfigurationError([(contract.at(name), words) for name in zero])
    return given


def judging_apply(campaign: Campaign, item: Item, note: Note, *, caps: bool) -> None:
    """Make the campaign's groups and jobs what the file says; `caps`: that it changed caps. In the caller's transaction."""
    for entry in item.values.get("groups", []):
        group = JobGroup.objects.filter(campaign=campaign, name=entry.values["name"]).first()
        outcome = UNCHANGED if group is not None else CREATED
        group = group or JobGroup(campaign=campaign, name=entry.values["name"])
        if "score" in entry.values and group.score != entry.values["score"]:
            group.score, outcome = entry.values["score"], outcome if outcome == CREATED else UPDATED
        if outcome != UNCHANGED:
            group_store(group)
        note(outcome, f"group of “{campaign.name}”", group.name)
    for position, entry in enumerate(item.values.get("jobs", []), 1):
        note(_job(campaign, entry, position), f"job of “{campaign.name}”", entry.values["name"])
    if caps:
        campaign_caps_changed(campaign.pk)
    processr_changed(campaign.pk)


def _job(campaign: Campaign, item: Item, position: int) -> str:
    kinds, slug = job_kinds(), item.values["kind"]
    if slug not in kinds:
        raise ConfigurationError([(item.at("kind"), f"there is no kind of job “{slug}”{did_you_mean(slug, kinds)}.")])
    kind = kinds[slug]
    job = Job.objects.filter(campaign=campaign, name=item.values["name"]).first()
    created = job is None
    if job is None:
        job = Job(campaign=campaign, name=item.values["name"], kind=slug, hard_fail=kind.manifest.hard_fail)
    elif job.kind != slug:
        words = f"it is a {job.kind} already. Give the new one another name."
        raise ConfigurationError([(item.at("kind"), words)])
    before = {name: getattr(job, name) for name in _COLUMNS}
    job.settings = _settings(kind, job, item)
    for name in ("score", "hard_fail", "when_field", "when_values"):
        if name in item.values:
            setattr(job, name, item.values[name])
    job.enabled, job.position = item.values.get("on", job.enabled), position
    if "group" in item.values:
        job.group = JobGroup.objects.filter(campaign=campaign, name=item.values["group"]).first()
        if job.group is None:
            known = list(JobGroup.objects.filter(campaign=campaign).values_list("name", flat=True))
            words = f"the campaign has no group “{item.values['group']}”{did_you_mean(item.values['group'], known)}."
            raise ConfigurationError([(item.at("group"), words)])
    if not created and before == {name: getattr(job, name) for name in _COLUMNS}:
        return UNCHANGED
    save_clean(job, item)
    job_store(job)
    return CREATED if created else UPDATED


_COLUMNS = (
    "settings", "score", "hard_fail", "when_field", "when_values", "enabled", "position", "group_id",
)  # fmt: skip


def _settings(kind: JobKind, job: Job, item: Item) -> dict[str, Any]:
    """The job's settings with what the file gives; a job that is on has to make sense."""
    given: Item = item.values.get("settings") or Item(item.place)
    boxes = {box.name: box for box in kind.manifest.settings}
    if unknown := [key for key in given.values if key not in boxes]:
        raise ConfigurationError(
            (given.at(key), f"{kind.manifest.name} has no setting “{key}”{did_you_mean(key, boxes)}.")
            for key in unknown
        )
    settings: dict[str, Any] = {
        box.name: box.default for box in boxes.values() if box.default not in ("", None)
    } | job.settings
    settings |= {key: _kept(boxes[key], value, given) for key, value in given.values.items()}
    if item.values.get("on", job.enabled):
        try:
            kind.compile(settings)
        except BadSetting as bad:
            raise ConfigurationError([(given.at(bad.name), bad.words)]) from None
    return settings


def _kept(box: JobSetting, value: Any, given: Item) -> Any:
    """A value of the file as a job keeps it."""
    match box.type:
        case "list" if value not in ("", None):
            return _named(ValueList.objects.filter(name=str(value)), f"list “{value}”", box, given)
        case "campaigns":
            names = value if isinstance(value, list) else [value]
            return [_named(Campaign.objects.filter(name=str(name)), f"campaign “{name}”", box, given) for name in names]
        case "fields":
            return value if isinstance(value, list) else [value]
        case "map":
            return map_kept(pairs_of(value))
        case "lines":
            return "\n".join(map(str, value)) if isinstance(value, list) else str(value)
        case "text" | "choice" | "field" | "date":
            return "" if value is None else str(value)
    return value


def _named(rows: Any, words: str, box: JobSetting, given: Item) -> int:
    if (pk := rows.order_by("pk").values_list("pk", flat=True).first()) is None:
        raise ConfigurationError([(given.at(box.name), f"there is no {words}.")])
    return int(pk)


# --- exported ---------------------------------------------------------------------------------------------------


def lists_exported() -> list[dict[str, Any]]:
    """Lists by name and kind."""
    return [
        {"name": row.name, "kind": row.kind, "help": row.help or None} for row in ValueList.objects.order_by("name")
    ]


def caps_exported(contract: CampaignPublisher) -> dict[str, Any]:
    """A publisher's caps, as far as there are any."""
    caps = {name: getattr(contract, name) for name in CAPS if getattr(contract, name) is not None}
    return caps | ({"over_cap": str(contract.over_cap)} if caps else {})


def groups_exported(campaign: Campaign) -> list[dict[str, Any]]:
    return [{"name": row.name, "score": row.score} for row in campaign.job_groups.order_by("position", "id")]


def jobs_exported(campaign: Campaign) -> Iterator[dict[str, Any]]:
    """A campaign's jobs in their order, what they name by id by its name."""
    for job in campaign.jobs.select_related("group").order_by("position", "id"):
        kind = job_kinds().get(job.kind)
        boxes = {box.name: box for box in kind.manifest.settings} if kind is not None else {}
        settings = {
            name: _shown(boxes.get(name), value) for name, value in job.settings.items() if value not in ("", None, [])
        }
        judges = kind is None or kind.manifest.tab == "quality"
        yield {
            "name": job.name,
            "kind": job.kind,
            "on": job.enabled,
            "score": job.score if judges else None,
            "hard_fail": job.hard_fail if judges else None,
            "group": job.group.name if job.group else None,
            "when_field": job.when_field or None,
            "when_values": job.when_values or None,
            "settings": settings or None,
        }


def _shown(box: JobSetting | None, value: Any) -> Any:
    if box is not None and box.type == "list":
        return ValueList.objects.filter(pk=value).values_list("name", flat=True).first() or value
    if box is not None and box.type == "campaigns":
        return list(Campaign.objects.filter(pk__in=value).order_by("pk").values_list("name", flat=True))
    if box is not None and box.type == "map":
        return CommentedMap(pairs_of(value))
    return dict(value) if isinstance(value, Mapping) else value
