"""The `wait` step: waits for an event from outside. An event that came early is handed over at once, once."""

from holdfast.schemas import events as e
from holdfast.streams.core import definition as d
from holdfast.streams.core.state import StepRun
from holdfast.streams.core.steps.kind import StepKind
from holdfast.streams.core.turn import Turn


def _enter(turn: Turn, run: StepRun) -> None:
    step = turn.step(run.step)
    assert isinstance(step, d.WaitStep)
    turn.emit(
        e.WaitStarted(
            step=run.step,
            visit=run.visit,
            wait_id=f"{run.step}.{run.visit}",
            event_type=step.event,
            correlation=str(turn.render(run.step, "correlation")),
            expires_at_ms=run.timeout_at_ms,
        )
    )
    run = turn.run(run.step)
    if run.wait is not None and run.wait.matched is not None:
        _event_matched(turn, run)


def _event_matched(turn: Turn, run: StepRun) -> None:
    assert run.wait is not None
    assert run.wait.matched is not None
    turn.complete(run.step, run.wait.matched.payload)


def _catch_up(turn: Turn, run: StepRun) -> None:
    if run.wait is not None and run.wait.matched is not None:
        _event_matched(turn, run)


KIND = StepKind(enter=_enter, event_matched=_event_matched, catch_up=_catch_up)
