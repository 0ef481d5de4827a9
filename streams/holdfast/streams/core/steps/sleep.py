"""The `sleep` step: waits for a duration, or until a time."""

from datetime import datetime

from holdfast.schemas import events as e
from holdfast.schemas.record import Json
from holdfast.streams.core import definition as d
from holdfast.streams.core.state import StepRun
from holdfast.streams.core.steps.kind import StepKind
from holdfast.streams.core.turn import Turn


def _enter(turn: Turn, run: StepRun) -> None:
    step = turn.step(run.step)
    assert isinstance(step, d.SleepStep)
    if step.for_ms is not None:
        due_at_ms = turn.now_ms + step.for_ms
    else:
        try:
            due_at_ms = _time_ms(turn.render(run.step, "until"))
        except ValueError as exc:
            turn.fail(run.step, "expression_error", str(exc))
            return
    turn.emit(
        e.TimerScheduled(step=run.step, visit=run.visit, timer_id=f"{run.step}.{run.visit}/wake", due_at_ms=due_at_ms)
    )


def _time_ms(value: Json) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is not None:
            return int(moment.timestamp() * 1000)
    raise ValueError(f"{value!r} is not a time: give ms since 1970, or RFC 3339 text with an offset")


def _woken(turn: Turn, run: StepRun) -> None:
    turn.complete(run.step, {"woken_at_ms": turn.now_ms})


KIND = StepKind(enter=_enter, woken=_woken)
