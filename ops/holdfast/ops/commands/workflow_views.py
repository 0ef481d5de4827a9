"""`holdfast list`, `show`, `state`, `watch`: reading workflows. The tables answer; only `watch` reads Kafka."""

import asyncio
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from holdfast.ops.commands.acting import Acting, IdArgument, TenantOption, acting, seconds, tenant_of
from holdfast.ops.commands.sql import asking
from holdfast.ops.console import CommandError, JsonOption, emit, say

if TYPE_CHECKING:
    from holdfast.ops.timeline_model import Timeline
    from holdfast.schemas.record import Message, Record

PATIENCE_S = 2.0
POLL_S = 0.1
LIST_LIMIT = 1_000
# A map over as many items as there may be has two events for each.
SHOW_LIMIT_EVENTS = 250_000
FoundT = TypeVar("FoundT")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("list")(list_)
    app.command("show")(show)
    app.command("state")(state)
    app.command("watch")(watch)


def eventually(read: Callable[[], FoundT]) -> FoundT:
    """What `read` finds, tried again for a moment while it finds nothing: tables are a little behind the journal."""
    give_up_at = time.monotonic() + PATIENCE_S
    while not (found := read()) and time.monotonic() < give_up_at:
        time.sleep(POLL_S)
    return found


def list_(
    status: Annotated[str, typer.Option(help="Only workflows that are running, waiting, blocked, failed, ...")] = "",
    definition: Annotated[str, typer.Option(help="Only workflows of this definition.")] = "",
    since: Annotated[str, typer.Option(help="Only what changed since then: 30m, 2d, or a time like 2026-05-01.")] = "",
    parent: Annotated[str, typer.Option(metavar="ID", help="Only what this workflow started.")] = "",
    children: Annotated[bool, typer.Option("--children", help="What other workflows started as well.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=LIST_LIMIT, help="At most so many.")] = 50,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Workflows that people and systems started, the latest change first.

    JSON, one per workflow: workflow_id, tenant, definition, status, step (the last one), steps (those under way),
    last_event, last_error, started_at_ms, updated_at_ms, deadline_at_ms, last_sequence, parent_id, parent_step,
    item_index, depth, forked_from, forked_at (the last event of that one that it has).

    Example: holdfast list --status waiting --since 1d
    """
    from holdfast.streams.core.state import Status

    statuses = [known.value for known in Status]
    if status and status not in statuses:
        raise typer.BadParameter(f"no such status: {status} (there are: {', '.join(statuses)})")
    asked = {
        "tenant": tenant_of(tenant),
        "status": status,
        "definition": definition,
        "since": _since(since) if since else "1970-01-01 00:00:00",
        "parent": parent,
        "limit": limit,
    }
    with asking() as clickhouse:
        rows = [_listed(row) for row in clickhouse.named("workflows", which="all" if children else "top", **asked)]
        # Who looks for what is blocked or failed has to hear of it, wherever it is.
        hidden = [] if children or parent or not status else clickhouse.named("workflows", which="children", **asked)
    if as_json:
        emit(rows, as_json=True)
    else:
        _print_list(rows, with_parent=children)
    if len(rows) == limit:
        say(f"the first {limit}; there may be more (--limit)")
    if hidden:
        count = f"{len(hidden)}{'' if len(hidden) < limit else ' or more'}"
        say(f"started by other workflows and {status} as well: {count} (--children)")


def _listed(row: dict[str, Any]) -> dict[str, Any]:
    from holdfast.ops.history import ms_of

    return {
        "workflow_id": row["workflow_id"],
        "tenant": row["tenant"],
        "definition": row["definition_name"],
        "status": row["status"],
        "step": row["step"],
        "steps": row["steps"],
        "last_event": row["last_type"],
        "last_error": row["last_error"],
        "started_at_ms": ms_of(row["started_at"]),
        "updated_at_ms": ms_of(row["updated_at"]),
        "deadline_at_ms": ms_of(row["deadline_at"]),
        "last_sequence": row["last_sequence"],
        "parent_id": row["parent_id"],
        "parent_step": row["parent_step"],
        "item_index": row["item_index"],
        "depth": row["depth"],
        "forked_from": row["forked_from"],
        "forked_at": row["forked_at"],
    }


def _print_list(rows: list[dict[str, Any]], *, with_parent: bool) -> None:
    from holdfast.ops.event_text import distance, moment

    now_ms = int(time.time() * 1000)
    shown = [
        {
            "workflow": row["workflow_id"],
            "definition": row["definition"],
            "status": row["status"],
            "step": row["steps"] or row["step"],
            "changed": distance(row["updated_at_ms"], now_ms),
            "started": moment(row["started_at_ms"]),
            "last_error": "" if row["status"] == "completed" else row["last_error"],
            "parent": row["parent_id"],
            "forked from": f"{row['forked_from']} after {row['forked_at']}" if row["forked_from"] else "",
        }
        for row in rows
    ]
    left_out = {"parent"} if not with_parent else set()
    left_out |= {"forked from"} if not any(row["forked_from"] for row in rows) else set()
    emit(shown, table=[column for column in (shown[0] if shown else ()) if column not in left_out])


def show(
    workflow_id: IdArgument,
    events: Annotated[bool, typer.Option("--events", help="The plain list of events instead.")] = False,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """What happened in a workflow, step by step, and what it waits for now.

    JSON: tenant, workflow_id, definition_name, definition_hash, status, started_by, started_at_ms, parent_id,
    parent_step, parent_index, depth, start_step, forked_from, forked_at, done_before (steps that a fork has the outputs
    of), deadline_at_ms, updated_at_ms, ended_at_ms, last_sequence, input, output, error_class, error_message,
    model_calls, scripted_model_calls, tool_calls, input_tokens, output_tokens, cost_microusd, story (of type step with
    items of type call, wait, sleep, approval, branch, child, items, firings; or of type notice), waits_for (kind, step,
    what, until_ms, command).
    With --events, one per event: sequence, recorded_at_ms, type, actor_kind, actor_id, cause_id, body.

    Example: holdfast show support-ticket-0c6e4f1d2a3b
    """
    from dataclasses import asdict

    from holdfast.ops.matters import matters
    from holdfast.ops.timeline import tell

    chosen = tenant_of(tenant)
    messages = messages_of(chosen, workflow_id)
    if events:
        _show_events(messages, as_json=as_json)
        return
    timeline = tell(messages)
    assert timeline is not None, "there is at least one event"
    if not all(child.heard_of for child in timeline.children):
        _let_children_stand(timeline, chosen)
    if as_json:
        emit({**asdict(timeline), "waits_for": [asdict(matter) for matter in matters(timeline)]}, as_json=True)
        return
    from holdfast.ops.screen import show as show_text
    from holdfast.ops.timeline_text import render

    show_text(render(timeline, int(time.time() * 1000)))


def _let_children_stand(timeline: "Timeline", tenant: str) -> None:
    """Say where the workflows stand of which this one has not heard yet: only the tables know."""
    from holdfast.ops.timeline_side_by_side import stand

    with asking() as clickhouse:
        rows = clickhouse.named(
            "children", tenant=tenant, workflow=timeline.workflow_id, levels=1, limit=SHOW_LIMIT_EVENTS
        )
    known = {row["workflow_id"]: (row["status"], row["at_step"]) for row in rows if row["status"] != "requested"}
    stand(timeline, known)


def messages_of(tenant: str, workflow_id: str) -> "list[Message[Record]]":
    """The events of a workflow, at least one. Raises CommandError if there are none, or too many to show."""
    from itertools import islice

    from holdfast.ops.history import history

    with asking() as clickhouse:
        found = eventually(lambda: list(islice(history(clickhouse, tenant, workflow_id), SHOW_LIMIT_EVENTS + 1)))
    if not found:
        raise _not_found(tenant, workflow_id)
    if len(found) > SHOW_LIMIT_EVENTS:
        raise CommandError(
            f"{workflow_id} has more than {SHOW_LIMIT_EVENTS} events: too many to show",
            cure=f"holdfast sql -q steps -p tenant={tenant} -p workflow={workflow_id}; `holdfast state {workflow_id}`",
        )
    return found


def _not_found(tenant: str, workflow_id: str) -> CommandError:
    return CommandError(
        f"no workflow {workflow_id!r} of tenant {tenant!r} is known to the tables",
        cure="`holdfast list`; `holdfast projections status`, if it was started a moment ago",
    )


def _show_events(messages: "list[Message[Record]]", *, as_json: bool) -> None:
    if as_json:
        rows = [
            {
                "sequence": message.meta.sequence,
                "recorded_at_ms": message.meta.recorded_at_ms,
                "type": message.meta.type,
                "actor_kind": message.meta.actor_kind,
                "actor_id": message.meta.actor_id,
                "cause_id": message.meta.cause_id,
                "body": vars(message.body),
            }
            for message in messages
        ]
        emit(rows, as_json=True)
        return
    put = _text_line(with_id=False)
    for message in messages:
        put(message)


def state(
    workflow_id: IdArgument,
    at: Annotated[
        int | None, typer.Option("--at", min=1, metavar="SEQ", help="After this event; by default the last.")
    ] = None,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """The exact state of a workflow after any of its events, folded from them as the engine does. Always JSON.

    JSON: the fields of the engine's state (status, active, outputs, variables, approvals, ...).

    Example: holdfast state support-ticket-0c6e4f1d2a3b --at 12
    """
    from holdfast.ops.history import LAST_SEQUENCE, fold, history

    del as_json  # nothing else would be exact
    wanted, chosen = at or LAST_SEQUENCE, tenant_of(tenant)
    last = 0

    def counted() -> Any:
        nonlocal last
        for message in history(clickhouse, chosen, workflow_id, until=wanted):
            last = message.meta.sequence
            yield message

    with asking() as clickhouse:
        folded = eventually(lambda: fold(counted()))
    if folded is None:
        raise _not_found(chosen, workflow_id)
    if at and at > last:
        say(f"the last event is {last}: this is the state after it")
    emit(folded, as_json=True)


def watch(
    workflow_id: Annotated[str, typer.Argument(metavar="[ID]", help="Only this workflow, until it ends.")] = "",
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Follow the journal, one line per event as it happens; Ctrl-C ends it.

    JSON, one object per line: sequence, recorded_at_ms, workflow_id, type, actor_kind, actor_id, cause_id, body.

    Example: holdfast watch
    """
    try:
        asyncio.run(_watch(acting(tenant), workflow_id, as_json=as_json))
    except KeyboardInterrupt:
        sys.stdout.flush()


async def _watch(who: Acting, workflow_id: str, *, as_json: bool) -> None:
    from holdfast.ops.journal import follow
    from holdfast.schemas.topics import ENDINGS

    put = _json_line if as_json else _text_line(with_id=not workflow_id)
    ready = partial(say, "watching; Ctrl-C ends it")
    async for event in follow(who.bootstrap, who.topic_prefix, who.tenant, workflow_id, on_ready=ready):
        put(event)
        if workflow_id and isinstance(event.body, ENDINGS):
            return


def _json_line(event: "Message[Record]") -> None:
    import orjson

    meta = event.meta
    row = {
        "sequence": meta.sequence,
        "recorded_at_ms": meta.recorded_at_ms,
        "workflow_id": meta.workflow_id,
        "type": meta.type,
        "actor_kind": meta.actor_kind,
        "actor_id": meta.actor_id,
        "cause_id": meta.cause_id,
        "body": vars(event.body),
    }
    sys.stdout.write(orjson.dumps(row).decode() + "\n")
    sys.stdout.flush()


def _text_line(*, with_id: bool) -> "Callable[[Message[Record]], None]":
    from holdfast.ops.event_text import event_line
    from holdfast.ops.screen import line_printer

    put = line_printer()
    return lambda event: put(event_line(event, with_id=with_id))


def _since(text: str) -> str:
    """A time for ClickHouse, from a duration before now or an ISO 8601 time (UTC unless it says otherwise)."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.fromtimestamp(time.time() - seconds(text), UTC)
    in_utc = moment.astimezone(UTC) if moment.tzinfo else moment
    return in_utc.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
