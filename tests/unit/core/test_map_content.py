"""A map over content: the items come page by page, what they leave is kept part by part, and the row stays small."""

import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.schemas import codec, ids, topics
from holdfast.schemas import events as e
from holdfast.schemas import reports as rep
from holdfast.schemas import requests as req
from holdfast.schemas import tasks as t
from holdfast.schemas.content import ContentReference
from holdfast.schemas.record import EventMeta, Message, Record
from holdfast.streams.core.compile import CompiledDefinition
from holdfast.streams.core.engine_tools import JOIN_RESULTS, KEEP_RESULTS, READ_ITEMS
from holdfast.streams.core.state import Items
from holdfast.streams.core.steps.map_content import PAGE_BYTES, PAGE_ITEMS, PART_ITEMS
from holdfast.streams.driver import Driver
from holdfast.streams.executor.item_calls import ItemCalls
from holdfast.streams.rows import Row
from holdfast.tools.content import ContentStore
from holdfast.tools.json_lines import Lines, joined
from support.scenario import START_MS, TENANT, define
from support.town import Town

CONTENT_TOOLS = (READ_ITEMS, KEEP_RESULTS, JOIN_RESULTS)


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path.as_uri())


def each(more: dict[str, Any] | None = None, **step: Any) -> CompiledDefinition:
    """A workflow that looks at every item; an item's output is what was seen."""
    return define(
        {
            "each": {
                "kind": "map",
                "items": "${input.items}",
                "do": "look",
                "max_items": 100_000,
                "timeout": "30m",
                "next": "done",
                "catch": {"*": "broken"},
                **step,
            },
            "look": {
                "kind": "tool",
                "tool": "look",
                "arguments": {"of": "${input.item}", "at": "${input.index}"},
                "retry": {"max_attempts": 1},
                "next": "seen",
            },
            "seen": {"kind": "succeed", "output": "${steps.look.output}"},
            "done": {"kind": "succeed", "output": "${has(steps.each) ? steps.each.output : null}"},
            **(more or {}),
        }
    )


def reference(store: ContentStore, items: list[Any]) -> Any:
    return store.put(joined(items), len(items)).to_json()


def mapped(items: Any, **step: Any) -> Town:
    definition = each(**step)
    town = Town.of(definition)
    town.start(definition, value={"items": items})
    return town


def looks(town: Town) -> list[Any]:
    """The calls of items that wait for an answer."""
    return [task for task in town.tasks if task.tool == "look"]


def finish(town: Town, store: ContentStore, bad: Callable[[int], bool] = lambda _: False, seed: int = 1) -> None:
    """Answer everything that is asked for, the items in an order of chance."""
    rng, calls = random.Random(seed), ItemCalls(store)
    town.serve(calls)
    while waiting := looks(town):
        task = rng.choice(waiting)
        town.tasks.remove(task)
        if town.state(task.effect_key.split("/")[1]).finished:
            continue
        if bad(task.arguments["at"]):
            town.fail(task)
        else:
            town.answer(task, {"saw": task.arguments["of"]})
        if rng.random() < 0.5:
            town.serve(calls, 1)
        if not looks(town):
            town.serve(calls)


def output(town: Town) -> Any:
    return town.state("w-1").output


def results(town: Town, store: ContentStore) -> list[Any]:
    """The lines that the step's output refers to."""
    kept = ContentReference.from_json(output(town)["results"])
    lines = Lines(store.get(kept.content))
    assert len(lines) == kept.lines
    return lines.page(0, len(lines), kept.size_bytes)


def items_of(town: Town) -> Items:
    found = town.state("w-1").active["each"].items
    assert found is not None
    return found


def asked(town: Town) -> list[e.ToolCallRequested]:
    """Intents of the step's own calls."""
    return [event for event in town.journals["w-1"] if isinstance(event, e.ToolCallRequested)]


@pytest.mark.parametrize("count", [0, 1, PART_ITEMS, 2 * PART_ITEMS + 7])
def test_results_come_in_the_order_of_the_items_however_they_end(store: ContentStore, count: int) -> None:
    town = mapped(reference(store, [f"item {number}" for number in range(count)]))
    finish(town, store)
    assert town.state("w-1").status == "completed"
    assert results(town, store) == [{"saw": f"item {number}"} for number in range(count)]
    assert (output(town)["failed"], output(town)["failures"]) == (0, [])
    assert len(town.rows) == 1 + count


def test_a_list_leaves_a_list_and_asks_for_nothing(store: ContentStore) -> None:
    town = mapped(["a"])
    finish(town, store)
    assert output(town) == {"results": [{"saw": "a"}], "failed": 0, "failures": []}
    assert asked(town) == []


def test_the_journal_names_the_reference_and_not_its_items(store: ContentStore) -> None:
    items = reference(store, ["a", "b"])
    town = mapped(items)
    [counted] = [event for event in town.journals["w-1"] if isinstance(event, e.ItemsCounted)]
    assert (counted.total, counted.items) == (2, items)


def test_pages_are_asked_for_as_items_are_needed(store: ContentStore) -> None:
    town = mapped(reference(store, list(range(3 * PAGE_ITEMS))), concurrency=2)
    calls = ItemCalls(store)
    assert [task.arguments["start"] for task in town.tasks] == [0]
    town.serve(calls)
    assert len(looks(town)) == 2
    begun = 2
    while len(items_of(town).waiting) > 1:
        assert [event.tool for event in asked(town)] == [READ_ITEMS]
        town.answer(looks(town)[0])
        town.tasks.pop(0)
        begun += 1
    assert [event.arguments["start"] for event in asked(town)] == [0, PAGE_ITEMS]  # type: ignore[call-overload,index]
    assert begun == PAGE_ITEMS - 1


def test_a_page_of_large_items_has_few_of_them(store: ContentStore) -> None:
    town = mapped(reference(store, ["x" * (PAGE_BYTES // 3)] * 9), concurrency=1)
    town.serve(ItemCalls(store), 1)
    assert len(items_of(town).waiting) == 1


def test_no_more_items_run_at_a_time_than_allowed_and_none_begins_while_results_pile_up(store: ContentStore) -> None:
    town = mapped(reference(store, list(range(3 * PART_ITEMS))), concurrency=20)
    calls = ItemCalls(store)
    while town.tasks and town.tasks != [stuck := next((x for x in town.tasks if x.tool == KEEP_RESULTS), None)]:
        assert len(looks(town)) <= 20
        task = next(task for task in town.tasks if task is not stuck)
        town.tasks.remove(task)
        result = calls.act(task.tool, task.arguments) if task.tool == READ_ITEMS else {"saw": task.arguments["of"]}
        town.answer(task, result)
    # Nothing is taken from the step: what ended waits in its row, and nothing more begins.
    content = items_of(town).content
    assert content is not None
    assert 2 * PART_ITEMS <= len(content.ended) < 2 * PART_ITEMS + 20
    finish(town, store)
    assert results(town, store) == [{"saw": n} for n in range(3 * PART_ITEMS)]


PARTIAL = [
    # on_failure, max_failures, items that fail of 250, status
    ("fail_fast", 0, {7}, "failed"),
    ("fail_fast", 2, {3, 100}, "completed"),
    ("fail_fast", 1, {3, 100}, "failed"),
    ("wait_all", 0, {3, 200}, "failed"),
    ("ignore", 0, set(range(250)), "completed"),
]


@pytest.mark.parametrize(("policy", "allowed", "bad", "status"), PARTIAL)
def test_how_many_items_may_fail_is_declared(
    store: ContentStore, policy: str, allowed: int, bad: set[int], status: str
) -> None:
    items = reference(store, list(range(250)))
    town = mapped(items, on_failure=policy, max_failures=allowed, catch={})
    finish(town, store, bad.__contains__)
    state = town.state("w-1")
    assert state.status == status
    assert all(row.state.finished for row in town.rows.values()), "what nobody waits for any more is cancelled"
    if status == "failed":
        assert state.error_class == "tool_error"
        assert f"{len(bad)} of 250 items failed, item {min(bad)} with: it broke" in state.error_message
        assert (len(town.rows) == 251) == (policy == "wait_all")
    else:
        assert results(town, store) == [None if n in bad else {"saw": n} for n in range(250)]
        assert output(town)["failed"] == len(bad)
        assert [failure["index"] for failure in output(town)["failures"]] == sorted(bad)[:100]
        assert output(town)["failures"][0]["error"] == {"class": "tool_error", "message": "it broke"}


REFUSED = [
    # what `items` gives, max_items, error class, what the sentence says
    ({"content": "sha256:00", "bytes": 1, "lines": 1}, 9, "content_reference_invalid", "64 hexadecimal digits"),
    ({"content": f"sha256:{'0' * 64}", "bytes": 1}, 9, "content_reference_invalid", "holdfast content put"),
    ({"content": f"sha256:{'0' * 64}", "bytes": 1, "lines": 10}, 9, "too_many_items", "more than max_items"),
    (list(range(1_001)), 100_000, "too_many_items", "holdfast content put"),
    ({"documents": []}, 9, "expression_error", "a list or a reference"),
    ("text", 9, "expression_error", "a list or a reference"),
]


@pytest.mark.parametrize(("items", "allowed", "error_class", "said"), REFUSED)
def test_what_is_not_items_is_refused_before_the_first(items: Any, allowed: int, error_class: str, said: str) -> None:
    town = mapped(items, max_items=allowed, catch={})
    assert town.state("w-1").error_class == error_class
    assert said in town.state("w-1").error_message
    assert len(town.rows) == 1


def spoiled(store: ContentStore, folder: Path, how: str) -> Any:
    """A reference to three lines with which something is wrong."""
    if how == "not lines":
        return {**store.put(b"1\nnot\n3\n").to_json(), "lines": 3}
    items = reference(store, [1, 2, 3])
    body = next(path for path in folder.rglob("*") if path.is_file())
    if how == "missing":
        body.unlink()
    if how == "changed":
        body.write_bytes(b"1\n2\n4\n")
    return {**items, "lines": 4} if how == "another number" else items


SPOILED = [
    ("missing", "content_missing", "the content store has no sha256:"),
    ("changed", "content_corrupt", "was changed in the content store"),
    ("not lines", "content_not_json_lines", "line 2 is not JSON"),
    ("another number", "content_reference_invalid", "3 lines, and the reference says"),
]


@pytest.mark.parametrize(("how", "error_class", "said"), SPOILED)
def test_content_that_is_not_as_it_should_be_fails_the_step_before_the_first_item(
    store: ContentStore, tmp_path: Path, how: str, error_class: str, said: str
) -> None:
    town = mapped(spoiled(store, tmp_path, how), catch={})
    town.serve(ItemCalls(store))
    assert town.state("w-1").error_class == error_class
    assert said in town.state("w-1").error_message
    assert len(town.rows) == 1
    caught = mapped(town.state("w-1").input["items"], catch={error_class: "done"})  # type: ignore[call-overload,index]
    caught.serve(ItemCalls(store))
    assert caught.state("w-1").status == "completed"


def test_a_store_that_is_away_is_asked_again_and_then_the_step_fails(store: ContentStore) -> None:
    town = mapped(reference(store, ["a"]), catch={})
    for attempt in range(1, 9):
        assert [task.attempt for task in town.tasks] == [attempt]
        town.fail(town.take(), "unavailable", retryable=True)
        if attempt < 8:
            town.fire()
    assert town.state("w-1").error_class == "unavailable"
    again = mapped(reference(store, ["a"]))
    again.fail(again.take(), "unavailable", retryable=True)
    again.fire()
    finish(again, store)
    assert again.state("w-1").status == "completed"


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


HOLD = {"kind": "wait", "event": "told", "timeout": "20m", "next": "done"}


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


NONSENSE: list[Any] = [None, "x", {}, {"items": []}, {"items": "x"}]


@pytest.mark.parametrize("result", NONSENSE)
def test_an_executor_that_gives_no_items_fails_the_step_and_not_the_engine(store: ContentStore, result: Any) -> None:
    town = mapped(reference(store, ["a"]), catch={})
    town.answer(town.take(), result)
    assert town.state("w-1").error_class == "internal_error"


def test_an_executor_that_gives_more_than_there_is_is_not_believed(store: ContentStore) -> None:
    town = mapped(reference(store, ["a", "b"]), concurrency=9)
    town.answer(town.take(), {"items": ["a", "b", "c"]})
    assert len(looks(town)) == 2
    finish(town, store)
    assert len(results(town, store)) == 2


def test_an_executor_that_gives_no_results_fails_the_step_and_not_the_engine(store: ContentStore) -> None:
    town = mapped(reference(store, []), catch={})
    town.answer(town.take(JOIN_RESULTS), {"results": None})
    assert town.state("w-1").error_class == "internal_error"


def test_the_results_of_one_map_are_the_items_of_another(store: ContentStore) -> None:
    step = {"kind": "map", "max_items": 100_000, "timeout": "30m"}
    definition = define(
        {
            "first": {**step, "items": "${input.items}", "do": "one", "next": "second"},
            "second": {**step, "items": "${steps.first.output.results}", "do": "two", "next": "done"},
            "one": {"kind": "succeed", "output": "${input.item + 1}"},
            "two": {"kind": "succeed", "output": "${input.item * 2}"},
            "done": {"kind": "succeed", "output": "${steps.second.output}"},
        }
    )
    town = Town.of(definition)
    town.start(definition, value={"items": reference(store, [1, 2, 3])})
    town.serve(ItemCalls(store))
    assert results(town, store) == [4, 6, 8]


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
    few, many = Parent(store, 500), Parent(store, 5_000)
    assert few.row is not None
    assert many.row is not None
    assert many.row.state.status == "completed"
    assert many.row.state.output["results"]["lines"] == 5_000  # type: ignore[call-overload,index]
    assert many.largest_bytes < few.largest_bytes * 1.05
    assert many.largest_bytes < 64 * 1024
