"""The examples of the documentation, run as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from leads.models import Flag, Lead
from tests.api.conftest import Instance, Partner
from tests.api.test_leads import ADA, leads_path

DOCUMENTATION = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")


def example(name: str) -> str:
    found = re.search(rf"```(?:bash|python)\n# example: {name}\n(.*?)```", DOCUMENTATION, re.DOTALL)
    assert found is not None, name
    return found[1]


@pytest.fixture
def environment(reach: Partner, instance: Instance) -> dict[str, str]:
    known = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV") if name in os.environ}
    return {
        **known,
        "NO_PROXY": "*",
        "URL": reach.server,
        "KEY": reach.key,
        "CAMPAIGN": str(instance.campaign.pk),
        "FORM": str(instance.form.pk),
    }


def run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_lead_is_sent_with_curl(environment: dict[str, str]) -> None:
    said = run(["sh", "-c", example("curl").replace("wait=5", "wait=0")], environment)
    assert f'"id":{Lead.objects.get().pk}' in said


def test_many_are_sent_with_python(environment: dict[str, str]) -> None:
    said = run([sys.executable, "-c", example("python")], environment)
    assert said.splitlines() == ["row 2, column email This is not an e-mail address.", "{'received': 1, 'refused': 1}"]


def test_a_verdict_is_said_with_python(reach: Partner, instance: Instance, environment: dict[str, str]) -> None:
    lead = reach.post(leads_path(instance), ADA).json()
    assert run([sys.executable, "-c", example("verdict")], {**environment, "LEAD": lead["hash"]}) == "1\n"
    assert Lead.objects.get().flag == Flag.RETURNED
