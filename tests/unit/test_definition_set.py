"""Definitions that start others: what is pinned, in what order they are published, and every mistake with its place."""

import pytest

from holdfast.ops.commands.apply import left_behind
from holdfast.ops.published import Published
from holdfast.schemas.record import Json
from holdfast.streams.core.startable import Startable
from holdfast.streams.definition_set import InvalidFiles, parse_definitions

SCHEMA: dict[str, Json] = {
    "type": "object",
    "required": ["n"],
    "properties": {"n": {"type": "integer"}, "why": {"enum": ["a", "b"]}},
    "additionalProperties": False,
}
PUBLISHED = {"asked": Startable(hash="pinned-hash", input=SCHEMA)}


def leaf(name: str) -> str:
    return f"name: {name}\ndeadline: 1h\nstart: end\nsteps:\n  end: {{kind: succeed}}\n"


def starter(name: str, *started: str, value: str = "{n: 1}") -> str:
    """A definition that starts others, one after the other, from line 5 on."""
    ways = [*(f"s{number}" for number in range(len(started))), "end"]
    steps = "".join(
        f"  {step}: {{kind: child, definition: {child}, input: {value}, timeout: 1h, next: {following}}}\n"
        for step, child, following in zip(ways, started, ways[1:], strict=False)
    )
    return f"name: {name}\ndeadline: 1h\nstart: {ways[0]}\nsteps:\n{steps}  end: {{kind: succeed}}\n"


def mistakes(texts: dict[str, str]) -> list[tuple[str, int, str]]:
    with pytest.raises(InvalidFiles) as caught:
        parse_definitions(texts, {}, PUBLISHED)
    return [(file, at.line, at.problem.message) for file, found in caught.value.problems.items() for at in found]


def test_what_a_definition_starts_is_pinned_from_what_is_published() -> None:
    (definition,) = parse_definitions({"a.yaml": starter("a", "asked")}, {}, PUBLISHED).values()
    assert definition.children == {"asked": "pinned-hash"}


@pytest.mark.parametrize("names", ["abc", "cba", "bca"])
def test_definitions_of_one_call_come_behind_those_that_they_start_whatever_the_order_of_the_files(names: str) -> None:
    texts = {"a": starter("a", "b", "c"), "b": starter("b", "c"), "c": leaf("c")}
    parsed = parse_definitions({name: texts[name] for name in names}, {}, PUBLISHED)
    assert list(parsed) == ["c", "b", "a"]
    assert parsed["a"].children == {"b": parsed["b"].hash, "c": parsed["c"].hash}


def test_a_definition_of_the_same_call_wins_over_the_published_one() -> None:
    parsed = parse_definitions({"a": starter("a", "asked"), "new": leaf("asked")}, {}, PUBLISHED)
    assert parsed["a"].children == {"asked": parsed["new"].hash}


def test_the_hash_of_a_definition_changes_with_what_it_starts() -> None:
    text = starter("a", "asked")
    (one,) = parse_definitions({"a": text}, {}, PUBLISHED).values()
    (other,) = parse_definitions({"a": text}, {}, {"asked": Startable(hash="another", input={})}).values()
    assert one.hash != other.hash


def test_a_schedule_pins_what_it_starts_too() -> None:
    text = (
        "name: nightly\ndeadline: 9000d\nstart: every\nsteps:\n"
        "  every: {kind: schedule, timing: {every: 1d}, definition: asked, input: %s, next: end}\n"
        "  end: {kind: succeed}\n"
    )
    (definition,) = parse_definitions({"n.yaml": text % "{n: 1}"}, {}, PUBLISHED).values()
    assert definition.children == {"asked": "pinned-hash"}
    assert mistakes({"n.yaml": text % "{}"}) == [("n.yaml", 5, "not an input of 'asked': 'n' is a required property")]


def test_what_is_neither_published_nor_in_the_call_is_a_mistake() -> None:
    assert mistakes({"a.yaml": starter("a", "asked", "nobody")}) == [
        ("a.yaml", 6, "there is no published definition 'nobody'")
    ]


CIRCLES = [
    # what each definition starts, and the mistakes
    ({"a": ["a"]}, {("a", 5, "'a' starts itself")}),
    (
        {"a": ["b"], "b": ["a"]},
        {("a", 5, "'a', 'b' start one another in a circle"), ("b", 5, "'a', 'b' start one another in a circle")},
    ),
    (
        {"top": ["a"], "a": ["asked", "b"], "b": ["c"], "c": ["a"]},
        {(name, line, "'a', 'b', 'c' start one another in a circle") for name, line in (("a", 6), ("b", 5), ("c", 5))},
    ),
]


@pytest.mark.parametrize(("graph", "expected"), CIRCLES)
def test_a_circle_is_a_mistake_of_every_definition_in_it(
    graph: dict[str, list[str]], expected: set[tuple[str, int, str]]
) -> None:
    assert set(mistakes({name: starter(name, *started) for name, started in graph.items()})) == expected


def test_who_starts_a_definition_with_mistakes_hears_of_its_own_only() -> None:
    broken = leaf("b").replace("succeed", "prosper")
    found = mistakes({"a.yaml": starter("a", "b", "nobody"), "b.yaml": broken, "c.yaml": "- 1\n"})
    assert [(file, line) for file, line, _ in found] == [("a.yaml", 6), ("b.yaml", 5), ("c.yaml", 1)]


def test_two_files_must_not_define_one_name() -> None:
    assert mistakes({"a.yaml": leaf("a"), "b.yaml": leaf("a")}) == [("b.yaml", 1, "a.yaml defines 'a' as well")]


INPUTS = [
    # an input, and what can be said against it before it runs
    ("{n: 1}", []),
    ("{n: '${input.n}', why: a}", []),
    ("'${input}'", []),
    ("{}", ["'n' is a required property"]),
    ("{why: '${input.why}'}", ["'n' is a required property"]),
    ("{n: '${input.n}', m: 1}", ["('m' was unexpected)"]),
    ("{n: one}", ["'one' is not of type 'integer'"]),
    ("{n: '${input.n}', why: c}", ["'c' is not one of ['a', 'b']"]),
    ("[1]", ["[1] is not of type 'object'"]),
]


@pytest.mark.parametrize(("value", "expected"), [(value, expected) for value, expected in INPUTS if expected])
def test_an_input_that_can_never_fit_is_a_mistake(value: str, expected: list[str]) -> None:
    found = mistakes({"a.yaml": starter("a", "asked", value=value)})
    assert [line for _, line, _ in found] == [5] * len(expected)
    for (_, _, message), part in zip(found, expected, strict=True):
        assert message.startswith("not an input of 'asked': ")
        assert message.endswith(part)


@pytest.mark.parametrize("value", [value for value, expected in INPUTS if not expected])
def test_an_input_that_may_fit_is_none(value: str) -> None:
    assert parse_definitions({"a.yaml": starter("a", "asked", value=value)}, {}, PUBLISHED)


def test_a_rule_that_depends_on_what_is_computed_is_not_applied() -> None:
    schema: dict[str, Json] = {
        "if": {"properties": {"kind": {"const": "big"}}},
        "then": {"required": ["why"]},
        "anyOf": [{"required": ["n"]}, {"properties": {"kind": {"const": "small"}}, "required": ["kind"]}],
    }
    published = {"asked": Startable(hash="h", input=schema)}
    assert parse_definitions({"a": starter("a", "asked", value="{kind: '${input.kind}'}")}, {}, published)


def test_definitions_that_still_start_an_older_version_are_named() -> None:
    def published(name: str, children: dict[str, Json], *, newest: bool = True) -> Published:
        body: dict[str, Json] = {"name": name, "children": children}
        return Published(name=name, hash=name, body=body, published_at_ms=1, published_by="ann", newest=newest)

    others = (
        published("old", {"b": "b1", "c": "c1"}),
        published("up-to-date", {"b": "b2"}),
        published("replaced", {"b": "b1"}, newest=False),
        published("applied-too", {"b": "b1"}),
        published("without", {}),
    )
    assert left_behind({"b": "b2", "applied-too": "x"}, others) == [("old", "b")]
