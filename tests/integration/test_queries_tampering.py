"""Every way to tamper with the trail, found: each act is done to a clean one, and only it is reported."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from holdfast.schemas import chain, ids
from holdfast.schemas import events as e
from holdfast.schemas.codec import payload_of
from holdfast.schemas.record import Message, Record
from support.engine import Engine
from support.journal_builder import START_MS, WorkflowJournal, support_ticket


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(tmp_path_factory.mktemp("tampering"))
    yield engine
    engine.close()


def _forge(engine: Engine, message: Message[Record]) -> None:
    forged = replace(message, meta=replace(message.meta, actor_id="mallory", event_id=ids.derived_id("forged")))
    engine.load([forged], first_offset=90_000)


def _rehash(engine: Engine, message: Message[Record]) -> None:
    """A change that is careful enough to hash itself anew."""
    meta = replace(message.meta, actor_id="mallory")
    digest = chain.event_hash(meta.previous_hash, meta, payload_of(message.body))
    engine.command("ALTER TABLE holdfast.events DELETE WHERE sequence = 10 SETTINGS mutations_sync = 2")
    engine.load([replace(message, meta=replace(meta, hash=digest))], first_offset=9)


def _alter(change: str) -> Callable[[Engine, Message[Record]], None]:
    statement = f"ALTER TABLE holdfast.events {change} SETTINGS mutations_sync = 2"
    return lambda engine, _: engine.command(statement)


@pytest.mark.parametrize(
    ("act", "found"),
    [
        (_alter("UPDATE payload = '{}' WHERE sequence = 10"), {"hash_mismatches": 1}),
        (_alter("UPDATE actor_id = 'mallory' WHERE sequence = 10"), {"hash_mismatches": 1}),
        (_alter("UPDATE payload = '' WHERE sequence = 10"), {"erased_payloads": 1}),
        (_alter("DELETE WHERE sequence = 10"), {"gaps": 1}),
        (_alter("DELETE WHERE sequence <= 3"), {"missing_heads": 1}),
        (_alter("DELETE WHERE sequence > 30"), {"missing_tails": 1}),
        (_forge, {"forks": 1, "hash_mismatches": 1}),
        (_rehash, {"broken_links": 1}),
    ],
    ids=["payload", "actor", "erased", "deleted", "head", "tail", "forged", "rehashed"],
)
def test_tampering_is_found(
    engine: Engine, act: Callable[[Engine, Message[Record]], None], found: dict[str, int]
) -> None:
    engine.empty()
    messages = support_ticket("trail").messages
    engine.load(messages)
    act(engine, messages[9])
    (report,) = engine.ask("chain")
    counts = {**report, "missing_tails": len(engine.ask("missing_tails"))}
    assert {name: n for name, n in counts.items() if n and name not in ("events", "workflows")} == found
    places = [row["finding"] for row in engine.ask("chain_breaks")]
    assert bool(places) == (found != {"missing_tails": 1})


def _forked(workflow_id: str, at: int, source_hash: str) -> list[Message[Record]]:
    journal = WorkflowJournal(workflow_id=workflow_id)
    forked: dict[str, Any] = {"snapshot": {}, "changes": None, "redo": (), "reason": "what if"}
    journal.decide(
        e.WorkflowStarted(input={}, deadline_at_ms=START_MS),
        e.WorkflowForked(source_id="trail", source_sequence=at, source_hash=source_hash, **forked),
    )
    return journal.messages


def test_unfounded_forks(engine: Engine) -> None:
    """A fork that names a place which is not in the history of the other one."""
    engine.empty()
    trail = support_ticket("trail").messages
    true = trail[9].meta.hash.hex()
    forks = {"true": (10, true), "elsewhere": (11, true), "beyond": (99, true), "invented": (10, "ab" * 32)}
    engine.load([*trail, *(message for name, told in forks.items() for message in _forked(name, *told))])
    found = engine.ask("unfounded_forks")
    assert [(row["workflow_id"], row["forked_at"]) for row in found] == [
        ("beyond", 99),
        ("elsewhere", 11),
        ("invented", 10),
    ]
    (row,) = engine.read("SELECT forked_from, forked_at FROM holdfast.v_workflows WHERE workflow_id = 'true'")
    assert row == {"forked_from": "trail", "forked_at": 10}


@pytest.mark.parametrize("column", ["recorded_at", "sequence", "tenant", "workflow_id"])
def test_what_an_event_is_known_by_cannot_be_changed_at_all(engine: Engine, column: str) -> None:
    with pytest.raises(Exception, match="key column"):
        engine.command(f"ALTER TABLE holdfast.events UPDATE {column} = {column} WHERE 1 SETTINGS mutations_sync = 2")
