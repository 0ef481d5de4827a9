"""`holdfast queues`: what waits for executors and why, and the limits of operators."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.ops.commands.acting import Acting, ActorOption, acting
from holdfast.ops.console import JsonOption, emit, say

if TYPE_CHECKING:
    from holdfast.ops.queues import Queues
    from holdfast.schemas.controls import LimitRemoved, LimitSet
    from holdfast.streams.core.queues.scope import Scope

ScopeArgument = Annotated[
    str,
    typer.Argument(
        metavar="SCOPE",
        help="Tasks that are counted together: model, tool, model:NAME, tool:NAME, tenant:NAME, definition:NAME, or "
        "several joined by commas; * for NAME is each one by itself.",
    ),
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it is recorded.")]


def register(app: typer.Typer) -> None:
    """Add `holdfast queues`."""
    group = typer.Typer(invoke_without_command=True, callback=show)
    group.command("set")(set_)
    group.command("unset")(unset)
    app.add_typer(group, name="queues")


def show(context: typer.Context, as_json: JsonOption = False) -> None:
    """What waits and runs by tenant and class, what limits hold back, and the limits that operators have set.

    It is what executors have last said: they do every 2 s while something waits or runs, else every 10 s. JSON:
    queues (tenant, task_class, depth, oldest_age_ms, in_flight, throttled, why), executors (executor_id, task_class,
    slots, running, unread, reported_age_ms), limits (scope, max_in_flight, requests, units, weight, paused, reason,
    set_by, set_at_ms).

    Example: holdfast queues
    """
    if context.invoked_subcommand is not None:
        return
    from holdfast.ops.queues import read_queues

    who = acting("")
    found = asyncio.run(read_queues(who.bootstrap, who.topic_prefix))
    if as_json:
        emit({"queues": found.queues, "executors": found.executors, "limits": found.limits}, as_json=True)
    else:
        _show(found)


def _show(found: "Queues") -> None:
    from holdfast.ops.event_text import moment
    from holdfast.ops.queues import in_words

    rows = [
        {**queue, "oldest": f"{queue['oldest_age_ms'] / 1000:.0f} s" if queue["depth"] else ""}
        for queue in found.queues
    ]
    columns = ("tenant", "task_class", "depth", "oldest", "in_flight", "throttled", "why")
    emit(rows or "no call waits or runs", table=columns)
    if found.limits:
        limits = [
            {
                "scope": limit["scope"],
                "limit": in_words(limit),
                "set": f"{moment(limit['set_at_ms'])} by {limit['set_by']}",
                "reason": limit["reason"],
            }
            for limit in found.limits
        ]
        emit(limits, table=("scope", "limit", "set", "reason"))
    if not found.executors:
        say("no executor has said anything for 30 s: nothing begins, and what waits is not known here")
    unread = sum(executor["unread"] for executor in found.executors)
    if unread:
        say(f"{unread} more tasks were not read yet: executors read ahead up to a limit")


def set_(
    scope: ScopeArgument,
    reason: ReasonOption,
    max_in_flight: Annotated[int, typer.Option(min=0, max=1_000_000, help="Calls at the same time.")] = 0,
    requests: Annotated[str, typer.Option(help="Calls per interval: 10/s, 1000/min, 5/h.")] = "",
    units: Annotated[str, typer.Option(help="Units per interval: tokens of model calls; a tool call is 1.")] = "",
    weight: Annotated[int, typer.Option(min=1, max=1_000, help="Share of slots next to others that have 1.")] = 1,
    paused: Annotated[bool, typer.Option("--paused", help="Nothing begins; what runs goes on.")] = False,
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Limit what the tasks of a scope may do together, in place of the limit that it had.

    It holds for all executors within a moment, and counts what runs by then. JSON: scope, max_in_flight, requests,
    units, weight, paused, reason, event_id, partition, offset.

    Example: holdfast queues set tool:send_email --max-in-flight 2 --requests 10/s --reason "The provider asks for it."
    """
    from holdfast.ops.cures import refusal
    from holdfast.schemas.controls import LimitSet
    from holdfast.streams.core.queues.limit import Rate

    exact = _scope(scope)
    for text in (requests, units):
        if text:
            try:
                Rate.parse(text)
            except ValueError as exc:
                raise refusal("rate_unknown", str(exc)) from exc
    if not (max_in_flight or requests or units or paused or weight != 1):
        raise refusal("limit_empty", f"nothing would limit {exact}")
    body = LimitSet(
        scope=str(exact),
        max_in_flight=max_in_flight,
        requests=requests,
        units=units,
        weight=weight,
        paused=paused,
        reason=reason,
    )
    _send(acting("", actor), body, f"{exact} is limited", as_json=as_json)


def unset(scope: ScopeArgument, reason: ReasonOption, actor: ActorOption = "", as_json: JsonOption = False) -> None:
    """Take the limit of a scope away.

    JSON: scope, reason, event_id, partition, offset.

    Example: holdfast queues unset tool:send_email --reason "The provider has more room now."
    """
    from holdfast.ops.cures import refusal
    from holdfast.ops.queues import read_queues
    from holdfast.schemas.controls import LimitRemoved

    exact, who = str(_scope(scope)), acting("", actor)
    known = [limit["scope"] for limit in asyncio.run(read_queues(who.bootstrap, who.topic_prefix)).limits]
    if exact not in known:
        others = ", ".join(known) or "no scope has one"
        raise refusal("limit_unknown", f"{exact} has no limit ({others})")
    _send(who, LimitRemoved(scope=exact, reason=reason), f"{exact} is limited no more", as_json=as_json)


def _scope(text: str) -> "Scope":
    from holdfast.ops.cures import refusal
    from holdfast.streams.core.queues.scope import Scope, ScopeError

    try:
        return Scope.parse(text)
    except ScopeError as exc:
        raise refusal("scope_unknown", str(exc)) from exc


def _send(who: Acting, body: "LimitSet | LimitRemoved", said: str, *, as_json: bool) -> None:
    receipt = asyncio.run(_controlled(who, body))
    facts = {name: getattr(body, name) for name in body.__dataclass_fields__}
    emit({**facts, **receipt} if as_json else f"{said}: executors follow within a moment", as_json=as_json)


async def _controlled(who: Acting, body: "LimitSet | LimitRemoved") -> dict[str, Any]:
    from holdfast.ops.client import Client

    async with Client(who.bootstrap, who.topic_prefix, who.tenant, who.actor) as client:
        receipt = await client.control(body)
    return {"event_id": receipt.event_id, "partition": receipt.partition, "offset": receipt.offset}
