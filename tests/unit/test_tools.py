"""`@tool`: what a function becomes, and what is checked before and after it runs."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, Field, field_validator

from holdfast.tools import ManifestError, ToolCall, ToolDefinitionError, ToolError, ToolManifest, tool

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
