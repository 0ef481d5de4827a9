"""The calls that the engine makes for itself: as recorded, retried and limited as those of tools, but of no tool.

All of them serve `map` steps over content. Executors act on them by name (`executor/item_calls.py`); the dot keeps
their names apart from those of tools. What they write is found by its own hash only, so each may be made again at any
time: like a `read`, it leaves nobody in doubt.
"""

from collections.abc import Mapping

from holdfast.streams.core import definition as d

READ_ITEMS = "holdfast.read_items"
"""The next page of lines: `{content, start, limit, limit_bytes}` gives `{items}`."""
KEEP_RESULTS = "holdfast.keep_results"
"""Add what items left to the parts that were kept before: `{parts, results}` gives the reference of all of them."""
JOIN_RESULTS = "holdfast.join_results"
"""Put all parts in order: `{parts, results, total, limit}` gives `{results, failures}`."""

RETRY = d.Retry(max_attempts=8)
"""When a call that failed is made again: over about two minutes."""

_TIMEOUTS_MS = {READ_ITEMS: 10_000, KEEP_RESULTS: 10_000, JOIN_RESULTS: 300_000}
ENGINE_TOOLS: Mapping[str, d.Tool] = {
    name: d.Tool(name=name, effect="read", timeout_ms=timeout_ms, input_schema={}, manifest_hash="")
    for name, timeout_ms in _TIMEOUTS_MS.items()
}


def tool_named(definition: d.Definition, name: str) -> d.Tool:
    """The tool of a call: the engine's own, or one that the definition pins."""
    return ENGINE_TOOLS.get(name) or definition.tools[name]
