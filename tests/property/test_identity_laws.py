"""Laws of keys, ids, headers, partitions and of the hash chain's netstrings."""

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from holdfast.schemas.chain import netstring
from holdfast.schemas.headers import ERROR_MESSAGE_LIMIT_BYTES, cloud_event, dead_letter
from holdfast.schemas.ids import TENANT, WORKFLOW_ID, derived_id, effect_key, split_key, workflow_key, workflow_of
from holdfast.schemas.partitioner import partition_of
from support.samples import samples

TENANTS = st.from_regex(TENANT, fullmatch=True)
WORKFLOW_IDS = st.from_regex(WORKFLOW_ID, fullmatch=True)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
PARTS = st.lists(TEXT.filter(lambda text: "\x00" not in text) | st.integers(), min_size=1, max_size=4)
BODY, META = next((body, meta) for body, meta in samples() if meta is not None)


def split_netstrings(data: bytes) -> list[bytes]:
    """The values in a row of netstrings: the inverse that shows that they are unambiguous."""
    values = []
    while data:
        length, _, rest = data.partition(b":")
        values.append(rest[: int(length)])
        data = rest[int(length) :]
    return values


@given(st.lists(TEXT | st.integers()))
def test_a_row_of_netstrings_can_be_taken_apart_in_one_way(values: list[str | int]) -> None:
    joined = b"".join(netstring(value) for value in values)
    assert split_netstrings(joined) == [str(value).encode() for value in values]


@given(st.lists(TEXT), st.lists(TEXT))
def test_different_rows_have_different_netstrings(one: list[str], other: list[str]) -> None:
    assume(one != other)
    assert b"".join(map(netstring, one)) != b"".join(map(netstring, other))


@given(TENANTS, WORKFLOW_IDS)
def test_a_workflow_key_can_be_taken_apart(tenant: str, workflow_id: str) -> None:
    assert split_key(workflow_key(tenant, workflow_id)) == (tenant, workflow_id)


@given(TEXT)
def test_any_text_is_a_workflow_key_or_refused(text: str) -> None:
    try:
        tenant, workflow_id = split_key(text)
    except ValueError:
        return
    assert workflow_key(tenant, workflow_id) == text


@given(TENANTS, WORKFLOW_IDS, st.from_regex(r"[a-z][a-z0-9_-]*", fullmatch=True), st.integers(1), st.integers(0))
def test_an_effect_key_names_its_workflow(tenant: str, workflow_id: str, step: str, visit: int, turn: int) -> None:
    assert workflow_of(effect_key(tenant, workflow_id, step, visit, turn, 0)) == (tenant, workflow_id)


@given(PARTS, PARTS)
def test_ids_are_equal_exactly_when_their_parts_are(one: list[str | int], other: list[str | int]) -> None:
    same = list(map(str, one)) == list(map(str, other))
    assert (derived_id(*one) == derived_id(*other)) == same


@given(st.binary(), st.integers(1, 1000))
def test_a_partition_exists_and_depends_on_the_key_alone(key: bytes, partitions: int) -> None:
    assert 0 <= partition_of(key, partitions) < partitions
    assert partition_of(bytes(bytearray(key)), partitions) == partition_of(key, partitions)


@given(TEXT, TEXT, st.integers(0, 253_402_300_799_999), st.integers(0, 2**63 - 1))
def test_headers_are_text_of_the_meta(event_id: str, tenant: str, at_ms: int, sequence: int) -> None:
    meta = replace(META, event_id=event_id, tenant=tenant, occurred_at_ms=at_ms, sequence=sequence)
    headers = dict(cloud_event(BODY, meta, "/holdfast/test"))
    assert headers["ce_id"].decode() == event_id
    assert headers["ce_tenant"].decode() == tenant
    assert ("ce_sequence" in headers) == (sequence > 0)
    assert len(headers["ce_time"].decode()) == len("2026-01-01T00:00:00.000+00:00")


@given(st.text(max_size=3000))
def test_the_message_of_a_dead_letter_is_text_within_its_limit(message: str) -> None:
    """Even of an exception whose text is no valid Unicode."""
    headers = dict(
        dead_letter([], topic="t", partition=0, offset=0, timestamp_ms=0, stage="s", code="c", message=message)
    )
    sent = headers["x-dlq-error-message"]
    assert len(sent) <= ERROR_MESSAGE_LIMIT_BYTES
    assert message.encode(errors="replace").decode().startswith(sent.decode())
