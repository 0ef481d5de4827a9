"""`holdfast migrate`: move workflows that run to another version of their definition, or say why they cannot."""

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.ops.commands.acting import Acting, ActorOption, TenantOption, acting
from holdfast.ops.commands.definitions import find
from holdfast.ops.commands.sql import asking
from holdfast.ops.console import EXIT_REFUSED, CommandError, JsonOption, emit, progress, say

if TYPE_CHECKING:
    from holdfast.ops.client import Client
    from holdfast.ops.moves import Move
    from holdfast.streams.core.compile import CompiledDefinition

AT_ONCE = 8
"""How many workflows are asked about at a time."""

WhereOption = Annotated[
    str,
    typer.Option(
        "--where",
        metavar="CONDITION",
        help="A condition in SQL over v_workflows: \"definition_name = 'support' AND status = 'waiting'\".",
    ),
]


def register(app: typer.Typer) -> None:
    """Add `holdfast migrate`."""
    app.command("migrate")(migrate)


def migrate(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Workflow ids.")] = None,
    to: Annotated[str, typer.Option("--to", metavar="VERSION", help="NAME, NAME@HASH or HASH.")] = "",
    back: Annotated[bool, typer.Option("--back", help="To the version before the last move instead.")] = False,
    where: WhereOption = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many by --where.")] = 10_000,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say only who can move, and why others cannot.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is recorded.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before anything is moved.")] = False,
    tenant: TenantOption = "",
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Move workflows that run to another version. Those that cannot stay as they are; then the exit code is 1.

    Each history is folded and asked first, as the engine will ask; a move is one recorded input, and is taken back by
    another one (--back, or --to the old version). Who has ended is left out by --where.

    JSON, one per workflow: workflow_id, outcome (can_move with --dry-run, moved, there: it was before, cannot,
    accepted: not answered in time), at (steps under way), from_hash, to_hash; cannot: code, message, cure.

    Example: holdfast migrate --to support-ticket --where "definition_name = 'support-ticket'" --dry-run
    """
    if bool(to) == back:
        raise typer.BadParameter("give either --to VERSION or --back")
    if bool(ids) == bool(where):
        raise typer.BadParameter("give either workflow ids or --where CONDITION")
    who = acting(tenant, actor)
    chosen = ids or _selected(who, where, limit)
    to_hash, definitions = asyncio.run(_versions(who, to))
    moves = _checked(who, chosen, to_hash, definitions)
    if not dry_run and any(move.outcome == "can_move" for move in moves):
        _ask(moves, yes=yes)
        moves = asyncio.run(_move_all(who, moves, reason))
    _tell(moves, as_json=as_json)


def _selected(who: Acting, where: str, limit: int) -> Sequence[str]:
    from holdfast.ops.selection import select

    with asking() as clickhouse:
        found = select(clickhouse, who.tenant, where, limit=limit, ended=False)
    if found.more:
        say(f"the first {limit}; there are more (--limit)")
    return found.ids


async def _versions(who: Acting, to: str) -> "tuple[str, Callable[[str], CompiledDefinition | None]]":
    """The hash that --to stands for, empty for none, and every version by its hash."""
    from holdfast.ops.published import compiled_by_hash, read_definitions

    published = await read_definitions(who.bootstrap, who.topic_prefix)
    return find(published, to).hash if to else "", compiled_by_hash(published)


def _checked(
    who: Acting, ids: Sequence[str], to_hash: str, definitions: "Callable[[str], CompiledDefinition | None]"
) -> "list[Move]":
    from holdfast.ops.history import history, whole
    from holdfast.ops.moves import check

    now_ms, moves = int(time.time() * 1000), []
    with asking() as clickhouse, progress() as report:
        for done, workflow_id in enumerate(ids):
            report("histories", done, len(ids))
            journal = list(whole(history(clickhouse, who.tenant, workflow_id)))
            moves.append(check(workflow_id, journal, to_hash, definitions, now_ms))
        report("histories", len(ids), len(ids))
    return moves


def _ask(moves: "Sequence[Move]", *, yes: bool) -> None:
    if yes:
        return
    count = sum(move.outcome == "can_move" for move in moves)
    if not sys.stdin.isatty():
        raise CommandError(f"{count} workflows can move; nobody has said that they shall", cure="--yes, or --dry-run")
    left = len(moves) - count
    typer.confirm(f"Move {count} workflows ({left} stay as they are)?", abort=True, err=True)


async def _move_all(who: Acting, moves: "Sequence[Move]", reason: str) -> "list[Move]":
    from holdfast.ops.client import Client

    places, done = asyncio.Semaphore(AT_ONCE), 0
    total = sum(move.outcome == "can_move" for move in moves)
    async with Client(who.bootstrap, who.topic_prefix, who.tenant, who.actor) as client:
        with progress() as report:

            async def one(move: "Move") -> "Move":
                nonlocal done
                if move.outcome != "can_move":
                    return move
                async with places:
                    moved = await _move(who, client, move, reason)
                done += 1
                report("moves", done, total)
                return moved

            report("moves", 0, total)
            return list(await asyncio.gather(*(one(move) for move in moves)))


async def _move(who: Acting, client: "Client", move: "Move", reason: str) -> "Move":
    from holdfast.ops.answers import Answers, Folded, Refused
    from holdfast.ops.moves import ACCEPTED, MOVED, THERE, outcome, refused
    from holdfast.schemas.requests import MigrateWorkflow

    request = MigrateWorkflow(definition_hash=move.to_hash, reason=reason)
    async with Answers(who.bootstrap, who.topic_prefix, who.tenant, move.workflow_id) as answers:
        receipt = await client.ask(move.workflow_id, request)
        try:
            verdict = await answers.verdict(receipt.event_id)
        except TimeoutError:
            return outcome(move, ACCEPTED)
    if isinstance(verdict, Refused):
        return refused(move, verdict.code, verdict.message)
    return outcome(move, MOVED if isinstance(verdict, Folded) else THERE)


def _tell(moves: "Sequence[Move]", *, as_json: bool) -> None:
    from holdfast.ops.event_text import short_hash

    if as_json:
        emit([asdict(move) for move in moves], as_json=True)
    else:
        rows: list[dict[str, Any]] = [
            {
                "workflow": move.workflow_id,
                "outcome": move.outcome.replace("_", " "),
                "at": move.at,
                "from": short_hash(move.from_hash),
                "to": short_hash(move.to_hash),
                "why": f"{move.code}: {move.message}" if move.code else "",
            }
            for move in moves
        ]
        columns = ("workflow", "outcome", "at", "from", "to", *(["why"] if any(move.code for move in moves) else []))
        emit(rows, table=columns)
    counts = {what: sum(move.outcome == what for move in moves) for what in sorted({move.outcome for move in moves})}
    say(", ".join(f"{count} {what.replace('_', ' ')}" for what, count in counts.items()) or "no workflow is meant")
    for code, cure in sorted({(move.code, move.cure) for move in moves if move.code}):
        say(f"  {code}: {cure}")
    if counts.keys() & {"cannot", "accepted"}:
        raise typer.Exit(EXIT_REFUSED)
