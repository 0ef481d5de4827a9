"""Every way to tamper with the trail, found: each act is done to a clean one, and only it is reported."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from holdfast.schemas import chain, ids
from holdfast.schemas.codec import payload_of
from holdfast.schemas.record import Message, Record
from support.engine import Engine
from support.journal_builder import support_ticket


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


@pytest.mark.parametrize("column", ["recorded_at", "sequence", "tenant", "workflow_id"])
def test_what_an_event_is_known_by_cannot_be_changed_at_all(engine: Engine, column: str) -> None:
    with pytest.raises(Exception, match="key column"):
        engine.command(f"ALTER TABLE holdfast.events UPDATE {column} = {column} WHERE 1 SETTINGS mutations_sync = 2")
