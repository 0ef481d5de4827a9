"""`holdfast schedules`: what starts workflows at their times."""

import asyncio
import time
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.ops.commands.acting import (
    Acting,
    ActorOption,
    TenantOption,
    acting,
    asking_engine,
    settled,
)
from holdfast.ops.commands.operators import ReasonOption
from holdfast.ops.commands.schedules_apply import apply
from holdfast.ops.commands.sql import asking
from holdfast.ops.commands.workflow_views import eventually
from holdfast.ops.console import CommandError, JsonOption, emit

if TYPE_CHECKING:
    from holdfast.ops.answers import Folded, Repeated
    from holdfast.ops.published import Published
    from holdfast.ops.schedules import Run
    from holdfast.schemas.record import Record
    from holdfast.streams.core.definition import ScheduleStep

UPCOMING = 5
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The schedule's name.")]


def register(app: typer.Typer) -> None:
    """Add `holdfast schedules`."""
    group = typer.Typer(no_args_is_help=True, help="What starts workflows at their times.")
    group.command("apply")(apply)
    group.command("list")(list_)
    for command in (show, pause, resume, trigger, delete):
        group.command()(command)
    app.add_typer(group, name="schedules")


def list_(
    all_: Annotated[bool, typer.Option("--all", help="Also those that were deleted, failed, or are over.")] = False,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """The schedules, and when each fires next.

    JSON, one per schedule: name, tenant, status (active, paused, blocked, over, deleted, failed), workflow_id,
    definition_hash, fires (the timing in words), starts, last_nominal_at_ms, last_outcome, next_at_ms.

    Example: holdfast schedules list
    """
    from holdfast.ops.schedules import run_of

    who = acting(tenant)
    with asking() as clickhouse:
        runs = [run_of(row) for row in clickhouse.named("schedules", tenant=who.tenant)]
    steps = _steps(_published(who))
    now_ms = _now_ms()
    rows = [_listed(run, steps.get(run.definition_hash), now_ms) for run in runs if all_ or not run.ended]
    if as_json:
        emit(rows, as_json=True)
        return
    from holdfast.ops.event_text import distance

    for row in rows:
        last, coming = row["last_nominal_at_ms"], row["next_at_ms"]
        row["last"] = f"{row['last_outcome']} {distance(last, now_ms)}" if last else ""
        row["next"] = distance(coming, now_ms) if coming and row["status"] == "active" else ""
    emit(rows, table=("name", "status", "fires", "starts", "last", "next"))


def _listed(run: "Run", step: "ScheduleStep | None", now_ms: int) -> dict[str, Any]:
    from holdfast.ops.schedule_text import timing_words
    from holdfast.ops.schedules import upcoming

    coming = next(upcoming(run, step.timing, now_ms), None) if step is not None else None
    return {
        "name": run.name,
        "tenant": run.tenant,
        "status": run.standing,
        "workflow_id": run.workflow_id,
        "definition_hash": run.definition_hash,
        "fires": timing_words(step.timing) if step is not None else "",
        "starts": step.definition if step is not None else "",
        "last_nominal_at_ms": run.last_nominal_at_ms,
        "last_outcome": run.last_outcome,
        "next_at_ms": coming.fires_at_ms if coming is not None else None,
    }


def show(
    name: NameArgument,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="At most so many of the last firings.")] = 10,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """One schedule: what it starts and when, what became of its last firings, and the next ones.

    JSON: name, tenant, status, workflow_id, number, definition_hash, starts, starts_hash, purpose, timing, input,
    started_at_ms, ended_at_ms, reason and acted_by (of whoever paused or ended it last), acted_to_ms, started,
    firings (nominal_at_ms, outcome, acted_at_ms, schedule_id, workflow_id, status, error), next (nominal_at_ms,
    fires_at_ms, utc, local, zone).

    Example: holdfast schedules show nightly
    """
    from dataclasses import asdict

    from holdfast.ops.event_text import short_hash
    from holdfast.ops.schedules import firing_of, upcoming

    who = acting(tenant)
    run = _run(who, name)
    with asking() as clickhouse:
        rows = clickhouse.named("schedule_firings", tenant=who.tenant, schedule=name, limit=limit)
    fired = [firing_of(row) for row in rows]
    published = _published(who)
    step = _steps(published).get(run.definition_hash)
    body: Any = next((other.body for other in published if other.hash == run.definition_hash), {})
    now_ms = _now_ms()
    ahead = list(islice(upcoming(run, step.timing, now_ms), UPCOMING)) if step is not None else []
    starts_hash = body.get("children", {}).get(step.definition, "") if step is not None else ""
    if as_json:
        told = {
            **asdict(run),
            "status": run.standing,
            "starts": step.definition if step is not None else "",
            "starts_hash": starts_hash,
            "purpose": body.get("purpose", ""),
            "timing": step.timing.model_dump(mode="json", by_alias=True) if step is not None else None,
            "input": step.input if step is not None else None,
            "firings": [asdict(firing) for firing in fired],
            "next": [asdict(coming) for coming in ahead],
        }
        emit(told, as_json=True)
        return
    from holdfast.ops.schedule_text import render
    from holdfast.ops.screen import show as show_text

    facts = {"starts": f"{step.definition} @ {short_hash(starts_hash)}"} if step is not None else {}
    facts |= {"purpose": body["purpose"]} if body.get("purpose") else {}
    show_text(render(run, step, facts, fired, ahead, now_ms))


def pause(
    name: NameArgument,
    reason: ReasonOption,
    tenant: TenantOption = "",
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Let a schedule fire no more until it is resumed; what it started goes on.

    JSON: name, workflow_id, tenant, event_id, partition, offset, outcome (folded, refused); refused: code, message,
    cure.

    Example: holdfast schedules pause nightly --reason "The database is being moved."
    """
    from holdfast.schemas.requests import PauseWorkflow

    _ask(acting(tenant, actor), name, PauseWorkflow(reason=reason), as_json=as_json)


def resume(
    name: NameArgument,
    reason: ReasonOption,
    tenant: TenantOption = "",
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Let a paused schedule fire again; what it missed is made up for, as far as its catch-up window goes.

    JSON: as for pause.

    Example: holdfast schedules resume nightly --reason "The database is back."
    """
    from holdfast.schemas.requests import ResumeWorkflow

    _ask(acting(tenant, actor), name, ResumeWorkflow(reason=reason, extend_ms=0), as_json=as_json)


def trigger(
    name: NameArgument,
    reason: ReasonOption,
    tenant: TenantOption = "",
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Start now what a schedule starts, whatever runs; its timing goes on as before.

    JSON: as for pause; and started (the id of the workflow).

    Example: holdfast schedules trigger nightly --reason "The figures came late."
    """
    from holdfast.schemas.requests import TriggerSchedule

    _ask(acting(tenant, actor), name, TriggerSchedule(reason=reason), as_json=as_json)


def delete(
    name: NameArgument,
    reason: ReasonOption,
    tenant: TenantOption = "",
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """End a schedule; what it started goes on. To apply it again starts it anew, from then on.

    JSON: as for pause.

    Example: holdfast schedules delete nightly --reason "Nobody reads it."
    """
    from holdfast.schemas.requests import CancelWorkflow

    _ask(acting(tenant, actor), name, CancelWorkflow(reason=reason), as_json=as_json)


def _ask(who: Acting, name: str, body: "Record", *, as_json: bool) -> None:
    run = _run(who, name)
    if run.ended:
        raise CommandError(f"the schedule {name} does not run: it is {run.standing}", cure="holdfast schedules apply")
    asyncio.run(_ask_engine(who, run, body, as_json=as_json))


async def _ask_engine(who: Acting, run: "Run", body: "Record", *, as_json: bool) -> None:
    async with asking_engine(who, run.workflow_id) as (client, answers):
        receipt = await client.ask(run.workflow_id, body)
        verdict, said = await settled(who, answers, receipt, as_json=as_json, name=run.name)
    started = _started(verdict)
    if as_json:
        emit({**said, "started": started} if started else said, as_json=True)
        return
    emit(f"{run.name}: {_goes_on(verdict, run.name, started)}")


def _started(verdict: "Folded | Repeated") -> str:
    from holdfast.ops.answers import Folded
    from holdfast.schemas.events import ScheduleFired

    events = verdict.events if isinstance(verdict, Folded) else ()
    return next((e.body.child_id for e in events if isinstance(e.body, ScheduleFired) and e.body.child_id), "")


def _goes_on(verdict: "Folded | Repeated", name: str, started: str) -> str:
    from holdfast.ops.answers import Folded
    from holdfast.schemas import events as e

    sentences = {
        e.WorkflowPaused: f"it does not fire until `holdfast schedules resume {name}`",
        e.WorkflowResumed: "it fires again",
        e.ScheduleFired: f"{started} is started",
        e.WorkflowCancelled: "it is deleted; what it started goes on",
    }
    events = verdict.events if isinstance(verdict, Folded) else ()
    said = (sentences[type(event.body)] for event in events if type(event.body) in sentences)
    return next(said, "nothing changed: the same request was folded before")


def _run(who: Acting, name: str) -> "Run":
    """The latest run of a schedule. Raises CommandError if there never was one."""
    from holdfast.ops.schedules import run_of

    with asking() as clickhouse:
        rows = eventually(lambda: clickhouse.named("schedules", tenant=who.tenant, schedule=name))
    if not rows:
        raise CommandError(
            f"no schedule {name!r} of tenant {who.tenant!r} is known to the tables",
            cure="`holdfast schedules list`; `holdfast projections status`, if it was applied a moment ago",
        )
    return run_of(rows[0])


def _published(who: Acting) -> "tuple[Published, ...]":
    from holdfast.ops.published import read_definitions

    return asyncio.run(read_definitions(who.bootstrap, who.topic_prefix))


def _steps(published: "tuple[Published, ...]") -> "dict[str, ScheduleStep]":
    """The steps of definitions that are schedules, by hash."""
    from holdfast.streams.schedule_file import schedule_of

    found = {other.hash: schedule_of(other.body) for other in published}
    return {hash_: step for hash_, step in found.items() if step is not None}


def _now_ms() -> int:
    return int(time.time() * 1000)
