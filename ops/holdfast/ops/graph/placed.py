"""What a layout says: boxes, frames and corners of lines, in whole units from the left and from the top."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from holdfast.ops.graph.diagram import Edge, Flow, Node


class Size(NamedTuple):
    """Width and height."""

    width: int
    height: int


class Point(NamedTuple):
    """A place, from the left and from the top."""

    x: int
    y: int


class Rect(NamedTuple):
    """A box: its left upper corner and its size."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """The first column that is not in it any more."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """The first row that is not in it any more."""
        return self.y + self.height

    def moved(self, dx: int, dy: int) -> "Rect":
        """The same box somewhere else."""
        return Rect(self.x + dx, self.y + dy, self.width, self.height)


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """How large things are, and what is kept free between them.

    `node` is the size of a box without flows within it, `label` that of a label of at least one line, `title` that of
    a flow's title. `gap` is between boxes side by side, `lane` between a line and what stands beside it, `track`
    between lines above each other; `lead` from a box down to the first of them, `after_label` from a row of labels,
    `arrow` from the last line down to a box. `frame` is around what a box or a flow holds, `wide` how wide that may be
    before flows stand below each other.
    """

    node: Callable[[Node], Size]
    label: Callable[[Sequence[str]], Size]
    title: Callable[[Flow], Size]
    gap: int
    lane: int
    track: int
    lead: int
    after_label: int
    arrow: int
    frame: Size
    wide: int


@dataclass(frozen=True, kw_only=True)
class PlacedNode:
    """A box in its place."""

    node: Node
    rect: Rect


@dataclass(frozen=True, kw_only=True)
class PlacedFlow:
    """A flow within a box, in its place, with its depth: 1 for one in a box of the outermost flow."""

    flow: Flow
    rect: Rect
    depth: int


@dataclass(frozen=True, kw_only=True)
class PlacedEdge:
    """A way in its place: corners from the lower edge of its source to the upper edge of its target.

    From the height `leaves` on, and above `left`, it runs together with other ways from its source; anywhere else,
    with other ways to its target.
    """

    edge: Edge
    points: tuple[Point, ...]
    leaves: int
    left: int
    label: Rect | None


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A whole diagram, or part of one. What holds something comes before it."""

    width: int
    height: int
    nodes: tuple[PlacedNode, ...] = ()
    flows: tuple[PlacedFlow, ...] = ()
    edges: tuple[PlacedEdge, ...] = ()

    def moved(self, dx: int, dy: int) -> "Layout":
        """The same somewhere else."""
        return replace(
            self,
            nodes=tuple(replace(node, rect=node.rect.moved(dx, dy)) for node in self.nodes),
            flows=tuple(replace(flow, rect=flow.rect.moved(dx, dy)) for flow in self.flows),
            edges=tuple(
                replace(
                    edge,
                    points=tuple(Point(x + dx, y + dy) for x, y in edge.points),
                    leaves=edge.leaves + dy,
                    left=edge.left + dy,
                    label=edge.label and edge.label.moved(dx, dy),
                )
                for edge in self.edges
            ),
        )


def together(width: int, height: int, parts: Sequence[Layout]) -> Layout:
    """One layout of several, which keep their places."""
    return Layout(
        width=width,
        height=height,
        nodes=tuple(node for part in parts for node in part.nodes),
        flows=tuple(flow for part in parts for flow in part.flows),
        edges=tuple(edge for part in parts for edge in part.edges),
    )
