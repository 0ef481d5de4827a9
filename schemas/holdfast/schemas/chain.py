"""The hash chain of a workflow's journal, format version 1.

hash = SHA-256(previous hash || ns(field 1) || ... || ns(field n) || SHA-256(payload)), where ns(x) is the netstring
`<byte length>:<bytes>` (unambiguous, and the same in SQL), the fields are CHAINED_FIELDS of the meta in that order,
and the payload is the canonical JSON text of the event's body. The hash before sequence 1 is 32 zero bytes.
"""

import hashlib

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


class Chainer:
    """Hashes the events of one decision: what they share is put into netstrings once."""

    def __init__(self, meta: EventMeta) -> None:
        """`meta` is that of any event of the decision; its sequence, type, index and count are not read."""
        self._workflow = _joined(meta.tenant, meta.workflow_id)
        self._definition = _joined(meta.definition_hash)
        self._cause = _joined(meta.cause_offset, meta.cause_id, meta.actor_kind, meta.actor_id, meta.recorded_at_ms)

    def hash(self, previous: bytes, *, sequence: int, name: str, index: int, count: int, payload: str) -> bytes:
        """The hash of an event. `name` is its type, `payload` the canonical JSON text of its body."""
        # Numbers and type names are ASCII: their characters are their bytes.
        at, i, n = str(sequence), str(index), str(count)
        place = f"{len(at)}:{at}{len(name)}:{name}{self._definition}{len(i)}:{i}{len(n)}:{n}"
        fields = f"{self._workflow}{place}{self._cause}"
        return hashlib.sha256(previous + fields.encode() + hashlib.sha256(payload.encode()).digest()).digest()


def event_hash(previous: bytes, meta: EventMeta, payload: str) -> bytes:
    """The hash of an event. `payload` is the canonical JSON text of its body; `meta.hash` is not read."""
    return Chainer(meta).hash(
        previous, sequence=meta.sequence, name=meta.type, index=meta.index, count=meta.count, payload=payload
    )


def _joined(*values: str | int) -> str:
    texts = map(str, values)
    return "".join([f"{len(t) if t.isascii() else len(t.encode())}:{t}" for t in texts])
