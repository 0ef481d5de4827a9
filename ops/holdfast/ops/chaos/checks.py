"""What is counted after a chaos run, from outside: topics, ClickHouse, and the outside system's own journal."""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.ops.chaos.mix import KEYED_TOOLS
from holdfast.ops.chaos.target import EFFECT
from holdfast.ops.commands.audit import verified
from holdfast.ops.trial.reading import reader, whole
from holdfast.ops.trial.sandbox import Sandbox
from holdfast.projections import verify
from holdfast.schemas import events as e
from holdfast.schemas.codec import decode, decode_row
from holdfast.schemas.state import PartitionRow
from holdfast.schemas.topics import CHANGELOG, INBOX, JOURNAL
from holdfast.streams import audit

CHAIN_FINDINGS = ("hash_mismatches", "broken_links", "gaps", "missing_heads", "missing_tails", "forks")


@dataclass(frozen=True, kw_only=True)
class Effects:
    """The outside system's journal beside ours.

    `doubled` are the things done more than once, by their `ref`; `missing` the keys of calls that our journal calls
    completed and that nobody accepted; `unrecorded` the keys of accepted ones that our journal does not call completed.
    """

    accepted: int
    doubled: tuple[str, ...]
    missing: tuple[str, ...]
    unrecorded: tuple[str, ...]


def compare_effects(entries: Iterable[Mapping[str, Any]], completed: Collection[str]) -> Effects:
    """Compare the outside system's entries with the effect keys of completed calls of keyed tools."""
    accepted = [entry for entry in entries if entry["entry"] == "accepted" and entry["what"] == EFFECT]
    by_ref = Counter(entry["body"]["ref"] for entry in accepted)
    keys = {entry["idempotency_key"] for entry in accepted}
    return Effects(
        accepted=len(accepted),
        doubled=tuple(sorted(ref for ref, count in by_ref.items() if count > 1)),
        missing=tuple(sorted(set(completed) - keys)),
        unrecorded=tuple(sorted(keys - set(completed))),
    )


async def completed_effects(project: Sandbox) -> set[str]:
    """The effect keys of the calls of keyed tools that the journal calls completed."""
    found = set()
    async for record in whole(project.bootstrap, project.prefix + JOURNAL.name):
        body = decode(record.value).body
        if isinstance(body, e.ToolCallCompleted) and body.tool in KEYED_TOOLS:
            found.add(body.effect_key)
    return found


async def folded(project: Sandbox, *, timeout_s: float) -> bool:
    """True once the orchestrator has folded its inbox to the end; False if it has not within `timeout_s`."""
    give_up_at = time.monotonic() + timeout_s
    done: dict[int, int] = {}
    names = [project.prefix + topic.name for topic in (CHANGELOG, INBOX)]
    async with reader(project.bootstrap, names) as consumer:
        inbox = [place for place in consumer.assignment() if place.topic == names[1]]
        consumer.pause(*inbox)
        while time.monotonic() < give_up_at:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    row = decode_row(record.value) if record.value is not None else None
                    if isinstance(row, PartitionRow):
                        done[record.partition] = row.inbox_offset
            ends = await consumer.end_offsets(inbox)
            if all(done.get(place.partition, -1) >= end - 1 for place, end in ends.items()):
                return True
    return False


async def count(project: Sandbox, entries: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Every check of a project at rest, by name: what must be zero as numbers, then samples of what is not."""
    topics = await audit.compare(project.bootstrap, project.prefix)
    effects = compare_effects(entries, await completed_effects(project))
    tables = await asyncio.to_thread(verify.compare, project.bootstrap, project.prefix, project.clickhouse)
    chain = await asyncio.to_thread(verified, project.clickhouse)
    return {
        "rows_differ": len(topics.rows_differ),
        "clickhouse_missing": tables.missing,
        "clickhouse_extra": tables.extra + tables.differing,
        "effects_doubled": len(effects.doubled),
        "effects_missing": len(effects.missing) + len(effects.unrecorded),
        "tasks_missing": len(topics.tasks_missing),
        "tasks_unexpected": len(topics.tasks_unexpected),
        "letters_missing": len(topics.letters_missing),
        "letters_unexpected": len(topics.letters_unexpected),
        "starts_unanswered": len(topics.starts_unanswered),
        "subscriptions_differ": len(topics.subscriptions_missing) + len(topics.subscriptions_unexpected),
        "decisions_cut_short": topics.decisions_cut_short,
        "chain_broken": sum(chain[name] for name in CHAIN_FINDINGS),
        "effects_unasked": chain["unrequested_effects"] + chain["unapproved_effects"],
        "journal_events": topics.journal_events,
        "repeats": topics.repeats,
        "effects": effects.accepted,
        "samples": {
            name: [str(item) for item in items[:5]]
            for name, items in {
                "rows_differ": topics.rows_differ,
                "tasks_missing": topics.tasks_missing,
                "tasks_unexpected": topics.tasks_unexpected,
                "letters_missing": topics.letters_missing,
                "letters_unexpected": topics.letters_unexpected,
                "starts_unanswered": topics.starts_unanswered,
                "subscriptions_differ": [*topics.subscriptions_missing, *topics.subscriptions_unexpected],
                "effects_doubled": effects.doubled,
                "effects_missing": effects.missing,
                "effects_unrecorded": effects.unrecorded,
                "clickhouse": [*tables.missing_samples, *tables.extra_samples, *tables.differing_samples],
                "audit": chain["where"],
            }.items()
            if items
        },
    }
