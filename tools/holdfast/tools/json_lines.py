"""JSON lines in the content store: one JSON value a line, read a page at a time."""

import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterable, Iterator

import orjson

from holdfast.schemas import jsontext
from holdfast.schemas.content import ContentReference
from holdfast.schemas.record import Json
from holdfast.tools import errors
from holdfast.tools.content import BODY_LIMIT_BYTES, ContentError, ContentStore

LINE_LIMIT_BYTES = 32 * 1024


class Lines:
    """A body whose every line is known to be a JSON value. Raises ContentError that names the first line which is not.

    The last line may end with a line feed or without one. No line has more than LINE_LIMIT_BYTES.
    """

    def __init__(self, body: bytes) -> None:
        self.body = body
        self._ends = array("Q", _ends(body))

    def __len__(self) -> int:
        return len(self._ends)

    def page(self, start: int, limit: int, limit_bytes: int) -> list[Json]:
        """The values of the lines from `start` (0 is the first): at most `limit` in `limit_bytes`, at least one."""
        begin = self._ends[start - 1] + 1 if start else 0
        values: list[Json] = []
        first = begin
        for end in self._ends[start : start + limit]:
            if values and end - first > limit_bytes:
                break
            values.append(jsontext.loads(self.body[begin:end]))
            begin = end + 1
        return values


class LineReader:
    """Pages of references. Bodies that were read are kept, as many as BODY_LIMIT_BYTES hold, the newest at least."""

    def __init__(self, store: ContentStore) -> None:
        self._store = store
        self._known: OrderedDict[str, Lines] = OrderedDict()
        self._lock = threading.Lock()

    def page(self, reference: ContentReference, start: int, limit: int, limit_bytes: int) -> list[Json]:
        """See Lines.page. Raises ContentError, also if the reference says something else than the body."""
        with self._lock:  # whoever waits gets what the other one reads
            lines = self._lines(reference.content)
        if (len(lines.body), len(lines)) != (reference.size_bytes, reference.lines):
            raise ContentError(
                errors.CONTENT_REFERENCE_INVALID,
                f"{reference.content} has {len(lines.body)} bytes and {len(lines)} lines, and the reference says "
                f"{reference.size_bytes} and {reference.lines}",
                retryable=False,
            )
        return lines.page(start, limit, limit_bytes)

    def _lines(self, content: str) -> Lines:
        lines = self._known.pop(content, None) or Lines(self._store.get(content))
        self._known[content] = lines
        while len(self._known) > 1 and sum(len(kept.body) for kept in self._known.values()) > BODY_LIMIT_BYTES:
            self._known.popitem(last=False)
        return lines


def joined(values: Iterable[Json]) -> bytes:
    """The body that has these values as its lines."""
    return "".join(f"{jsontext.dumps(value)}\n" for value in values).encode()


def _ends(body: bytes) -> Iterator[int]:
    """Where each line ends."""
    begin, number = 0, 0
    while begin < len(body):
        number += 1
        found = body.find(b"\n", begin)
        end = len(body) if found < 0 else found
        if end - begin > LINE_LIMIT_BYTES:
            raise ContentError(
                errors.CONTENT_TOO_LARGE,
                f"line {number} has {end - begin} bytes, more than {LINE_LIMIT_BYTES}: put its large parts into "
                "the content store by themselves, and their references into the line",
                retryable=False,
            )
        try:
            jsontext.loads(body[begin:end])
        except ValueError as exc:
            message = f"line {number} is not JSON: {_why(exc)}"
            raise ContentError(errors.CONTENT_NOT_JSON_LINES, message, retryable=False) from exc
        yield end
        begin = end + 1


def _why(exc: ValueError) -> str:
    # A parser counts lines as well, and here it is always in the first.
    return f"{exc.msg} at column {exc.colno}" if isinstance(exc, orjson.JSONDecodeError) else str(exc)
