"""A map over content that is held, given up, recovered, moved, shown: the row stays small and nothing is lost."""

import itertools
import random
from pathlib import Path
from typing import Any

import pytest

from holdfast.ops import timeline_model
from holdfast.ops.timeline import tell
from holdfast.ops.timeline_model import Call
from holdfast.schemas import codec, ids, topics
from holdfast.schemas import reports as rep
from holdfast.schemas import requests as req
from holdfast.schemas import tasks as t
from holdfast.schemas.record import EventMeta, Message, Record
from holdfast.streams.core.engine_tools import JOIN_RESULTS, KEEP_RESULTS, READ_ITEMS
from holdfast.streams.core.replay import first_divergence
from holdfast.streams.core.steps import map_content
from holdfast.streams.core.steps.map_content import PAGE_ITEMS, PART_ITEMS
from holdfast.streams.driver import Driver
from holdfast.streams.executor.item_calls import ItemCalls
from holdfast.streams.rows import Row
from holdfast.tools.content import ContentStore
from holdfast.tools.json_lines import Lines, joined
from support.content_map import each, finish, items_of, looks, mapped, output, reference, results, spoiled
from support.scenario import START_MS, TENANT, Scenario
from support.stories import assert_says_what_is_waited_for, assert_true_to_the_fold, story_of, text_of, visits
from support.town import Town

CONTENT_TOOLS = (READ_ITEMS, KEEP_RESULTS, JOIN_RESULTS)


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path.as_uri())


def body_of(town: Town, body: Record) -> None:
    town.send("w-1", body)


def test_a_held_workflow_takes_pages_and_ends_and_goes_on_from_there(store: ContentStore) -> None:
    town = mapped(reference(store, list(range(30))), concurrency=3)
    body_of(town, req.PauseWorkflow(reason="wait"))
    town.serve(ItemCalls(store))
    assert len(items_of(town).waiting) == 30
    assert looks(town) == []
    body_of(town, req.ResumeWorkflow(reason="go on", extend_ms=0))
    assert len(looks(town)) == 3
    body_of(town, req.PauseWorkflow(reason="wait"))
    for task in looks(town):
        town.answer(town.take("look"), {"saw": task.arguments["of"]})
    assert looks(town) == []
    body_of(town, req.ResumeWorkflow(reason="go on", extend_ms=0))
    finish(town, store)
    assert results(town, store) == [{"saw": n} for n in range(30)]


def test_what_the_last_call_gave_while_the_workflow_was_held_ends_the_step(store: ContentStore) -> None:
    town = mapped(reference(store, ["a"]))
    town.serve(ItemCalls(store))
    town.answer(town.take("look"), {"saw": "a"})
    body_of(town, req.PauseWorkflow(reason="wait"))
    town.serve(ItemCalls(store))
    assert town.state("w-1").status == "paused"
    body_of(town, req.ResumeWorkflow(reason="go on", extend_ms=0))
    assert results(town, store) == [{"saw": "a"}]


def test_a_call_that_failed_while_the_workflow_was_held_fails_the_step(store: ContentStore) -> None:
    town = mapped(reference(store, ["a"]), catch={})
    body_of(town, req.PauseWorkflow(reason="wait"))
    town.fail(town.take(), "content_missing")
    assert town.state("w-1").status == "paused"
    body_of(town, req.ResumeWorkflow(reason="go on", extend_ms=0))
    assert town.state("w-1").error_class == "content_missing"


@pytest.mark.parametrize("how", ["cancel", "timeout"])
def test_what_is_given_up_ends_at_once_with_its_items(store: ContentStore, how: str) -> None:
    town = mapped(reference(store, list(range(300))), concurrency=3, catch={})
    town.serve(ItemCalls(store))
    for _ in range(PAGE_ITEMS - 2):
        town.answer(town.take("look"))
    late = [task for task in town.tasks if task.tool in CONTENT_TOOLS]
    assert late, "a call of the step's own is under way"
    if how == "cancel":
        town.cancel()
    else:
        town.now_ms = START_MS + 30 * 60_000
        town.look()
    assert town.state("w-1").status == ("cancelled" if how == "cancel" else "failed")
    assert all(row.state.finished for row in town.rows.values())
    for task in late:
        town.answer(task, {"items": [1]})
        assert town.types("w-1")[-1] == "LateResultRecorded"


def test_a_report_that_comes_twice_changes_nothing(store: ContentStore) -> None:
    town = mapped(reference(store, list(range(20))), concurrency=5)
    task = town.take()
    page = ItemCalls(store).act(task.tool, task.arguments)
    town.answer(task, page)
    before = town.state("w-1")
    town.answer(task, page)
    assert town.state("w-1").active == before.active
    finish(town, store)
    assert results(town, store) == [{"saw": n} for n in range(20)]


def test_a_new_worker_makes_the_same_rows_from_the_journals(store: ContentStore) -> None:
    town = mapped(reference(store, list(range(PART_ITEMS + 20))), concurrency=30)
    calls = ItemCalls(store)
    town.serve(calls, 1)
    for number in itertools.count():
        if not looks(town):
            break
        town.answer(town.take("look"), {"saw": number})
        if number % 50 == 0:
            town.recover()
            town.serve(calls, 1)
    town.recover()
    finish(town, store)
    assert town.state("w-1").status == "completed"
    assert len(results(town, store)) == PART_ITEMS + 20


HOLD = {"kind": "wait", "event": "told", "timeout": "20m", "next": "done"}


def test_the_step_can_be_retried_once_the_content_is_there_again(store: ContentStore, tmp_path: Path) -> None:
    items = spoiled(store, tmp_path, "missing")
    definition = each(catch={"*": "hold"}, more={"hold": HOLD})
    town = Town.of(definition)
    town.start(definition, value={"items": items})
    town.serve(ItemCalls(store))
    assert town.state("w-1").status == "waiting"
    assert reference(store, [1, 2, 3]) == items
    body_of(town, req.RetryStep(step="each", reason="it is there again"))
    finish(town, store)
    assert results(town, store) == [{"saw": 1}, {"saw": 2}, {"saw": 3}]


def test_a_step_moves_to_another_version_with_its_calls(store: ContentStore) -> None:
    town = mapped(reference(store, ["a", "b"]), concurrency=1)
    other = each(concurrency=2)
    town.definitions[other.hash] = other
    body_of(town, req.MigrateWorkflow(definition_hash=other.hash, reason="it was too slow"))
    assert town.state("w-1").definition_hash == other.hash
    town.serve(ItemCalls(store))
    assert len(looks(town)) == 2


def asked_of_the_store(scenario: Scenario, store: ContentStore) -> None:
    """Answer the step's own calls."""
    while scenario.tasks:
        task = scenario.take()
        scenario.tool_result(task, ItemCalls(store).act(task.tool, task.arguments))


def item_ended(scenario: Scenario, index: int, output: Any) -> None:
    body = rep.ReportChildEnded(
        step="each",
        visit=1,
        index=index,
        child_id=ids.child_id(scenario.workflow_id, "each", 1, index),
        outcome="completed" if output else "failed",
        output=output,
        error_class="" if output else "odd",
        error_message="",
    )
    scenario.feed(body, actor=("engine", "orchestrator"))


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("ended", [1, 2, 3])
@pytest.mark.parametrize("part", [1, 9])
def test_a_fork_goes_on_with_what_items_left(
    store: ContentStore, monkeypatch: pytest.MonkeyPatch, part: int, ended: int, answered: bool
) -> None:
    monkeypatch.setattr(map_content, "PART_ITEMS", part)
    source = Scenario(each(concurrency=1, on_failure="ignore"))
    source.start({"items": reference(store, ["a", "b", "c"])})
    asked_of_the_store(source, store)
    for index in range(ended):
        if answered:
            asked_of_the_store(source, store)
        item_ended(source, index, f"saw {index}" if index else None)
    fork = source.fork()
    told = tell(fork.journal)
    assert told is not None
    [items] = [item for item in told.running[0].items if isinstance(item, timeline_model.Items)]
    assert (items.ended, items.failed) == (ended, 1)
    asked_of_the_store(fork, store)
    for index in range(ended, 3):
        assert list(fork.state.children) == [f"w-2:each.1.{index}"]
        item_ended(fork, index, f"saw {index}")
        asked_of_the_store(fork, store)
    assert fork.state.status == "completed"
    found: Any = fork.state.output
    assert Lines(store.get(found["results"]["content"])).page(0, 9, 999) == [None, "saw 1", "saw 2"]
    assert found["failed"] == 1
    assert first_divergence(fork.journal, fork.definition) is None


def test_the_steps_own_calls_cost_nothing(store: ContentStore) -> None:
    town = mapped(reference(store, ["a", "b"]), budget={"tool_calls": 2}, concurrency=1)
    town.fail(town.take(), "unavailable", retryable=True)
    town.fire()
    finish(town, store)
    assert town.state("w-1").status == "completed"
    assert output(town)["failed"] == 0


def test_the_story_has_the_newest_of_the_steps_own_calls(store: ContentStore) -> None:
    town = mapped(reference(store, list(range(PART_ITEMS + 7))), on_failure="ignore")
    finish(town, store, {7}.__contains__)
    story = story_of(town.messages["w-1"])
    calls = [item.name for item in visits(story)["each"].items if isinstance(item, Call)]
    assert sorted(calls) == sorted(CONTENT_TOOLS)
    assert story.tool_calls == 0
    shown = text_of(story, town.now_ms)
    assert "items                       107 of 107 ended, 1 failed" in shown
    assert output(town)["results"]["content"] in shown, "people copy it"
    assert len(shown.splitlines()) < 20
    assert_true_to_the_fold(town.messages["w-1"][:60])
    assert_says_what_is_waited_for(town.messages["w-1"][:60])


class Parent:
    """The workflow of a map step alone: its items end in an order of chance, and leave what they were given.

    The store is as slow as can be: it answers when nothing else can happen.
    """

    def __init__(self, store: ContentStore, count: int) -> None:
        self.driver = Driver({(definition := each(concurrency=20)).hash: definition}.get)
        self.calls = ItemCalls(store)
        self.row: Row | None = None
        self.open: list[Record] = []
        self.offset = 0
        self.largest_bytes = 0
        items = store.put(joined({"number": number, "text": "x" * 40} for number in range(count)), count).to_json()
        self.feed(req.StartWorkflow(definition="", definition_hash=definition.hash, input={"items": items}))
        rng = random.Random(count)
        while self.open:
            fast = [asked for asked in self.open if isinstance(asked, req.StartWorkflow)]
            asked = rng.choice(fast or self.open)
            self.open.remove(asked)
            self.feed(self.answer(asked))

    def feed(self, body: Record) -> None:
        self.offset += 1
        meta = EventMeta(
            event_id=f"in-{self.offset}",
            type=type(body).__name__,
            tenant=TENANT,
            workflow_id="w-1",
            actor_kind="engine",
            actor_id="town",
            occurred_at_ms=START_MS,
        )
        outcome = self.driver.fold(self.row, Message(meta=meta, body=body), offset=self.offset, now_ms=START_MS)
        assert outcome.row is not None
        self.row = outcome.row
        self.largest_bytes = max(self.largest_bytes, len(outcome.row.text))
        for record in outcome.outbound:
            if record.topic in (topics.INBOX, topics.TASKS_TOOL):
                self.open.append(codec.decode(record.value).body)

    def answer(self, asked: Record) -> Record:
        if isinstance(asked, t.RunToolCall):
            assert isinstance(asked.arguments, dict)
            result = self.calls.act(asked.tool, asked.arguments)
            return rep.ReportToolResult(
                effect_key=asked.effect_key, attempt=1, executor_id="x1", result=result, duration_ms=1
            )
        assert isinstance(asked, req.StartWorkflow)
        index = asked.parent_index
        child_id = ids.child_id("w-1", "each", 1, index)
        output = asked.input
        return rep.ReportChildEnded(
            step="each",
            visit=1,
            index=index,
            child_id=child_id,
            outcome="completed",
            output=output,
            error_class="",
            error_message="",
        )


def test_the_row_does_not_grow_with_the_number_of_items(store: ContentStore) -> None:
    few, many = Parent(store, 1_000), Parent(store, 3_000)
    assert few.row is not None
    assert many.row is not None
    assert many.row.state.status == "completed"
    assert many.row.state.output["results"]["lines"] == 3_000  # type: ignore[call-overload,index]
    assert many.largest_bytes < few.largest_bytes * 1.05
    assert many.largest_bytes < 64 * 1024
