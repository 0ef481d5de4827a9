"""`holdfast schedules apply`: schedule files to schedules that run."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.ops.commands.acting import Acting, ActorOption, TenantOption, acting, not_folded
from holdfast.ops.commands.apply import refused
from holdfast.ops.commands.sql import asking
from holdfast.ops.console import JsonOption, emit

if TYPE_CHECKING:
    from holdfast.ops.answers import Verdict
    from holdfast.ops.client import Client
    from holdfast.ops.published import Published
    from holdfast.ops.schedule_apply import Applied
    from holdfast.ops.schedules import Run
    from holdfast.schemas.record import Record
    from holdfast.streams.core.definition import Definition


def apply(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="Schedules in YAML.")],
    tenant: TenantOption = "",
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Check schedules and put them in force: all of them, or none if one has a mistake.

    What a schedule starts is pinned: the newest that is published now. A changed schedule goes on as it stands, paused
    or not; the new timing holds from now on. One that was deleted starts anew.

    JSON, one per file: file, name, definition_hash, children (the hash of what it starts, by name), status (new,
    changed, unchanged, started again, over, invalid), workflow_id, mistakes (line, column, place, message, cure).

    Example: holdfast schedules apply nightly.yaml
    """
    from holdfast.ops.definition_files import text_of

    asyncio.run(_apply(acting(tenant, actor), {str(file): text_of(file) for file in files}, as_json=as_json))


async def _apply(who: Acting, texts: Mapping[str, str], *, as_json: bool) -> None:
    from holdfast.ops.client import Client
    from holdfast.ops.event_text import short_hash
    from holdfast.ops.published import read_definitions, startable_of
    from holdfast.streams.definition_set import InvalidFiles
    from holdfast.streams.schedule_file import parse_schedules, schedule_of

    published = await read_definitions(who.bootstrap, who.topic_prefix)
    others = {other.name for other in published if other.newest and schedule_of(other.body) is None}
    try:
        parsed = parse_schedules(texts, startable_of(published), others)
    except InvalidFiles as exc:
        raise refused(exc.problems, as_json=as_json) from None
    rows: list[dict[str, Any]] = []
    async with Client(who.bootstrap, who.topic_prefix, who.tenant, who.actor) as client:
        for file, definition in parsed.items():
            applied = await _put_in_force(who, client, definition, published)
            rows.append(
                {
                    "file": file,
                    "name": definition.name,
                    "definition_hash": definition.hash,
                    "children": dict(definition.children),
                    "status": applied.status,
                    "workflow_id": applied.workflow_id,
                    "mistakes": [],
                }
            )
    if as_json:
        emit(rows, as_json=True)
        return
    for row in rows:
        emit(f"{row['name']} @ {short_hash(row['definition_hash'])}: {row['status']}, run by {row['workflow_id']}")
        for name, hash_ in row["children"].items():
            emit(f"  starts {name} @ {short_hash(hash_)}")


async def _put_in_force(
    who: Acting, client: "Client", definition: "Definition", published: "Sequence[Published]"
) -> "Applied":
    from holdfast.ops.answers import Answers
    from holdfast.ops.schedule_apply import Ports, put_in_force
    from holdfast.ops.schedules import run_of

    async def ask(workflow_id: str, body: "Record") -> "Verdict":
        async with Answers(who.bootstrap, who.topic_prefix, who.tenant, workflow_id) as answers:
            receipt = await client.ask(workflow_id, body)
            try:
                return await answers.verdict(receipt.event_id)
            except TimeoutError:
                raise not_folded(receipt) from None

    async def publish(wanted: "Definition") -> None:
        if not any(other.newest and other.hash == wanted.hash for other in published):
            await client.publish(wanted)

    def look(name: str) -> "Run | None":
        with asking() as clickhouse:
            rows = clickhouse.named("schedules", tenant=who.tenant, schedule=name)
        return run_of(rows[0]) if rows else None

    async def latest(name: str) -> "Run | None":
        return await asyncio.to_thread(look, name)

    return await put_in_force(
        definition, Ports(ask=ask, publish=publish, latest=latest), now_ms=int(time.time() * 1000)
    )
