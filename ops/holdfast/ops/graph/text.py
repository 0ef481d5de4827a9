"""A diagram as text for a terminal: boxes and lines made of characters. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby, pairwise

from rich.cells import cell_len
from rich.text import Text

from holdfast.ops.graph.diagram import ENTRY, Diagram, Node, Tone
from holdfast.ops.graph.layout import lay_out
from holdfast.ops.graph.placed import Layout, Metrics, PlacedEdge, PlacedFlow, PlacedNode, Point, Rect, Size
from holdfast.ops.graph.strokes import HEAVY, LIGHT, Arms, stroke

STYLES: Mapping[Tone, str] = {
    Tone.PLAIN: "",
    Tone.DONE: "green",
    Tone.RUNNING: "bold cyan",
    Tone.WAITING: "bold magenta",
    Tone.FAILED: "red",
    Tone.CANCELLED: "yellow",
    Tone.SKIPPED: "dim",
    Tone.AHEAD: "",
}
_NOW = frozenset({Tone.RUNNING, Tone.WAITING})
_DOT, _ARROW = "\u25cf", "\u25bc"
_BORDER = ""


def _node_size(node: Node) -> Size:
    if node.kind == ENTRY:
        return Size(1, 1)
    said = _said(node)
    return Size(max(map(cell_len, said)) + 4, len(said) + (1 if node.flows else 2))


def _said(node: Node) -> list[str]:
    return [node.title, *node.lines, *node.state]


def _label_size(label: Sequence[str]) -> Size:
    return Size(max(map(cell_len, label)), len(label))


METRICS = Metrics(
    node=_node_size,
    label=_label_size,
    title=lambda flow: Size(cell_len(flow.title) + 6, 1),
    gap=3,
    lane=2,
    track=1,
    lead=0,
    after_label=0,
    arrow=1,
    frame=Size(2, 1),
    wide=100,
)


def render(diagram: Diagram) -> list[Text]:
    """The lines of the picture, all of the same width."""
    return draw(lay_out(diagram, METRICS))


def draw(layout: Layout) -> list[Text]:
    """The lines of a layout in characters."""
    canvas = _Canvas(layout.width, layout.height)
    for flow in layout.flows:
        canvas.frame(flow)
    for node in layout.nodes:
        canvas.box(node)
    for edge in sorted(layout.edges, key=lambda placed: bool(placed.edge.taken)):
        canvas.way(edge)
    for edge in layout.edges:
        canvas.label(edge)
    return canvas.lines()


class _Canvas:
    """Characters in columns and rows. Arms of one net join in a cell; those of others pass behind what runs down."""

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        self._arms: dict[Point, dict[str, Arms]] = {}
        self._written: dict[Point, str] = {}
        self._style: dict[Point, str] = {}

    def lines(self) -> list[Text]:
        """What was drawn."""
        return [self._line(y) for y in range(self._height)]

    def _line(self, y: int) -> Text:
        line = Text()
        points = [Point(x, y) for x in range(self._width)]
        for style, group in groupby(points, key=lambda point: self._style.get(point, "")):
            line.append("".join(map(self._character, group)), style)
        return line

    def _character(self, point: Point) -> str:
        if point in self._written:
            return self._written[point]
        nets = list(self._arms.get(point, {}).values())
        across = [arms for arms in nets if arms.up or arms.down]
        return stroke((across or nets or [Arms()])[0])

    def box(self, placed: PlacedNode) -> None:
        """A step; heavy if something goes on there."""
        node, rect, style = placed.node, placed.rect, STYLES[placed.node.tone]
        if node.kind == ENTRY:
            self._write(rect.x, rect.y, _DOT, style)
            return
        self._border(rect, HEAVY if node.tone in _NOW else LIGHT, style)
        for row, text in enumerate(_said(node)):
            first = row == 0
            told = row > len(node.lines)
            self._write(rect.x + 2, rect.y + 1 + row, text, f"bold {style}" if first else style if told else "dim")

    def frame(self, placed: PlacedFlow) -> None:
        """A flow within a step: rounded and broken, its title in the border."""
        rect, style = placed.rect, STYLES[placed.flow.tone]
        inside = rect.width - 2
        self._write(rect.x, rect.y, "\u256d" + "\u254c" * inside + "\u256e", style)
        for y in range(rect.y + 1, rect.bottom - 1):
            self._write(rect.x, y, "\u254e", style)
            self._write(rect.right - 1, y, "\u254e", style)
        self._write(rect.x, rect.bottom - 1, "\u2570" + "\u254c" * inside + "\u256f", style)
        if placed.flow.title:
            self._write(rect.x + 2, rect.y, f" {placed.flow.title} ", style)

    def way(self, placed: PlacedEdge) -> None:
        """A line from the border of one box to the arrow at another."""
        weight = HEAVY if placed.edge.taken else LIGHT
        start, *corners, end = placed.points
        last = Point(end.x, end.y - 1)
        self._written[last] = _ARROW
        above = Point(start.x, start.y - 1)
        self._join(above, _BORDER, _towards(above, start, weight))
        for a, b in pairwise(chain([above], _cells([start, *corners, last]))):
            net, onwards = _net(placed, a.y), _towards(a, b, weight)
            if a is not above:
                if onwards.within(self._arms[a][net]) and net == _to(placed):
                    return  # from here on it runs together with a line that is there already
                self._join(a, net, onwards)
            self._join(b, _net(placed, b.y), _towards(b, a, weight))

    def _join(self, point: Point, net: str, arms: Arms) -> None:
        here = self._arms.setdefault(point, {})
        here[net] = here.get(net, Arms()).joined(arms)

    def label(self, placed: PlacedEdge) -> None:
        """The label of a way, in the middle of its line."""
        if placed.label is None:
            return
        for row, text in enumerate(placed.edge.label):
            left = placed.label.x + (placed.label.width - cell_len(text)) // 2
            self._write(left, placed.label.y + row, text, "italic" if placed.edge.taken else "dim italic")

    def _border(self, rect: Rect, weight: int, style: str) -> None:
        corners = [
            Point(rect.x, rect.y),
            Point(rect.right - 1, rect.y),
            Point(rect.right - 1, rect.bottom - 1),
            Point(rect.x, rect.bottom - 1),
        ]
        for a, b in pairwise(_cells([*corners, corners[0]])):
            for here, there in ((a, b), (b, a)):
                self._join(here, _BORDER, _towards(here, there, weight))
                self._style[here] = style

    def _write(self, x: int, y: int, text: str, style: str) -> None:
        for character in text:
            width = cell_len(character)
            if not width:  # it belongs to the one before
                self._written[Point(x - 1, y)] = self._written.get(Point(x - 1, y), "") + character
                continue
            self._written[Point(x, y)] = character
            self._style[Point(x, y)] = style
            if width == 2:
                self._written[Point(x + 1, y)] = ""
            x += width


def _net(placed: PlacedEdge, y: int) -> str:
    """What a line runs together with at some height: the others from its source, or to its target."""
    return f"from {placed.edge.source}" if placed.leaves <= y < placed.left else _to(placed)


def _to(placed: PlacedEdge) -> str:
    return f"to {placed.edge.target}"


def _cells(corners: Iterable[Point]) -> Iterator[Point]:
    """Every cell on the way from corner to corner."""
    last: Point | None = None
    for corner in corners:
        if last is None:
            yield corner
        else:
            dx, dy = _sign(corner.x - last.x), _sign(corner.y - last.y)
            while last != corner:
                last = Point(last.x + dx, last.y + dy)
                yield last
        last = corner


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


def _towards(here: Point, there: Point, weight: int) -> Arms:
    """One arm, from one cell to the next."""
    return Arms(
        up=weight * (there.y < here.y),
        down=weight * (there.y > here.y),
        left=weight * (there.x < here.x),
        right=weight * (there.x > here.x),
    )
