"""How rules come to their findings: what expressions read, what is certain, what types say, and what can be mended."""

import re

import pytest

from holdfast.streams.core.compile import InvalidDefinition, compile_definition, compile_published
from holdfast.streams.core.definition import Definition
from holdfast.streams.core.lint.reads import facts_if, reads
from holdfast.streams.core.lint.rule import Severity
from holdfast.streams.core.lint.shapes import ANY, TEXT, WHOLE, Kind, Shape, listed, record, shape_of
from holdfast.streams.core.lint.table import RULES
from holdfast.streams.core.lint.tree import tree_of
from holdfast.streams.core.lint.typed import Mismatch, TypedEnvironment, UnknownField
from holdfast.streams.definition_set import inspect_definitions
from support.scenario import TOOLS, manifest


def text(path: tuple[str, ...]) -> str:
    return ".".join(path)


READS = [
    # an expression, and what it reads: a path is followed by ! where it is certainly there
    ("1 + 2", set()),
    ("steps.a.output.x", {"steps.a.output.x"}),
    ("steps['a'].output['x y']", {"steps.a.output.x y"}),
    ("'steps.a.output'", set()),
    ("has(steps.a)", set()),
    ("'a' in steps", set()),
    ("has(steps.a.output.x)", {"steps.a.output"}),
    ("has(steps.a) && steps.a.output.x > 1", {"steps.a.output.x!"}),
    ("steps.a.output.x > 1 && has(steps.a)", {"steps.a.output.x!"}),
    ("has(steps.a) ? steps.a.output : steps.b.output", {"steps.a.output!", "steps.b.output"}),
    ("!has(steps.a) || steps.a.output.x", {"steps.a.output.x!"}),
    ("has(steps.a) || steps.a.output.x", {"steps.a.output.x"}),
    ("!('a' in steps) ? 0 : steps.a.output", {"steps.a.output!"}),
    ("steps[input.name].output", {"steps", "input.name"}),
    ("input.items.map(steps, steps.a)", {"input.items"}),
    ("input.items.filter(i, i.n > vars.n)", {"input.items", "vars.n"}),
    ("size(steps)", {"steps"}),
    ("{'a': steps.a, 'b': [input.b]}", {"steps.a", "input.b"}),
    ("steps.a.output.list[0].x", {"steps.a.output.list"}),
]


@pytest.mark.parametrize(("source", "expected"), READS)
def test_what_an_expression_reads(source: str, expected: set[str]) -> None:
    found = {text(read.path) + ("!" if read.is_sure_of(2) else "") for read in reads(tree_of(source))}
    assert found == expected


FACTS = [
    ("has(steps.a)", {"steps.a"}, set()),
    ("!has(steps.a)", set(), {"steps.a"}),
    ("has(steps.a) && has(steps.b)", {"steps.a", "steps.b"}, set()),
    ("has(steps.a) || has(steps.b)", set(), set()),
    ("(has(steps.a) && input.x) || (has(steps.a) && input.y)", {"steps.a"}, set()),
    ("!has(steps.a) || !('b' in vars)", set(), {"steps.a", "vars.b"}),
    ("input.x == 1", set(), set()),
]


@pytest.mark.parametrize(("source", "if_true", "if_false"), FACTS)
def test_what_is_there_once_a_condition_has_been_decided(source: str, if_true: set[str], if_false: set[str]) -> None:
    tree = tree_of(source)
    assert {text(path) for path in facts_if(tree, True)} == if_true
    assert {text(path) for path in facts_if(tree, False)} == if_false


ORDER = record("order", {"id": TEXT, "cents": WHOLE, "note": Shape(kind=Kind.TEXT, nullable=True), "more": ANY})
ENVIRONMENT = TypedEnvironment({"input": record("input", {"order": ORDER, "orders": listed(ORDER), "any": ANY})})
VERDICTS = [
    ("input.order.cents > 5", Kind.TRUTH),
    ("input.order", Kind.OBJECT),
    ("input.orders", Kind.LIST),
    ("input.orders.map(o, o.id)", Kind.LIST),
    ("input.orders[0].id + 'x'", Kind.TEXT),
    ("input.order.note == null", Kind.TRUTH),
    ("input.any.what.ever + 1", Kind.WHOLE),
    ("input.order.more", Kind.ANY),
    ("double(input.order.cents)", Kind.NUMBER),
    ("null", Kind.NOTHING),
    ("timestamp('2030-01-01T00:00:00Z')", None),
]
MISTAKES = [
    ("input.ordr", "no ordr in input"),
    ("input.order.cent > 5", "no cent in order"),
    ("has(input.order.cent)", "no cent in order"),
    ("input.orders.exists(o, o.idd == '')", "no idd in order"),
    ("input.order.id > 5", "`>` cannot be applied to (string, int)"),
    ("input.order.note + 5", "`+` cannot be applied to ((nullable string), int)"),
    ("size(input.order.cents)", "`size` cannot be applied to (int)"),
    ("!input.order.id", "`!` cannot be applied to (string)"),
    ("input.order.id.first", "a value of type string has no fields"),
    ("input.order.cents.all(x, x > 1)", "a value of type int is not a list or an object"),
]
# What only the checker's messages forbid, and the engine does.
NO_MISTAKES = [
    "input.order['id']",
    "'id' in input.order",
    "size(input.order)",
    "input.order == {'id': '1'}",
    "input.order.map(key, key)",
    "input.order.cents > 1.5",
    "input.order.cents in [1.0, 2.0]",
    "input.order.id == null",
]


@pytest.mark.parametrize(("source", "kind"), VERDICTS)
def test_the_kind_of_an_expression(source: str, kind: Kind | None) -> None:
    verdict = ENVIRONMENT.check(source)
    assert (verdict.mistakes, verdict.kind) == ((), kind)


@pytest.mark.parametrize(("source", "expected"), MISTAKES)
def test_a_mistake_of_types_is_found_and_said_in_plain_words(source: str, expected: str) -> None:
    (mistake,) = ENVIRONMENT.check(source).mistakes
    if isinstance(mistake, UnknownField):
        assert f"no {mistake.field} in {mistake.owner.label}" == expected
    else:
        assert isinstance(mistake, Mismatch)
        assert mistake.text == expected


@pytest.mark.parametrize("source", NO_MISTAKES)
def test_what_the_engine_can_evaluate_is_no_mistake(source: str) -> None:
    assert ENVIRONMENT.check(source).mistakes == ()


def described(shape: Shape) -> str:
    kind = shape.kind.name.lower() + ("?" if shape.nullable else "")
    if shape.fields is not None:
        fields = (name + ("" if f.required else "?") + ":" + described(f.shape) for name, f in shape.fields.items())
        return "{" + ", ".join(fields) + "}"
    return f"{kind}[{described(shape.items)}]" if shape.items is not None else kind


SHAPES = [
    ({"type": "string"}, "text"),
    ({"type": ["integer", "null"]}, "whole?"),
    ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "text?"),
    ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "any"),
    ({"enum": ["a", "b"]}, "text"),
    ({"const": 5}, "whole"),
    ({"type": "array", "items": {"type": "number"}}, "list[number]"),
    ({"type": "object"}, "object"),
    ({"type": "object", "properties": {"a": {}, "b": {"type": "boolean"}}, "required": ["b"]}, "{a?:any, b:truth}"),
    ({"properties": {"a": {"type": "string"}}}, "{a?:text}"),
    ({"type": "object", "properties": {"a": {}}, "additionalProperties": True}, "object"),
    ({"type": "object", "properties": {"a": {}}, "patternProperties": {"x": {}}}, "object"),
    ({"$ref": "#/$defs/x", "$defs": {"x": {"type": "integer"}}}, "whole"),
    ({"$ref": "elsewhere"}, "any"),
    ({"allOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]}, "any"),
    (True, "any"),
    ({}, "any"),
]


@pytest.mark.parametrize(("schema", "expected"), SHAPES)
def test_the_shape_of_a_schema(schema: object, expected: str) -> None:
    assert described(shape_of(schema, "x")) == expected  # type: ignore[arg-type]


def test_a_schema_that_contains_itself_has_a_shape_without_end() -> None:
    tree = {"type": "object", "properties": {"name": {"type": "string"}, "children": {"$ref": "#/$defs/all"}}}
    schema = {
        "$ref": "#/$defs/tree",
        "$defs": {"tree": tree, "all": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
    }
    environment = TypedEnvironment({"input": shape_of(schema, "input")})  # type: ignore[arg-type]
    assert environment.check("input.children[0].children[0].name").kind is Kind.TEXT
    assert environment.check("input.children[0].children[0].nam").mistakes


def rules_in(body: str) -> list[tuple[int, str]]:
    found = inspect_definitions({"t": body}, TOOLS, {})["t"].findings
    return [(at.line, at.problem.rule) for at in found]


def test_a_file_with_malformed_values_is_looked_at_as_a_whole() -> None:
    body = (
        "name: test\nstart: a\nowner: ann\nsteps:\n"
        "  a: {kind: wait, event: x, next: b}\n"
        "  b: {kind: approval, tool: pay, roles: [], timeout: soon, next: c}\n"
        "  c: {kind: tool, tool: lok, next: d}\n"
        "  d: {kind: succeed, output: '${steps.z.output}'}\n"
    )
    assert rules_in(body) == [
        (1, "missing_deadline"),
        (3, "unknown_key"),
        (5, "missing_timeout"),
        (6, "unused_approval"),
        (6, "no_reviewers"),
        (6, "bad_value"),
        (7, "no_such_tool"),
        (8, "unknown_output"),
    ]


def test_what_cannot_be_mended_hides_what_depends_on_it() -> None:
    body = "name: test\ndeadline: 1h\nstart: a\nsteps:\n  a: {kind: sleep, for: 1s}\n  b: {kind: succeed}\n"
    assert rules_in(body) == [(5, "missing_key")]


def test_what_was_accepted_once_runs_whatever_later_rules_say() -> None:
    steps = {"a": {"kind": "sleep", "for": "1s", "next": "a"}}  # no way out: max_steps ends it
    definition = Definition.model_validate({"name": "test", "deadline": "1h", "start": "a", "steps": steps})
    with pytest.raises(InvalidDefinition, match="no path leads from here to an end"):
        compile_definition(definition)
    assert compile_published(definition).hash == definition.hash


def test_what_the_engine_could_not_run_is_refused_however_it_was_published() -> None:
    steps = {"a": {"kind": "sleep", "for": "1s", "next": "nowhere"}}
    definition = Definition.model_validate({"name": "test", "deadline": "1h", "start": "a", "steps": steps})
    with pytest.raises(InvalidDefinition, match="there is no step 'nowhere'"):
        compile_published(definition)


def test_a_published_definition_is_not_refused_for_its_defaults() -> None:
    """Once written out, defaults look like what somebody asked for."""
    steps = {"a": {"kind": "tool", "tool": "pay", "next": "b"}, "b": {"kind": "succeed"}}
    data = {"name": "test", "deadline": "1h", "start": "a", "steps": steps, "tools": {"pay": manifest("pay", "once")}}
    definition = compile_definition(Definition.model_validate(data)).definition
    assert compile_published(Definition.model_validate(definition.body())).hash == definition.hash


def test_vital_rules_are_errors_and_need_no_types() -> None:
    vital = [rule for rule in RULES if rule.vital]
    assert vital
    assert all(rule.severity is Severity.ERROR for rule in vital)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", rule.name) for rule in RULES)
