"""What timers tell a workflow: look, something is due."""

from holdfast.schemas import events as e
from holdfast.schemas.codec import decode
from holdfast.streams.timers import firing_of_workflows
from support.scenario import Scenario, answer, define, only

FIRE = firing_of_workflows("")


def fire(scenario: Scenario, due_ms: int) -> None:
    """What a worker's timers send now, folded."""
    message = decode(FIRE(0, b"acme/w-1", due_ms, scenario.now_ms).value)
    scenario.feed(message.body, message.meta.event_id, ("timer", "timers"))


def test_of_two_timers_with_one_due_time_the_second_fires_although_the_first_stopped_the_workflow() -> None:
    step = {"kind": "agent", "instructions": "x", "tools": ["pay", "file"], "timeout": "1h", "next": "end"}
    scenario = Scenario(define({"think": step}))
    scenario.start()
    scenario.model_result(scenario.take(), answer(calls=[("pay", {}), ("file", {})]))
    first, second = scenario.take(), scenario.take()
    for task in (first, second):
        scenario.claim(task)
    due_ms = scenario.now_ms + 30_000
    scenario.now_ms = due_ms
    fire(scenario, due_ms)
    assert only(scenario.last, e.ToolOutcomeUnknown).effect_key == first.effect_key
    scenario.now_ms += 5_000
    scenario.resolve(first.effect_key, "not_done")
    fire(scenario, due_ms)
    assert only(scenario.last, e.ToolOutcomeUnknown).effect_key == second.effect_key


def test_the_same_firing_is_the_same_record() -> None:
    assert FIRE(0, b"acme/w-1", 7, 9) == FIRE(0, b"acme/w-1", 7, 9)
    assert decode(FIRE(0, b"acme/w-1", 7, 9).value).meta != decode(FIRE(0, b"acme/w-1", 7, 10).value).meta
