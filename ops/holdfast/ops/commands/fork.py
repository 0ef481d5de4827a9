"""`holdfast fork`: a new workflow from a point of another one's history."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.ops.commands.acting import (
    Acting,
    ActorOption,
    IdArgument,
    TenantOption,
    acting,
    asking_engine,
    goes_on,
    json_option,
    settled,
    stopped,
)
from holdfast.ops.commands.definitions import find, published_definitions
from holdfast.ops.commands.sql import asking
from holdfast.ops.console import JsonOption, emit, say

if TYPE_CHECKING:
    from holdfast.schemas.record import Json, Message, Record
    from holdfast.schemas.requests import ForkWorkflow


def register(app: typer.Typer) -> None:
    """Add `holdfast fork`."""
    app.command("fork")(fork)


def fork(
    workflow_id: IdArgument,
    at: Annotated[
        int | None, typer.Option("--at", min=1, metavar="SEQ", help="The last event that counts; by default the last.")
    ] = None,
    definition: Annotated[
        str, typer.Option("--definition", metavar="VERSION", help="NAME, NAME@HASH or HASH; by default its own.")
    ] = "",
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=JSON", help="Another value: input.n=2, steps.find.output.n=7, vars.x=1."),
    ] = None,
    redo: Annotated[
        list[str] | None,
        typer.Option("--redo", metavar="STEP|EFFECT_KEY", help="Go on from this step, or make this call again."),
    ] = None,
    id_: Annotated[str, typer.Option("--id", help="Id of the new workflow; by default one is made.")] = "",
    reason: Annotated[str, typer.Option("--reason", help="Why; it is recorded.")] = "",
    tenant: TenantOption = "",
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Start a workflow that has another one's history up to an event, and goes on from there by itself.

    Effects that were done are not done again, unless --redo says so; calls that were under way are a person's matter.
    The other workflow is not touched. docs/versions.md has the details.

    JSON: workflow_id, tenant, definition, definition_hash, forked_from, forked_at, event_id, partition, offset, outcome
    (folded, refused); refused: code, message, cure.

    Example: holdfast fork support-ticket-0c6e4f1d2a3b --at 17 --set 'input.tone="formal"' --redo draft
    """
    who = acting(tenant, actor)
    values = _changes(changes or [])
    journal = _journal(who, workflow_id, at, as_json=as_json)
    name, definition_hash = _version(who, journal, definition)
    request = _request(journal, (name, definition_hash), values, tuple(redo or ()), reason)
    _hint_at_approvals(journal, request)
    asyncio.run(_fork(who, id_, request, as_json=as_json))


def _changes(given: list[str]) -> "dict[str, Json]":
    split = [change.partition("=") for change in given]
    if wrong := [path for path, equals, _ in split if not equals]:
        raise typer.BadParameter(f"--set takes PATH=JSON, not {wrong[0]}")
    return {path: json_option(value, f"--set {path}") for path, _, value in split}


def _journal(who: Acting, workflow_id: str, at: int | None, *, as_json: bool) -> "list[Message[Record]]":
    """The whole history up to the end of the decision that an event belongs to."""
    from holdfast.ops.commands.workflow_views import eventually
    from holdfast.ops.cures import refusal
    from holdfast.ops.history import history, up_to_decision, whole

    with asking() as clickhouse:
        events = eventually(lambda: list(up_to_decision(whole(history(clickhouse, who.tenant, workflow_id)), at)))
    last = events[-1].meta.sequence if events else 0
    if not events or (at or 0) > last:
        code = "sequence_unknown" if events else "workflow_not_found"
        what = f"an event {at} of {workflow_id}, but it has {last}" if events else f"a workflow {workflow_id!r}"
        error = refusal(code, f"Expected {what}.")
        said = {"outcome": "refused", "code": code, "message": f"Expected {what}.", "cure": error.cure}
        raise stopped(error, said, as_json=as_json)
    if at and at < last:
        say(f"event {at} belongs to a decision that ends with {last}: the fork begins after that")
    return events


def _version(who: Acting, journal: "list[Message[Record]]", definition: str) -> tuple[str, str]:
    """Name and hash of the definition to run by."""
    from holdfast.ops.history import fold

    if definition:
        found = find(published_definitions(who), definition)
        return found.name, found.hash
    state = fold(journal)
    assert state is not None, "there is at least one event"
    return state.definition_name, state.definition_hash


def _request(
    journal: "list[Message[Record]]",
    version: tuple[str, str],
    changes: "dict[str, Json]",
    redo: tuple[str, ...],
    reason: str,
) -> "ForkWorkflow":
    from holdfast.schemas.requests import ForkWorkflow
    from holdfast.streams.core.snapshot import snapshot_of, to_json

    last = journal[-1].meta
    return ForkWorkflow(
        definition=version[0],
        definition_hash=version[1],
        source_id=last.workflow_id,
        source_sequence=last.sequence,
        source_hash=last.hash.hex(),
        snapshot=to_json(snapshot_of(journal)),
        changes=changes or None,
        redo=redo,
        reason=reason,
    )


def _hint_at_approvals(journal: "list[Message[Record]]", request: "ForkWorkflow") -> None:
    """Say which approvals were given there and not used: they are about the calls of the other workflow."""
    from holdfast.ops.history import fold

    state = fold(journal)
    approvals = state.approvals.values() if state is not None else ()
    for step in sorted({known.step for known in approvals if known.approved and not known.consumed_by}):
        if step not in request.redo:
            say(f"what was approved in {step} is a call of {request.source_id}: --redo {step} asks again")


async def _fork(who: Acting, workflow_id: str, request: "ForkWorkflow", *, as_json: bool) -> None:
    from holdfast.ops.client import new_workflow_id

    chosen = workflow_id or new_workflow_id(request.definition)
    async with asking_engine(who, chosen) as (client, answers):
        receipt = await client.ask(chosen, request)
        facts: dict[str, Any] = {
            "definition": request.definition,
            "definition_hash": request.definition_hash,
            "forked_from": request.source_id,
            "forked_at": request.source_sequence,
        }
        verdict, said = await settled(who, answers, receipt, as_json=as_json, **facts)
    if as_json:
        emit(said, as_json=True)
        return
    emit(f"{chosen} is forked from {request.source_id} after its event {request.source_sequence}: {goes_on(verdict)}")
    say(f"  next: holdfast show {chosen}")
