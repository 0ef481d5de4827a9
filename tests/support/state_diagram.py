"""The picture of a workflow's states, made from the transition table.

States that share their ways out are drawn in one box, whose ways are those of each of them; whoever comes in there
comes in at the first one. So the picture says exactly what the table says, in half as many lines.
"""

from collections.abc import Iterator

from holdfast.ops.graph import svg
from holdfast.ops.graph.diagram import ENTRY, Diagram, Edge, Flow, Node
from holdfast.streams.core.state import TERMINAL, Status
from holdfast.streams.core.transitions import TRANSITIONS

PICTURE = "docs/states.svg"
BOX = "in progress"
TOGETHER = (Status.RUNNING, Status.WAITING, Status.PAUSED)
MAIN = {("", "pending"), ("pending", BOX), ("", "running"), ("running", "waiting")}


def render() -> str:
    """The picture, as the text of an SVG file."""
    return svg.render(diagram())


def diagram() -> Diagram:
    """The states and what may follow each."""
    inner = Flow(
        name=BOX,
        title="in one of these",
        nodes=(Node(name=f"{BOX}/", kind=ENTRY), *map(node, TOGETHER)),
        edges=(
            Edge(source=f"{BOX}/", target=TOGETHER[0].value, main=True),
            *(edge(a.value, b.value) for a in TOGETHER for b in TOGETHER if b in TRANSITIONS[a]),
        ),
    )
    others = [status for status in Status if status not in TOGETHER]
    first = others[0]
    outer = Flow(
        name="",
        nodes=(
            Node(name="", kind=ENTRY),
            node(first),
            Node(name=BOX, kind="status", title=BOX, flows=(inner,)),
            *map(node, others[1:]),
        ),
        edges=(edge("", first.value), *(edge(a, b) for a, b in dict.fromkeys(outer_ways()))),
    )
    told = (f"{status}: then {', '.join(after(status)) or 'nothing'}." for status in Status)
    return Diagram(title="States of a workflow", description="\n".join(told), flow=outer)


def outer_ways() -> Iterator[tuple[str, str]]:
    """The ways between the box and the other states."""
    for status in Status:
        for following in Status:
            if following in TRANSITIONS[status] and not {status, following} <= set(TOGETHER):
                yield boxed(status), boxed(following)


def ways_of(flow: Flow) -> set[tuple[str, str]]:
    """The transitions that a picture says: the inverse of drawing it."""
    inner = {node.name: node for node in flow.nodes if node.flows}
    starts = {name: held.flows[0].edges[0].target for name, held in inner.items()}
    members = {name: [node.name for node in held.flows[0].nodes if node.kind != ENTRY] for name, held in inner.items()}
    entries = {node.name for node in flow.nodes if node.kind == ENTRY}
    found = {
        (source, starts.get(way.target, way.target))
        for way in flow.edges
        if way.source not in entries
        for source in members.get(way.source, [way.source])
    }
    return found.union(*(ways_of(held.flows[0]) for held in inner.values()))


def boxed(status: Status) -> str:
    """Where a state is to be found in the outer flow."""
    return BOX if status in TOGETHER else status.value


def after(status: Status) -> list[str]:
    """What may follow, in the order of all states."""
    return [other.value for other in Status if other in TRANSITIONS[status]]


def node(status: Status) -> Node:
    """One state."""
    kind = "succeed" if status is Status.COMPLETED else "fail" if status in TERMINAL else "status"
    return Node(name=status.value, kind=kind, title=status.value)


def edge(source: str, target: str) -> Edge:
    """One way."""
    return Edge(source=source, target=target, main=(source, target) in MAIN)
