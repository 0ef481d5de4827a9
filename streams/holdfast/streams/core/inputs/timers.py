"""Timers: what happens when a limit of time or a wake-up comes due by the broker's clock."""

from collections.abc import Callable, Mapping

from holdfast.schemas import events as e
from holdfast.schemas import reports as rep
from holdfast.schemas.record import Record
from holdfast.streams.core.calls import Failure, attempt_again
from holdfast.streams.core.flow import advance, react
from holdfast.streams.core.inputs.common import Handler, fail_attempt
from holdfast.streams.core.pending import Timer, timers
from holdfast.streams.core.rejections import Rejection
from holdfast.streams.core.turn import Turn


def _fire(turn: Turn, _body: rep.FireTimer) -> Rejection | None:
    # A firing says no more than "look": whatever is due by the broker's clock fires, and nothing fires early.
    while due := [timer for timer in timers(turn.state) if timer.due_at_ms <= turn.now_ms]:
        timer = min(due, key=lambda timer: (timer.due_at_ms, timer.timer_id))
        turn.emit(e.TimerFired(timer_id=timer.timer_id, due_at_ms=timer.due_at_ms))
        _TIMER_HANDLERS[timer.kind](turn, timer)
        advance(turn)
    return None


def _deadline_reached(turn: Turn, _timer: Timer) -> None:
    step = next(iter(turn.state.active), "")
    turn.fail_workflow(step, "deadline_exceeded", "the workflow did not end by its deadline")


def _step_timed_out(turn: Turn, timer: Timer) -> None:
    react(turn, timer.step, lambda kind: kind.timed_out)


def _woken(turn: Turn, timer: Timer) -> None:
    react(turn, timer.step, lambda kind: kind.woken)


def _retry_due(turn: Turn, timer: Timer) -> None:
    run = turn.run(timer.step)
    attempt_again(turn, run, run.calls[timer.effect_key])


def _lease_expired(turn: Turn, timer: Timer) -> None:
    run = turn.run(timer.step)
    call = run.calls[timer.effect_key]
    failure = Failure(
        error_class="lease_expired",
        message=f"{call.executor_id} was not heard of until its lease ended",
        executor_id=call.executor_id,
        outcome_unknown=True,
    )
    fail_attempt(turn, run, call, failure)


_TIMER_HANDLERS: Mapping[str, Callable[[Turn, Timer], None]] = {
    "deadline": _deadline_reached,
    "timeout": _step_timed_out,
    "wake": _woken,
    "retry": _retry_due,
    "lease": _lease_expired,
}

HANDLERS: Mapping[type[Record], Handler] = {rep.FireTimer: _fire}
