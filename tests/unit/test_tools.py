"""`@tool`: what a function becomes, and what is checked before and after it runs."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, Field, field_validator

from holdfast.tools import (
    Found,
    ManifestError,
    NotFound,
    ToolCall,
    ToolDefinitionError,
    ToolError,
    ToolManifest,
    tool,
)

CALL = ToolCall(effect_key="acme/w1/s.1/0/0", attempt=1, deadline_at_ms=9, tenant="acme", workflow_id="w1")


class Query(BaseModel):
    text: str = Field(min_length=1)
    limit: int = 10

    @field_validator("text")
    @classmethod
    def _no_bombs(cls, text: str) -> str:
        if text == "bomb":
            raise KeyError("a validator with a bug")
        return text


class Hit(BaseModel):
    title: str


@tool(effect="read")
async def search(query: Query) -> list[Hit]:
    """Search."""
    return [Hit(title=query.text)] * query.limit


@tool(effect="keyed", timeout_ms=500, max_attempts=7, description="Adds.")
def add(a: int, b: int = 2, *, call: ToolCall) -> int:
    return a + b


def test_one_model_parameter_gives_the_input_schema_and_gets_the_model() -> None:
    assert search.manifest.input_schema == Query.model_json_schema()
    assert search.bind({"text": "x"}, CALL) == {"query": Query(text="x")}


def test_plain_parameters_give_an_object_schema_without_the_injected_call() -> None:
    schema = add.manifest.input_schema
    assert set(schema["properties"]) == {"a", "b"}  # type: ignore[arg-type]
    assert schema["required"] == ["a"]
    assert schema["additionalProperties"] is False
    assert add.bind({"a": 1}, CALL) == {"a": 1, "b": 2, "call": CALL}


def test_an_optional_call_parameter_is_injected_too() -> None:
    @tool(effect="read")
    def peek(call: ToolCall | None = None) -> bool:
        return call is None

    assert peek.manifest.input_schema["properties"] == {}
    assert peek.bind({}, CALL) == {"call": CALL}


def test_name_and_description_come_from_the_function_unless_given() -> None:
    assert (search.manifest.name, search.manifest.description) == ("search", "Search.")
    assert (add.manifest.description, add.manifest.timeout_ms, add.manifest.max_attempts) == ("Adds.", 500, 7)


def test_a_tool_is_still_the_function() -> None:
    assert add(1, 5, call=CALL) == 6
    assert asyncio.run(search(Query(text="a", limit=2))) == [Hit(title="a")] * 2
    assert (search.is_async, add.is_async) == (True, False)


@pytest.mark.parametrize(
    "arguments", [None, [], "text", {}, {"text": ""}, {"text": 5}, {"text": "a", "limit": "many"}, {"text": "bomb"}]
)
def test_wrong_arguments_are_refused_before_the_call_and_never_retried(arguments: Any) -> None:
    with pytest.raises(ToolError) as refused:
        search.bind(arguments, CALL)
    assert (refused.value.code, refused.value.retryable, refused.value.outcome_unknown) == (
        "invalid_arguments",
        False,
        False,
    )
    assert "search" in refused.value.message


def test_an_argument_that_no_parameter_takes_is_refused() -> None:
    with pytest.raises(ToolError, match="c: Extra inputs"):
        add.bind({"a": 1, "c": 3}, CALL)


def test_a_model_cannot_pass_the_injected_call() -> None:
    with pytest.raises(ToolError, match="call: Extra inputs"):
        add.bind({"a": 1, "call": {"effect_key": "mine"}}, CALL)


def test_a_result_becomes_json_by_the_return_annotation() -> None:
    assert search.result_json([Hit(title="a"), {"title": "b"}]) == [{"title": "a"}, {"title": "b"}]


@pytest.mark.parametrize("result", [None, "text", [{"title": 1}], [object()]])
def test_a_result_that_does_not_fit_is_a_failure_that_keeps_what_was_returned(result: Any) -> None:
    with pytest.raises(ToolError) as failed:
        search.result_json(result)
    assert (failed.value.code, failed.value.retryable) == ("invalid_result", False)
    assert repr(result)[:20] in failed.value.message


def test_a_very_long_wrong_result_is_shortened_in_the_message() -> None:
    with pytest.raises(ToolError) as failed:
        search.result_json("x" * 100_000)
    assert len(failed.value.message) < 3_000


def unannotated(a, b: int) -> int:  # type: ignore[no-untyped-def]
    return b


def no_return(a: int):  # type: ignore[no-untyped-def]
    return a


def catch_all(**values: int) -> int:
    return len(values)


def schemaless(a: Callable[[], int]) -> int:
    return a()


def returns_a_function() -> Callable[[], int]:
    return lambda: 1


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (unannotated, "'a' needs an annotation"),
        (no_return, "needs a return annotation"),
        (catch_all, "plain named"),
        (schemaless, "no JSON Schema"),
        (returns_a_function, "no JSON Schema"),
    ],
)
def test_a_function_without_a_manifest_is_refused_with_what_to_change(function: Callable[..., Any], says: str) -> None:
    with pytest.raises(ToolDefinitionError, match=says):
        tool(effect="read")(function)


@pytest.mark.parametrize(
    "options", [{"effect": "maybe"}, {"name": "no spaces"}, {"timeout_ms": 0}, {"max_attempts": 0}]
)
def test_manifest_values_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ToolDefinitionError):
        tool(**{"effect": "read", **options})(returns_none)


def returns_none() -> None:
    return None


def test_a_manifest_survives_json_and_keeps_its_hash() -> None:
    for manifest in (search.manifest, add.manifest):
        again = ToolManifest.from_json(manifest.to_json())
        assert again == manifest
        assert again.manifest_hash == manifest.manifest_hash == manifest.to_json()["manifest_hash"]


@pytest.mark.parametrize(
    "change",
    [{"effect": "read"}, {"description": "Adds!"}, {"timeout_ms": 501}, {"input_schema": {}}, {"name": "plus"}],
)
def test_every_change_of_a_manifest_changes_its_hash_and_is_noticed(change: dict[str, Any]) -> None:
    tampered = {**add.manifest.to_json(), **change}
    with pytest.raises(ManifestError, match="was changed"):
        ToolManifest.from_json(tampered)
    del tampered["manifest_hash"]
    assert ToolManifest.from_json(tampered).manifest_hash != add.manifest.manifest_hash


@pytest.mark.parametrize("value", [None, [], {}, {"name": "x"}, {**add.manifest.to_json(), "more": 1}])
def test_what_is_no_manifest_is_refused(value: Any) -> None:
    with pytest.raises(ManifestError):
        ToolManifest.from_json(value)


@pytest.mark.parametrize("code", ["", "Two Words", "x" * 64, "1st"])
def test_error_codes_have_one_form(code: str) -> None:
    with pytest.raises(ValueError, match="error code"):
        ToolError(code, "no", retryable=False)


def refund_of(order: str, call: ToolCall) -> Hit | None:
    return Hit(title=f"{order} {call.effect_key}") if order == "known" else None


@tool(effect="lookup", lookup=refund_of, visibility_lag="20s")
def refund(order: str, cents: int, call: ToolCall) -> Hit:
    """Refunds."""
    return Hit(title=order)


def test_a_lookup_gets_the_effect_key_and_those_arguments_that_it_asks_for() -> None:
    assert refund.lookup is not None
    bound = refund.lookup.bind(refund.bind({"order": "known", "cents": 5}, CALL), CALL)
    assert bound == {"order": "known", "call": CALL}
    assert refund.trace_json(refund.lookup.function(**bound)) == Found({"title": "known acme/w1/s.1/0/0"})


def test_a_manifest_says_that_traces_can_be_searched_for_and_when_they_can_be_seen() -> None:
    assert (refund.manifest.lookup, refund.manifest.visibility_lag_ms) == (True, 20_000)
    assert ToolManifest.from_json(refund.manifest.to_json()) == refund.manifest
    unsaid = {**refund.manifest.to_json(), "visibility_lag_ms": 0}
    with pytest.raises(ManifestError, match="was changed"):
        ToolManifest.from_json(unsaid)


def test_a_tool_without_a_lookup_has_the_manifest_and_the_hash_that_it_always_had() -> None:
    """Definitions pin the hash, and approvals are bound to it."""
    assert set(add.manifest.to_json()) == {
        *("name", "description", "effect", "input_schema", "output_schema"),
        *("timeout_ms", "max_attempts", "manifest_hash"),
    }
    assert add.manifest.manifest_hash == "07526e188a4de85cb02d3f5222af9fe955d2a18567bc2c1a78fdf650f137a7b1"


RETURNED = [
    (None, NotFound()),
    (Hit(title="x"), Found({"title": "x"})),
    (Found(Hit(title="x"), evidence="row 7"), Found({"title": "x"}, evidence="row 7")),
    (NotFound(evidence="all rows"), NotFound(evidence="all rows")),
]


@pytest.mark.parametrize(("returned", "expected"), RETURNED)
def test_a_lookup_may_return_the_result_or_none_or_say_it_with_evidence(returned: Any, expected: Any) -> None:
    assert refund.trace_json(returned) == expected


def test_what_a_lookup_finds_must_be_a_result_of_the_tool() -> None:
    with pytest.raises(ToolError, match="title"):
        refund.trace_json({"titel": "x"})

    @tool(effect="keyed", lookup=anything)
    def touch() -> None:
        return None

    assert touch.trace_json(None) == NotFound()
    assert touch.trace_json(Found(None)) == Found(None)


def anything() -> object:
    return None


def other_name(number: str) -> Hit | None:
    return None


def other_type(order: int) -> Hit | None:
    return None


def all_of_them(*, order: str, **rest: int) -> Hit | None:
    return None


def untold(order: str):  # type: ignore[no-untyped-def]
    return None


MISFITS: list[tuple[dict[str, Any], str]] = [
    ({"effect": "lookup", "lookup": other_name}, "the tool has no parameter number"),
    ({"effect": "lookup", "lookup": other_type}, "the tool has no parameter order: int"),
    ({"effect": "lookup", "lookup": all_of_them}, "rest"),
    ({"effect": "lookup", "lookup": untold}, "needs a return annotation"),
    ({"effect": "read", "lookup": anything}, "only calls of txn, keyed, lookup are searched for"),
    ({"effect": "once", "lookup": anything}, "only calls of txn, keyed, lookup are searched for"),
    ({"effect": "keyed", "visibility_lag": "20s"}, "needs a lookup"),
    ({"effect": "txn", "key_lifetime": "1h"}, "only keyed calls have a key"),
    ({"effect": "keyed", "key_lifetime": "1s"}, "must not be shorter than one attempt"),
    ({"effect": "read", "reversible": True}, "there is nothing to reverse"),
    ({"effect": "keyed", "lookup": anything, "visibility_lag": "soon"}, "is not a duration"),
]


@pytest.mark.parametrize(("options", "says"), MISFITS)
def test_a_lookup_that_does_not_fit_its_tool_is_refused_with_what_to_change(options: dict[str, Any], says: str) -> None:
    def pay(order: str, cents: int) -> Hit:
        return Hit(title=order)

    with pytest.raises(ToolDefinitionError, match=says):
        tool(**options)(pay)


def test_a_tool_may_ask_whether_anybody_still_waits_and_give_up_before_it_acts() -> None:
    call = ToolCall(effect_key="k", attempt=1, deadline_at_ms=9, tenant="acme", workflow_id="w1")
    call.raise_if_cancelled()
    assert not call.cancelled
    call.give_up()
    assert call.cancelled
    with pytest.raises(ToolError) as raised:
        call.raise_if_cancelled()
    assert (raised.value.code, raised.value.retryable, raised.value.outcome_unknown) == ("cancelled", False, False)
