"""The `schedule` step: starts a workflow at every firing of its timing.

A schedule is a workflow like any other: it is paused, resumed and cancelled like one, its timers survive restarts, and
its journal says what became of every firing. What it starts are children with an id that is a function of the firing,
so no firing starts two. They belong to the schedule as long as it has to know whether one of them runs.
"""

from collections.abc import Callable, Mapping

from holdfast.schemas import events as e
from holdfast.streams.core import definition as d
from holdfast.streams.core.children import request_child
from holdfast.streams.core.compile import CompiledDefinition
from holdfast.streams.core.schedule import (
    Overlap,
    fire_at_ms,
    firing_id,
    jitter_name,
    missed_firings,
    next_firing,
    oldest_due_ms,
)
from holdfast.streams.core.state import Child, Schedule, StepRun
from holdfast.streams.core.steps.kind import StepKind
from holdfast.streams.core.turn import Turn

CATCH_UP_AT_ONCE = 100
"""Firings that one decision acts on at most; the rest follow at once, in the next one."""


def _enter(turn: Turn, run: StepRun) -> None:
    value = turn.state.input
    after_ms = value.get("after_ms") if isinstance(value, dict) else None
    _count_from(turn, run, after_ms if isinstance(after_ms, int) else turn.now_ms)
    _set_timer(turn, turn.run(run.step))


def _woken(turn: Turn, run: StepRun) -> None:
    step, schedule, name = _step(turn, run), _schedule(run), _name(turn)
    missed = missed_firings(step.timing, schedule.last_ms, turn.now_ms, CATCH_UP_AT_ONCE)
    if missed.lapsed_ms is not None:
        # The first one stands for all of them, however long nobody was there.
        _fired(turn, run, missed.lapsed_ms, "lapsed")
        _count_from(turn, run, oldest_due_ms(step.timing, turn.now_ms) - 1)
    for nominal_ms in missed.due_ms:
        if fire_at_ms(step.timing, name, nominal_ms) <= turn.now_ms:
            _OVERLAPS[step.timing.overlap](turn, turn.run(run.step), nominal_ms)
    _set_timer(turn, turn.run(run.step))


def _child_ended(turn: Turn, run: StepRun) -> None:
    buffered_ms = _schedule(run).buffered_ms
    if buffered_ms and not _running(turn, run):
        _start(turn, run, buffered_ms)
        if _next(turn, turn.run(run.step)) is None:
            _complete(turn, turn.run(run.step))


def _caught_up(turn: Turn, run: StepRun) -> None:
    _child_ended(turn, run)
    if run.step in turn.state.active:
        _set_timer(turn, turn.run(run.step))


def _triggered(turn: Turn, run: StepRun) -> None:
    child_id = f"{firing_id(_name_for_id(turn), turn.now_ms)}.{turn.cause.input_id[:8]}"
    _fired(turn, run, turn.now_ms, "triggered", child_id)
    _request(turn, run, child_id)


def _migrated(turn: Turn, run: StepRun, old: CompiledDefinition) -> None:
    step = old.steps[run.step]
    assert isinstance(step, d.ScheduleStep)
    unmet_ms = next_firing(step.timing, _schedule(run).last_ms)
    # A new timing has no past, unless the old one owes a firing: that is made up for.
    if unmet_ms is None or unmet_ms > turn.now_ms:
        _count_from(turn, run, turn.now_ms)
    if not turn.state.held:
        _set_timer(turn, turn.run(run.step))


def _count_from(turn: Turn, run: StepRun, after_ms: int) -> None:
    turn.emit(e.ScheduleStarted(step=run.step, visit=run.visit, after_at_ms=after_ms))


def _set_timer(turn: Turn, run: StepRun) -> None:
    nominal_ms = _next(turn, run)
    if nominal_ms is None:
        _complete(turn, run)
        return
    timer_id = f"{run.step}.{run.visit}/{nominal_ms}"
    # What is left of many missed firings is for the next decision: none gets too large.
    due_at_ms = max(fire_at_ms(_step(turn, run).timing, _name(turn), nominal_ms), turn.now_ms + 1)
    if timer_id != run.timer_id or due_at_ms < run.wake_at_ms:
        turn.emit(e.TimerScheduled(step=run.step, visit=run.visit, timer_id=timer_id, due_at_ms=due_at_ms))


def _complete(turn: Turn, run: StepRun) -> None:
    # The last firing may be the one that is held back.
    if not _schedule(run).buffered_ms:
        turn.complete(run.step, {"last_ms": _schedule(run).last_ms})


def _start(turn: Turn, run: StepRun, nominal_ms: int) -> None:
    child_id = firing_id(_name_for_id(turn), nominal_ms)
    _fired(turn, run, nominal_ms, "started", child_id)
    _request(turn, turn.run(run.step), child_id)


def _skip(turn: Turn, run: StepRun, nominal_ms: int) -> None:
    if _running(turn, run):
        _fired(turn, run, nominal_ms, "skipped")
    else:
        _start(turn, run, nominal_ms)


def _buffer_one(turn: Turn, run: StepRun, nominal_ms: int) -> None:
    if not _running(turn, run):
        _start(turn, run, nominal_ms)
    else:
        _fired(turn, run, nominal_ms, "skipped" if _schedule(run).buffered_ms else "buffered")


def _cancel_old(turn: Turn, run: StepRun, nominal_ms: int) -> None:
    for child in _running(turn, run):
        turn.emit(e.ChildReleased(step=run.step, visit=run.visit, child_id=child.child_id, reason="overlap"))
    _start(turn, run, nominal_ms)


_OVERLAPS: Mapping[Overlap, Callable[[Turn, StepRun, int], None]] = {
    "skip": _skip,
    "buffer_one": _buffer_one,
    "allow": _start,
    "cancel_old": _cancel_old,
}


def _running(turn: Turn, run: StepRun) -> list[Child]:
    return [child for child in turn.state.children.values() if child.is_of(run) and not child.cancelling]


def _fired(turn: Turn, run: StepRun, nominal_ms: int, outcome: str, child_id: str = "") -> None:
    turn.emit(
        e.ScheduleFired(step=run.step, visit=run.visit, nominal_at_ms=nominal_ms, outcome=outcome, child_id=child_id)
    )


def _request(turn: Turn, run: StepRun, child_id: str) -> None:
    step = _step(turn, run)
    request_child(
        turn,
        run,
        definition_hash=turn.definition.definition.children[step.definition],
        value=turn.render(run.step, "input"),
        awaited=False,
        on_parent_end="leave",
        child_id=child_id,
    )


def _next(turn: Turn, run: StepRun) -> int | None:
    return next_firing(_step(turn, run).timing, _schedule(run).last_ms)


def _name(turn: Turn) -> str:
    return jitter_name(turn.state.tenant, turn.state.definition_name)


def _name_for_id(turn: Turn) -> str:
    return turn.state.definition_name


def _schedule(run: StepRun) -> Schedule:
    assert run.schedule is not None
    return run.schedule


def _step(turn: Turn, run: StepRun) -> d.ScheduleStep:
    step = turn.step(run.step)
    assert isinstance(step, d.ScheduleStep)
    return step


KIND = StepKind(
    enter=_enter,
    woken=_woken,
    child_ended=_child_ended,
    catch_up=_caught_up,
    triggered=_triggered,
    migrated=_migrated,
)
