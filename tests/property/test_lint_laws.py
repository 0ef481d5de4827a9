"""Laws of the rules for definitions: what they call certain is so, and what schemas promise can be read."""

from collections.abc import Iterator
from typing import Any

from hypothesis import assume, example, given
from hypothesis import strategies as st

from holdfast.schemas import events as e
from holdfast.schemas.record import Json
from holdfast.streams.core.compile import compile_definition
from holdfast.streams.core.definition import Definition
from holdfast.streams.core.expressions import compile_expression
from holdfast.streams.core.lint.graph_rules import cycles
from holdfast.streams.core.lint.shapes import Kind, kind_of, shape_of
from holdfast.streams.core.lint.subject import Subject
from holdfast.streams.core.lint.table import findings
from holdfast.streams.core.lint.typed import TypedEnvironment
from support.scenario import TOOLS, Scenario

NAMES = st.sampled_from(["a", "bb", "c_1", "in", "naïve", "with-dash", "Label", "label"])
# The CEL library ends a text at NUL.
TEXTS = st.text(st.characters(min_codepoint=1, exclude_categories=["Cs"]), max_size=3)
SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-2, 2).map(lambda x: x + 0.5) | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=12
)


def schema_for(value: Json) -> dict[str, Any]:
    """The narrowest schema of the usual keywords that takes a value."""
    if isinstance(value, dict):
        properties = {name: schema_for(field) for name, field in value.items()}
        return {"type": "object", "properties": properties, "required": list(value), "additionalProperties": False}
    if isinstance(value, list):
        kinds = [schema_for(item) for item in value]
        return {"type": "array", "items": kinds[0] if all(kind == kinds[0] for kind in kinds) and kinds else {}}
    names = {Kind.NOTHING: "null", Kind.TRUTH: "boolean", Kind.WHOLE: "integer", Kind.NUMBER: "number"}
    return {"type": names.get(kind_of(value), "string")}


def paths(value: Json, source: str) -> Iterator[tuple[str, Json]]:
    """An expression for every value within a value."""
    yield source, value
    if isinstance(value, dict):
        for name, field in value.items():
            yield from paths(field, f"{source}.`{name}`" if name.isascii() else f"{source}['{name}']")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from paths(item, f"{source}[{index}]")


@given(VALUES)
def test_what_a_value_has_its_schema_lets_an_expression_read(value: Json) -> None:
    environment = TypedEnvironment({"input": shape_of(schema_for(value), "input")})
    scope: Any = {"input": value, "steps": {}, "vars": {}, "workflow": {}}
    for source, expected in paths(value, "input"):
        verdict = environment.check(source)
        assert verdict.mistakes == ()
        assert verdict.kind in (Kind.ANY, kind_of(expected))
        assert compile_expression(source)(scope) == expected


TYPES = ["string", "integer", "number", "boolean", "null", "array", "object", "nonsense"]
ODD_SCHEMAS: list[Any] = [{}, True, False, {"$ref": "#"}, {"$ref": "#/x"}, {"$ref": "b"}, {"enum": ["a", 1]}, 5, None]
SCHEMAS: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([*({"type": name} for name in TYPES), *ODD_SCHEMAS]),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["object", "array", ["string", "null"], ["object", "null"], []]),
            "properties": st.dictionaries(NAMES, inner, max_size=3),
            "required": st.lists(NAMES, max_size=2),
            "additionalProperties": inner,
            "items": inner,
            "anyOf": st.lists(inner, max_size=3),
            "allOf": st.lists(inner, max_size=2),
            "const": SCALARS,
            "x": inner,
        },
    ),
    max_leaves=10,
)


@given(SCHEMAS)
def test_any_schema_has_a_shape_that_expressions_can_be_checked_against(schema: Json) -> None:
    environment = TypedEnvironment({"input": shape_of(schema, "input")})
    for source in ("input", "input.a", "input.bb.c_1[0] > 1", "has(input.a) && input.a == null", "input['with-dash']"):
        environment.check(source)


GRAPHS = st.dictionaries(st.integers(0, 8), st.sets(st.integers(0, 9), max_size=4), max_size=9)


@given(GRAPHS)
def test_a_step_is_in_a_cycle_if_it_can_come_back_to_itself(numbers: dict[int, set[int]]) -> None:
    edges = {str(step): {str(target) for target in targets} for step, targets in numbers.items()}
    reached = {step: targets & edges.keys() for step, targets in edges.items()}
    for _ in edges:
        reached = {
            step: targets | {far for near in targets for far in reached[near]} for step, targets in reached.items()
        }
    together = {frozenset(other for other in reached[step] if step in reached[other]) for step in edges}
    assert {frozenset(cycle) for cycle in cycles(edges)} == together - {frozenset()}


@st.composite
def workflows(draw: st.DrawFn) -> dict[str, Any]:
    """A graph of choices, assignments, waits and branches; conditions look at the input, and at what is there."""
    count = draw(st.integers(2, 7))
    names = [f"s{number}" for number in range(count)]
    ahead = st.sampled_from([*names, "end", "end", "bad"])
    steps: dict[str, Any] = {"end": {"kind": "succeed"}, "bad": {"kind": "fail"}}
    for name in names:
        kind = draw(st.sampled_from(["choice", "assign", "wait", "tool", "parallel", "parallel"]))
        steps[name] = {"kind": kind, **_fields(draw, kind, name, names, ahead, steps)}
    return steps


def _fields(draw: st.DrawFn, kind: str, name: str, names: list[str], ahead: Any, steps: dict[str, Any]) -> Any:
    if kind == "choice":
        seen, bit = draw(st.sampled_from(names)), draw(st.integers(0, 5))
        asked = [f"has(steps.{seen})", f"!has(steps.{seen})", f"'{seen}' in vars", f"input[{bit}]"]
        return {"branches": [{"when": draw(st.sampled_from(asked)), "next": draw(ahead)}], "default": draw(ahead)}
    if kind == "assign":
        return {"set": {name: 1}, "next": draw(ahead)}
    if kind == "wait":
        return {"event": "x", "timeout": "1m", "next": draw(ahead), "catch": {"timeout": draw(ahead)}}
    if kind == "tool":
        return {"tool": "look", "next": draw(ahead), "catch": {"*": draw(ahead)}}
    ends = [draw(st.sampled_from(["succeed", "succeed", "fail"])) for _ in range(2)]
    for number, end in enumerate(ends):
        inner = f"{name}b{number}"
        steps[inner] = {"kind": "assign", "set": {inner: 1}, "next": f"{inner}e"}
        steps[f"{inner}e"] = {"kind": end}
    when = draw(st.sampled_from(["", "input[0]"]))
    # Nothing else leads there: what the branches have left is certain there, if anywhere.
    steps[f"{name}n"] = {"kind": "assign", "set": {"n": 1}, "next": draw(ahead)}
    return {
        "branches": {"one": f"{name}b0", "two": {"start": f"{name}b1", "when": when}},
        "join": draw(st.sampled_from(["all", "all", "any"])),
        "on_failure": draw(st.sampled_from(["fail_fast", "wait_all", "ignore"])),
        "timeout": "1m",
        "next": f"{name}n",
        "catch": {"*": draw(ahead)},
    }


def two_branches(when: str = "", **more: str) -> dict[str, Any]:
    """A parallel step whose second branch may be left out, or fail, and a step that only it leads to."""
    parallel = {"branches": {"one": "b", "two": {"start": "c", "when": when}}, "next": "d", "catch": {"*": "end"}}
    return {
        "s0": {"kind": "parallel", "timeout": "1m", **parallel, **more},
        "b": {"kind": "succeed"},
        "c": {"kind": "choice", "branches": [{"when": "input[0]", "next": "c_end"}], "default": "c_bad"},
        "c_end": {"kind": "succeed"},
        "c_bad": {"kind": "fail"},
        "d": {"kind": "assign", "set": {"d": 1}, "next": "end"},
        "end": {"kind": "succeed"},
    }


@example(two_branches(), [True] * 6, [])
@example(two_branches(when="input[0]"), [False] * 6, [])
@example(two_branches(on_failure="ignore"), [False] * 6, [])
@example(two_branches(join="any"), [False] * 6, [])
@given(workflows(), st.lists(st.booleans(), min_size=6, max_size=6), st.lists(st.integers(0, 2), max_size=12))
def test_what_is_certain_before_a_step_is_there_when_it_is_entered(
    steps: dict[str, Any], bits: list[bool], acts: list[int]
) -> None:
    data = {"name": "test", "deadline": "1h", "start": "s0", "steps": steps, "tools": TOOLS, "max_steps": 40}
    definition = Definition.model_validate(data)
    reached = {name for scope in Subject(definition).scopes for name in scope.steps}
    definition = Definition.model_validate({**data, "steps": {n: step for n, step in steps.items() if n in reached}})
    assume(not any(finding.is_error for finding in findings(definition)))
    certainty = Subject(definition).certainty
    assert certainty is not None

    scenario = Scenario(compile_definition(definition))
    there: set[tuple[str, ...]] = set()
    scenario.start(value=bits)  # type: ignore[arg-type]
    for act in [*acts, 0]:
        for event in scenario.last:
            if isinstance(event, e.StepStarted):
                assert certainty.before[event.step] <= there
            elif isinstance(event, e.StepCompleted):
                assert all(
                    certainty.can_come_before(event.step, later.step)
                    for later in scenario.last[scenario.last.index(event) + 1 :]
                    if isinstance(later, e.StepStarted)
                )
                there.add(("steps", event.step))
                if event.kind == "assign":
                    there |= {("vars", name) for name in steps[event.step]["set"]}
        if scenario.state.finished:
            return
        if act == 0:
            scenario.fire()
        elif act == 1:
            scenario.deliver("x", None)
        elif scenario.tasks:
            scenario.tool_result(scenario.take(), {})
        else:
            scenario.last = []
