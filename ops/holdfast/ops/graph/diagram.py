"""What is drawn: boxes that lead to each other, and flows within boxes. Knows neither workflows nor coordinates."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

ENTRY = "entry"
"""The kind of the dot where a flow begins."""


class Tone(StrEnum):
    """How something stands out, by what became of it; `plain` where nothing is told."""

    PLAIN = "plain"
    DONE = "done"
    RUNNING = "running"
    WAITING = "waiting"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    AHEAD = "ahead"


@dataclass(frozen=True, kw_only=True)
class Edge:
    """A way from one box to another of the same flow, with a label of any number of lines.

    `main` asks for a straight line, `exceptional` for a broken one, `taken` says how often it was gone; `hint` is the
    whole text behind the label.
    """

    source: str
    target: str
    label: tuple[str, ...] = ()
    main: bool = False
    exceptional: bool = False
    taken: int = 0
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Node:
    """A box, with the flows that it holds together.

    `name` is unique in its diagram; `state` is what became of it, in words; `hint` says what has no place in the box.
    """

    name: str
    kind: str
    title: str = ""
    lines: tuple[str, ...] = ()
    state: tuple[str, ...] = ()
    tone: Tone = Tone.PLAIN
    hint: str = ""
    flows: tuple["Flow", ...] = ()


@dataclass(frozen=True, kw_only=True)
class Flow:
    """Boxes that lead to each other; all can be reached from the first. `name` is unique in its diagram."""

    name: str
    title: str = ""
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, kw_only=True)
class Diagram:
    """A picture: its title, what it shows in words, and the outermost flow."""

    title: str
    description: str
    flow: Flow


def flows(flow: Flow) -> Iterator[Flow]:
    """A flow and all those within it, outer ones first."""
    yield flow
    for node in flow.nodes:
        for inner in node.flows:
            yield from flows(inner)
