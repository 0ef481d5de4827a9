"""Where everything of a diagram stands, in whole units: pixels for `svg`, characters for `text`.

A flow is laid out by itself, innermost flows first; what is within a box then only makes that box larger.
"""

from collections.abc import Sequence
from dataclasses import replace

from holdfast.ops.graph.diagram import Diagram, Flow, Node
from holdfast.ops.graph.layers import Way, arrange
from holdfast.ops.graph.placed import Layout, Metrics, PlacedFlow, PlacedNode, Rect, Size, together
from holdfast.ops.graph.routing import Routing


def lay_out(diagram: Diagram, metrics: Metrics) -> Layout:
    """The places of everything in a diagram. The same diagram always gives the same layout."""
    return _flow(diagram.flow, metrics, 0)


def _flow(flow: Flow, metrics: Metrics, depth: int) -> Layout:
    """A flow without its frame."""
    number = {node.name: place for place, node in enumerate(flow.nodes)}
    ways = [Way(number[edge.source], number[edge.target], edge.main, edge.exceptional) for edge in flow.edges]
    boxes = [_box(node, metrics, depth) for node in flow.nodes]
    return Routing(flow, metrics, boxes, arrange(len(boxes), ways)).layout()


def _box(node: Node, metrics: Metrics, depth: int) -> Layout:
    """A box with everything in it."""
    size = metrics.node(node)
    if not node.flows:
        return Layout(width=size.width, height=size.height, nodes=(PlacedNode(node=node, rect=Rect(0, 0, *size)),))
    held = _held(size, _side_by_side([_framed(flow, metrics, depth + 1) for flow in node.flows], metrics), metrics)
    outside = PlacedNode(node=node, rect=Rect(0, 0, held.width, held.height))
    return replace(held, nodes=(outside, *held.nodes))


def _framed(flow: Flow, metrics: Metrics, depth: int) -> Layout:
    """A flow with its title and its frame."""
    held = _held(metrics.title(flow), _flow(flow, metrics, depth), metrics)
    outside = PlacedFlow(flow=flow, rect=Rect(0, 0, held.width, held.height), depth=depth)
    return replace(held, flows=(outside, *held.flows))


def _held(head: Size, inner: Layout, metrics: Metrics) -> Layout:
    """What stands below a head, with a frame around it."""
    width = max(head.width, inner.width + 2 * metrics.frame.width)
    moved = inner.moved((width - inner.width) // 2, head.height)
    return replace(moved, width=width, height=head.height + inner.height + metrics.frame.height)


def _side_by_side(parts: Sequence[Layout], metrics: Metrics) -> Layout:
    """Parts next to each other, in as many lines as their width asks for."""
    moved: list[Layout] = []
    x = y = right = bottom = 0
    for part in parts:
        if x and x + part.width > metrics.wide:
            x, y = 0, bottom + metrics.track
        moved.append(part.moved(x, y))
        x, right, bottom = x + part.width + metrics.lane, max(right, x + part.width), max(bottom, y + part.height)
    return together(right, bottom, moved)
