"""The ways between the steps of a definition, one for each pair of steps, and what is said of when they are gone.

Nothing here goes by the order of names in a definition: it is gone from what is published.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.ops.event_text import safe
from holdfast.streams.core import definition as d
from holdfast.streams.core import graph

NEXT, ELSE, ANY_ERROR = "next", "else", "any error"

_OUTPUT = re.compile(r"\bsteps\.(\w+)\.output\b")


@dataclass(frozen=True, kw_only=True)
class Way:
    """From one step to another of its scope, and what is said of when: conditions, error classes, `next`, `else`.

    A main way is that of a step which did what it is for; an exceptional one is gone after errors only.
    """

    source: str
    target: str
    said: tuple[str, ...]
    main: bool
    exceptional: bool


def ways(name: str, step: d.Step) -> Iterator[Way]:
    """The ways out of a step within its scope: one to each step that it leads to, however many exits lead there."""
    exits: dict[str, list[graph.Exit]] = {}
    for exit_ in _exits(step):
        exits.setdefault(exit_.target, []).append(exit_)
    for target, found in exits.items():
        yield Way(
            source=name,
            target=target,
            said=tuple(safe(" ".join(_said(step, exit_).split())) for exit_ in found),
            main=any(exit_.path == (NEXT,) for exit_ in found),
            exceptional=all(exit_.path[0] == "catch" for exit_ in found),
        )


def met(definition: d.Definition, start: str) -> list[str]:
    """The steps that a scope consists of, in the order in which somebody meets them who goes on as far as possible."""
    found: dict[str, None] = {}
    ahead = [start]
    while ahead:
        name = ahead.pop()
        if name not in found:
            found[name] = None
            ahead += [exit_.target for exit_ in reversed(_exits(definition.steps[name]))]
    return list(found)


def _exits(step: d.Step) -> list[graph.Exit]:
    """Ways out: catches come last, in the order of their names, and the one of any error after those."""

    def place(exit_: graph.Exit) -> tuple[bool, bool, graph.Path]:
        caught = exit_.path[1:] if exit_.path[0] == "catch" else ()
        return bool(caught), caught == (d.ANY_ERROR,), caught

    return sorted(graph.exits(step), key=place)


def _said(step: d.Step, exit_: graph.Exit) -> str:
    """When a way is gone: an error class, a condition, `else`, or `next`."""
    field, *place = exit_.path
    if field == "catch":
        return ANY_ERROR if place == [d.ANY_ERROR] else str(place[0])
    if isinstance(step, d.ChoiceStep):
        return step.branches[int(place[0])].when if place else ELSE
    return NEXT


def shortened(text: str) -> str:
    """A condition without what goes without saying."""
    return _OUTPUT.sub(r"\1", text)
