"""One suite for every kind of job: it finds each module, plays each case, and asks for a case of all that can happen."""

from __future__ import annotations

import contextlib
import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from integrations import jobs as jobs_package
from integrations.kit.job_registry import job_kinds
from integrations.kit.job_replay import BadJobCase, job_cases, job_lead, job_play
from integrations.kit.jobs import (
    MIRROR,
    BadSetting,
    CannotJudge,
    Enriching,
    Failed,
    JobCase,
    JobKind,
    JobLead,
    JobSetting,
    Listed,
    PostsBefore,
    QualityCheck,
    Question,
    SeenBefore,
)
from integrations.kit.lists import LIST_KINDS

CASES_FOLDER = Path(jobs_package.__path__[0]) / "cases"
ALL = list(job_kinds().values())
CASES = [(kind, case) for kind in ALL for case in job_cases(CASES_FOLDER / f"{kind.manifest.slug}.json")]
each_kind = pytest.mark.parametrize("kind", ALL, ids=[kind.manifest.slug for kind in ALL])
each_case = pytest.mark.parametrize(
    ("kind", "case"), CASES, ids=[f"{kind.manifest.slug}/{case.title}" for kind, case in CASES]
)
# NUL, half characters, what turns writing around, what is long: everything that publishers have ever posted.
HOSTILE = [
    "",
    "\x00",
    "\ud800",
    "\u202e\u200b\ufeff",
    "e\u0301" * 40,
    "\U0001f469\u200d\U0001f4bb",
    "9" * 400,
    "x" * 9_000,
]
hostile_text = st.sampled_from(HOSTILE) | st.text(max_size=60)
REASON_CHARS = 300


def cases_of(kind: JobKind) -> list[JobCase]:
    return [case for each, case in CASES if each is kind]


def good_settings(kind: JobKind) -> list[Mapping[str, Any]]:
    return [case.settings for case in cases_of(kind) if "bad_setting" not in case.expect]


@each_case
def test_a_case_comes_out_as_it_says(kind: JobKind, case: JobCase) -> None:
    differences = job_play(kind, case)
    assert not differences, f"{case.title}: {case.why}\n" + "\n".join(differences)


@each_kind
def test_there_is_a_case_of_all_that_can_happen(kind: JobKind) -> None:
    cases = cases_of(kind)
    ends = {key for case in cases for key in case.expect}
    if kind.manifest.tab == "quality":
        assert {"passes", "fails", "bad_setting"} <= ends
    else:
        added = [bool(case.expect["adds"]) for case in cases if "adds" in case.expect]
        assert set(added) == {True, False}, "a case that adds a value, and one that adds none"
        assert "bad_setting" in ends
    lone = [
        case for case in cases if not any(value.strip() for value in case.values.values()) and not case.lead.get("ip")
    ]
    assert lone, "a case says what happens where nothing is there"
    assert any(is_hostile(case) for case in cases), "a case has a hostile value: NUL, half characters, endless text"


def is_hostile(case: JobCase) -> bool:
    texts = [*case.values.values(), str(case.lead.get("ip", ""))]
    return any(
        len(text) > 1_000 or any(unicodedata.category(sign) in ("Cf", "Cc", "Cs") for sign in text) for text in texts
    )


@each_kind
def test_the_manifest_holds_what_the_pages_show(kind: JobKind) -> None:
    manifest = kind.manifest
    assert re.fullmatch(r"[a-z][a-z0-9_]{1,63}", manifest.slug)
    assert manifest.name
    assert manifest.summary.endswith("."), "the summary is a sentence"
    assert not manifest.help or manifest.help.endswith("."), "the help is sentences"
    assert manifest.tab in ("quality", "enrichment")
    assert manifest.tab == "quality" or not manifest.hard_fail
    assert len({box.name for box in manifest.settings}) == len(manifest.settings)


@each_kind
def test_every_setting_can_be_filled_in(kind: JobKind) -> None:
    boxes = {box.name: box for box in kind.manifest.settings}
    for box in boxes.values():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", box.name)
        assert box.label
        assert box.help.endswith("."), f"{box.name}: the help is a sentence"
        assert (box.type == "choice") == bool(box.choices)
        assert (box.type in ("list", "client_rule")) == bool(box.lists)
        assert set(box.lists) <= (set(LIST_KINDS) if box.type == "list" else {"list", "conditional"})
        if box.choices:
            assert box.default in {choice.value for choice in box.choices}
        if box.shown_if is not None:
            name, value = box.shown_if
            assert value in {choice.value for choice in boxes[name].choices}
    for settings in good_settings(kind):
        assert set(settings) <= {*boxes, MIRROR}, "a case uses a setting that there is no box for"


@each_kind
def test_a_new_job_says_what_has_to_be_filled_in_or_judges_by_its_defaults(kind: JobKind) -> None:
    defaults = {box.name: box.default for box in kind.manifest.settings if box.default != ""}
    required = {box.name for box in kind.manifest.settings if box.required}
    made = compiled(kind, defaults)
    if isinstance(made, BadSetting):
        assert made.name in {box.name for box in kind.manifest.settings}
        assert made.words.endswith("."), "words are a sentence"
    else:
        assert not required - set(defaults)


def compiled(kind: JobKind, settings: Mapping[str, Any]) -> QualityCheck | Enriching | BadSetting:
    try:
        return kind.compile(settings)
    except BadSetting as problem:
        return problem


@each_kind
def test_what_a_job_adds_is_what_it_said(kind: JobKind) -> None:
    for case in cases_of(kind):
        if "bad_setting" in case.expect:
            continue
        made = kind.compile(case.settings)
        assert isinstance(made, Enriching) == (kind.manifest.tab == "enrichment")
        if isinstance(made, Enriching):
            assert made.adds
            assert set(case.expect.get("adds", {})) <= set(made.adds)


@each_case
def test_a_reason_repeats_nothing_that_was_posted(kind: JobKind, case: JobCase) -> None:
    reason = case.expect.get("fails", {}).get("reason", "")
    assert len(reason) <= REASON_CHARS
    assert not reason or reason.endswith(".")
    settings = json.dumps(case.settings, ensure_ascii=False)
    for value in case.values.values():
        assert len(value.strip()) < 4 or value.strip() in settings or value.strip() not in reason


values_of_any_type = st.none() | st.booleans() | st.integers() | hostile_text | st.lists(hostile_text, max_size=2)


@each_kind
@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_settings_of_any_kind_are_read_or_refused_with_words(kind: JobKind, data: st.DataObject) -> None:
    good = data.draw(st.sampled_from(good_settings(kind)))
    boxes = [box.name for box in kind.manifest.settings]
    changed = data.draw(st.dictionaries(st.sampled_from(boxes), values_of_any_type, min_size=1, max_size=2))
    made = compiled(kind, {**good, **changed})
    if isinstance(made, BadSetting):
        assert made.name in boxes
        assert made.words


@each_kind
@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_text_makes_a_job_stumble(kind: JobKind, data: st.DataObject) -> None:
    case = data.draw(st.sampled_from([case for case in cases_of(kind) if "bad_setting" not in case.expect]))
    made = kind.compile(case.settings)
    lead = replace(job_lead(case), values={name: data.draw(hostile_text) for name in keys_of(kind, case)})
    if data.draw(st.booleans()):
        lead = replace(lead, ip=data.draw(hostile_text))
    questions = list(made.asks(lead)) if made.asks is not None else []
    for question in questions:
        assert_askable(question)
    answers = [data.draw(answers_to(question)) for question in questions]
    try:
        if isinstance(made, QualityCheck):
            found = made.judge(lead, answers)
            assert found is None or (isinstance(found, Failed) and 0 < len(found.reason) <= REASON_CHARS)
        else:
            added = made.enrich(lead, answers)
            assert set(added) <= set(made.adds)
            assert all(isinstance(value, str) and value and len(value) <= 30_000 for value in added.values())
    except CannotJudge:
        return


def keys_of(kind: JobKind, case: JobCase) -> set[str]:
    if kind.manifest.fields is not None:
        return {*case.values, *kind.manifest.fields(case.settings)}
    return {*case.values, *(key for box in kind.manifest.settings for key in keys_in(box, case.settings.get(box.name)))}


def keys_in(box: JobSetting, value: Any) -> list[str]:
    if box.type == "field":
        return [value] if value else []
    return list(value) if box.type == "fields" and value else []


def assert_askable(question: Question) -> None:
    """A key is one that an index takes, and no question is asked about nothing."""
    if isinstance(question, SeenBefore):
        assert len(question.fields) == len(question.normal)
        assert all(0 < len(each) <= 500 and "\x00" not in each for each in question.normal)
    elif isinstance(question, Listed):
        assert question.list_id > 0
        assert 0 < len(question.key) <= 500
        assert "\x00" not in question.key
    else:
        assert question.ip
        assert question.seconds > 0


def answers_to(question: Question) -> st.SearchStrategy[Any]:
    if isinstance(question, Listed):
        return st.none() | st.just("") | hostile_text
    return st.integers(min_value=0, max_value=3 if isinstance(question, PostsBefore) else 10**12)


@each_kind
def test_a_job_whose_fields_were_deleted_judges_what_is_left(kind: JobKind) -> None:
    for settings in good_settings(kind):
        made = kind.compile(settings)
        lead = JobLead({"other": "value"})
        assert made.asks is None or not any(isinstance(question, SeenBefore) for question in made.asks(lead))
        if isinstance(made, QualityCheck):
            with contextlib.suppress(CannotJudge):
                made.judge(lead, [None] * len(made.asks(lead) if made.asks is not None else ()))


# --- the runner itself --------------------------------------------------------------------------------------

CASE: dict[str, Any] = {
    "title": "Too short",
    "why": "to see the runner notice",
    "settings": {"fields": ["a"], "least": 3},
    "values": {"a": "x"},
    "expect": {"fails": {"reason": "a is shorter than 3 characters.", "field": "a"}},
}


@pytest.mark.parametrize(
    ("change", "noticed"),
    [
        ({"expect": {"passes": True}}, "passes: expected True"),
        ({"expect": {"fails": {"reason": "No.", "field": "a"}}}, "fails: expected"),
        ({"expect": CASE["expect"] | {"asks": [{"question": "Listed"}]}}, "asks: expected"),
        ({"answers": [None]}, "fails: expected"),
        ({"settings": {}}, "fails: expected"),
        ({"expect": {"bad_setting": {"name": "a", "words": "No."}}}, "bad_setting: expected"),
    ],
)
def test_the_runner_notices_what_differs(change: dict[str, Any], noticed: str, tmp_path: Path) -> None:
    file = tmp_path / "length.json"
    file.write_text(json.dumps([CASE]))
    assert job_play(job_kinds()["length"], job_cases(file)[0]) == []
    file.write_text(json.dumps([CASE | change]))
    assert noticed in "\n".join(job_play(job_kinds()["length"], job_cases(file)[0]))


@pytest.mark.parametrize(
    "written",
    [
        "{",
        "{}",
        "[7]",
        json.dumps([CASE, CASE | {"x": 1}]),
        json.dumps([CASE | {"expect": {}}]),
        json.dumps([CASE | {"expect": {"passes": True, "fails": {}}}]),
        json.dumps([CASE | {"lead": {"colour": 1}}]),
        json.dumps([{key: value for key, value in CASE.items() if key != "why"}]),
    ],
)
def test_a_case_that_is_written_wrongly_names_its_file(written: str, tmp_path: Path) -> None:
    (tmp_path / "length.json").write_text(written)
    with pytest.raises(BadJobCase, match=r"length\.json"):
        job_cases(tmp_path / "length.json")


def test_no_case_is_left_over() -> None:
    assert {file.stem for file in CASES_FOLDER.glob("*.json")} == set(job_kinds())
