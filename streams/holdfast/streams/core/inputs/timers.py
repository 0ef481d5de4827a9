"""Timers: what happens when a limit of time or a wake-up comes due by the broker's clock."""

from collections.abc import Callable, Mapping

from holdfast.schemas import events as e
from holdfast.schemas import reports as rep
from holdfast.schemas.record import Record
from holdfast.streams.core import closing
from holdfast.streams.core import definition as d
from holdfast.streams.core.calls import Failure, attempt_again, search
from holdfast.streams.core.early import give_up_overdue
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


def _deadline_reached(turn: Turn, timer: Timer) -> None:
    policy = turn.definition.definition.on_deadline
    turn.emit(e.DeadlineReached(due_at_ms=timer.due_at_ms, policy=policy))
    _limit_reached(turn, policy, "deadline_exceeded", "the workflow did not end by its deadline")


def _idle_limit_reached(turn: Turn, timer: Timer) -> None:
    policy = turn.definition.definition.on_idle
    turn.emit(e.IdleLimitReached(due_at_ms=timer.due_at_ms, policy=policy))
    _limit_reached(turn, policy, "idle_timeout", "nothing happened to the workflow for longer than it allows")


def _limit_reached(turn: Turn, policy: d.OnLimit, error_class: str, message: str) -> None:
    step = next(iter(turn.state.active), "")
    if policy == "escalate":
        turn.block(step, error_class, message)
    elif policy == "fail":
        turn.end("failed", step, error_class, message)
    else:
        turn.fail_workflow(step, error_class, message)


def _settle_limit_reached(turn: Turn, _timer: Timer) -> None:
    closing.settle_limit_reached(turn)


def _step_timed_out(turn: Turn, timer: Timer) -> None:
    run = turn.run(timer.step)
    if not run.approval_id:  # an approval says itself that nobody decided
        turn.emit(e.StepTimedOut(step=run.step, visit=run.visit, due_at_ms=timer.due_at_ms))
    react(turn, timer.step, lambda kind: kind.timed_out)


def _woken(turn: Turn, timer: Timer) -> None:
    react(turn, timer.step, lambda kind: kind.woken)


def _retry_due(turn: Turn, timer: Timer) -> None:
    run = turn.run(timer.step)
    attempt_again(turn, run, run.calls[timer.effect_key])


def _lookup_lost(turn: Turn, timer: Timer) -> None:
    run = turn.run(timer.step)
    call = run.calls[timer.effect_key]
    search(turn, run, call, lookup=call.lookup + 1, due_at_ms=turn.now_ms)


def _lease_expired(turn: Turn, timer: Timer) -> None:
    run = turn.run(timer.step)
    call = run.calls[timer.effect_key]
    out_of_time = 0 < call.limit_at_ms <= turn.now_ms
    failure = Failure(
        error_class="timeout" if out_of_time else "lease_expired",
        message=f"{call.executor_id} " + ("took too long" if out_of_time else "was not heard of until its lease ended"),
        executor_id=call.executor_id,
        outcome_unknown=True,
    )
    fail_attempt(turn, run, call, failure)


def _early_event_overdue(turn: Turn, _timer: Timer) -> None:
    give_up_overdue(turn)


_TIMER_HANDLERS: Mapping[str, Callable[[Turn, Timer], None]] = {
    "deadline": _deadline_reached,
    "idle": _idle_limit_reached,
    "settle": _settle_limit_reached,
    "timeout": _step_timed_out,
    "wake": _woken,
    "retry": _retry_due,
    "lease": _lease_expired,
    "lookup": _lookup_lost,
    "early": _early_event_overdue,
}

HANDLERS: Mapping[type[Record], Handler] = {rep.FireTimer: _fire}
