"""The engine's own calls as the tool executor makes them: results and failures as reports carry them."""

import asyncio
from typing import Any

import pytest

from holdfast.schemas.record import EventMeta, Json, Message
from holdfast.schemas.tasks import RunToolCall
from holdfast.streams.core.engine_tools import ENGINE_TOOLS, JOIN_RESULTS, READ_ITEMS
from holdfast.streams.executor.attempt import Prepared
from holdfast.streams.executor.item_calls import BY_NAME, ItemCalls
from holdfast.streams.executor.outcomes import Failure, Outcome, ToolAnswer
from holdfast.streams.executor.threads import Threads
from holdfast.streams.executor.tool_calls import ToolCalls
from holdfast.tools import ToolRegistry
from holdfast.tools.content import ContentStore
from holdfast.tools.manifest import NAME


def made(store: ContentStore, tool: str, arguments: Json) -> Outcome:
    """What comes of a task."""
    task = RunToolCall(
        effect_key="acme/w-1/each.1/0/0",
        attempt=1,
        step="each",
        tool=tool,
        effect="read",
        arguments=arguments,
        action_hash="",
        timeout_ms=10_000,
        lease_ms=0,
        deadline_at_ms=0,
    )
    meta = EventMeta(
        event_id="t-1",
        type="RunToolCall",
        tenant="acme",
        workflow_id="w-1",
        actor_kind="engine",
        actor_id="orchestrator",
        occurred_at_ms=0,
    )

    async def act() -> Outcome:
        calls = ToolCalls(ToolRegistry(), Threads(), ItemCalls(store))
        prepared = calls.prepare(Message(meta=meta, body=task))
        assert isinstance(prepared, Prepared)
        assert prepared.harmless
        return await prepared.act()

    return asyncio.run(act())


@pytest.fixture
def store() -> ContentStore:
    return ContentStore("memory:///")


PAGE = {"start": 0, "limit": 2, "limit_bytes": 100}


def test_a_page_is_the_result_of_a_call(store: ContentStore) -> None:
    content = store.put(b"1\n2\n3\n", 3).to_json()
    assert made(store, READ_ITEMS, {"content": content, **PAGE}) == ToolAnswer(result={"items": [1, 2]})


FAILURES: list[tuple[str, dict[str, Any], str, str, bool]] = [
    # tool, arguments, error class, what is said, whether it is worth another attempt
    (READ_ITEMS, {"content": {}, **PAGE}, "content_reference_invalid", "a reference has the keys", False),
    (
        READ_ITEMS,
        {"content": {"content": f"sha256:{'0' * 64}", "bytes": 1, "lines": 1}, **PAGE},
        "content_missing",
        "has no sha256:000",
        False,
    ),
    (READ_ITEMS, {"nonsense": 1}, "internal_error", "TypeError", True),
    (JOIN_RESULTS, {"parts": None, "results": [], "total": 1, "limit": 1}, "internal_error", "KeyError", True),
]


@pytest.mark.parametrize(("tool", "arguments", "error_class", "said", "retryable"), FAILURES)
def test_what_goes_wrong_is_a_failure_with_its_class(
    store: ContentStore, tool: str, arguments: Json, error_class: str, said: str, retryable: bool
) -> None:
    outcome = made(store, tool, arguments)
    assert isinstance(outcome, Failure)
    assert (outcome.error_class, outcome.retryable, outcome.outcome_unknown) == (error_class, retryable, False)
    assert said in outcome.error_message


def test_every_call_of_the_engine_is_served_and_no_tool_can_have_its_name() -> None:
    assert BY_NAME.keys() == ENGINE_TOOLS.keys()
    assert not any(NAME.fullmatch(name) for name in ENGINE_TOOLS)
