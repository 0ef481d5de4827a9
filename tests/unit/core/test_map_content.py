"""A map over content: the items come page by page, what they leave is kept part by part."""

from pathlib import Path
from typing import Any

import pytest

from holdfast.schemas import events as e
from holdfast.streams.core.engine_tools import JOIN_RESULTS, KEEP_RESULTS, READ_ITEMS
from holdfast.streams.core.steps.map_content import PAGE_BYTES, PAGE_ITEMS, PART_ITEMS
from holdfast.streams.executor.item_calls import ItemCalls
from holdfast.tools.content import ContentStore
from support.content_map import asked, finish, items_of, looks, mapped, output, reference, results, spoiled
from support.scenario import define
from support.town import Town


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path.as_uri())


@pytest.mark.parametrize("count", [0, 1, PART_ITEMS, PART_ITEMS + 7])
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
    # on_failure, max_failures, items that fail of 130, status
    ("fail_fast", 0, {7}, "failed"),
    ("fail_fast", 2, {3, 100}, "completed"),
    ("fail_fast", 1, {3, 100}, "failed"),
    ("wait_all", 0, {3, 120}, "failed"),
    ("ignore", 0, set(range(130)), "completed"),
]


@pytest.mark.parametrize(("policy", "allowed", "bad", "status"), PARTIAL)
def test_how_many_items_may_fail_is_declared(
    store: ContentStore, policy: str, allowed: int, bad: set[int], status: str
) -> None:
    items = reference(store, list(range(130)))
    town = mapped(items, on_failure=policy, max_failures=allowed, catch={})
    finish(town, store, bad.__contains__)
    state = town.state("w-1")
    assert state.status == status
    assert all(row.state.finished for row in town.rows.values()), "what nobody waits for any more is cancelled"
    if status == "failed":
        assert state.error_class == "tool_error"
        assert f"{len(bad)} of 130 items failed, item {min(bad)} with: it broke" in state.error_message
        assert (len(town.rows) == 131) == (policy == "wait_all")
    else:
        assert results(town, store) == [None if n in bad else {"saw": n} for n in range(130)]
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
