"""The hash chain: worked by hand once, and sensitive to everything it covers."""

import hashlib
from dataclasses import fields, replace
from typing import Any

import pytest

from holdfast.schemas.chain import CHAINED_FIELDS, GENESIS, event_hash, netstring
from holdfast.schemas.record import EventMeta

META = EventMeta(
    event_id="e-1",
    type="StepStarted",
    tenant="acme",
    workflow_id="order-7",
    definition_hash="ab" * 32,
    sequence=1,
    index=0,
    count=1,
    cause_offset=41,
    cause_id="c-1",
    actor_kind="engine",
    actor_id="orchestrator",
    occurred_at_ms=5,
    recorded_at_ms=6,
)
PAYLOAD = '{"step":"draft"}'
# What anybody may change without breaking the chain: identity of the copy, tracing, the other clock, the hashes.
UNCHAINED = {"event_id", "definition_name", "correlation_id", "traceparent", "occurred_at_ms", "previous_hash", "hash"}


def test_the_hash_of_a_known_event_is_the_one_worked_out_by_hand() -> None:
    text = b"4:acme7:order-71:111:StepStarted64:" + b"ab" * 32 + b"1:01:12:413:c-16:engine12:orchestrator1:6"
    expected = hashlib.sha256(bytes(32) + text + hashlib.sha256(PAYLOAD.encode()).digest()).digest()
    assert event_hash(GENESIS, META, PAYLOAD) == expected


def test_the_format_never_changes() -> None:
    known = "32372f54e653c023948a7ab6a5c20f4c20a5c043973ca4c8b89cae2e893f0ce5"
    assert event_hash(GENESIS, META, PAYLOAD).hex() == known


@pytest.mark.parametrize("name", CHAINED_FIELDS)
def test_a_change_of_a_chained_field_changes_the_hash(name: str) -> None:
    value = getattr(META, name)
    change: dict[str, Any] = {name: value + 1 if isinstance(value, int) else value + "x"}
    assert event_hash(GENESIS, replace(META, **change), PAYLOAD) != event_hash(GENESIS, META, PAYLOAD)


def test_a_change_of_the_payload_or_of_the_event_before_changes_the_hash() -> None:
    known = event_hash(GENESIS, META, PAYLOAD)
    assert event_hash(GENESIS, META, PAYLOAD + " ") != known
    assert event_hash(bytes(31) + b"\x01", META, PAYLOAD) != known


def test_the_hash_does_not_cover_itself() -> None:
    assert event_hash(GENESIS, replace(META, hash=b"h", previous_hash=b"p"), PAYLOAD) == event_hash(
        GENESIS, META, PAYLOAD
    )


def test_every_field_of_the_meta_is_either_chained_or_known_not_to_be() -> None:
    assert {field.name for field in fields(EventMeta)} == set(CHAINED_FIELDS) | UNCHAINED
    assert not set(CHAINED_FIELDS) & UNCHAINED


@pytest.mark.parametrize(
    ("value", "text"), [("", b"0:"), ("a", b"1:a"), ("ü", b"2:\xc3\xbc"), (0, b"1:0"), (-1, b"2:-1"), ("1:a", b"3:1:a")]
)
def test_a_netstring_counts_bytes(value: str | int, text: bytes) -> None:
    assert netstring(value) == text
