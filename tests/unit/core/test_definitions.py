"""Definitions: what is accepted, and every mistake with its place and what to do about it."""

from pathlib import Path

import pytest
from pydantic import TypeAdapter

from holdfast.schemas.durations import duration_text, parse_duration_ms
from holdfast.streams.core.definition import Definition
from holdfast.streams.core.expressions import ExpressionError, compile_expression, compile_template
from holdfast.streams.core.model import Model
from holdfast.streams.definition_file import InvalidFile, parse_definition
from support.scenario import TOOLS, manifest

SUPPORT = Path(__file__).parents[3] / "ops" / "examples" / "support_ticket" / "workflow.yaml"
HEAD = "name: test\ndeadline: 1h\nstart: a\nsteps:\n"


def mistakes(text: str) -> list[tuple[int, str]]:
    with pytest.raises(InvalidFile) as caught:
        parse_definition(text, "test.yaml", TOOLS)
    return [(at.line, at.problem.message) for at in caught.value.problems]


def test_the_example_is_accepted_and_its_identity_does_not_depend_on_layout() -> None:
    names = ("read_ticket", "search_orders", "ask_customer", "send_email", "close_ticket")
    tools = {name: manifest(name) for name in names}
    text = SUPPORT.read_text(encoding="utf-8")
    definition = parse_definition(text, "workflow.yaml", tools)
    again = parse_definition("# a comment\n" + text, "other.yaml", dict(reversed(tools.items())))
    assert definition.hash == again.hash
    assert set(definition.tools) == set(names)


def test_a_definition_survives_its_canonical_form() -> None:
    definition = parse_definition(HEAD + "  a: {kind: sleep, for: 5s, next: b}\n  b: {kind: succeed}\n", "t", TOOLS)
    again = Definition.model_validate(definition.body())
    assert again == definition
    assert again.hash == definition.hash


def test_every_mistake_is_listed_at_once_with_its_line() -> None:
    text = HEAD + (
        "  a: {kind: tool, tool: lok, next: b}\n"
        "  b: {kind: choice, branches: [{when: 'inptu.n > 1', next: c}], default: d}\n"
        "  lost: {kind: succeed, output: '${steps.nowhere.output}'}\n"
    )
    found = mistakes(text)
    assert [line for line, _ in found] == [5, 6, 6, 6, 7, 7]
    text_of = "\n".join(message for _, message in found)
    for expected in ("no tool 'lok'", "undeclared reference", "no step 'c'", "no step 'd'", "no path from the start"):
        assert expected in text_of


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ("  a: {kind: sleep, for: 5s, next: a}\n", "no path leads from here to an end"),
        ("  a: {kind: wait, event: x, next: b}\n  b: {kind: succeed}\n", "has no `timeout`"),
        ("  a: {kind: dance, next: b}\n", "does not match any of the expected tags"),
        ("  a: {kind: tool, tool: send, approved_by: b, next: b}\n  b: {kind: succeed}\n", "is not an approval step"),
        ("  a: {kind: succeed, output: '${1 +'}\n", "is not closed"),
        ("  a: {kind: sleep, for: soon, next: b}\n  b: {kind: succeed}\n", "'soon' is not a duration"),
        ("  a: {kind: succeed, outptu: 1}\n", "there is no key `outptu` here"),
        ("  a: {kind: wait, timeout: 1h, next: b}\n  b: {kind: succeed}\n", "a wait names one `event`, or several"),
        ("  a: {kind: wait, event: x/y, timeout: 1h, next: b}\n  b: {kind: succeed}\n", "should match pattern"),
        (
            "  a: {kind: wait, event: x, events: [{event: y}], timeout: 1h, next: b}\n  b: {kind: succeed}\n",
            "a wait names one `event`, or several",
        ),
        (
            "  a: {kind: wait, events: [{event: y, correlation: '${inptu.n}'}], timeout: 1h, next: b}\n"
            "  b: {kind: succeed}\n",
            "undeclared reference",
        ),
    ],
)
def test_a_mistake_says_what_is_wrong(steps: str, expected: str) -> None:
    assert expected in "\n".join(message for _, message in mistakes(HEAD + steps))


def test_the_tool_that_undoes_an_effect_is_pinned_as_well() -> None:
    text = HEAD + "  a: {kind: tool, tool: look, compensate: {tool: send}, next: b}\n  b: {kind: succeed}\n"
    assert set(parse_definition(text, "t", TOOLS).tools) == {"look", "send"}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("{y: {ttl: 1h}}", "no step waits for events of type 'y'"),
        ("{x: {allowed_in: [c]}}", "there is no step 'c'"),
        ("{x: {keep: false, ttl: 1h}}", "an event that is not kept has neither"),
        ("{x: {ttl: 0s}}", "greater than 0"),
    ],
)
def test_a_rule_for_early_events_says_what_is_wrong_with_it(rules: str, expected: str) -> None:
    text = HEAD + "  a: {kind: wait, event: x, timeout: 1h, next: b}\n  b: {kind: succeed}\n" + f"events: {rules}\n"
    assert expected in "\n".join(message for _, message in mistakes(text))


def test_an_approval_must_be_about_the_tool_that_is_called() -> None:
    text = HEAD + (
        "  a: {kind: approval, tool: pay, roles: [x], timeout: 1h, next: b}\n"
        "  b: {kind: tool, tool: send, approved_by: a, next: c}\n  c: {kind: succeed}\n"
    )
    assert mistakes(text) == [(6, "'a' approves 'pay', not 'send'")]


@pytest.mark.parametrize(
    "text", ["", "- a\n- b\n", "a: &x {b: *x}\n", "a: \u0001\n", "[" * 5_000, "name: [\n", "a: &x 1\nb: *y\n"]
)
def test_text_that_is_not_a_definition_is_refused_with_a_sentence(text: str) -> None:
    assert mistakes(text)


def test_words_that_old_yaml_takes_for_booleans_and_dates_are_text() -> None:
    text = HEAD.replace("start: a", "start: no") + "  no: {kind: succeed, output: [on, yes, 2026-01-01, true]}\n"
    step = parse_definition(text, "t", TOOLS).steps["no"]
    assert getattr(step, "output", None) == ["on", "yes", "2026-01-01", True]


def test_a_workflow_without_a_deadline_is_refused() -> None:
    assert mistakes("name: test\nstart: a\nsteps:\n  a: {kind: succeed}\n") == [
        (1, "the workflow has no `deadline`, so it could go on for ever")
    ]


@pytest.mark.parametrize(
    ("text", "ms"), [("250ms", 250), ("30s", 30_000), ("2m", 120_000), ("12h", 43_200_000), ("7d", 604_800_000), (5, 5)]
)
def test_durations(text: object, ms: int) -> None:
    assert parse_duration_ms(text) == ms


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0"),
        (1, "1ms"),
        (1_500, "1500ms"),
        (90_000, "90s"),
        (5_400_000, "90m"),
        (36 * 3_600_000, "36h"),
        (7 * 86_400_000, "7d"),
    ],
)
def test_a_duration_is_written_in_the_largest_unit_that_suits_it(ms: int, text: str) -> None:
    assert duration_text(ms) == text
    assert parse_duration_ms(text if ms else 0) == ms


@pytest.mark.parametrize("text", ["", "5", "5 weeks", "-1s", -1, True, 1.5, None])
def test_what_is_not_a_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration_ms(text)


SCOPE = {"input": {"a": 1, "s": "é", "l": [1, {"b": None}]}, "steps": {}, "vars": {}, "workflow": {}}


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("plain", "plain"),
        ("${input.a}", 1),
        ("a=${input.a}, s=${input.s}, l=${input.l}", 'a=1, s=é, l=[1,{"b":null}]'),
        ({"deep": ["${input.l[1]}", 2, None]}, {"deep": [{"b": None}, 2, None]}),
        ("${ {'a': '}'} }", {"a": "}"}),
        ("${'${'}x", "${x"),
        (3.5, 3.5),
    ],
)
def test_templates(template: object, value: object) -> None:
    assert compile_template(template)(SCOPE) == value  # type: ignore[arg-type]


@pytest.mark.parametrize("source", ["input.missing", "1 / 0", "'a' + input.a", "timestamp('2020-01-01T00:00:00Z')"])
def test_an_evaluation_that_fails_raises(source: str) -> None:
    with pytest.raises(ExpressionError):
        compile_expression(source)(SCOPE)  # type: ignore[arg-type]


def test_an_expression_has_an_iteration_budget() -> None:
    nested = "input.l"
    source = f"{nested}.map(a, {nested}.map(b, {nested}.map(c, {nested}.map(d, {nested}.map(e, a)))))"
    with pytest.raises(ExpressionError):
        compile_expression(source)({**SCOPE, "input": {"l": list(range(60))}})  # type: ignore[dict-item]


def every_model(model: type[Model] = Model) -> list[type[Model]]:
    return [below for kind in model.__subclasses__() for below in (kind, *every_model(kind))]


@pytest.mark.parametrize("model", every_model(), ids=lambda model: model.__name__)
def test_what_a_field_is_by_default_may_also_be_said(model: type[Model]) -> None:
    """Definitions are published with every default in them, and read back from that."""
    for field in model.model_fields.values():
        if not field.is_required():
            said = TypeAdapter(field.rebuild_annotation()).dump_python(field.get_default(call_default_factory=True))
            TypeAdapter(field.rebuild_annotation()).validate_python(said)
