"""The chain's hash in SQL is the chain's hash in Python, whatever text stands in an event."""

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from holdfast.schemas import chain, codec, events, ids
from holdfast.schemas.record import Message, Record
from support.engine import Engine
from support.journal_builder import WorkflowJournal

# Combining marks, right-to-left, beyond the BMP, NUL, separators, quotes, digits and colons as in a netstring.
ALPHABET = "aé\u0301ß漢字👩‍👩‍👧עברית\u202e\u0000\u2028\t\n'\"\\:0123456789 {}[]"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(tmp_path_factory.mktemp("chain"))
    yield engine
    engine.close()


def odd_text(rng: random.Random) -> str:
    return "".join(rng.choice(ALPHABET) for _ in range(rng.randrange(0, 40)))


def odd_journal(seed: int, length: int) -> list[Message[Record]]:
    """A chained journal whose every text, chained or not, is odd."""
    rng = random.Random(seed)
    journal = WorkflowJournal(workflow_id=f"wf-{seed}", definition=odd_text(rng))
    made: list[Message[Record]] = []
    head = chain.GENESIS
    for _ in range(length):
        body = events.InputRejected(
            code=odd_text(rng), message=odd_text(rng), input_type=odd_text(rng), input_id=odd_text(rng)
        )
        (message,) = journal.decide(body, actor=(odd_text(rng), odd_text(rng)), after_ms=rng.randrange(0, 10**7))
        meta = replace(
            message.meta,
            cause_id=odd_text(rng),
            cause_offset=rng.choice([-1, 0, 2**62]),
            index=rng.randrange(0, 2**31),
            previous_hash=head,
        )
        head = chain.event_hash(head, meta, codec.payload_of(body))
        event_id = ids.derived_id(journal.key, meta.sequence, head.hex())
        made.append(Message(meta=replace(meta, hash=head, event_id=event_id), body=body))
    return made


def test_the_hash_in_sql_equals_the_hash_in_python_for_random_text(engine: Engine) -> None:
    engine.empty()
    for seed in range(20):
        engine.load(odd_journal(seed, 25), first_offset=seed * 25)
    (found,) = engine.ask("chain")
    assert found["events"] == 500
    assert {name: count for name, count in found.items() if name not in ("events", "workflows")} == {
        "hash_mismatches": 0,
        "broken_links": 0,
        "gaps": 0,
        "missing_heads": 0,
        "forks": 0,
        "erased_payloads": 0,
    }


def test_the_hash_in_sql_covers_every_chained_field(engine: Engine) -> None:
    engine.empty()
    others: dict[str, object] = {"sequence": 2, "index": 5, "count": 9, "cause_offset": 4, "recorded_at_ms": 1}
    for position, name in enumerate(chain.CHAINED_FIELDS):
        (message,) = odd_journal(1_000 + position, 1)
        changed = replace(message, meta=replace(message.meta, **{name: others.get(name, "other")}))  # type: ignore[arg-type]
        engine.load([changed], partition=1, first_offset=position)
    bad = engine.read(
        "SELECT count() AS n FROM v_chain(tenant = '', since = '1970-01-01 00:00:00')"
        " WHERE bad_hash AND kafka_partition = 1"
    )
    assert bad == [{"n": len(chain.CHAINED_FIELDS)}]
