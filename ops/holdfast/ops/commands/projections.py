"""`holdfast projections`: how far the tables are, and making them again."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.ops.commands.sql import asking
from holdfast.ops.console import EXIT_REFUSED, CommandError, JsonOption, emit, say, show_error

if TYPE_CHECKING:
    from holdfast.projections.client import ClickHouse

TIMEOUT_S = 15


def register(app: typer.Typer) -> None:
    """Add `holdfast projections`."""
    projections = typer.Typer(no_args_is_help=True, help="How far the tables are, and making them again.")
    projections.command("status")(status)
    projections.command("rebuild")(rebuild)
    projections.command("compare")(compare)
    app.add_typer(projections, name="projections")


def _kafka() -> tuple[str, str]:
    from holdfast.ops.roles import bootstrap_of
    from holdfast.ops.settings import load_settings, project_of

    settings = load_settings()
    return bootstrap_of(settings, project_of(settings)), settings.topic_prefix


def status(as_json: JsonOption = False) -> None:
    """Show for each partition of the journal how far the tables are. Exit code 1 while they stand still.

    Example: holdfast projections status
    """
    from holdfast.ops.standstill import standstill
    from holdfast.projections.store import AWAY

    bootstrap, prefix = _kafka()
    with asking() as client:
        trouble = client.trouble()
        tables = None if trouble and trouble["code"] == AWAY else _tables(client)
    health, stored = tables or ({}, None)
    offsets = asyncio.run(_offsets(bootstrap, prefix))
    partitions = [
        _progress(place, *ends) | ({} if stored is None else _contents(stored.get(place, {}), *ends))
        for place, ends in sorted(offsets.items())
    ]
    if as_json:
        lag = sum(row["lag"] for row in partitions)
        emit({**health, "lag": lag, "trouble": trouble, "partitions": partitions}, as_json=True)
    else:
        emit(partitions)
        emit(health)
    if trouble:
        if not as_json:
            show_error(standstill(trouble))
        raise typer.Exit(EXIT_REFUSED)


def _tables(client: "ClickHouse") -> tuple[dict[str, Any], dict[tuple[str, int], dict[str, Any]]]:
    """The tables' health, and the row of each partition."""
    stored = {(row["topic"], row["kafka_partition"]): row for row in client.named("partitions")}
    return client.named("health")[0], stored


def _progress(place: tuple[str, int], first: int, end: int, committed: int) -> dict[str, Any]:
    return {
        "topic": place[0],
        "partition": place[1],
        "end_offset": end,
        "committed_offset": committed,
        "lag": max(end - max(committed, first), 0),
    }


def _contents(row: Mapping[str, Any], first: int, _end: int, committed: int) -> dict[str, Any]:
    # Offsets before the first row are only missing if Kafka still has them and the sink says that it is past them.
    head = max(row["first_offset"] - first, 0) if row else max(committed - first, 0)
    return {
        "rows": row.get("rows", 0),
        "missing_offsets": row.get("missing_offsets", 0) + head,
        "unmerged_doubles": row.get("unmerged_doubles", 0),
        "repeated_events": row.get("repeated_events", 0),
        "last_ingest": row.get("last_ingest"),
    }


async def _offsets(bootstrap: str, prefix: str) -> dict[tuple[str, int], tuple[int, int, int]]:
    """First, end and committed offset of each partition of the journal; -1 where nothing was committed."""
    from aiokafka import AIOKafkaConsumer, TopicPartition
    from aiokafka.errors import KafkaError

    from holdfast.projections.sink import group_of
    from holdfast.schemas.topics import JOURNAL

    # A member of no group that only asks: it never subscribes, so the sink's group does not notice it.
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group_of(prefix), enable_auto_commit=False)
    topic = prefix + JOURNAL.name
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await consumer.start()
            consumer.assign([TopicPartition(topic, 0)])
            await consumer.beginning_offsets([TopicPartition(topic, 0)])
            places = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
            first, end = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
            committed = [await consumer.committed(place) for place in places]
    except (KafkaError, TimeoutError) as exc:
        raise CommandError(f"Kafka at {bootstrap} does not say its offsets: {exc!r}", cure="holdfast doctor") from exc
    finally:
        await consumer.stop()
    return {
        (place.topic, place.partition): (first[place], end[place], -1 if offset is None else offset)
        for place, offset in zip(places, committed, strict=True)
    }


def rebuild(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False, as_json: JsonOption = False
) -> None:
    """Empty the tables that come from the journal and read it from its first record again.

    The running sink does it; until it has caught up (`holdfast projections status`) the answers are incomplete.

    Example: holdfast projections rebuild --yes
    """
    if not yes:
        typer.confirm("Empty the tables and make them again from the journal?", abort=True, err=True)
    with asking() as client:
        partitions = client.rebuild()
    emit({"partitions": partitions}, as_json=as_json)
    say("the sink reads the journal again; see: holdfast projections status")


def compare(as_json: JsonOption = False) -> None:
    """Compare every event of the journal with its row. Exit code 1 if they differ.

    Example: holdfast projections compare
    """
    from dataclasses import asdict

    from aiokafka.errors import KafkaError

    from holdfast.projections import verify

    bootstrap, prefix = _kafka()
    with asking() as client:
        try:
            found = verify.compare(bootstrap, prefix, client)
        except (KafkaError, TimeoutError) as exc:
            raise CommandError(
                f"the journal at {bootstrap} could not be read: {exc!r}", cure="holdfast doctor"
            ) from exc
    emit({"equal": found.equal, **asdict(found)}, as_json=as_json)
    if not found.equal:
        raise typer.Exit(EXIT_REFUSED)
