"""Schedules as text: the definition that a file becomes, and every mistake with its place."""

from typing import Any

import pytest

from holdfast.schemas.record import Json
from holdfast.streams.core.compile import compile_definition
from holdfast.streams.core.startable import Startable
from holdfast.streams.definition_file import Located
from holdfast.streams.definition_set import InvalidFiles
from holdfast.streams.schedule_file import parse_schedules, schedule_of

SCHEMA: dict[str, Json] = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
STARTABLE = {"report": Startable(hash="pinned-hash", input=SCHEMA)}
NIGHTLY = """\
name: nightly
purpose: The figures of the day before.
definition: report
timing: {cron: 30 2 * * MON-FRI, zone: Europe/Paris, overlap: buffer_one, catch_up_window: 2h, jitter: 30s}
input: {n: 1}
"""


def parse(text: str) -> Any:
    return parse_schedules({"nightly.yaml": text}, STARTABLE, {"taken"})["nightly.yaml"]


def mistakes(text: str) -> tuple[Located, ...]:
    with pytest.raises(InvalidFiles) as caught:
        parse(text)
    return caught.value.problems["nightly.yaml"]


def test_a_file_becomes_the_definition_of_a_workflow_with_one_step() -> None:
    definition = parse(NIGHTLY)
    assert (definition.name, definition.purpose) == ("nightly", "The figures of the day before.")
    assert definition.children == {"report": "pinned-hash"}
    step = schedule_of(definition.body())
    assert step is not None
    assert (step.definition, step.input) == ("report", {"n": 1})
    timing = step.timing
    assert (timing.cron, timing.zone, timing.overlap) == ("30 2 * * MON-FRI", "Europe/Paris", "buffer_one")
    assert (timing.catch_up_window_ms, timing.jitter_ms) == (7_200_000, 30_000)
    compile_definition(definition)


def test_what_it_starts_and_when_make_up_its_identity() -> None:
    again, other = parse(NIGHTLY), parse(NIGHTLY.replace("2h", "3h"))
    newer = parse_schedules({"x": NIGHTLY}, {"report": Startable(hash="newer-hash", input=SCHEMA)})["x"]
    assert again.hash == parse(f"# the same\n{NIGHTLY}").hash
    assert len({again.hash, other.hash, newer.hash}) == 3


def test_a_schedule_takes_no_input_but_where_to_go_on() -> None:
    compiled = compile_definition(parse(NIGHTLY))
    assert compiled.input_errors({}) == compiled.input_errors({"after_ms": 1}) == []
    assert compiled.input_errors({"n": 1})


ONE_OFF = "name: once\ndefinition: report\ninput: {n: 1}\ntiming: {at: 2026-12-24T18:00:00+01:00}\n"
# text, what stands where the mistake is, what is said about it
MISTAKES = [
    (NIGHTLY.replace("purpose", "porpoise"), "porpoise", "there is no key `porpoise` here"),
    (f"{NIGHTLY}deadline: 1h\n", "deadline", "there is no key `deadline` here"),
    (f"{NIGHTLY}name: twice\n", "name: twice", "'name' is given twice"),
    (NIGHTLY.replace("jitter", "jiter"), "jiter", "there is no key `jiter` here"),
    (NIGHTLY.replace("name: nightly\n", ""), "purpose", "`name` is missing"),
    (NIGHTLY.replace("definition: report\n", ""), "name", "`definition` is missing"),
    (NIGHTLY.replace("30 2 *", "30 25 *"), "cron", "is not a cron expression"),
    (NIGHTLY.replace("Paris", "Pariss"), "zone", "is not a time zone"),
    (NIGHTLY.replace("Europe/Paris", "Paris"), "zone", "such as Europe/Paris"),
    (NIGHTLY.replace(", zone: Europe/Paris", ""), "timing", "cron needs a zone"),
    (NIGHTLY.replace("jitter: 30s", "jitter: soon"), "jitter", "is not a duration"),
    (NIGHTLY.replace("buffer_one", "wait"), "overlap", "Input should be 'skip'"),
    (NIGHTLY.replace("input: {n: 1}\n", ""), "name", "not an input of 'report'"),
    (NIGHTLY.replace("{n: 1}", "{n: one}"), "n: one", "not an input of 'report'"),
    (NIGHTLY.replace("{n: 1}", '{n: "${input.}"}'), 'n: "', "input."),
    (NIGHTLY.replace("definition: report", "definition: rapport"), "definition", "no published definition 'rapport'"),
    (NIGHTLY.replace("definition: report", "definition: nightly"), "definition", "'nightly' starts itself"),
    (NIGHTLY.replace("name: nightly", "name: taken"), "name", "a definition that is not a schedule"),
    (NIGHTLY.replace("name: nightly", "name: Nightly!"), "name", "String should match pattern"),
    (ONE_OFF.replace("+01:00", ""), "at:", "is not a time"),
    ("- name\n", "- name", "the file is not a mapping"),
]


@pytest.mark.parametrize(("text", "where", "said"), MISTAKES, ids=[said for _, _, said in MISTAKES])
def test_a_mistake_is_told_with_its_place_and_a_cure(text: str, where: str, said: str) -> None:
    at = next(at for at in mistakes(text) if said in at.problem.message)
    before = text[: text.index(where)]
    assert (at.line, at.column) == (before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1)
    assert at.problem.cure
    assert "steps" not in at.problem.path


def test_all_mistakes_of_all_files_are_told_at_once() -> None:
    text = NIGHTLY.replace("Paris", "Pariss").replace("30s", "soon").replace("purpose", "porpoise")
    assert [at.line for at in mistakes(text)] == [2, 4, 4]
    with pytest.raises(InvalidFiles) as caught:
        parse_schedules({"a": text.replace("nightly", "other"), "b": NIGHTLY, "c": NIGHTLY, "d": "- x\n"}, STARTABLE)
    assert {file: [at.problem.rule for at in found] for file, found in caught.value.problems.items()} == {
        "a": ["unknown_key", "bad_value", "bad_value"],
        "c": ["doubled_name"],
        "d": ["not_a_mapping"],
    }


def test_times_are_text_and_names_like_on_are_names() -> None:
    step = schedule_of(parse(ONE_OFF.replace("name: once", "name: on")).body())
    assert step is not None
    assert step.timing.at_ms == 1_798_131_600_000


OTHERS: list[Json] = [
    None,
    {"name": "x"},
    {"name": "x", "steps": {"fire": {"kind": "succeed"}, "over": {"kind": "succeed"}}},
    {"name": "x", "steps": {"end": {"kind": "succeed"}}},
]


@pytest.mark.parametrize("body", OTHERS)
def test_other_definitions_are_no_schedules(body: Json) -> None:
    assert schedule_of(body) is None
