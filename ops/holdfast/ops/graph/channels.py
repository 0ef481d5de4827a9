"""Channels: the space between two rows, where lines that lead from one to the other change their columns.

The lines of one net run together. A net that has to change columns gets a track: a height at which nothing of another
net lies on it, so that nets cross but never touch. Who is above whom is chosen to cross as little as that allows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, count


@dataclass(frozen=True, kw_only=True)
class Net:
    """Lines that meet: the columns where they leave a channel upwards and downwards, which no other net shares."""

    uppers: frozenset[int]
    lowers: frozenset[int]

    @property
    def columns(self) -> frozenset[int]:
        """All of them."""
        return self.uppers | self.lowers


@dataclass(frozen=True, kw_only=True)
class Run:
    """The tracks of a net, counted from the top: of its upper and of its lower ends, and the column between the two.

    Most nets have one track, and no column.
    """

    upper: int
    lower: int
    column: int | None = None


def tracks(nets: Mapping[str, Net], *, lane: int) -> dict[str, Run]:
    """How the nets of a channel run; straight ones have no track. On one track, nets are at least `lane` apart."""
    bent = {name: net for name, net in nets.items() if len(net.columns) > 1}
    columns: dict[str, int] = {}
    while True:
        pieces = _pieces(bent, columns)
        order = _Order(len(pieces))
        for (i, (name, a)), (j, (other, b)) in combinations(enumerate(pieces), 2):
            if name == other:
                order.put_above(i, j)
                continue
            if a.uppers & b.lowers:
                order.put_above(i, j)
            if b.uppers & a.lowers:
                order.put_above(j, i)
        circular = next((name for i, (name, _) in enumerate(pieces) if order.is_above(i, i)), None)
        if circular is None:
            break
        # Two nets want to be above each other: one of them changes tracks on its way.
        columns[circular] = _free_column(nets, columns, bent[circular], max(lane // 2, 1))
    _cross_little(pieces, order, lane)
    track = order.levels()
    runs: dict[str, Run] = {}
    for i, (name, _) in enumerate(pieces):
        upper = runs[name].upper if name in runs else track[i]
        runs[name] = Run(upper=upper, lower=track[i], column=columns.get(name))
    return runs


def _pieces(bent: Mapping[str, Net], columns: Mapping[str, int]) -> list[tuple[str, Net]]:
    """What needs a track of its own: whole nets, and the upper and lower part of those that have a column between."""
    pieces = []
    for name, net in bent.items():
        if name in columns:
            between = frozenset({columns[name]})
            pieces.append((name, Net(uppers=net.uppers, lowers=between)))
            pieces.append((name, Net(uppers=between, lowers=net.lowers)))
        else:
            pieces.append((name, net))
    return pieces


def _free_column(nets: Mapping[str, Net], columns: Mapping[str, int], net: Net, step: int) -> int:
    """A column near a net, at least a step away from every other."""
    used = {column for other in nets.values() for column in other.columns} | set(columns.values())
    middle = (min(net.columns) + max(net.columns)) // 2
    candidates = (middle + sign * step * distance for distance in count() for sign in (1, -1))
    return next(column for column in candidates if all(abs(column - other) >= step for other in used))


def _cross_little(pieces: list[tuple[str, Net]], order: "_Order", lane: int) -> None:
    """Say of all pieces that would get in each other's way who is above whom, the most important ones first."""
    pairs = []
    for (i, (_, a)), (j, (_, b)) in combinations(enumerate(pieces), 2):
        if min(a.columns) < max(b.columns) + lane and min(b.columns) < max(a.columns) + lane:
            saved = _crossings(b, a) - _crossings(a, b)
            pairs.append((-abs(saved), i, j) if saved >= 0 else (-abs(saved), j, i))
    for _, upper, lower in sorted(pairs):
        if not order.is_above(lower, upper):
            order.put_above(upper, lower)


def _crossings(upper: Net, lower: Net) -> int:
    """How often two nets cross if one of them is above the other."""
    return _inside(lower.uppers, upper) + _inside(upper.lowers, lower)


def _inside(columns: frozenset[int], net: Net) -> int:
    return sum(min(net.columns) < column < max(net.columns) for column in columns)


class _Order:
    """Who is above whom among `size` pieces, as bits; kept transitive."""

    def __init__(self, size: int) -> None:
        self._under = [0] * size

    def put_above(self, upper: int, lower: int) -> None:
        new = self._under[lower] | 1 << lower
        for piece, under in enumerate(self._under):
            if piece == upper or under >> upper & 1:
                self._under[piece] |= new

    def is_above(self, upper: int, lower: int) -> bool:
        return bool(self._under[upper] >> lower & 1)

    def levels(self) -> list[int]:
        """For each piece how many there are at most above it, one below the other."""
        level = [0] * len(self._under)
        for upper in sorted(range(len(level)), key=lambda piece: -self._under[piece].bit_count()):
            for lower in range(len(level)):
                if self.is_above(upper, lower):
                    level[lower] = max(level[lower], level[upper] + 1)
        return level
