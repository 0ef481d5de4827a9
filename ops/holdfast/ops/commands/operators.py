"""The commands of operators: hold a workflow, send it back, act in a step's stead, settle a call, end it at once."""

import asyncio
from typing import TYPE_CHECKING, Annotated

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
    seconds,
    settled,
)
from holdfast.ops.console import JsonOption, emit

if TYPE_CHECKING:
    from holdfast.schemas.record import Record

ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it is recorded.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (pause, resume, retry, skip, terminate, resolve):
        app.command()(command)


def pause(
    workflow_id: IdArgument,
    reason: ReasonOption,
    tenant: TenantOption = "",
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Hold a workflow: nothing goes on until it is resumed; what happens meanwhile is recorded.

    Limits of steps stand still, the deadline of the workflow does not. JSON: as for cancel.

    Example: holdfast pause support-ticket-0c6e4f1d2a3b --reason "The mail system is being moved."
    """
    from holdfast.schemas.requests import PauseWorkflow

    _ask(acting(tenant, actor), workflow_id, PauseWorkflow(reason=reason), as_json=as_json)


def resume(
    workflow_id: IdArgument,
    reason: ReasonOption,
    extend: Annotated[str, typer.Option(help="How long it may run from now on, such as 2d; else as before.")] = "",
    tenant: TenantOption = "",
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Let a paused or blocked workflow go on with what has happened meanwhile.

    JSON: as for cancel.

    Example: holdfast resume support-ticket-0c6e4f1d2a3b --reason "The mail system is back."
    """
    from holdfast.schemas.requests import ResumeWorkflow

    body = ResumeWorkflow(reason=reason, extend_ms=round(seconds(extend) * 1000) if extend else 0)
    _ask(acting(tenant, actor), workflow_id, body, as_json=as_json)


def retry(
    workflow_id: IdArgument,
    step: Annotated[str, typer.Option("--from", metavar="STEP", help="The step to go on from.")],
    reason: ReasonOption,
    tenant: TenantOption = "",
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Send a workflow back to a step, or have an effect undone once more that could not be undone.

    Refused as long as an effect is open: settle it with `holdfast resolve`. JSON: as for cancel.

    Example: holdfast retry support-ticket-0c6e4f1d2a3b --from draft --reason "The prompt was wrong."
    """
    from holdfast.schemas.requests import RetryStep

    _ask(acting(tenant, actor), workflow_id, RetryStep(step=step, reason=reason), as_json=as_json)


def skip(
    workflow_id: IdArgument,
    step: Annotated[str, typer.Argument(metavar="STEP", help="The step that is under way.")],
    reason: ReasonOption,
    output: Annotated[str, typer.Option(help="Its output from here on: JSON, @FILE, or - for standard input.")] = "{}",
    tenant: TenantOption = "",
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """End a step in its stead, or say that an effect was undone by hand.

    JSON: as for cancel.

    Example: holdfast skip support-ticket-0c6e4f1d2a3b notify --reason "Told her on the phone."
    """
    from holdfast.schemas.requests import SkipStep

    body = SkipStep(step=step, output=json_option(output, "--output"), reason=reason)
    _ask(acting(tenant, actor), workflow_id, body, as_json=as_json)


def terminate(
    workflow_id: IdArgument,
    reason: ReasonOption,
    tenant: TenantOption = "",
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """End a workflow at once: nothing is awaited and nothing undone. `holdfast cancel` does both.

    JSON: as for cancel.

    Example: holdfast terminate support-ticket-0c6e4f1d2a3b --reason "A test that went astray."
    """
    from holdfast.schemas.requests import TerminateWorkflow

    _ask(acting(tenant, actor), workflow_id, TerminateWorkflow(reason=reason), as_json=as_json)


def resolve(
    workflow_id: IdArgument,
    effect_key: Annotated[str, typer.Argument(metavar="EFFECT_KEY", help="The call; `holdfast show ID` names it.")],
    outcome: Annotated[str, typer.Option(metavar="OUTCOME", help="done, not_done, or retry: make it again.")],
    reason: Annotated[str, typer.Option("--reason", help="Where you saw it; it is recorded as the evidence.")],
    result: Annotated[str, typer.Option(help="Its result if done: JSON, @FILE, or - for standard input.")] = "null",
    tenant: TenantOption = "",
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Say whether a call took effect of which nobody knows.

    JSON: as for cancel.

    Example: holdfast resolve w-1 acme/w-1/pay.1/0/0 --outcome done --reason "It stands in the bank's statement."
    """
    from holdfast.schemas.requests import ResolveCall

    body = ResolveCall(effect_key=effect_key, outcome=outcome, result=json_option(result, "--result"), reason=reason)
    _ask(acting(tenant, actor), workflow_id, body, as_json=as_json)


def _ask(who: Acting, workflow_id: str, body: "Record", *, as_json: bool) -> None:
    asyncio.run(_ask_engine(who, workflow_id, body, as_json=as_json))


async def _ask_engine(who: Acting, workflow_id: str, body: "Record", *, as_json: bool) -> None:
    async with asking_engine(who, workflow_id) as (client, answers):
        receipt = await client.ask(workflow_id, body)
        verdict, said = await settled(who, answers, receipt, as_json=as_json)
    emit(said if as_json else f"{workflow_id}: {goes_on(verdict)}", as_json=as_json)
