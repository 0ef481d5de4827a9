"""The hash chain of a workflow's journal, format version 1.

hash = SHA-256(previous hash || ns(field 1) || ... || ns(field n) || SHA-256(payload)), where ns(x) is the netstring
`<byte length>:<bytes>` (unambiguous, and the same in SQL), the fields are CHAINED_FIELDS of the meta in that order,
and the payload is the canonical JSON text of the event's body. The hash before sequence 1 is 32 zero bytes.
"""

import hashlib
import operator

from holdfast.schemas.record import EventMeta

GENESIS = bytes(32)
CHAINED_FIELDS = (
    "tenant",
    "workflow_id",
    "sequence",
    "type",
    "definition_hash",
    "index",
    "count",
    "cause_offset",
    "cause_id",
    "actor_kind",
    "actor_id",
    "recorded_at_ms",
)


def netstring(value: str | int) -> bytes:
    """`<byte length>:<bytes>` of a value's decimal or UTF-8 text."""
    data = str(value).encode()
    return b"%d:%b" % (len(data), data)


_chained_values = operator.attrgetter(*CHAINED_FIELDS)


def event_hash(previous: bytes, meta: EventMeta, payload: str) -> bytes:
    """The hash of an event. `payload` is the canonical JSON text of its body; `meta.hash` is not read."""
    texts = map(str, _chained_values(meta))
    fields = "".join([f"{len(t) if t.isascii() else len(t.encode())}:{t}" for t in texts]).encode()
    return hashlib.sha256(previous + fields + hashlib.sha256(payload.encode()).digest()).digest()
