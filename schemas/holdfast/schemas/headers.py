"""CloudEvents 1.0 attributes as Kafka headers (binary content mode), and the headers of dead letters.

The value is authoritative; headers are a copy for routing. `data` of the CloudEvent is the Confluent-framed Avro.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache, lru_cache

from holdfast.schemas.codec import record_types, schema_of
from holdfast.schemas.record import EventMeta, Record

Headers = list[tuple[str, bytes]]
ERROR_MESSAGE_LIMIT_BYTES = 1024


@cache
def _constant() -> Mapping[type[Record], tuple[tuple[str, bytes], ...]]:
    return {
        cls: (
            ("ce_specversion", b"1.0"),
            ("ce_type", subject.encode()),
            ("ce_dataschema", f"urn:holdfast:schema:{schema_of(cls).id}".encode()),
            ("content-type", b"application/avro"),
        )
        for subject, cls in record_types().items()
    }


@lru_cache(maxsize=64)
def _rfc3339(at_ms: int) -> bytes:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").encode()


@lru_cache(maxsize=1024)
def _shared(source: str, tenant: str, workflow_id: str) -> tuple[tuple[str, bytes], ...]:
    return (
        ("ce_source", source.encode()),
        ("ce_subject", workflow_id.encode()),
        ("ce_tenant", tenant.encode()),
    )


def cloud_event(body: Record, meta: EventMeta, source: str) -> Headers:
    """The headers of a record. `source` is the URI path of the producing role, such as `/holdfast/ingress`."""
    headers = [
        *_constant()[type(body)],
        *_shared(source, meta.tenant, meta.workflow_id),
        ("ce_id", meta.event_id.encode()),
        ("ce_time", _rfc3339(meta.occurred_at_ms)),
    ]
    if meta.sequence:
        headers.append(("ce_sequence", b"%020d" % meta.sequence))
    if meta.traceparent:
        headers.append(("ce_traceparent", meta.traceparent.encode()))
    return headers


def dead_letter(
    headers: Headers,
    *,
    topic: str,
    partition: int,
    offset: int,
    timestamp_ms: int,
    stage: str,
    code: str,
    message: str,
) -> Headers:
    """The original headers of a record that could not be read, and where it stood and why."""
    return [
        *headers,
        ("x-dlq-topic", topic.encode()),
        ("x-dlq-partition", str(partition).encode()),
        ("x-dlq-offset", str(offset).encode()),
        ("x-dlq-timestamp", str(timestamp_ms).encode()),
        ("x-dlq-stage", stage.encode()),
        ("x-dlq-error-class", code.encode()),
        ("x-dlq-error-message", _cut(message, ERROR_MESSAGE_LIMIT_BYTES)),
    ]


def _cut(text: str, limit_bytes: int) -> bytes:
    """The beginning of a text as UTF-8, never cut within a character."""
    return text.encode(errors="replace")[:limit_bytes].decode(errors="ignore").encode()
