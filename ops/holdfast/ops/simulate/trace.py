"""What happened in a run, line by line, for people."""

from collections.abc import Callable

from holdfast.ops.simulate.broker import Record
from holdfast.schemas import topics
from holdfast.schemas.codec import DecodeError, decode
from holdfast.schemas.record import Record as Body

SHOWN = frozenset(
    topic.name
    for topic in topics.TOPICS
    if topic not in (topics.CHANGELOG, topics.CORRELATOR_CHANGELOG, topics.STATUS, topics.DEFINITIONS, topics.QUEUES)
)
VALUE_LENGTH = 60
_DULL = frozenset(
    {"visit", "turn", "index", "duration_ms", "executor_id", "message_count", "request_sha256", "messages"}
)


class Trace:
    """Lines with the virtual time in front, if anybody wants them."""

    def __init__(self, wanted: bool) -> None:
        self.lines: list[str] = []
        self.clock: Callable[[], float] = lambda: 0.0
        self._wanted = wanted

    def tell(self, line: str) -> None:
        """Add a line."""
        if self._wanted:
            self.lines.append(f"{self.clock():9.3f}  {line}")

    def record(self, record: Record) -> None:
        """Add a record, if it is of a topic that says something by itself."""
        if not self._wanted or record.topic not in SHOWN:
            return
        try:
            message = decode(record.value)
        except DecodeError:
            self.tell(f"{record.topic:<12} {record.partition}@{record.offset} cannot be read")
            return
        sequence = f" {message.meta.sequence}" if message.meta.sequence else ""
        about = message.meta.workflow_id
        place = f"{record.topic:<12} {record.partition}@{record.offset}"
        self.tell(f"{place:<19}{about}{sequence} {message.meta.type} {_said(message.body)}")


def _said(body: Body) -> str:
    said = []
    for name, value in vars(body).items():
        if value and name not in _DULL:
            text = str(value)
            said.append(f"{name}={text if len(text) <= VALUE_LENGTH else text[:VALUE_LENGTH] + '...'}")
    return " ".join(said)
