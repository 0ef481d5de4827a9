"""Putting a schedule in force: started if nobody runs it, moved to the new version if somebody does.

Whatever the tables say may be a moment old, so nothing rests on it: the engine starts an id once, and moves a workflow
whichever version it runs by. Two that apply at once come one after the other.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from holdfast.ops.answers import Folded, Refused, Repeated, Verdict
from holdfast.ops.cures import refusal
from holdfast.ops.errors import CommandError
from holdfast.ops.schedules import Run, run_id
from holdfast.schemas import requests as req
from holdfast.schemas.events import WorkflowCompleted
from holdfast.schemas.record import Record
from holdfast.streams.core.definition import Definition
from holdfast.streams.core.schedule import next_firing
from holdfast.streams.schedule_file import schedule_of

PATIENCE_S = 10.0
POLL_S = 0.1
# Each time somebody else was faster.
TRIES = 10
MOVED = "another version of the schedule was applied"
_ENDED = frozenset({"workflow_finished", "workflow_closing"})


@dataclass(frozen=True, kw_only=True)
class Ports:
    """What is asked on the way: the engine, the definitions' topic, the tables (the latest run of a name)."""

    ask: Callable[[str, Record], Awaitable[Verdict]]
    publish: Callable[[Definition], Awaitable[object]]
    latest: Callable[[str], Awaitable[Run | None]]


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What applying a schedule came to: new, changed, unchanged, started again, or over (no firing is left)."""

    status: str
    workflow_id: str


async def put_in_force(definition: Definition, ports: Ports, now_ms: int) -> Applied:
    """Make a schedule's definition the one by which its workflow runs; `definition` came from a schedule file.

    Raises CommandError if it would never fire, the engine refuses, or others act and the tables do not show what.
    """
    name = definition.name
    run = await ports.latest(name)
    if run is not None and run.status == "completed" and run.definition_hash == definition.hash:
        return Applied(status="over", workflow_id=run.workflow_id)
    step = schedule_of(definition.body())
    if step is None or next_firing(step.timing, now_ms) is None:
        raise _too_late(name)
    await ports.publish(definition)
    for _ in range(TRIES):
        if run is None or run.ended:
            number = 1 if run is None else run.number + 1
            applied, gone_on = await _start(definition, run, number, ports), _reached(number)
        else:
            applied, gone_on = await _move(definition, run, ports), _over(run)
        if applied is not None:
            return applied
        if (run := await _look(name, ports, gone_on)) is None:
            raise CommandError(
                f"somebody else changed {name} just now, and the tables do not show how",
                cure="`holdfast projections status`; to apply it again is harmless",
            )
    raise CommandError(f"others apply and delete {name} all the time", cure="agree with them, then apply it again")


async def _start(definition: Definition, before: Run | None, number: int, ports: Ports) -> Applied | None:
    """None if somebody else has started that run."""
    workflow_id = run_id(definition.name, number)
    value = before.succession() if before is not None else {}
    request = req.StartWorkflow(definition=definition.name, definition_hash=definition.hash, input=value)
    verdict = await ports.ask(workflow_id, request)
    if isinstance(verdict, Refused):
        if verdict.code == "workflow_exists":
            return None
        raise _refused(verdict)
    _check_goes_on(definition.name, verdict)
    await _look(definition.name, ports, _reached(number))  # so that the next command finds it
    return Applied(status="new" if number == 1 else "started again", workflow_id=workflow_id)


async def _move(definition: Definition, run: Run, ports: Ports) -> Applied | None:
    """None if that run has ended meanwhile."""
    request = req.MigrateWorkflow(definition_hash=definition.hash, reason=MOVED)
    verdict = await ports.ask(run.workflow_id, request)
    if isinstance(verdict, Refused):
        if verdict.code in _ENDED:
            return None
        raise _refused(verdict)
    _check_goes_on(definition.name, verdict)
    # To be moved to where it stands is no event.
    return Applied(status="changed" if isinstance(verdict, Folded) else "unchanged", workflow_id=run.workflow_id)


def _check_goes_on(name: str, verdict: Folded | Repeated) -> None:
    # The broker's clock may be ahead of ours, or the request was long on its way.
    if isinstance(verdict, Folded) and isinstance(verdict.events[-1].body, WorkflowCompleted):
        raise _too_late(name)


def _too_late(name: str) -> CommandError:
    return CommandError(f"{name} would never fire: no time of its timing is left", cure="correct `timing`")


def _reached(number: int) -> Callable[[Run], bool]:
    return lambda run: run.number >= number


def _over(old: Run) -> Callable[[Run], bool]:
    return lambda run: run.number > old.number or run.ended


async def _look(name: str, ports: Ports, holds: Callable[[Run], bool]) -> Run | None:
    """The latest run, once something is true of it; None if the tables do not get there in time."""
    give_up_at = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up_at:
        run = await ports.latest(name)
        if run is not None and holds(run):
            return run
        await asyncio.sleep(POLL_S)
    return None


def _refused(verdict: Refused) -> CommandError:
    return refusal(verdict.code, verdict.message)
