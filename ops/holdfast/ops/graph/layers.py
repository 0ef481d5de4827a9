"""Rows: which row each box of a flow stands in, which lines pass it by, and who is left of whom.

The first three phases of layered drawing (Sugiyama, Tagawa, Toda 1981): ways back are set aside, rows are the longest
ways from the first box, and crossings are reduced by barycentres and swaps.

Boxes stand in even rows, labels of ways in odd ones. All ways to one box share one line as soon as they have passed
their labels, so a picture has one such line per box and not one per way.
"""

from bisect import bisect_right, insort
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import NamedTuple

SWEEPS = 12

SHARED, MAIN, OTHER = 4, 3, 1
"""How much it matters that a link is straight: within a shared line, of a main way, of another one."""


class Cell(NamedTuple):
    """A place in a row: a `box`, the label of a `way`, or the line `down` or `up` to a box that ways to it share.

    `of` is the number of the box or of the way.
    """

    kind: str
    of: int
    row: int


class Way(NamedTuple):
    """A way between two boxes, by their numbers. A main one should be straight; an exceptional one may lead back."""

    source: int
    target: int
    main: bool = False
    exceptional: bool = False


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Cells by row, left to right and top to bottom; the cells that each way passes; and the links between rows.

    A link is (upper cell, lower cell) with what its straightness is worth.
    """

    rows: tuple[tuple[Cell, ...], ...]
    routes: tuple[tuple[Cell, ...], ...]
    links: Mapping[tuple[Cell, Cell], int]


def arrange(boxes: int, ways: Sequence[Way]) -> Rows:
    """The rows of a flow of so many boxes, all of which can be reached from box 0."""
    row = _rows(boxes, ways)
    routes = tuple(tuple(_route(number, way, row)) for number, way in enumerate(ways))
    links = _links(routes, ways)
    cells = dict.fromkeys(chain((Cell("box", box, row[box]) for box in range(boxes)), *routes))
    unordered: list[list[Cell]] = [[] for _ in range(max(row) + 1)]
    for cell in cells:
        unordered[cell.row].append(cell)
    return Rows(rows=_Order(unordered, routes, links).best(), routes=routes, links=links)


def _rows(boxes: int, ways: Sequence[Way]) -> list[int]:
    """The row of each box: the longest way from box 0."""
    downwards = _downwards(boxes, ways)
    waits = Counter(target for targets in downwards for target in targets)
    row, ready = [0] * boxes, [0]
    while ready:
        box = ready.pop()
        for target in downwards[box]:
            row[target] = max(row[target], row[box] + 2)
            waits[target] -= 1
            if not waits[target]:
                ready.append(target)
    return row


def _downwards(boxes: int, ways: Sequence[Way]) -> list[list[int]]:
    """Where the ways from each box lead, without those that close a circle: the ways back.

    Exceptional ways are followed when nothing else is left, so that they are the ways back wherever there is a choice.
    """
    exits: list[list[Way]] = [[] for _ in range(boxes)]
    for way in ways:
        exits[way.source].append(way)
    kept: list[list[int]] = [[] for _ in range(boxes)]
    seen, later = {0}, deque[Way]()
    path = [iter(exits[0])]
    while path or later:
        if not path:
            path.append(iter([later.popleft()._replace(exceptional=False)]))
        for way in path[-1]:
            if way.exceptional:
                later.append(way)
            elif way.target not in seen:
                seen.add(way.target)
                kept[way.source].append(way.target)
                path.append(iter(exits[way.target]))
                break
            elif not _leads(kept, way.target, way.source):
                kept[way.source].append(way.target)
        else:
            path.pop()
    return kept


def _leads(exits: Sequence[Sequence[int]], start: int, end: int) -> bool:
    """True if one can get from one box to another, or if they are the same."""
    seen, todo = {start}, [start]
    while todo and end not in seen:
        for target in exits[todo.pop()]:
            if target not in seen:
                seen.add(target)
                todo.append(target)
    return end in seen


def _route(number: int, way: Way, row: Sequence[int]) -> Iterable[Cell]:
    """The cells that a way passes. Ways back turn below their box and come in from above, like all others."""
    source, target = row[way.source], row[way.target]
    yield Cell("box", way.source, source)
    if source < target:
        yield Cell("way", number, source + 1)
        yield from (Cell("down", way.target, between) for between in range(source + 2, target))
    else:
        yield Cell("way", number, source)
        yield from (Cell("up", way.target, between) for between in range(source - 1, target - 1, -1))
    yield Cell("box", way.target, target)


def _links(routes: Sequence[Sequence[Cell]], ways: Sequence[Way]) -> dict[tuple[Cell, Cell], int]:
    links: dict[tuple[Cell, Cell], int] = {}
    for route, way in zip(routes, ways, strict=True):
        for a, b in pairwise(route):
            if a.row != b.row:
                shared = a.kind == b.kind
                worth = SHARED if shared else MAIN if way.main else OTHER
                link = (a, b) if a.row < b.row else (b, a)
                links[link] = max(worth, links.get(link, 0))
    return links


class _Order:
    """The order of the cells in each row, made better step by step. Who crosses a main way crosses three others."""

    def __init__(
        self, rows: list[list[Cell]], routes: Sequence[Sequence[Cell]], links: Mapping[tuple[Cell, Cell], int]
    ) -> None:
        self._rows = rows
        self._above: dict[Cell, list[_Near]] = {}
        self._below: dict[Cell, list[_Near]] = {}
        for (upper, lower), worth in links.items():
            weight = MAIN if worth == MAIN else OTHER
            self._above.setdefault(lower, []).append(_Near(upper, weight))
            self._below.setdefault(upper, []).append(_Near(lower, weight))
        # What turns in its own row stands right of the box that it leaves or enters.
        self._beside: dict[Cell, Cell] = {}
        for route in routes:
            for a, b in pairwise(route):
                if a.row == b.row:
                    line, box = (b, a) if a.kind == "box" else (a, b)
                    self._beside.setdefault(line, box)
        self._at: dict[Cell, int] = {}
        for row in rows:
            self._sort(row, {})

    def best(self) -> tuple[tuple[Cell, ...], ...]:
        """The order with the fewest crossings that was met."""
        best, fewest = self._copy(), self._crossings()
        for sweep in range(SWEEPS):
            if not fewest:
                break
            down = sweep % 2 == 0
            for row in self._rows if down else reversed(self._rows):
                self._sort(row, self._above if down else self._below)
            self._swap()
            if (crossings := self._crossings()) < fewest:
                best, fewest = self._copy(), crossings
        return best

    def _copy(self) -> tuple[tuple[Cell, ...], ...]:
        return tuple(tuple(row) for row in self._rows)

    def _sort(self, row: list[Cell], near: Mapping[Cell, Sequence["_Near"]]) -> None:
        """Order a row by the mean place of each cell's neighbours; a cell without any keeps its place."""
        now = {cell: place for place, cell in enumerate(row)}

        def wanted(cell: Cell) -> float:
            beside = near.get(cell, ())
            total = sum(weight for _, weight in beside)
            return sum(self._at[other] * weight for other, weight in beside) / total if total else now[cell]

        def key(cell: Cell) -> tuple[float, int, bool, int]:
            box = self._beside.get(cell, cell)
            return wanted(box), now[box], box is not cell, now[cell]

        row.sort(key=key)
        self._number(row)

    def _number(self, row: Sequence[Cell]) -> None:
        self._at.update((cell, place) for place, cell in enumerate(row))

    def _swap(self) -> None:
        """Swap cells that stand side by side as long as that saves crossings."""
        for row in self._rows:
            better = True
            while better:
                better = False
                for place in range(len(row) - 1):
                    left, right, *after = row[place : place + 3]
                    if {left, right} & self._beside.keys() or any(self._beside.get(cell) == right for cell in after):
                        continue
                    if self._saved(left, right) > 0:
                        row[place], row[place + 1] = right, left
                        self._at[left], self._at[right] = place + 1, place
                        better = True

    def _saved(self, left: Cell, right: Cell) -> int:
        """What it saves to swap two neighbours."""
        return sum(
            self._inverted(side.get(left, ()), side.get(right, ()))
            - self._inverted(side.get(right, ()), side.get(left, ()))
            for side in (self._above, self._below)
        )

    def _inverted(self, lefts: Iterable["_Near"], rights: Sequence["_Near"]) -> int:
        return sum(a_weight * b_weight for a, a_weight in lefts for b, b_weight in rights if self._at[a] > self._at[b])

    def _crossings(self) -> int:
        total = 0
        for row in self._rows:
            met: list[tuple[int, int]] = []  # place and weight of lower ends, in order
            for cell in row:
                links = sorted((self._at[other], weight) for other, weight in self._below.get(cell, ()))
                for place, weight in links:
                    crossed = met[bisect_right(met, (place, MAIN)) :]
                    total += weight * sum(other for _, other in crossed)
                for link in links:
                    insort(met, link)
        return total


class _Near(NamedTuple):
    """A neighbour in the next row, and what it costs to cross the link to it."""

    cell: Cell
    weight: int
