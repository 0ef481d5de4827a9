"""`holdfast start`, `signal`, `cancel`: what people ask of a workflow, and hearing what came of it."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.ops.commands import workflow_views
from holdfast.ops.commands.acting import (
    Acting,
    ActorOption,
    IdArgument,
    TenantOption,
    acting,
    asking_engine,
    goes_on,
    json_option,
    seconds,
    settled,
    stopped,
)
from holdfast.ops.console import EXIT_REFUSED, CommandError, JsonOption, emit, say

if TYPE_CHECKING:
    from holdfast.ops.answers import Event
    from holdfast.ops.published import Published
    from holdfast.schemas.record import Json

ERROR_LIMIT = 400


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("start")(start)
    workflow_views.register(app)
    app.command("signal")(signal)
    app.command("cancel")(cancel)


def start(
    definition: Annotated[str, typer.Argument(help="NAME for the newest version, NAME@HASH for another.")],
    input_: Annotated[str, typer.Option("--input", help="JSON, @FILE, or - for standard input.")] = "{}",
    id_: Annotated[str, typer.Option("--id", help="Workflow id; by default a new one is made.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Show what happens until it ends, then its output.")] = False,
    timeout: Annotated[str, typer.Option("--timeout", help="How long --wait waits: 30s, 5m, 2h.")] = "5m",
    tenant: TenantOption = "",
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Start a workflow. With --wait, exit code 1 unless it completes.

    JSON: workflow_id, tenant, definition, definition_hash, event_id, partition, offset, outcome; refused: code,
    message, cure; with --wait: status, output, error_class, error_message.

    Example: holdfast start support-ticket --input '{"ticket_id": "T-1"}' --wait
    """
    value, timeout_s = json_option(input_, "--input"), seconds(timeout)
    try:
        asyncio.run(_start(acting(tenant, actor), definition, value, id_, timeout_s if wait else None, as_json=as_json))
    except KeyboardInterrupt:
        say("stopped watching; what was started goes on: `holdfast list`")
        raise typer.Exit(EXIT_REFUSED) from None


async def _start(
    who: Acting, name: str, value: "Json", workflow_id: str, timeout_s: float | None, *, as_json: bool
) -> None:
    from holdfast.ops.client import new_workflow_id
    from holdfast.ops.commands.definitions import find
    from holdfast.ops.published import read_definitions

    definition = find(await read_definitions(who.bootstrap, who.topic_prefix), name)
    workflow_id = workflow_id or new_workflow_id(definition.name)
    on_event = _progress() if timeout_s is not None else None
    async with asking_engine(who, workflow_id, on_event) as (client, answers):
        receipt = await client.start(definition.name, value, workflow_id=workflow_id, definition_hash=definition.hash)
        facts = {"definition": definition.name, "definition_hash": definition.hash}
        _, said = await settled(who, answers, receipt, as_json=as_json, **facts)
        if timeout_s is None:
            _say_started(said, definition, as_json=as_json)
            return
        try:
            ending = await answers.ending(timeout_s=timeout_s)
        except TimeoutError:
            error = CommandError(
                f"{workflow_id} has not ended within the --timeout; it goes on", cure=f"holdfast show {workflow_id}"
            )
            raise stopped(error, {**said, "status": "running"}, as_json=as_json) from None
    _say_ended(said, ending, as_json=as_json)


def _progress() -> "Callable[[Event], None]":
    from holdfast.ops.event_text import event_line
    from holdfast.ops.screen import line_printer

    put = line_printer(stderr=True)
    return lambda event: put(event_line(event))


def _say_started(said: dict[str, Any], definition: "Published", *, as_json: bool) -> None:
    from holdfast.ops.event_text import short_hash

    if as_json:
        emit(said, as_json=True)
        return
    emit(f"{said['workflow_id']} is started by {definition.name} @ {short_hash(definition.hash)}")
    say(f"  next: holdfast show {said['workflow_id']}")


def _say_ended(said: dict[str, Any], ending: "Event", *, as_json: bool) -> None:
    from holdfast.ops.event_text import ENDINGS, brief

    body, status = ending.body, ENDINGS[type(ending.body)]
    output = getattr(body, "output", None)
    error_class = getattr(body, "error_class", "")
    error_message = getattr(body, "error_message", getattr(body, "reason", ""))
    end = {"status": status, "output": output, "error_class": error_class, "error_message": error_message}
    if status != "completed":
        why = ": ".join(filter(None, [error_class, brief(error_message, ERROR_LIMIT)]))
        error = CommandError(f"{said['workflow_id']} {status}: {why}", cure=f"holdfast show {said['workflow_id']}")
        raise stopped(error, {**said, **end}, as_json=as_json)
    emit({**said, **end} if as_json else output, as_json=True)


def signal(
    workflow_id: IdArgument,
    event_type: Annotated[str, typer.Argument(metavar="TYPE", help="The type that a wait step waits for.")],
    data: Annotated[str, typer.Option("--data", help="JSON, @FILE, or - for standard input.")] = "{}",
    correlation: Annotated[str, typer.Option(help="The value that the wait step waits for.")] = "",
    event_id: Annotated[str, typer.Option(help="Identity of the event: a repeat changes nothing.")] = "",
    tenant: TenantOption = "",
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Hand an event from outside to a workflow.

    JSON: workflow_id, tenant, event_id, partition, offset, outcome (folded, repeated, refused), waited_for; refused:
    code, message, cure.

    Example: holdfast signal ID customer.replied --correlation T-1 --data '{"text": "Yes, please."}'
    """
    value = json_option(data, "--data")
    who = acting(tenant, actor)
    asyncio.run(_signal(who, workflow_id, event_type, value, correlation, event_id, as_json=as_json))


async def _signal(
    who: Acting, workflow_id: str, event_type: str, value: "Json", correlation: str, event_id: str, *, as_json: bool
) -> None:
    from holdfast.ops.answers import Folded
    from holdfast.schemas.events import EventReceived

    async with asking_engine(who, workflow_id) as (client, answers):
        receipt = await client.deliver(
            workflow_id, event_type, value, correlation=correlation, event_id=event_id or None
        )
        verdict, said = await settled(who, answers, receipt, as_json=as_json)
    received = [event.body for event in verdict.events] if isinstance(verdict, Folded) else []
    kept = any(isinstance(body, EventReceived) and not body.wait_id for body in received)
    if as_json:
        emit({**said, "waited_for": bool(received) and not kept}, as_json=True)
        return
    happens = "nobody waits for it yet, it is kept" if kept else goes_on(verdict)
    emit(f"{event_type} is delivered to {workflow_id}: {happens}")


def cancel(
    workflow_id: IdArgument,
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")],
    tenant: TenantOption = "",
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """End a workflow.

    JSON: workflow_id, tenant, event_id, partition, offset, outcome (folded, refused); refused: code, message, cure.

    Example: holdfast cancel support-ticket-0c6e4f1d2a3b --reason "Solved on the phone."
    """
    asyncio.run(_cancel(acting(tenant, actor), workflow_id, reason, as_json=as_json))


async def _cancel(who: Acting, workflow_id: str, reason: str, *, as_json: bool) -> None:
    async with asking_engine(who, workflow_id) as (client, answers):
        receipt = await client.cancel(workflow_id, reason)
        verdict, said = await settled(who, answers, receipt, as_json=as_json)
    emit(said if as_json else f"{workflow_id}: {goes_on(verdict)}", as_json=as_json)
