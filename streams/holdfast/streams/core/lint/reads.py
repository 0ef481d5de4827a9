"""What an expression reads, and what it has made sure of by then.

A *path* is `("steps", "triage", "output", "urgency")`. An expression makes sure of a path by `has(...)` or by
`"name" in ...`, for what stands behind `&&`, `||` and `?`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.streams.core.lint.tree import Call, Constant, Fold, Name, Parts, Select, Tree

Path = tuple[str, ...]
Facts = frozenset[Path]
NOTHING: Facts = frozenset()


@dataclass(frozen=True, slots=True)
class Read:
    """A path that is read, as long as its names are known, and the paths that are certainly there at this point."""

    path: Path
    sure: Facts

    def is_sure_of(self, length: int, facts: Facts = NOTHING) -> bool:
        """True if the first `length` names of the path are certainly there, here or by `facts`."""
        wanted = self.path[:length]
        return any(fact[:length] == wanted for fact in self.sure | facts)


def reads(tree: Tree) -> list[Read]:
    """Everything that an expression reads of its variables."""
    return list(_reads(tree, NOTHING, frozenset()))


def facts_if(tree: Tree, outcome: bool) -> Facts:
    """The paths that are certainly there if a condition has given this outcome."""
    return _facts(tree, outcome, frozenset())


def _reads(tree: Tree, sure: Facts, bound: frozenset[str]) -> Iterator[Read]:
    path = _path(tree, bound)
    if path:
        yield Read(path, sure)
    match tree:
        case Select(operand, _, tested):
            if tested and len(_path(operand, bound)) == 1:
                return  # has(steps.x) asks for one name and takes nothing
            if not path:
                yield from _reads(operand, sure, bound)
        case Call() if path:
            return
        case Call("@in", (Constant(), within)) if len(_path(within, bound)) == 1:
            return
        case Call("_&&_" | "_||_" as both, (left, right)):
            # Either side may be evaluated first, and an error on one side does not matter if the other one decides.
            outcome = both == "_&&_"
            yield from _reads(left, sure | _facts(right, outcome, bound), bound)
            yield from _reads(right, sure | _facts(left, outcome, bound), bound)
        case Call("_?_:_", (condition, then, otherwise)):
            yield from _reads(condition, sure, bound)
            yield from _reads(then, sure | _facts(condition, True, bound), bound)
            yield from _reads(otherwise, sure | _facts(condition, False, bound), bound)
        case Call(_, parts) | Parts(parts):
            for part in parts:
                yield from _reads(part, sure, bound)
        case Fold(over, names, parts):
            yield from _reads(over, sure, bound)
            for part in parts:
                yield from _reads(part, sure, bound | names)
        case _:
            return


def _path(tree: Tree, bound: frozenset[str]) -> Path:
    """The path that a tree spells out; empty if it is none."""
    match tree:
        case Name(name) if name not in bound:
            return (name,)
        case Select(operand, field, False):
            outer = _path(operand, bound)
            return (*outer, field) if outer else ()
        case Call("_[_]", (operand, Constant(str() as field))):
            outer = _path(operand, bound)
            return (*outer, field) if outer else ()
        case _:
            return ()


def _facts(tree: Tree, outcome: bool, bound: frozenset[str]) -> Facts:
    match tree:
        case Select(operand, field, True) if outcome:
            path = _path(operand, bound)
            return frozenset({(*path, field)}) if path else NOTHING
        case Call("@in", (Constant(str() as field), within)) if outcome:
            path = _path(within, bound)
            return frozenset({(*path, field)}) if path else NOTHING
        case Call("!_", (operand,)):
            return _facts(operand, not outcome, bound)
        case Call("_&&_" | "_||_" as both, (left, right)):
            found = _facts(left, outcome, bound), _facts(right, outcome, bound)
            certain_of_both = (both == "_&&_") is outcome
            return found[0] | found[1] if certain_of_both else found[0] & found[1]
        case _:
            return NOTHING
