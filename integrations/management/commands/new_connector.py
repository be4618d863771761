"""`manage.py new_connector NAME`: a connector's folder, whose cases fail until they are filled in."""

from __future__ import annotations

import json
import keyword
import re
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from integrations import connectors

ROOT = Path(connectors.__path__[0])
_SLUG = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*\Z")

_INIT = '''"""{name}: TODO say in a line what it hands over."""

from integrations.connectors.{slug}.deliver import deliver, host
from integrations.connectors.{slug}.manifest import MANIFEST
from integrations.kit.contract import Connector

CONNECTOR = Connector(manifest=MANIFEST, host=host, deliver=deliver)
'''

_MANIFEST = '''"""What {name} says of itself."""

from __future__ import annotations

from integrations.kit.contract import Manifest, SettingField

MANIFEST = Manifest(
    slug="{slug}",
    name="{name}",
    summary="TODO: one sentence for the Add box: what goes where.",
    accepts=frozenset({{"lead"}}),
    settings=(SettingField("api_key", "API key", type="secret", help="TODO: where in {name} it is found."),),
)
'''

_DELIVER = '''"""Hands a lead to {name}, and reads what came of it."""

from __future__ import annotations

from integrations.kit.answers import general_outcome
from integrations.kit.contract import Call, Flow, Outcome, Payload, Request, delivered

# TODO: their address. An address that people fill in is a setting; one DNS label of it goes through kit/addresses.py.
HOST = "api.example.com"


def host(call: Call) -> str:
    return HOST


def deliver(call: Call, lead: Payload) -> Flow[Outcome]:
    """Send one lead. TODO: name their documentation."""
    response = yield Request(
        "POST",
        f"https://{{HOST}}/leads",
        json=dict(lead.fields),
        headers={{"Idempotency-Key": call.idempotency_key}} if call.idempotency_key else {{}},
        bearer=str(call.settings.get("api_key") or ""),
    )
    # TODO: what they answer when they take a lead, and when they say no to it. general_outcome knows HTTP, not them.
    if response.status == 201:
        return delivered()
    return general_outcome(response, host(call))
'''

_README = """# {name}

TODO: what it hands over, to whom, and where their documentation is.

## Settings
TODO: each box, and where its value is found.

## How answers are read
TODO: what is a yes, what is a no, what is sent again, what waits for a person.
"""

# For each outcome of the closed list (kit/contract.py): the answer to start from, which their documentation will correct.
_CASES: tuple[tuple[str, str, dict[str, Any], dict[str, Any]], ...] = (
    ("delivered", "their yes, as documented", {"response": {"status": 201, "json": {}}}, {"outcome": "delivered"}),
    ("refused", "they read it and said no", {"response": {"status": 422, "json": {}}}, {"outcome": "refused"}),
    ("retry", "nothing was decided", {"response": {"status": 429}}, {"outcome": "retry"}),
    ("misconfigured", "a person has to act", {"response": {"status": 401}}, {"outcome": "misconfigured"}),
    ("unknown", "neither yes nor no", {"response": {"status": 799}}, {"outcome": "unknown"}),
    ("no_answer", "it went out and no answer came", {"no_answer": {"sent": True}}, {"no_answer": {"sent": True}}),
)


def slug_of(name: str) -> str:
    """The folder's name for a connector's name: "Acme CRM" and acme-crm are acme_crm. CommandError where it is no name."""
    slug = re.sub(r"[\s\-]+", "_", name.strip()).lower()
    if not _SLUG.match(slug) or len(slug) > 64 or keyword.iskeyword(slug):
        raise CommandError(
            f"“{name}” is no name for a connector: start with a letter, then letters, digits and _ only, as in acme_crm."
        )
    return slug


def scaffold(name: str, root: Path = ROOT) -> Path:
    """Write the folder of a new connector under `root` and return it; CommandError where it is there already."""
    slug = slug_of(name)
    folder = root / slug
    if folder.exists():
        raise CommandError(f"{folder} is there already. A connector that is shipped is never renamed or replaced.")
    title = name.strip() if not _SLUG.match(name.strip()) else slug.replace("_", " ").capitalize()
    (folder / "cases").mkdir(parents=True)
    for file, text in (
        ("__init__.py", _INIT),
        ("manifest.py", _MANIFEST),
        ("deliver.py", _DELIVER),
        ("README.md", _README),
    ):
        (folder / file).write_text(text.format(name=title, slug=slug), "utf-8")
    for outcome, meaning, exchange, expect in _CASES:
        case = {
            "title": f"TODO: {meaning}",
            "why": "TODO: what their documentation, or a real answer, says",
            "operation": "deliver",
            "settings": {"api_key": "k-123"},
            "input": {"email": "ada@example.test"},
            "exchanges": [{"request": {"method": "POST", "json": {"email": "ada@example.test"}}, **exchange}],
            "expect": expect,
        }
        (folder / "cases" / f"deliver__{outcome}.json").write_text(
            json.dumps(case, indent=2, ensure_ascii=False) + "\n", "utf-8"
        )
    return folder


class Command(BaseCommand):
    help = "Make the folder of a new connector. Its cases fail until they are filled in."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help='As in acme_crm or "Acme CRM".')

    def handle(self, *args: Any, **options: Any) -> None:
        folder = scaffold(options["name"])
        shown = folder.relative_to(ROOT.parent.parent)
        self.stdout.write(f"{shown} is there. Every TODO in it is yours; the steps are in docs/adding-a-connector.md.")
        self.stdout.write(f"What is left to do: .venv/bin/pytest tests/connectors/test_conformance.py -k {folder.name}")
