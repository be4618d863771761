"""A newcomer starts a connector with one command, and is told what is left to do until it is done."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from django.core.management.base import CommandError

from integrations import connectors as connectors_package
from integrations.kit.contract import Connector
from integrations.kit.replay import load_cases
from integrations.management.commands.new_connector import ROOT, scaffold, slug_of
from tests.connectors import test_conformance as suite


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in which connectors are found as if they were in the project's."""
    monkeypatch.setattr(connectors_package, "__path__", [*connectors_package.__path__, str(tmp_path)])
    monkeypatch.setattr(suite, "ROOT", tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("integrations.connectors.carrier_pigeon")]:
        del sys.modules[name]


def judge(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the conformance suite has to say of one folder."""
    importlib.invalidate_caches()
    connector: Connector = importlib.import_module(f"integrations.connectors.{folder.name}").CONNECTOR
    cases = load_cases(folder)
    monkeypatch.setattr(suite, "CASES", [(connector, case) for case in cases])
    each_connector = [
        suite.test_there_is_a_case_of_every_outcome,
        suite.test_every_step_has_a_case_that_goes_well_and_one_that_does_not,
        suite.test_the_manifest_holds_what_the_pages_show,
        suite.test_every_setting_can_be_filled_in,
        suite.test_nothing_is_left_to_fill_in,
    ]
    each_case = [
        suite.test_a_case_comes_out_as_it_says,
        suite.test_a_case_says_why_it_exists,
        suite.test_no_secret_and_no_personal_value_is_kept,
        suite.test_what_is_asked_counts_against_a_budget_that_the_manifest_names,
        suite.test_calls_go_to_the_host_that_the_connector_names,
    ]
    checks: list[Callable[[], None]] = [partial(check, connector) for check in each_connector]
    checks += [partial(check, connector, case) for check in each_case for case in cases]
    complaints = []
    for check in checks:
        try:
            check()
        except AssertionError as complaint:
            complaints.append(str(complaint).splitlines()[0])
    return complaints


def test_a_new_connector_fails_until_it_is_filled_in(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = scaffold("Carrier Pigeon", root)
    assert folder == root / "carrier_pigeon"
    complaints = judge(folder, monkeypatch)
    assert "carrier_pigeon/deliver__refused is not filled in yet" in complaints
    assert sum("is not filled in yet" in complaint for complaint in complaints) == 6 + 1

    for file in folder.rglob("*.*"):
        if file.suffix in (".py", ".md", ".json"):
            file.write_text(file.read_text("utf-8").replace("TODO", "Done"), "utf-8")
    assert judge(folder, monkeypatch) == []


def test_a_connector_that_is_there_is_not_replaced(root: Path) -> None:
    scaffold("carrier_pigeon", root)
    with pytest.raises(CommandError, match="is there already"):
        scaffold("carrier-pigeon", root)
    with pytest.raises(CommandError, match="is there already"):
        scaffold("convertr_connect", ROOT)


@pytest.mark.parametrize("name", ["", "9lives", "../evil", "a b/c", "class", "_x", "x__y", "Zoë", "a" * 65, "x.y"])
def test_a_bad_name_is_refused_in_words(name: str, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="is no name for a connector"):
        scaffold(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["acme_crm", "Acme CRM", " acme-crm "])
def test_a_name_becomes_a_folder(name: str) -> None:
    assert slug_of(name) == "acme_crm"
