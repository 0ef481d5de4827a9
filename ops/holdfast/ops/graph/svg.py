"""A diagram as one SVG file that needs nothing else: readable in light and dark, with words for those who cannot see.

Every text goes through an XML writer and `safe`, so whatever a step is called, it stays text. Pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from holdfast.ops.event_text import safe
from holdfast.ops.graph.diagram import ENTRY, Diagram, Node, Tone
from holdfast.ops.graph.layout import lay_out
from holdfast.ops.graph.placed import Metrics, PlacedEdge, PlacedFlow, PlacedNode, Point, Rect, Size
from holdfast.ops.graph.svg_style import HEADING, LABEL, LINE, STYLE, TITLE, text_width

MARGIN = 16
PADDING = 12
BEND = 6
HEAD = Size(8, 9)
STRIPE, ROUND = 4, 14
ENDINGS = frozenset({"succeed", "fail"})


def _node_size(node: Node) -> Size:
    if node.kind == ENTRY:
        return Size(11, 11)
    width = max(text_width(node.title, TITLE), *(text_width(line, LINE) for line in (*node.lines, *node.state)), 40)
    height = TITLE.line + LINE.line * (len(node.lines) + len(node.state)) + PADDING
    return Size(width + 2 * PADDING, height + (4 if node.flows else 0))


METRICS = Metrics(
    node=_node_size,
    label=lambda label: Size(max(text_width(line, LABEL) for line in label) + 6, LABEL.line * len(label) + 2),
    title=lambda flow: Size(text_width(flow.title, LINE) + 2 * PADDING, 24),
    gap=26,
    lane=14,
    track=10,
    lead=14,
    after_label=4,
    arrow=18,
    frame=Size(14, 14),
    wide=1_100,
)


def render(diagram: Diagram) -> str:
    """The picture as the text of an SVG file."""
    top = MARGIN + HEADING.line + PADDING
    layout = lay_out(diagram, METRICS).moved(MARGIN, top)
    width = max(layout.width, text_width(diagram.title, HEADING)) + 2 * MARGIN
    height = top + layout.height + MARGIN
    root = Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {width} {height}"})
    root.attrib |= {"width": str(width), "height": str(height), "role": "img"}
    root.attrib |= {"aria-labelledby": "holdfast-title holdfast-description"}
    _add(root, "title", {"id": "holdfast-title"}, diagram.title)
    _add(root, "desc", {"id": "holdfast-description"}, diagram.description)
    SubElement(root, "style").text = STYLE
    _add(root, "rect", {"class": "paper", "width": width, "height": height})
    _add(root, "text", {"class": "heading", "x": MARGIN, "y": MARGIN + HEADING.size}, diagram.title)
    boxes: list[PlacedNode | PlacedFlow] = [*layout.nodes, *layout.flows]
    boxes.sort(key=lambda placed: -placed.rect.width * placed.rect.height)  # what holds something is larger
    for placed in boxes:
        if isinstance(placed, PlacedNode):
            _node(root, placed)
        else:
            _flow(root, placed)
    for edge in sorted(layout.edges, key=lambda placed: (placed.edge.taken > 0, not placed.edge.exceptional)):
        _edge(root, edge)
    indent(root, " ")
    return tostring(root, encoding="unicode") + "\n"


def _add(parent: Element, tag: str, attributes: Mapping[str, object], text: str = "") -> Element:
    element = SubElement(parent, tag, {name: safe(str(value)) for name, value in attributes.items()})
    element.text = "\n".join(map(safe, text.splitlines())) or None
    return element


def _node(root: Element, placed: PlacedNode) -> None:
    node, rect = placed.node, placed.rect
    group = _add(root, "g", {"class": node.tone if node.tone is not Tone.PLAIN else node.kind})
    if node.kind == ENTRY:
        group.attrib["class"] = ENTRY
        radius = rect.width / 2
        _add(group, "circle", {"class": "shape", "cx": rect.x + radius, "cy": rect.y + radius, "r": radius})
        return
    if node.hint:
        _add(group, "title", {}, node.hint)
    corner = ROUND if node.kind in ENDINGS else STRIPE
    _add(group, "rect", {"class": "shape", **_place(rect), "rx": corner})
    if corner == STRIPE and not node.flows:
        inside = Rect(rect.x, rect.y + STRIPE, STRIPE, rect.height - 2 * STRIPE)
        _add(group, "rect", {"class": "stripe", **_place(inside)})
    y = rect.y + PADDING // 2
    for kind, text, line in _lines(node):
        y += line
        _add(group, "text", {"class": kind, "x": rect.x + PADDING, "y": y - 4}, text)


def _lines(node: Node) -> Iterator[tuple[str, str, int]]:
    """The lines in a box: their class, their text and their height."""
    yield "name", node.title, TITLE.line
    yield from (("what", text, LINE.line) for text in node.lines)
    yield from (("state", text, LINE.line) for text in node.state)


def _flow(root: Element, placed: PlacedFlow) -> None:
    group = _add(root, "g", {"class": f"flow {placed.flow.tone}"})
    _add(group, "rect", {"class": "shape", **_place(placed.rect), "rx": 8})
    _add(group, "text", {"x": placed.rect.x + PADDING, "y": placed.rect.y + LINE.line + 1}, placed.flow.title)


def _edge(root: Element, placed: PlacedEdge) -> None:
    edge = placed.edge
    kinds = ["way", *(["exceptional"] if edge.exceptional else []), *(["taken"] if edge.taken else [])]
    group = _add(root, "g", {"class": " ".join(kinds)})
    if edge.hint:
        _add(group, "title", {}, edge.hint)
    *corners, end = placed.points
    lines = _around([*corners, Point(end.x, end.y - HEAD.height + 1)], placed.label)
    _add(group, "path", {"class": "line", "d": " ".join(map(_rounded, lines))})
    half = HEAD.width // 2
    _add(group, "path", {"class": "head", "d": f"M{end.x} {end.y}l{-half} {-HEAD.height}h{HEAD.width}z"})
    if placed.label is not None:
        x, y = placed.label.x + placed.label.width / 2, placed.label.y
        for text in edge.label:
            y += LABEL.line
            _add(group, "text", {"class": "label", "x": x, "y": y - 3}, text)


def _around(points: Sequence[Point], label: Rect | None) -> list[list[Point]]:
    """A line in two parts if there is a label on it: one that ends there, and one that goes on behind it."""
    for place, (a, b) in enumerate(pairwise(points)):
        if label and a.x == b.x and label.x <= a.x < label.right and min(a.y, b.y) <= label.y < max(a.y, b.y):
            first, second = (label.y, label.bottom) if a.y < b.y else (label.bottom, label.y)
            return [[*points[: place + 1], Point(a.x, first)], [Point(a.x, second), *points[place + 1 :]]]
    return [list(points)]


def _rounded(points: Sequence[Point]) -> str:
    """A path through these points, with round corners."""
    drawn = [f"M{points[0].x} {points[0].y}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        bend = min(BEND, _length(before, corner) / 2, _length(corner, after) / 2)
        start, end = _from(corner, before, bend), _from(corner, after, bend)
        drawn.append(f"L{start}Q{corner.x} {corner.y} {end}")
    drawn.append(f"L{points[-1].x} {points[-1].y}")
    return "".join(drawn)


def _length(a: Point, b: Point) -> int:
    return abs(a.x - b.x) + abs(a.y - b.y)


def _from(corner: Point, other: Point, distance: float) -> str:
    """The point at a distance from a corner towards another one, which is straight above, below or beside it."""
    share = distance / max(_length(corner, other), 1)
    return f"{corner.x + (other.x - corner.x) * share:g} {corner.y + (other.y - corner.y) * share:g}"


def _place(rect: Rect) -> dict[str, object]:
    return {"x": rect.x, "y": rect.y, "width": rect.width, "height": rect.height}
