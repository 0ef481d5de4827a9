"""`holdfast publish` and `holdfast events`: events for whoever waits, who waits, and what nobody waited for."""

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.ops.commands.acting import (
    Acting,
    ActorOption,
    TenantOption,
    acting,
    json_option,
    seconds,
    stopped,
    tenant_of,
)
from holdfast.ops.commands.sql import asking
from holdfast.ops.console import CommandError, JsonOption, emit

if TYPE_CHECKING:
    from holdfast.ops.event_answers import EventVerdict
    from holdfast.schemas.record import Json

TypeArgument = Annotated[str, typer.Argument(metavar="TYPE", help="The type that a wait step waits for.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("publish")(publish)
    events = typer.Typer(no_args_is_help=True, help="Events for whoever waits: who waits, what is kept, what expired.")
    events.command("waiting")(waiting)
    events.command("expired")(expired)
    app.add_typer(events, name="events")


def publish(
    event_type: TypeArgument,
    correlation: Annotated[str, typer.Option(help="The value that the wait step waits for.")] = "",
    broadcast: Annotated[
        bool, typer.Option("--broadcast", help="For everybody who waits now, not only for who has waited longest.")
    ] = False,
    ttl: Annotated[
        str, typer.Option("--ttl", help="How long it is kept while nobody waits: 30s, 2h, 7d; else a day.")
    ] = "",
    data: Annotated[str, typer.Option("--data", help="JSON, @FILE, or - for standard input.")] = "{}",
    event_id: Annotated[str, typer.Option(help="Identity of the event: a repeat changes nothing.")] = "",
    tenant: TenantOption = "",
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Hand an event from outside to whoever waits for its type and value.

    JSON: event_type, correlation, tenant, event_id, partition, offset, outcome (handed, told, kept, repeated,
    refused), and with them workflow_id, waits, kept_until_ms, repeats; refused: code, message, cure.

    Example: holdfast publish order.paid --correlation o-17 --data '{"cents": 500}'
    """
    value = json_option(data, "--data")
    # Nothing is the default of the engine; no time at all is as short as there is.
    ttl_ms = max(1, round(seconds(ttl) * 1000)) if ttl else 0
    who = acting(tenant, actor)
    asyncio.run(_publish(who, event_type, value, correlation, broadcast, ttl_ms, event_id, as_json=as_json))


async def _publish(
    who: Acting,
    event_type: str,
    value: "Json",
    correlation: str,
    broadcast: bool,
    ttl_ms: int,
    event_id: str,
    *,
    as_json: bool,
) -> None:
    from holdfast.ops.answers import VERDICT_TIMEOUT_S, Refused
    from holdfast.ops.client import Client
    from holdfast.ops.cures import refusal
    from holdfast.ops.event_answers import EventAnswers

    async with (
        Client(who.bootstrap, who.topic_prefix, who.tenant, who.actor) as client,
        EventAnswers(who.bootstrap, who.topic_prefix, who.tenant, event_type, correlation) as answers,
    ):
        receipt = await client.publish_event(
            event_type, value, correlation=correlation, broadcast=broadcast, ttl_ms=ttl_ms, event_id=event_id or None
        )
        said: dict[str, Any] = {"event_type": event_type, "correlation": correlation, "tenant": who.tenant}
        said |= {name: field for name, field in asdict(receipt).items() if name != "workflow_id"}
        try:
            verdict = await answers.verdict(receipt.event_id)
        except TimeoutError:
            error = CommandError(
                f"accepted by Kafka as {receipt.event_id}, but not folded within {VERDICT_TIMEOUT_S:.0f} s: "
                "is the orchestrator running?",
                cure="`holdfast doctor`; the event is kept and will be folded once",
            )
            raise stopped(error, {**said, "outcome": "accepted"}, as_json=as_json) from None
    if isinstance(verdict, Refused):
        error = refusal(verdict.code, verdict.message)
        refused = {"outcome": "refused", "code": verdict.code, "message": verdict.message, "cure": error.cure}
        raise stopped(error, {**said, **refused}, as_json=as_json)
    facts, happens = _told(verdict)
    emit({**said, **facts} if as_json else f"{event_type} is published: {happens}", as_json=as_json)


def _told(verdict: "EventVerdict") -> tuple[dict[str, Any], str]:
    """What became of an event, for JSON and in words."""
    from holdfast.ops.event_answers import Handed, Kept, Known, Told
    from holdfast.ops.event_text import moment

    if isinstance(verdict, Handed):
        return {"outcome": "handed", "workflow_id": verdict.workflow_id}, f"{verdict.workflow_id} is handed it"
    if isinstance(verdict, Kept):
        until = f"nobody waits for it yet, it is kept until {moment(verdict.until_ms)}"
        return {"outcome": "kept", "kept_until_ms": verdict.until_ms}, until
    if isinstance(verdict, Known):
        repeated = "nothing changed: it was published before under the same event id"
        return {"outcome": "repeated", "repeats": verdict.repeats}, repeated
    assert isinstance(verdict, Told)
    return {"outcome": "told", "waits": verdict.waits}, f"{verdict.waits} waits are told of it"


def waiting(
    event_type: Annotated[str, typer.Option("--type", help="Only events of that type.")] = "",
    correlation: Annotated[str, typer.Option(help="Only events of that value.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="At most so many, the oldest first.")] = 100,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """List who waits for published events, and published events that nobody has taken yet.

    JSON, for each: kind (wait or event), event_type, correlation, workflow_id, name (of the wait, or of the event),
    until_ms, status (open, kept, handed), repeats.

    Example: holdfast events waiting --type order.paid
    """
    from holdfast.streams.correlator.reading import read_entries

    who = acting(tenant)
    entries = asyncio.run(read_entries(who.bootstrap, who.topic_prefix))
    found = [row for key, entry in entries.items() if (row := _entry_row(key, entry, who.tenant)) is not None]
    wanted = [
        row for row in found if event_type in ("", row["event_type"]) and correlation in ("", row["correlation"])
    ][:limit]
    if as_json:
        emit(wanted, as_json=True)
        return
    from holdfast.ops.event_text import moment

    shown = [{**row, "until": moment(row["until_ms"]) if row["until_ms"] else ""} for row in wanted]
    emit(shown, table=("kind", "event_type", "correlation", "workflow_id", "name", "status", "until"))


def _entry_row(key: Any, entry: Any, tenant: str) -> dict[str, Any] | None:
    """A line about a subscription or an event; None if it is another tenant's, or over."""
    from holdfast.schemas.ids import split_correlation_key, subscriber
    from holdfast.streams.core.correlator.entries import Fate, Subscription
    from holdfast.streams.core.correlator.fold import SUBSCRIPTION_GRACE_MS

    owner, event_type, correlation = split_correlation_key(key.at.decode())
    about = {"event_type": event_type, "correlation": correlation}
    if owner != tenant:
        return None
    if isinstance(entry, Subscription):
        workflow_id, wait_id, _ = key.name.split("/")
        until_ms = entry.due_at_ms - SUBSCRIPTION_GRACE_MS
        wait = {"workflow_id": workflow_id, "name": wait_id, "status": "open", "until_ms": until_ms, "repeats": 0}
        return {"kind": "wait", **about, **wait}
    if entry.fate is Fate.DONE:
        return None
    handed = {"workflow_id": subscriber(entry.handed_to), "name": key.name, "status": entry.fate.value}
    return {"kind": "event", **about, **handed, "until_ms": entry.due_at_ms, "repeats": entry.repeats}


def expired(
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, the latest first.")] = 100,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """List published events that nobody waited for in time.

    Example: holdfast events expired
    """
    with asking() as client:
        emit(client.named("expired_events", tenant=tenant_of(tenant), limit=limit), as_json=as_json)
