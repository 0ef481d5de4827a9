"""Columns: how far from the left each cell of ordered rows stands.

Links that matter most are made straight first, which ties cells to blocks; the blocks are then put as far to the left
as their neighbours allow, and moved towards the median of what they are linked with. A relative of Brandes and Köpf's
method (2001) that knows what a straight line is worth.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from holdfast.ops.graph.layers import Cell, Rows

SWEEPS = 16

Apart = Callable[[Cell, Cell], int]
"""How far the middles of two neighbours in a row must at least be apart, the left one first."""


def columns(rows: Rows, apart: Apart) -> dict[Cell, int]:
    """The middle of each cell, in units from anywhere."""
    first_of = _straightened(rows)
    blocks: dict[Cell, _Block] = {first: _Block() for first in dict.fromkeys(first_of.values())}
    for row in rows.rows:
        for left, right in pairwise(row):
            a, b, distance = first_of[left], first_of[right], apart(left, right)
            blocks[b].lefts[a] = max(distance, blocks[b].lefts.get(a, 0))
            blocks[a].rights[b] = max(distance, blocks[a].rights.get(b, 0))
    for (upper, lower), worth in rows.links.items():
        if (a := first_of[upper]) != (b := first_of[lower]):
            blocks[a].linked += [b] * worth
            blocks[b].linked += [a] * worth
    x = _placed(blocks)
    return {cell: x[first] for cell, first in first_of.items()}


@dataclass(kw_only=True)
class _Block:
    """Cells that stand one below the other: the blocks next to it with their distances, and those it is linked with.

    Who is linked with it stands in the list as often as the link is worth.
    """

    lefts: dict[Cell, int] = field(default_factory=dict)
    rights: dict[Cell, int] = field(default_factory=dict)
    linked: list[Cell] = field(default_factory=list)


def _straightened(rows: Rows) -> dict[Cell, Cell]:
    """For each cell the first cell of its block. Straight links never cross, so blocks are ordered left to right."""
    at = {cell: place for row in rows.rows for place, cell in enumerate(row)}
    uppers: dict[Cell, list[int]] = {}
    lowers: dict[Cell, list[int]] = {}
    for upper, lower in rows.links:
        insort(uppers.setdefault(lower, []), at[upper])
        insort(lowers.setdefault(upper, []), at[lower])

    def urgency(link: tuple[Cell, Cell]) -> tuple[int, int, int, int, int]:
        upper, lower = link
        off_middle = abs(at[lower] - _middle(lowers[upper])) + abs(at[upper] - _middle(uppers[lower]))
        return -rows.links[link], off_middle, upper.row, at[upper], at[lower]

    chosen: dict[int, list[tuple[int, int]]] = {}
    below: dict[Cell, Cell] = {}
    for upper, lower in sorted(rows.links, key=urgency):
        beside = chosen.setdefault(upper.row, [])
        if _fits(beside, at[upper], at[lower]):
            insort(beside, (at[upper], at[lower]))
            below[upper] = lower
    first_of = {cell: cell for row in rows.rows for cell in row}
    for cell in first_of:
        if cell in below:
            first_of[below[cell]] = first_of[cell]
    return first_of


def _fits(chosen: Sequence[tuple[int, int]], upper: int, lower: int) -> bool:
    """True if a link between these places neither touches nor crosses one of those chosen, which are in order."""
    place = bisect_left(chosen, (upper, lower))
    return all(a < upper and b < lower for a, b in chosen[max(place - 1, 0) : place]) and all(
        upper < a and lower < b for a, b in chosen[place : place + 1]
    )


def _placed(blocks: Mapping[Cell, _Block]) -> dict[Cell, int]:
    order = _left_to_right(blocks)
    x: dict[Cell, int] = {}
    for name in order:
        x[name] = max((x[left] + distance for left, distance in blocks[name].lefts.items()), default=0)
    for sweep in range(SWEEPS):
        before = dict(x)
        for name in order if sweep % 2 else reversed(order):
            block = blocks[name]
            wanted = _middle(sorted(x[other] for other in block.linked)) if block.linked else x[name]
            wanted = min([wanted, *(x[right] - distance for right, distance in block.rights.items())])
            x[name] = max([wanted, *(x[left] + distance for left, distance in block.lefts.items())])
        if x == before:
            break
    return x


def _left_to_right(blocks: Mapping[Cell, _Block]) -> list[Cell]:
    waits = {name: len(block.lefts) for name, block in blocks.items()}
    ready = [name for name, count in waits.items() if not count]
    order = []
    while ready:
        order.append(name := ready.pop())
        for right in blocks[name].rights:
            waits[right] -= 1
            if not waits[right]:
                ready.append(right)
    return order


def _middle(ordered: Sequence[int]) -> int:
    """The median, rounded down."""
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) // 2
