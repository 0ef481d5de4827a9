"""What operators do while executors are at work, on a real broker: a real orchestrator, real executors, both killed.

What a tool really did stands in its own file; it is compared with what the journal says.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.ops.embedded.broker import Broker
from holdfast.schemas import events as e
from holdfast.schemas import requests as req
from holdfast.schemas.record import Record
from holdfast.streams import audit
from support import probe_tools
from support.executors import Fleet, eventually
from support.orchestrators import Outside, Worker
from support.scenario import define

Steps = dict[str, Any]
TOOLS = {
    tool.manifest.name: tool.manifest.to_json() for tool in (probe_tools.post, probe_tools.slow_once, probe_tools.undo)
}
HEAR: Steps = {"kind": "wait", "event": "told", "timeout": "10m", "next": "end"}


def post(before_ms: int = 0, after_ms: int = 0, **more: Any) -> Steps:
    """A step that posts a letter: its effect comes after a while, and its end after another."""
    arguments = {"text": "hi", "before_ms": before_ms, "after_ms": after_ms}
    return {"kind": "tool", "tool": "post", "arguments": arguments, "next": "end", **more}


@pytest.fixture
def engine(broker: Broker, topics: str, tmp_path: Path) -> Iterator[Worker]:
    """An orchestrator on the test's topics."""
    worker = Worker(tmp_path, broker.bootstrap, topics)
    worker.start()
    yield worker
    worker.kill()


@pytest.fixture
async def outside(broker: Broker, topics: str) -> AsyncIterator[Outside]:
    async with Outside(broker.bootstrap, topics, answering=False) as outside:
        yield outside


async def start(outside: Outside, steps: Steps, workflow_id: str = "w-1") -> None:
    definition = define(steps, tools=TOOLS).definition
    await outside.client.publish(definition)
    await outside.client.start("test", {}, workflow_id=workflow_id, definition_hash=definition.hash)


def types(outside: Outside, workflow_id: str = "w-1") -> list[type[Record]]:
    return [type(message.body) for message in outside.events if message.meta.workflow_id == workflow_id]


async def told(outside: Outside, kind: type[Record], workflow_id: str = "w-1") -> Any:
    """The last event of a type, once there is one."""
    await outside.until(lambda: kind in types(outside, workflow_id))
    found = [m.body for m in outside.events if m.meta.workflow_id == workflow_id and isinstance(m.body, kind)]
    return found[-1]


async def restarted(engine: Worker) -> None:
    await asyncio.to_thread(engine.kill)
    engine.start()


def effects(fleet: Fleet) -> list[str]:
    """The tools that took effect, in the order in which they did."""
    return [tool for what, tool, *_ in fleet.probes() if what == "effect"]


async def assert_whole(broker: Broker, prefix: str) -> None:
    """The topics agree with each other, once the rows have followed the journal."""
    for _ in range(20):
        found = await audit.compare(broker.bootstrap, prefix)
        if found.whole:
            return
        await asyncio.sleep(0.2)
    raise AssertionError(f"{found.rows_differ} {found.tasks_missing} {found.tasks_unexpected}")


async def test_a_call_that_ends_while_its_workflow_is_paused_counts_once_it_goes_on(
    broker: Broker, topics: str, engine: Worker, fleet: Fleet, outside: Outside
) -> None:
    fleet.tools()
    await start(outside, {"go": post(before_ms=1_000)})
    await eventually(lambda: "begin" in [what for what, *_ in fleet.probes()], timeout_s=40)
    await outside.client.ask("w-1", req.PauseWorkflow(reason="wait"))
    await told(outside, e.WorkflowPaused)
    await asyncio.to_thread(engine.kill)
    await eventually(lambda: effects(fleet))
    engine.start()
    await told(outside, e.ToolCallCompleted)
    assert types(outside)[-1] is e.ToolCallCompleted, "the step answers when the workflow goes on"
    await outside.client.ask("w-1", req.ResumeWorkflow(reason="go on", extend_ms=0))
    await told(outside, e.WorkflowCompleted)
    assert effects(fleet) == ["post"]
    await assert_whole(broker, topics)


@pytest.mark.parametrize("killed", [False, True], ids=["with the same orchestrator", "with another orchestrator"])
async def test_a_call_whose_claim_a_pause_refused_is_made_once_the_workflow_goes_on(
    broker: Broker, topics: str, engine: Worker, fleet: Fleet, outside: Outside, *, killed: bool
) -> None:
    await start(outside, {"go": post()})
    await outside.until(lambda: outside.tasks)
    await outside.client.ask("w-1", req.PauseWorkflow(reason="wait"))
    await told(outside, e.WorkflowPaused)
    fleet.tools(slots=1)
    refused = await told(outside, e.InputRejected)
    assert (refused.code, refused.input_type) == ("workflow_held", "ClaimTask")
    if killed:
        await restarted(engine)
    await outside.client.ask("w-1", req.ResumeWorkflow(reason="go on", extend_ms=0))
    await told(outside, e.WorkflowCompleted)
    assert effects(fleet) == ["post"]
    assert types(outside).count(e.InputRejected) == 1, "what was refused is not given back or extended"
    await assert_whole(broker, topics)


async def test_a_cancelled_workflow_awaits_a_call_that_may_be_taking_effect(
    broker: Broker, topics: str, engine: Worker, fleet: Fleet, outside: Outside
) -> None:
    fleet.tools()
    once = {"kind": "tool", "tool": "slow_once", "arguments": {"ms": 3_000}, "next": "end"}
    await start(outside, {"go": once})
    await eventually(lambda: fleet.probes(), timeout_s=40)
    await outside.client.cancel("w-1", "not needed")
    await told(outside, e.ClosingStarted)
    assert [what for what, *_ in fleet.probes()] == ["begin"]
    await told(outside, e.WorkflowCancelled)
    assert [what for what, *_ in fleet.probes()] == ["begin", "end"]
    ended = types(outside)
    assert ended.index(e.ToolCallCompleted) < ended.index(e.WorkflowCancelled)
    assert e.ToolOutcomeUnknown not in ended
    await assert_whole(broker, topics)


async def test_a_cancelled_workflow_undoes_what_it_did_once_although_its_orchestrator_is_killed(
    broker: Broker, topics: str, engine: Worker, fleet: Fleet, outside: Outside
) -> None:
    fleet.tools()
    undo = {"tool": "undo", "arguments": {"what": "${steps.book.output.text}"}}
    await start(outside, {"book": post(compensate=undo, next="hear"), "hear": HEAR})
    await told(outside, e.WaitStarted)
    await outside.client.cancel("w-1", "not needed")
    await told(outside, e.ClosingStarted)
    await restarted(engine)
    await told(outside, e.WorkflowCancelled)
    undone = await told(outside, e.CompensationEnded)
    assert (undone.step, undone.outcome) == ("book", "completed")
    assert effects(fleet) == ["post", "undo"]
    assert len({key for what, _, key, *_ in fleet.probes() if what == "effect"}) == 2
    await assert_whole(broker, topics)


async def test_a_call_whose_executor_was_killed_is_looked_for_and_made_again_only_if_there_is_no_trace(
    broker: Broker, topics: str, engine: Worker, fleet: Fleet, outside: Outside
) -> None:
    first = fleet.tools()
    await start(outside, {"go": post(after_ms=90_000)}, "w-after")
    await start(outside, {"go": post(before_ms=90_000)}, "w-before")
    await eventually(lambda: len([what for what, *_ in fleet.probes() if what == "begin"]) == 2, timeout_s=40)
    await eventually(lambda: effects(fleet))
    first.kill()
    fleet.tools()
    for workflow_id in ("w-after", "w-before"):
        await outside.until(lambda: outside.endings.get(workflow_id) == "WorkflowCompleted", 90.0)  # noqa: B023

    found = await told(outside, e.ToolLookupCompleted, "w-after")
    assert (found.found, found.lookup, found.result) == (True, 1, {"text": "hi"})
    assert found.evidence.endswith("stands in the file")
    assert types(outside, "w-after").count(e.ToolCallRequested) == 1

    missed = [m.body for m in outside.events if m.meta.workflow_id == "w-before"]
    searches = [body for body in missed if isinstance(body, e.ToolLookupCompleted)]
    assert [(search.found, search.lookup) for search in searches] == [(False, 1), (False, 2)]
    assert types(outside, "w-before").count(e.ToolCallRequested) == 2

    keys = [key for what, _, key, *_ in fleet.probes() if what == "effect"]
    assert sorted(keys) == ["acme/w-after/go.1/0/0", "acme/w-before/go.1/0/0"], "each took effect once"
    await assert_whole(broker, topics)
