"""CloudEvents headers, and those of dead letters."""

from dataclasses import replace

from holdfast.schemas.codec import schema_of
from holdfast.schemas.events import StepStarted
from holdfast.schemas.headers import ERROR_MESSAGE_LIMIT_BYTES, cloud_event, dead_letter
from holdfast.schemas.record import EventMeta

STEP = StepStarted(step="draft", visit=1, kind="agent", timeout_at_ms=0)
META = EventMeta(
    event_id="e-1",
    type="StepStarted",
    tenant="acme",
    workflow_id="order-7",
    actor_kind="engine",
    actor_id="orchestrator",
    occurred_at_ms=1_767_225_600_123,
)


def test_the_headers_of_a_record_are_cloud_events_attributes() -> None:
    assert dict(cloud_event(STEP, META, "/holdfast/orchestrator")) == {
        "ce_specversion": b"1.0",
        "ce_type": b"holdfast.event.v1.StepStarted",
        "ce_dataschema": f"urn:holdfast:schema:{schema_of(StepStarted).id}".encode(),
        "content-type": b"application/avro",
        "ce_id": b"e-1",
        "ce_source": b"/holdfast/orchestrator",
        "ce_subject": b"order-7",
        "ce_time": b"2026-01-01T00:00:00.123+00:00",
        "ce_tenant": b"acme",
    }


def test_a_place_in_the_journal_sorts_as_text() -> None:
    sequences = [dict(cloud_event(STEP, replace(META, sequence=n), "/"))["ce_sequence"] for n in (9, 10, 10**12)]
    assert sequences == sorted(sequences)
    assert {len(sequence) for sequence in sequences} == {20}


def test_a_trace_context_is_passed_on() -> None:
    traced = replace(META, traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01")
    assert dict(cloud_event(STEP, traced, "/"))["ce_traceparent"] == traced.traceparent.encode()


def test_no_header_stands_twice() -> None:
    names = [name for name, _ in cloud_event(STEP, replace(META, sequence=1, traceparent="t"), "/")]
    assert len(names) == len(set(names))


def letter(message: str) -> dict[str, bytes]:
    before = [("ce_id", b"e-1")]
    headers = dead_letter(
        before, topic="t", partition=3, offset=9, timestamp_ms=5, stage="decode", code="not_framed", message=message
    )
    assert headers[:1] == before
    return dict(headers)


def test_a_dead_letter_says_where_the_record_stood_and_why() -> None:
    headers = letter("it is not framed")
    assert headers.pop("ce_id") == b"e-1"
    assert headers == {
        "x-dlq-topic": b"t",
        "x-dlq-partition": b"3",
        "x-dlq-offset": b"9",
        "x-dlq-timestamp": b"5",
        "x-dlq-stage": b"decode",
        "x-dlq-error-class": b"not_framed",
        "x-dlq-error-message": b"it is not framed",
    }


def test_a_long_message_is_cut() -> None:
    assert len(letter("ü" * 10_000)["x-dlq-error-message"]) == ERROR_MESSAGE_LIMIT_BYTES


def test_a_cut_message_is_still_text() -> None:
    assert letter("x" + "ü" * 10_000)["x-dlq-error-message"].decode().startswith("xü")
