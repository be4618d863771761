"""What the documents say is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from integrations.configuration.schema import parse
from tests.running.portal_process import ROOT

DOCUMENTS = [
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("integrations/connectors/*/*.md")]
    if path.name != "CHANGELOG.md"
]


def test_every_setting_is_in_the_operators_table_and_the_table_has_no_other() -> None:
    settings = (ROOT / "portal" / "settings.py").read_text()
    known = set(re.findall(r'env(?:\.\w+)?\(\s*"([A-Z_]+)"', settings))
    section = (ROOT / "docs" / "operating.md").read_text().split("## Settings")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    listed = {name for row in rows for name in re.findall(r"`([A-Z_]+)`", row)}
    assert listed == known | {"FORWARDED_ALLOW_IPS"}


def test_the_operators_example_of_a_configuration_can_be_read() -> None:
    text = (ROOT / "docs" / "operating.md").read_text()
    example = text.split("```yaml\n")[1].split("```")[0]
    parse(example, "operating.md", {"INKWELL_API_KEY": "a-key", "ACME_API_KEY": "a-key"})


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_and_named_file_is_there(document: Path) -> None:
    text = document.read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (document.parent / target).exists() or target == "docs/configure.png", target
    for name in re.findall(r"`((?:leads|integrations|portal|tests|docs|demo|docker|\.ci)/[\w./-]+)`", text):
        assert (ROOT / name).exists(), name
    for target in re.findall(r"`make ([\w-]+)", text):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target
