"""One suite for every connector: it finds each folder, plays each case, and asks for a case of all that can happen."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from integrations import connectors as connectors_package
from integrations.kit.contract import Connector, ConnectorError, Flow, NoAnswer, OutcomeKind, Request, Response
from integrations.kit.flow import Exchange, run
from integrations.kit.registry import connectors
from integrations.kit.replay import OPERATIONS, BadCase, Case, call_of, load_cases, payload_of, play, step_arguments

ROOT = Path(connectors_package.__path__[0])
ALL = list(connectors().values())
CASES = [(entry, case) for entry in ALL for case in load_cases(ROOT / entry.manifest.slug)]
OFFERED_STEPS = ("authenticate", "check", "options", "discover", "rules", "rule_values", "wants", "poll", "receive")
# A flow that is played with made-up answers has to ask for them.
WITHOUT_ANSWERS = ("receive", "wants")
each_connector = pytest.mark.parametrize("connector", ALL, ids=[entry.manifest.slug for entry in ALL])
each_case = pytest.mark.parametrize(
    ("connector", "case"), CASES, ids=[f"{entry.manifest.slug}/{case.name}" for entry, case in CASES]
)


@each_case
def test_a_case_comes_out_as_it_says(connector: Connector, case: Case) -> None:
    played = play(connector, case)
    assert not played.differences, f"{case.title}: {case.why}\n" + "\n".join(played.differences)


@each_case
def test_a_case_says_why_it_exists(connector: Connector, case: Case) -> None:
    assert "TODO" not in case.title + case.why, f"{connector.manifest.slug}/{case.name} is not filled in yet"
    assert case.name.startswith(f"{case.operation}__"), "a case file is named operation__what-happens"


@each_case
def test_no_secret_and_no_personal_value_is_kept(connector: Connector, case: Case) -> None:
    played = play(connector, case)
    kept = json.dumps([exchange.as_dict() for exchange in played.log], ensure_ascii=False)
    secrets = [str(case.settings.get(box.name, "")) for box in connector.manifest.settings if box.type == "secret"]
    secrets += [case.token, case.environment.get("CONVERTR_CLIENT_SECRET", "")]
    personal = [value for request in played.requests for key, value in request.form or () if key not in request.plain]
    for value in {*secrets, *personal}:
        assert len(value) < 3 or value not in kept


@each_connector
def test_there_is_a_case_of_every_outcome(connector: Connector) -> None:
    have = {case.expect.get("outcome") for entry, case in CASES if entry is connector and case.operation == "deliver"}
    missing = {kind.value for kind in OutcomeKind} - have
    if connector.manifest.accepts == {"event"}:
        # Who takes events may take them twice without harm: then nothing is ever in doubt.
        missing.discard(OutcomeKind.UNKNOWN.value)
    assert not missing, (
        f"integrations/connectors/{connector.manifest.slug}/cases has no deliver case that comes to: "
        f"{', '.join(sorted(missing))}"
    )


@each_connector
def test_every_step_has_a_case_that_goes_well_and_one_that_does_not(connector: Connector) -> None:
    ends: dict[str, set[bool]] = defaultdict(set)
    for entry, case in CASES:
        if entry is connector:
            ends[case.operation].add(not {"error", "no_answer"} & set(case.expect) and case.expect.get("wanted", True))
    for step in OFFERED_STEPS:
        if getattr(connector, step) is not None:
            assert ends[step] == {True, False}, f"{step} needs a case that goes well and one that does not"
    silences = [case for entry, case in CASES if entry is connector for each in case.exchanges if "no_answer" in each]
    assert silences, "a case says what happens where no answer comes"


@each_connector
def test_the_manifest_holds_what_the_pages_show(connector: Connector) -> None:
    manifest = connector.manifest
    assert re.fullmatch(r"[a-z][a-z0-9_]{1,63}", manifest.slug)
    assert manifest.name
    assert manifest.summary.endswith("."), "the summary is a sentence"
    assert manifest.accepts
    assert manifest.accepts <= {"lead", "status", "event"}
    assert manifest.concurrency >= 1
    assert bool(manifest.integrations_name) == ("event" in manifest.accepts), "a message names it by integrations_name"
    assert all(wait > 0 for wait in manifest.try_seconds)
    assert (ROOT / manifest.slug / "README.md").read_text("utf-8").startswith(f"# {manifest.name}\n")
    unknown = set(manifest.environment) - set(settings.CONNECTOR_ENVIRONMENT)
    assert not unknown, f"the deployment has no {unknown}: add it to CONNECTOR_ENVIRONMENT"


@each_connector
def test_nothing_is_left_to_fill_in(connector: Connector) -> None:
    folder = ROOT / connector.manifest.slug
    left = [file.name for file in (*folder.glob("*.py"), folder / "README.md") if "TODO" in file.read_text("utf-8")]
    assert not left, f"{connector.manifest.slug} is not filled in yet: TODO in {', '.join(sorted(left))}"


@each_connector
def test_every_setting_can_be_filled_in(connector: Connector) -> None:
    boxes = connector.manifest.settings
    assert len({box.name for box in boxes}) == len(boxes)
    for box in boxes:
        assert re.fullmatch(r"[a-z][A-Za-z0-9_]*", box.name)
        assert box.label
        assert box.help.endswith("."), f"{box.name}: the help is a sentence"
        assert not (box.advanced and box.required and not box.default), f"{box.name} is required but out of sight"
        if re.search(r"key|secret|password|token", box.name):
            assert box.type == "secret", f"{box.name} is stored in clear"
        if box.type == "choice":
            assert box.choices or connector.options is not None, f"{box.name} has no choices"
        if box.default and box.choices:
            assert box.default in {choice.value for choice in box.choices}


@each_connector
def test_a_page_is_told_what_its_script_needs_and_no_secret(connector: Connector) -> None:
    script = ROOT / connector.manifest.slug / "browser.js"
    assert script.exists() == (connector.browser is not None), "browser.js and browser() go together"
    if connector.browser is not None:
        told = connector.browser({box.name: f"value-of-{box.name}" for box in connector.manifest.settings})
        assert json.loads(json.dumps(told)) == told
        for box in connector.manifest.settings:
            assert box.type != "secret" or f"value-of-{box.name}" not in json.dumps(told)
        assert f"portalConnectors.{connector.manifest.slug}" in script.read_text("utf-8")


@each_case
def test_what_is_asked_counts_against_a_budget_that_the_manifest_names(connector: Connector, case: Case) -> None:
    budgets = {budget.name for budget in connector.manifest.budgets} | {"call"}
    assert {request.budget for request in play(connector, case).requests} <= budgets


@each_case
def test_calls_go_to_the_host_that_the_connector_names(connector: Connector, case: Case) -> None:
    for request in play(connector, case).requests:
        assert request.url.split("/")[2] == connector.host(call_of(connector, case))


# --- whatever they answer -----------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "access_token",
                    "expires_in",
                    "password_expired",
                    "data",
                    "message",
                    "error",
                    "error_description",
                    "detail",
                    "title",
                    "code",
                    "fieldName",
                    "formId",
                    "formName",
                    "fields",
                    "key",
                    "label",
                    "type",
                    "required",
                    "hidden",
                    "choices",
                    "value",
                    "maxLength",
                    "sync",
                    "id",
                    "name",
                    "channel",
                    "failedJobs",
                    "qaReasons",
                    "leadData",
                    "verdict",
                    "state",
                    "reason_code",
                    "comment",
                    "by",
                    "decided_at",
                    "event_id",
                    "wanted",
                    "count",
                    "operator",
                    "values",
                    "version",
                    "next",
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)
bodies = st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode())
answers = st.builds(
    Response,
    status=st.integers(0, 999) | st.sampled_from([200, 201, 202, 400, 401, 403, 404, 429, 500]),
    headers=st.dictionaries(
        st.sampled_from(["retry-after", "content-type", "idempotency-key-honoured", "location"]), st.text(max_size=40)
    ),
    body=bodies,
    cut=st.booleans(),
)
PLAYABLE = [(entry, case) for entry, case in CASES if case.operation not in WITHOUT_ANSWERS]


@hypothesis_settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    played=st.sampled_from(PLAYABLE),
    given_answers=st.lists(answers, min_size=1, max_size=3),
)
def test_no_answer_of_theirs_fails_us(played: tuple[Connector, Case], given_answers: list[Response]) -> None:
    connector, case = played
    left = list(given_answers)

    def send(_: Request) -> Response:
        return left.pop() if len(left) > 1 else left[0]

    log: list[Exchange] = []
    assert storable(repr(ending(step_of(connector, case), send, log)))
    assert storable(json.dumps([exchange.as_dict() for exchange in log], ensure_ascii=False))


@hypothesis_settings(max_examples=200, deadline=None)
@given(
    connector=st.sampled_from([entry for entry in ALL if entry.receive is not None]),
    action=st.sampled_from(["validate", "invalidate"]) | st.text(max_size=20),
    form=st.dictionaries(
        st.sampled_from(["reason", "user", "verdict", "reasonCode", "comment", "eventId", "decidedAt"]),
        st.text(max_size=40) | st.sampled_from(["2026-03-04T10:20:30Z", "0001-01-01T00:00:00+23:59", "returned"]),
    ),
)
def test_no_pushed_verdict_fails_us(connector: Connector, action: str, form: dict[str, str]) -> None:
    assert connector.receive is not None
    try:
        verdict = connector.receive(action, form)
    except ConnectorError:
        return
    assert storable(verdict.comment + verdict.raw + verdict.by + verdict.reason_code)


def step_of(connector: Connector, case: Case) -> Flow[Any]:
    call = call_of(connector, case)
    if case.operation == "deliver":
        return connector.deliver(call, payload_of(connector, case))
    step = getattr(connector, case.operation)
    flow: Flow[Any] = step(call, *step_arguments(case))
    return flow


def ending(flow: Flow[Any], send: Callable[[Request], Response], log: list[Exchange]) -> Any:
    """What a flow returns, or which of the two allowed errors it ends with."""
    try:
        return run(flow, send, log)
    except (ConnectorError, NoAnswer) as error:
        return error


def storable(text: str) -> bool:
    """Whether PostgreSQL would take it."""
    return "\x00" not in text and bool(text.encode("utf-8") or True)


# --- the runner itself --------------------------------------------------------------------------------------

CASE: dict[str, Any] = {
    "title": "A yes",
    "why": "to see the runner notice",
    "operation": "deliver",
    "settings": {
        "subdomain": "acme",
        "api_key": "k",
        "campaign_id": "204",
        "publisher_id": "31",
        "global_form": "75",
    },
    "input": {"form[email]": "joe@example.test"},
    "exchanges": [{"request": {"method": "POST"}, "response": {"status": 201, "json": {"data": 7}}}],
    "expect": {"outcome": "delivered", "reference": "7"},
}


@pytest.mark.parametrize(
    ("change", "noticed"),
    [
        ({"expect": {"outcome": "refused"}}, "expect.outcome: expected 'refused', was 'delivered'"),
        ({"expect": {"outcome": "delivered", "reference": "8"}}, "expect.reference"),
        ({"expect": {"error": {"field": "x"}}}, "expect.error"),
        ({"exchanges": []}, "is one more than the case has"),
        ({"exchanges": CASE["exchanges"] * 2}, "2 requests were expected, 1 were made"),
        ({"exchanges": [{"request": {"method": "PUT"}, "response": {"status": 201}}]}, "request 1, method"),
        ({"exchanges": [{"request": {"query": {"a": "b"}}, "response": {"status": 201}}]}, "request 1, query"),
        ({"exchanges": [{"request": {"form": {}}, "response": {"status": 201}}]}, "request 1, form"),
        ({"exchanges": [{"request": {"headers": {"X": "1"}}, "response": {"status": 201}}]}, "request 1, header X"),
        ({"exchanges": [{"request": {"colour": 1}, "response": {"status": 201}}]}, "nothing that a request has"),
    ],
)
def test_the_runner_notices_what_differs(change: dict[str, object], noticed: str, tmp_path: Path) -> None:
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "deliver__x.json").write_text(json.dumps(CASE | change))
    [case] = load_cases(tmp_path)
    assert noticed in "\n".join(play(connectors()["convertr_connect"], case).differences)


@pytest.mark.parametrize(
    "written",
    ["[]", "{", json.dumps(CASE | {"why": ""}), json.dumps(CASE | {"x": 1}), json.dumps(CASE | {"operation": "dance"})],
)
def test_a_case_that_is_written_wrongly_names_its_file(written: str, tmp_path: Path) -> None:
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "deliver__x.json").write_text(written)
    with pytest.raises(BadCase, match=r"deliver__x\.json"):
        load_cases(tmp_path)


def test_every_operation_can_be_played() -> None:
    assert {case.operation for _, case in CASES} == set(OPERATIONS)
