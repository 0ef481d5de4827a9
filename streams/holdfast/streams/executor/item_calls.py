"""What the engine itself asks of the content store: the items of a map step, and what they leave."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from holdfast.schemas import jsontext
from holdfast.schemas.content import ContentReference
from holdfast.schemas.record import Json
from holdfast.streams.core.engine_tools import JOIN_RESULTS, KEEP_RESULTS, READ_ITEMS
from holdfast.tools.content import ContentError, ContentStore
from holdfast.tools.errors import CONTENT_REFERENCE_INVALID, shortened
from holdfast.tools.json_lines import LineReader, joined

MERGED_LIMIT_BYTES = 1024 * 1024
"""Parts are made into one as long as that has at most so many bytes."""
LISTED_MESSAGE_LIMIT = 200

Ended = dict[str, Any]
"""What one item left: `{"index", "output"}`, or `{"index", "error"}`."""


class ItemCalls:
    """The engine's own calls on one store. `BY_NAME` has the method for each; all raise ContentError."""

    def __init__(self, store: ContentStore) -> None:
        self._store = store
        self._reader = LineReader(store)

    def act(self, name: str, arguments: Mapping[str, Any]) -> Json:
        """The result of a call of an engine tool."""
        return BY_NAME[name](self, **arguments)

    def read_items(self, *, content: Json, start: int, limit: int, limit_bytes: int) -> Json:
        """A page of lines."""
        try:
            reference = ContentReference.from_json(content)
        except ValueError as exc:
            raise ContentError(CONTENT_REFERENCE_INVALID, str(exc), retryable=False) from exc
        return {"items": self._reader.page(reference, start, limit, limit_bytes)}

    def keep_results(self, *, parts: Json, results: list[Ended]) -> Json:
        """The reference of a part that has these results, and leads to those before it.

        Parts before it that are no larger are taken in, so a thousand parts do not make a chain of a thousand links.
        """
        previous: Any = parts
        body = _part(previous, results)
        while previous and previous["bytes"] <= min(len(body), MERGED_LIMIT_BYTES - len(body)):
            before = self._read(previous)
            previous, results = before["previous"], [*before["results"], *results]
            body = _part(previous, results)
        return self._store.put(body).to_json()

    def join_results(self, *, parts: Json, results: list[Ended], total: int, limit: int) -> Json:
        """All results in the order of the items, a line each (null where an item failed), and the first failures."""
        by_index: dict[int, Ended] = {}
        while True:
            by_index.update({ended["index"]: ended for ended in results})
            if parts is None:
                break
            before = self._read(parts)
            parts, results = before["previous"], before["results"]
        ordered = [by_index[index] for index in range(total)]
        reference = self._store.put(joined(ended.get("output") for ended in ordered), lines=total)
        failures: list[Json] = [_listed(ended) for ended in ordered if "error" in ended][:limit]
        return {"results": reference.to_json(), "failures": failures}

    def _read(self, part: Any) -> Any:
        return orjson.loads(self._store.get(part["content"]))


BY_NAME: Mapping[str, Callable[..., Json]] = {
    READ_ITEMS: ItemCalls.read_items,
    KEEP_RESULTS: ItemCalls.keep_results,
    JOIN_RESULTS: ItemCalls.join_results,
}


def _part(previous: Json, results: list[Ended]) -> bytes:
    return jsontext.dumps({"previous": previous, "results": results}).encode()


def _listed(ended: Ended) -> Json:
    error = ended["error"]
    message = shortened(error["message"], LISTED_MESSAGE_LIMIT)
    return {"index": ended["index"], "error": {"class": error["class"], "message": message}}
