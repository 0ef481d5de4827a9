"""Which visits a fork takes over, which it begins anew, and why it may not be.

What has ended stays ended, with its outputs. A visit that was under way begins anew, unless it has done something:
then it goes on from there. Nothing that may have had an effect is done again, unless that was asked for.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from holdfast.streams.core import definition as d
from holdfast.streams.core.closing import is_awaited
from holdfast.streams.core.compile import CompiledDefinition
from holdfast.streams.core.rejections import Rejection, reject
from holdfast.streams.core.scopes import TOP, split_scope
from holdfast.streams.core.snapshot import KeptCall, KeptRun, Snapshot
from holdfast.streams.core.state import Call, CallKind, CallStatus


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What becomes of a snapshot. `kept` are the visits to go on with, outer ones first.

    `entries` are steps to enter anew, with their scopes; `again` the effect keys of calls to make again.
    """

    kept: tuple[KeptRun, ...]
    entries: tuple[tuple[str, str], ...]
    again: frozenset[str]


def plan(snapshot: Snapshot, redo: Iterable[str], definition: CompiledDefinition) -> Plan | Rejection:
    """How a fork goes on by a definition; `redo` names steps and effect keys of which the effects are done again."""
    runs = {} if snapshot.ending else {run.step: run for run in snapshot.active}
    keys = {call.effect_key for run in runs.values() for call in run.calls}
    again = frozenset(what for what in redo if what in keys)
    entries: dict[str, str] = {}
    for what in dict.fromkeys(redo):
        if what in again:
            continue
        step = _step_of(what, definition)
        if step is None:
            return reject("redo_unknown", what=what)
        scope = runs[step].scope if step in runs else _scope_of(step, runs, snapshot, definition)
        if scope is None:
            return reject("cannot_fork", obstacles=f"the branch of {step!r} did not run then")
        if scope in entries:
            return reject("cannot_fork", obstacles=f"{step!r} and {entries[scope]!r} cannot both be gone on from")
        entries[scope] = step
    for scope in entries:
        runs = {name: run for name, run in runs.items() if not _is_within(run.scope, scope, runs)}
    if lost := [step for scope, step in entries.items() if scope != TOP and split_scope(scope)[0] not in runs]:
        return reject("cannot_fork", obstacles=f"{lost[0]!r} lies within another one that is gone on from")
    kept = tuple(runs.values())
    found = [
        *_nothing_left(snapshot, kept, entries),
        *_obstacles(snapshot, kept, again, definition),
        *_without_approval(kept, entries.values(), again, definition),
    ]
    if found:
        return reject("cannot_fork", obstacles="; ".join(found))
    return Plan(kept=kept, entries=tuple((step, scope) for scope, step in entries.items()), again=again)


def unsure(call: KeptCall, again: frozenset[str]) -> bool:
    """True for a call of which the fork does not know whether it took effect: no key of its own could tell."""
    asked = Call(
        kind=call.kind,
        effect_key=call.effect_key,
        turn=call.turn,
        index=call.index,
        attempt=1,
        status=call.status,
        deadline_at_ms=0,
        effect=call.effect,
        unsure=call.unsure,
    )
    return call.begun and call.effect_key not in again and is_awaited(asked)


def _step_of(what: str, definition: CompiledDefinition) -> str | None:
    """The step that is meant: by its name, or by the key of a call that it made."""
    if what in definition.steps:
        return what
    _, _, place = what.partition("/")
    step = place.partition("/")[2].partition("/")[0].rpartition(".")[0]
    return step if step in definition.steps else None


def _scope_of(step: str, runs: Mapping[str, KeptRun], snapshot: Snapshot, definition: CompiledDefinition) -> str | None:
    """The scope in which a step that was not under way may be entered; None if that is not open."""
    opened_by, branch = _home(step, snapshot, definition)
    if not opened_by:
        return TOP if branch is not None else None
    run = runs.get(opened_by)
    running = [kept.name for kept in run.branches if not kept.outcome] if run is not None else []
    return f"{opened_by}.{run.visit}/{branch}" if run is not None and branch in running else None


def _home(step: str, snapshot: Snapshot, definition: CompiledDefinition) -> tuple[str, str | None]:
    begins_at = snapshot.start_step
    return ("", None) if begins_at and begins_at not in definition.steps else definition.home(step, begins_at)


def _is_within(inner: str, outer: str, runs: Mapping[str, KeptRun]) -> bool:
    """True if a scope is another one, or lies in it."""
    while inner != outer:
        if inner == TOP:
            return False
        inner = runs[step].scope if (step := split_scope(inner)[0]) in runs else TOP
    return True


def _nothing_left(snapshot: Snapshot, kept: tuple[KeptRun, ...], entries: Mapping[str, str]) -> Iterator[str]:
    if not kept and not entries:
        yield (
            "the workflow had ended there, or was about to; say which step to go on from (redo)"
            if snapshot.ending
            else "nothing was under way there"
        )


def _obstacles(
    snapshot: Snapshot, kept: tuple[KeptRun, ...], again: frozenset[str], definition: CompiledDefinition
) -> Iterator[str]:
    if snapshot.start_step and snapshot.start_step not in definition.steps:
        yield f"it began at step {snapshot.start_step!r}, which the definition does not have"
        return
    for run in kept:
        step = definition.steps.get(run.step)
        if step is None or step.kind != run.kind:
            yield f"step {run.step!r} was under way as {run.kind}, and the definition does not have it as such"
            continue
        if isinstance(step, d.ScheduleStep):
            yield "it is a schedule: apply another one instead"
        place = ("", "") if run.scope == TOP else (split_scope(run.scope)[0], split_scope(run.scope)[2])
        if _home(run.step, snapshot, definition) != place:
            yield f"step {run.step!r} was under way, and the definition has it in another place"
        if isinstance(step, d.ParallelStep):
            gone = sorted({branch.name for branch in run.branches if not branch.outcome} - set(step.branches))
            yield from (f"branch {name!r} of {run.step!r} ran, and the definition does not have it" for name in gone)
        if any(child.begun for child in run.children):
            yield f"workflows of {run.step!r} were under way: begin the step anew (redo {run.step}), or fork elsewhere"
        for call in run.calls:
            tool = definition.definition.tools.get(call.tool)
            goes_on = call.status is not CallStatus.DONE and (run.kind == "agent" or unsure(call, again))
            if call.kind is CallKind.TOOL and goes_on and (tool is None or tool.effect != call.effect):
                yield f"{call.tool} was called as {call.effect}, and the definition does not know it as such"


def _without_approval(
    kept: tuple[KeptRun, ...], entries: Iterable[str], again: frozenset[str], definition: CompiledDefinition
) -> Iterator[str]:
    """An approval is about one exact call of one workflow: it is not the fork's."""
    to_call = [run.step for run in kept if not any(is_done(call, again) for call in run.calls)]
    for name in (*to_call, *entries):
        step = definition.steps.get(name)
        if isinstance(step, d.ToolStep) and step.approved_by is not None:
            yield f"step {name!r} needs an approval of its own: go on from {step.approved_by!r} (redo)"


def is_done(call: KeptCall, again: frozenset[str]) -> bool:
    """True for a call that has had its effect and is not to be made again."""
    return call.status is CallStatus.DONE and not call.error_class and call.effect_key not in again
