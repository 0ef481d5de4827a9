"""A map over content in a town, and everybody who answers it."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from holdfast.schemas import events as e
from holdfast.schemas.content import ContentReference
from holdfast.streams.core.compile import CompiledDefinition
from holdfast.streams.core.state import Items
from holdfast.streams.executor.item_calls import ItemCalls
from holdfast.tools.content import ContentStore
from holdfast.tools.json_lines import Lines, joined
from support.scenario import define
from support.town import Town


def each(more: dict[str, Any] | None = None, **step: Any) -> CompiledDefinition:
    """A workflow that looks at every item; an item's output is what was seen."""
    return define(
        {
            "each": {
                "kind": "map",
                "items": "${input.items}",
                "do": "look",
                "max_items": 100_000,
                "timeout": "30m",
                "next": "done",
                "catch": {"*": "broken"},
                **step,
            },
            "look": {
                "kind": "tool",
                "tool": "look",
                "arguments": {"of": "${input.item}", "at": "${input.index}"},
                "retry": {"max_attempts": 1},
                "next": "seen",
            },
            "seen": {"kind": "succeed", "output": "${steps.look.output}"},
            "done": {"kind": "succeed", "output": "${has(steps.each) ? steps.each.output : null}"},
            **(more or {}),
        }
    )


def reference(store: ContentStore, items: list[Any]) -> Any:
    return store.put(joined(items), len(items)).to_json()


def mapped(items: Any, **step: Any) -> Town:
    definition = each(**step)
    town = Town.of(definition)
    town.start(definition, value={"items": items})
    return town


def looks(town: Town) -> list[Any]:
    """The calls of items that wait for an answer."""
    return [task for task in town.tasks if task.tool == "look"]


def finish(town: Town, store: ContentStore, bad: Callable[[int], bool] = lambda _: False, seed: int = 1) -> None:
    """Answer everything that is asked for, the items in an order of chance."""
    rng, calls = random.Random(seed), ItemCalls(store)
    town.serve(calls)
    while waiting := looks(town):
        task = rng.choice(waiting)
        town.tasks.remove(task)
        if town.state(task.effect_key.split("/")[1]).finished:
            continue
        if bad(task.arguments["at"]):
            town.fail(task)
        else:
            town.answer(task, {"saw": task.arguments["of"]})
        if rng.random() < 0.5:
            town.serve(calls, 1)
        if not looks(town):
            town.serve(calls)


def output(town: Town) -> Any:
    return town.state("w-1").output


def results(town: Town, store: ContentStore) -> list[Any]:
    """The lines that the step's output refers to."""
    kept = ContentReference.from_json(output(town)["results"])
    lines = Lines(store.get(kept.content))
    assert len(lines) == kept.lines
    return lines.page(0, len(lines), kept.size_bytes)


def items_of(town: Town) -> Items:
    found = town.state("w-1").active["each"].items
    assert found is not None
    return found


def asked(town: Town) -> list[e.ToolCallRequested]:
    """Intents of the step's own calls."""
    return [event for event in town.journals["w-1"] if isinstance(event, e.ToolCallRequested)]


def spoiled(store: ContentStore, folder: Path, how: str) -> Any:
    """A reference to three lines with which something is wrong."""
    if how == "not lines":
        return {**store.put(b"1\nnot\n3\n").to_json(), "lines": 3}
    items = reference(store, [1, 2, 3])
    body = next(path for path in folder.rglob("*") if path.is_file())
    if how == "missing":
        body.unlink()
    if how == "changed":
        body.write_bytes(b"1\n2\n4\n")
    return {**items, "lines": 4} if how == "another number" else items
