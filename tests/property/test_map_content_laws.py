"""The laws of a map over content, for arbitrary schedules: whatever happens on the way, nothing is lost or done twice.

Pages and parts are made very small here, so that a few items need many of them.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.ops.timeline import tell
from holdfast.schemas import events as e
from holdfast.schemas import requests as req
from holdfast.schemas.content import ContentReference
from holdfast.streams.core.pending import calls_owed, letters_owed, timers
from holdfast.streams.core.replay import first_divergence
from holdfast.streams.core.steps import map_content
from holdfast.streams.executor.item_calls import BY_NAME, ItemCalls
from holdfast.tools.content import ContentStore
from holdfast.tools.json_lines import Lines, joined
from support.scenario import define
from support.town import Town

COUNT, PAGE, PART, CONCURRENCY, PATIENCE = 17, 4, 3, 3, 2_000
LOOK = {"kind": "tool", "tool": "look", "arguments": {"at": "${input.index}"}, "retry": {"max_attempts": 1}}
DEFINITION = define(
    {
        "each": {
            "kind": "map",
            "items": "${input.items}",
            "do": "look",
            "concurrency": CONCURRENCY,
            "on_failure": "ignore",
            "timeout": "50m",
            "next": "done",
        },
        "look": {**LOOK, "next": "seen"},
        "seen": {"kind": "succeed", "output": ["${input.item}", "${steps.look.output}"]},
        "done": {"kind": "succeed", "output": "${steps.each.output}"},
    }
)


@pytest.fixture(autouse=True, scope="module")
def small_pages() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(map_content, "PAGE_ITEMS", PAGE)
        patch.setattr(map_content, "PART_ITEMS", PART)
        yield


class World:
    """A map over content, and everybody around it; each integer picks one thing that happens next."""

    def __init__(self) -> None:
        self.store = ContentStore("memory:///")
        self.calls = ItemCalls(self.store)
        self.town = Town.of(DEFINITION)
        items = self.store.put(joined(f"item {number}" for number in range(COUNT)), COUNT)
        self.town.start(DEFINITION, value={"items": items.to_json()})
        self.done: list[Any] = []

    def act(self, choice: int) -> None:
        others = (self.fail, self.fail_store, self.again, self.letter, self.pause, self.resume, self.time, self.recover)
        acts = (self.answer,) * 8 + others
        acts[choice % len(acts)](choice // len(acts))

    def answer(self, choice: int) -> None:
        if self.town.tasks:
            task = self.town.tasks.pop(choice % len(self.town.tasks))
            self.done.append((task, self.result(task)))
            self.town.answer(*self.done[-1])

    def result(self, task: Any) -> Any:
        return self.calls.act(task.tool, task.arguments) if task.tool in BY_NAME else task.arguments["at"]

    def fail(self, choice: int) -> None:
        if self.town.tasks:
            task = self.town.tasks.pop(choice % len(self.town.tasks))
            self.town.fail(task, "unavailable", retryable=True)

    def fail_store(self, choice: int) -> None:
        own = [task for task in self.town.tasks if task.tool in BY_NAME]
        if own:
            task = own[choice % len(own)]
            self.town.tasks.remove(task)
            self.town.fail(task, "unavailable", retryable=True)

    def again(self, choice: int) -> None:
        """What was reported once is reported again, by an executor that did not know."""
        if self.done:
            self.town.answer(*self.done[choice % len(self.done)])

    def letter(self, choice: int) -> None:
        self.town.repeat(self.town.letters[choice % len(self.town.letters)]) if self.town.letters else None

    def pause(self, _choice: int) -> None:
        self.town.send("w-1", req.PauseWorkflow(reason=""))

    def resume(self, _choice: int) -> None:
        self.town.send("w-1", req.ResumeWorkflow(reason="", extend_ms=0))

    def time(self, choice: int) -> None:
        self.town.now_ms += 1 + choice % 1_500
        for name in list(self.town.rows):
            self.town.look(name)

    def recover(self, _choice: int) -> None:
        """Also compares every row with the fold of its journal."""
        self.town.recover()

    def finish(self) -> None:
        self.resume(0)
        for _ in range(PATIENCE):
            if self.town.state("w-1").finished:
                return
            self.answer(0) if self.town.tasks else self.time(1_499)
        raise AssertionError("it does not end")


def run(schedule: list[int]) -> World:
    world = World()
    for choice in schedule:
        world.act(choice)
    return world


schedules = st.lists(st.integers(0, 10_000), min_size=30, max_size=120)


@settings(max_examples=30, deadline=None)
@given(schedules)
def test_every_item_is_done_once_and_its_result_stands_in_its_place(schedule: list[int]) -> None:
    world = run(schedule)
    world.finish()
    town, state = world.town, world.town.state("w-1")
    assert state.status == "completed"
    output: Any = state.output
    reference = ContentReference.from_json(output["results"])
    results = Lines(world.store.get(reference.content)).page(0, COUNT, reference.size_bytes)
    failed = [index for index in range(COUNT) if town.state(f"w-1:each.1.{index}").status != "completed"]
    assert results == [None if at in failed else [f"item {at}", at] for at in range(COUNT)]
    assert (output["failed"], [failure["index"] for failure in output["failures"]]) == (len(failed), failed)
    begun = Counter(event.index for event in town.journals["w-1"] if isinstance(event, e.ChildRequested))
    assert begun == dict.fromkeys(range(COUNT), 1)
    assert first_divergence(town.messages["w-1"], DEFINITION) is None


@settings(max_examples=30, deadline=None)
@given(schedules)
def test_a_window_is_all_that_the_row_holds_and_something_is_always_owed(schedule: list[int]) -> None:
    world = World()
    for choice in schedule:
        world.act(choice)
        state = world.town.state("w-1")
        if state.finished:
            break
        items = state.active["each"].items
        assert items is not None
        assert items.content is not None
        assert len(items.waiting) < CONCURRENCY + PAGE
        assert len(items.content.ended) < 2 * PART + CONCURRENCY
        assert len(state.children) <= CONCURRENCY
        assert len(state.active["each"].calls) <= len(BY_NAME)
        retrying = any(timer.kind == "retry" for timer in timers(state))
        assert state.held or retrying or calls_owed(state) or letters_owed(state)
    timeline = tell(world.town.messages["w-1"])
    assert timeline is not None
    assert timeline.status == world.town.state("w-1").status
