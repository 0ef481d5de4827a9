"""Laws of pictures: whatever is drawn, boxes keep apart, lines lead where they should, and nothing is ambiguous."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, pairwise, product
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from holdfast.ops.graph import svg, text
from holdfast.ops.graph.channels import Net, Run, tracks
from holdfast.ops.graph.diagram import Diagram, Edge, Flow, Node, flows
from holdfast.ops.graph.layout import lay_out
from holdfast.ops.graph.placed import Layout, PlacedEdge, Point, Rect
from holdfast.ops.graph.strokes import HEAVY, LIGHT, Arms, stroke

WORDS = st.sampled_from(("a", "timeout", "rejected, timeout", "order.cents > 5000", "\u7570\u5e38"))


@st.composite
def flow_of(draw: st.DrawFn, name: str, depth: int) -> Flow:
    """Boxes that can all be reached from the first; ways between any two of them, back and to themselves included."""
    count = draw(st.integers(1, 7 if depth == 0 else 4))
    numbers = range(count)
    tree = [(draw(st.integers(0, number - 1)), number) for number in numbers[1:]]
    more = draw(st.lists(st.tuples(st.sampled_from(numbers), st.sampled_from(numbers)), max_size=2 * count))
    nodes = tuple(draw(node_of(f"{name}.{number}", depth)) for number in numbers)
    edges = tuple(
        Edge(
            source=nodes[a].name,
            target=nodes[b].name,
            label=tuple(draw(st.lists(WORDS, max_size=2))),
            main=draw(st.booleans()),
            exceptional=draw(st.booleans()),
            taken=draw(st.integers(0, 2)),
        )
        for a, b in dict.fromkeys([*tree, *more])
    )
    return Flow(name=name, title=draw(WORDS), nodes=nodes, edges=edges)


@st.composite
def node_of(draw: st.DrawFn, name: str, depth: int) -> Node:
    inner = draw(st.integers(0, 3)) if depth < 2 and draw(st.integers(0, 4)) == 0 else 0
    return Node(
        name=name,
        kind="tool",
        title=name,
        lines=tuple(draw(st.lists(WORDS, max_size=2))),
        flows=tuple(draw(flow_of(f"{name}/{number}", depth + 1)) for number in range(inner)),
    )


DIAGRAMS = flow_of("", 0).map(lambda flow: Diagram(title="t", description="d", flow=flow))


def layouts(diagram: Diagram) -> Iterator[Layout]:
    """In characters, where everything is a few units large, and in pixels."""
    yield lay_out(diagram, text.METRICS)
    yield lay_out(diagram, svg.METRICS)


def rects(layout: Layout) -> dict[str, Rect]:
    return {placed.node.name: placed.rect for placed in layout.nodes}


def overlap(a: Rect, b: Rect) -> bool:
    return a.x < b.right and b.x < a.right and a.y < b.bottom and b.y < a.bottom


def holds(outer: Rect, inner: Rect) -> bool:
    return outer.x < inner.x and inner.right < outer.right and outer.y < inner.y and inner.bottom < outer.bottom


def segments(edge: PlacedEdge) -> Iterator[tuple[Point, Point]]:
    for a, b in pairwise(edge.points):
        yield min(a, b), max(a, b)


@given(diagram=DIAGRAMS)
def test_everything_is_drawn_once_and_within_the_picture(diagram: Diagram) -> None:
    for layout in layouts(diagram):
        every = list(flows(diagram.flow))
        assert sorted(rects(layout)) == sorted(node.name for flow in every for node in flow.nodes)
        assert sorted(placed.flow.name for placed in layout.flows) == sorted(flow.name for flow in every[1:])
        assert sorted((p.edge.source, p.edge.target) for p in layout.edges) == sorted(
            (edge.source, edge.target) for flow in every for edge in flow.edges
        )
        corners = [point for placed in layout.edges for point in placed.points]
        drawn = [*rects(layout).values(), *(placed.rect for placed in layout.flows), *(Rect(*p, 1, 1) for p in corners)]
        drawn += [placed.label for placed in layout.edges if placed.label]
        assert all(rect.x >= 0 and rect.y >= 0 for rect in drawn)
        assert all(rect.right <= layout.width and rect.bottom <= layout.height for rect in drawn)


@given(diagram=DIAGRAMS)
def test_boxes_of_one_flow_never_overlap_and_what_holds_something_is_around_it(diagram: Diagram) -> None:
    for layout in layouts(diagram):
        at, frames = rects(layout), {placed.flow.name: placed.rect for placed in layout.flows}
        for flow in flows(diagram.flow):
            assert not any(overlap(at[a.name], at[b.name]) for a, b in combinations(flow.nodes, 2))
            for node in flow.nodes:
                assert flow.name not in frames or holds(frames[flow.name], at[node.name])
                assert all(holds(at[node.name], frames[inner.name]) for inner in node.flows)
                assert not any(overlap(frames[a.name], frames[b.name]) for a, b in combinations(node.flows, 2))


@given(diagram=DIAGRAMS)
def test_a_line_leads_from_below_its_source_to_above_its_target_and_through_no_box(diagram: Diagram) -> None:
    for layout in layouts(diagram):
        at = rects(layout)
        for placed in layout.edges:
            source, target = at[placed.edge.source], at[placed.edge.target]
            assert placed.points[0] == (source.x + source.width // 2, source.bottom)
            assert placed.points[-1] == (target.x + target.width // 2, target.y)
            assert placed.points[-2].y < target.y
        for flow in flows(diagram.flow):
            inside = {node.name for node in flow.nodes}
            for placed in layout.edges:
                for a, b in segments(placed):
                    assert a.x == b.x or a.y == b.y
                    if placed.edge.source in inside:
                        assert not any(
                            a.x < r.right - 1 and b.x > r.x and a.y < r.bottom and b.y > r.y
                            for r in map(at.__getitem__, inside)
                        )


@given(diagram=DIAGRAMS)
def test_lines_that_share_no_end_cross_but_never_run_together(diagram: Diagram) -> None:
    for layout in layouts(diagram):
        for one, other in combinations(layout.edges, 2):
            if one.edge.source == other.edge.source or one.edge.target == other.edge.target:
                continue
            for a, b in segments(one):
                for c, d in segments(other):
                    if a.x == b.x == c.x == d.x:
                        assert min(b.y, d.y) < max(a.y, c.y), (one, other)
                    if a.y == b.y == c.y == d.y:
                        assert min(b.x, d.x) < max(a.x, c.x), (one, other)


@given(diagram=DIAGRAMS)
def test_a_label_stands_on_its_line_and_on_nothing_else(diagram: Diagram) -> None:
    for layout in layouts(diagram):
        labels = [(placed, placed.label) for placed in layout.edges if placed.label]
        leaves = [placed.rect for placed in layout.nodes if not placed.node.flows]
        assert not any(overlap(a, b) for (_, a), (_, b) in combinations(labels, 2))
        assert not any(overlap(label, rect) for _, label in labels for rect in leaves)
        for placed, label in labels:
            for other in layout.edges:
                passes = any(overlap(label, Rect(a.x, a.y, b.x - a.x + 1, b.y - a.y + 1)) for a, b in segments(other))
                assert passes == (other is placed)


@given(diagram=DIAGRAMS)
def test_in_text_no_line_has_a_loose_end_and_every_way_has_its_arrow(diagram: Diagram) -> None:
    lines = [line.plain for line in text.render(diagram)]
    layout = lay_out(diagram, text.METRICS)
    assert {cell_len(line) for line in lines} == {layout.width}
    rows = [list(cells(line)) for line in lines]
    for label in (placed.label for placed in layout.edges if placed.label):
        for y in range(label.y, label.bottom):  # whatever its text is, a line may end there
            rows[y][label.x : label.right] = ["text"] * label.width
    for y, row in enumerate(rows):
        for x, character in enumerate(row):
            assert sum(map(bool, ARMS.get(character, Arms()))) != 1, "a line ends in the open"
            for side, (dx, dy, opposite) in SIDES.items():
                if getattr(ARMS.get(character), side, 0):
                    at_x, at_y = x + dx, y + dy
                    while dx and rows[at_y][at_x] in UPRIGHT:  # what runs across passes behind it
                        at_x += dx
                    beside = rows[at_y][at_x]
                    assert beside not in ARMS or getattr(ARMS[beside], opposite), (character, beside)
    for placed in layout.edges:
        end = placed.points[-1]
        assert rows[end.y - 1][end.x] == "\u25bc"
        above = rows[end.y - 2][end.x]
        assert above == "text" or ARMS[above].down, "nothing leads to an arrow"


SIDES = {"up": (0, -1, "down"), "down": (0, 1, "up"), "left": (-1, 0, "right"), "right": (1, 0, "left")}
ARMS = {stroke(Arms(*arms)): Arms(*arms) for arms in product((0, LIGHT, HEAVY), repeat=4)}
UPRIGHT = {character for character, arms in ARMS.items() if arms.up and arms.down and not arms.left and not arms.right}


def cells(line: str) -> Iterator[str]:
    """One character per column; nothing in the second column of a wide one."""
    for character in line:
        yield character
        yield from [""] * (cell_len(character) - 1)


NETS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3)).filter(lambda ends: sum(ends) > 1), min_size=1, max_size=5
)


@given(sizes=NETS, seed=st.randoms(use_true_random=False))
def test_nets_of_a_channel_cross_but_never_run_together(sizes: list[tuple[int, int]], seed: Random) -> None:
    places = [4 * place for place in range(3 * len(sizes) + 1)]
    uppers, lowers = seed.sample(places, len(places)), seed.sample(places, len(places))
    nets = {
        str(number): Net(
            uppers=frozenset(uppers.pop() for _ in range(up)), lowers=frozenset(lowers.pop() for _ in range(down))
        )
        for number, (up, down) in enumerate(sizes)
    }
    runs = tracks(nets, lane=2)
    assert all(len(net.columns) == 1 or name in runs for name, net in nets.items())
    lines = {name: list(lines_of(net, runs.get(name))) for name, net in nets.items()}
    for one, other in combinations(lines, 2):
        for a, b in lines[one]:
            for c, d in lines[other]:
                assert not (a.x == b.x == c.x == d.x and max(a.y, c.y) <= min(b.y, d.y))
                assert not (a.y == b.y == c.y == d.y and max(a.x, c.x) <= min(b.x, d.x))


def lines_of(net: Net, run: Run | None) -> Iterator[tuple[Point, Point]]:
    """The lines of a net, from left to right or from above to below, in a channel from -1 to far below its tracks."""
    if run is None:
        yield from ((Point(column, -1), Point(column, 99)) for column in net.columns)
        return
    between = set() if run.column is None else {run.column}
    for ends, track in ((net.uppers, run.upper), (net.lowers, run.lower)):
        columns = ends | between if between else net.columns
        yield Point(min(columns), track), Point(max(columns), track)
    yield from ((Point(column, run.upper), Point(column, run.lower)) for column in between)
    yield from ((Point(column, -1), Point(column, run.upper)) for column in net.uppers)
    yield from ((Point(column, run.lower), Point(column, 99)) for column in net.lowers)


def test_nets_that_want_to_be_above_each_other_change_tracks() -> None:
    nets = {
        "a": Net(uppers=frozenset({0}), lowers=frozenset({8})),
        "b": Net(uppers=frozenset({8}), lowers=frozenset({0})),
    }
    runs = tracks(nets, lane=2)
    assert [name for name, run in runs.items() if run.column is not None] == ["a"]
    assert runs["a"].upper < runs["b"].upper < runs["a"].lower


@given(diagram=DIAGRAMS)
def test_the_same_diagram_gives_the_same_picture(diagram: Diagram) -> None:
    assert list(layouts(diagram)) == list(layouts(replace(diagram)))
    assert svg.render(diagram) == svg.render(replace(diagram))
