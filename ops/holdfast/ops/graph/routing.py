"""From ordered rows to places: columns, heights, and the corners of every line of one flow."""

from collections.abc import Sequence
from itertools import pairwise

from holdfast.ops.graph.channels import Net, Run, tracks
from holdfast.ops.graph.columns import columns
from holdfast.ops.graph.diagram import Edge, Flow
from holdfast.ops.graph.layers import Cell, Rows
from holdfast.ops.graph.placed import Layout, Metrics, PlacedEdge, Point, Rect, Size, together


class Routing:
    """One flow: its boxes, as layouts of their own, in the rows that `layers` gave them."""

    def __init__(self, flow: Flow, metrics: Metrics, boxes: Sequence[Layout], rows: Rows) -> None:
        self._flow, self._metrics, self._boxes, self._rows = flow, metrics, boxes, rows
        self._size = {cell: self._size_of(cell) for row in rows.rows for cell in row}
        self._x = columns(rows, self._apart)
        # One channel above each row, and one below the last.
        self._runs = [tracks(nets, lane=metrics.lane) for nets in self._nets()]
        self._channel_y, self._row_y = [0], []
        for number, row in enumerate(rows.rows):
            self._row_y.append(self._channel_y[-1] + self._channel_height(number))
            self._channel_y.append(self._row_y[-1] + max(self._size[cell].height for cell in row))
        self._height = self._channel_y[-1] + self._channel_height(len(rows.rows))

    def layout(self) -> Layout:
        """The flow, from its left upper corner on."""
        spans = [(self._x[cell] - size.width // 2, size.width) for cell, size in self._size.items()]
        spans += [(run.column, 1) for runs in self._runs for run in runs.values() if run.column is not None]
        left, right = min(x for x, _ in spans), max(x + width for x, width in spans)
        boxes = [
            self._boxes[cell.of].moved(self._x[cell] - size.width // 2, self._row_y[cell.row])
            for cell, size in self._size.items()
            if cell.kind == "box"
        ]
        edges = tuple(self._edge(edge, route) for edge, route in zip(self._flow.edges, self._rows.routes, strict=True))
        lines = Layout(width=0, height=0, edges=edges)
        return together(right - left, self._height, [*boxes, lines]).moved(-left, 0)

    def _size_of(self, cell: Cell) -> Size:
        if cell.kind == "box":
            return Size(self._boxes[cell.of].width, self._boxes[cell.of].height)
        label = self._flow.edges[cell.of].label if cell.kind == "way" else ()
        return self._metrics.label(label) if label else Size(1, 0)

    def _apart(self, left: Cell, right: Cell) -> int:
        gap = self._metrics.gap if left.kind == right.kind == "box" else self._metrics.lane
        width = self._size[left].width
        return width - width // 2 + gap + self._size[right].width // 2

    def _nets(self) -> list[dict[str, Net]]:
        """The nets of each channel, by name."""
        uppers: list[dict[str, set[int]]] = [{} for _ in range(len(self._rows.rows) + 1)]
        lowers: list[dict[str, set[int]]] = [{} for _ in range(len(self._rows.rows) + 1)]
        for route in self._rows.routes:
            for a, b in pairwise(route):
                channel, name = self._passes(a, b, route[-1])
                for cell in (a, b):
                    ends = lowers if cell.row == channel else uppers
                    ends[channel].setdefault(name, set()).add(self._x[cell])
        return [
            {
                name: Net(uppers=frozenset(above.get(name, ())), lowers=frozenset(below.get(name, ())))
                for name in sorted(above | below)
            }
            for above, below in zip(uppers, lowers, strict=True)
        ]

    def _passes(self, a: Cell, b: Cell, target: Cell) -> tuple[int, str]:
        """The channel between two cells of a route, and the net there: lines out of one box, or into one box."""
        if a.kind == "box":
            return a.row + 1, f"from {a.of}"
        return max(a.row, b.row), f"to {target.of}"

    def _channel_height(self, number: int) -> int:
        """Rows of boxes are even; a channel at the edge of the picture may be without lines."""
        metrics, runs = self._metrics, self._runs[number]
        used = max((run.lower for run in runs.values()), default=-1) + 1
        if number in (0, len(self._rows.rows)) and not used:
            return 0
        return used * metrics.track + (metrics.lead if number % 2 else metrics.after_label + metrics.arrow)

    def _edge(self, edge: Edge, route: Sequence[Cell]) -> PlacedEdge:
        source, target = route[0], route[-1]
        points = [Point(self._x[source], self._row_y[source.row] + self._size[source].height)]
        for a, b in pairwise(route):
            channel, name = self._passes(a, b, target)
            run = self._runs[channel].get(name)
            if run is not None:
                points += self._corners(a, b, channel, run)
        points.append(Point(self._x[target], self._row_y[target.row]))
        below = source.row + 1
        return PlacedEdge(
            edge=edge,
            points=_simplified(points),
            leaves=self._channel_y[below],
            left=self._row_y[below] if below < len(self._row_y) else self._height,
            label=self._label(edge, route[1]),
        )

    def _corners(self, a: Cell, b: Cell, channel: int, run: Run) -> list[Point]:
        start, end = (run.lower if cell.row == channel else run.upper for cell in (a, b))
        corners = [Point(self._x[a], self._track_y(channel, start))]
        if start != end and run.column is not None:
            corners += [Point(run.column, self._track_y(channel, track)) for track in (start, end)]
        return [*corners, Point(self._x[b], self._track_y(channel, end))]

    def _track_y(self, channel: int, track: int) -> int:
        metrics = self._metrics
        return self._channel_y[channel] + (metrics.lead if channel % 2 else metrics.after_label) + track * metrics.track

    def _label(self, edge: Edge, way: Cell) -> Rect | None:
        if not edge.label:
            return None
        width, height = self._size[way]
        free = self._channel_y[way.row + 1] - self._row_y[way.row] - height
        return Rect(self._x[way] - width // 2, self._row_y[way.row] + free // 2, width, height)


def _simplified(points: Sequence[Point]) -> tuple[Point, ...]:
    """Without points that are no corners."""
    found: list[Point] = []
    for point in points:
        if found and found[-1] == point:
            continue
        if len(found) > 1 and (found[-2].x == found[-1].x == point.x or found[-2].y == found[-1].y == point.y):
            found.pop()
        found.append(point)
    return tuple(found)
