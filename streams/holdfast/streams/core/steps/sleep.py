"""The `sleep` step: waits for a duration, until a time, or until a calendar window is open."""

from holdfast.schemas import events as e
from holdfast.streams.core import definition as d
from holdfast.streams.core.state import StepRun
from holdfast.streams.core.steps.kind import StepKind
from holdfast.streams.core.times import parse_time_ms
from holdfast.streams.core.turn import Turn


def _enter(turn: Turn, run: StepRun) -> None:
    step = turn.step(run.step)
    assert isinstance(step, d.SleepStep)
    due_at_ms = turn.now_ms + (step.for_ms or 0)
    if step.until is not None:
        try:
            due_at_ms = parse_time_ms(turn.render(run.step, "until"))
        except ValueError as exc:
            turn.fail(run.step, "expression_error", str(exc))
            return
    if step.within is not None:
        # What is journaled is the moment: later rules of time zones do not touch timers that are set.
        due_at_ms = step.within.next_open_ms(max(due_at_ms, turn.now_ms))
    turn.emit(
        e.TimerScheduled(step=run.step, visit=run.visit, timer_id=f"{run.step}.{run.visit}/wake", due_at_ms=due_at_ms)
    )


def _woken(turn: Turn, run: StepRun) -> None:
    turn.complete(run.step, {"woken_at_ms": turn.now_ms})


KIND = StepKind(enter=_enter, woken=_woken)
