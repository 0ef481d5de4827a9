"""The `wait` step: waits for an event from outside. An event that came early is handed over at once, once."""

from holdfast.schemas import events as e
from holdfast.schemas import ids
from holdfast.schemas.record import Json
from holdfast.streams.core import definition as d
from holdfast.streams.core.early import give_up_overdue
from holdfast.streams.core.state import StepRun
from holdfast.streams.core.steps.kind import StepKind
from holdfast.streams.core.turn import Turn


def _enter(turn: Turn, run: StepRun) -> None:
    first, *others = _expected(turn, run)
    longest = max(len(value) for _, value in (first, *others))
    if longest > ids.CORRELATION_LENGTH:
        message = f"a correlation has at most {ids.CORRELATION_LENGTH} characters, but this one has {longest}"
        turn.fail(run.step, "expression_error", message)
        return
    give_up_overdue(turn)
    alternatives: Json = [{"event_type": event_type, "correlation": value} for event_type, value in others]
    turn.emit(
        e.WaitStarted(
            step=run.step,
            visit=run.visit,
            wait_id=f"{run.step}.{run.visit}",
            event_type=first[0],
            correlation=first[1],
            expires_at_ms=run.timeout_at_ms,
            alternatives=alternatives or None,
        )
    )
    run = turn.run(run.step)
    if run.wait is not None and run.wait.matched is not None:
        _event_matched(turn, run)


def _expected(turn: Turn, run: StepRun) -> list[tuple[str, str]]:
    """Type and value of every event that ends the wait."""
    step = turn.step(run.step)
    assert isinstance(step, d.WaitStep)
    if not step.events:
        return [(step.event, str(turn.render(run.step, "correlation")))]
    several = turn.render(run.step, "events")
    assert isinstance(several, list)
    return [(str(one["event"]), str(one["correlation"])) for one in several if isinstance(one, dict)]


def _event_matched(turn: Turn, run: StepRun) -> None:
    step = turn.step(run.step)
    assert isinstance(step, d.WaitStep)
    assert run.wait is not None
    received = run.wait.matched
    assert received is not None
    which: Json = {"event": received.event_type, "correlation": received.correlation, "payload": received.payload}
    turn.complete(run.step, which if step.events else received.payload)


def _catch_up(turn: Turn, run: StepRun) -> None:
    if run.wait is not None and run.wait.matched is not None:
        _event_matched(turn, run)


KIND = StepKind(enter=_enter, event_matched=_event_matched, catch_up=_catch_up)
