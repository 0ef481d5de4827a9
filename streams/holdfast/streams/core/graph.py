"""A definition as a graph: where each step leads, and which steps run together in one scope.

A scope is what one `succeed` step ends: the workflow, one branch of a parallel step, or one item of a map step. Steps
stand side by side in the definition; which scope a step belongs to follows from where it is reached from.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from holdfast.streams.core import definition as d

Path = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True)
class Exit:
    """A way out of a step: the field that names it within the step, and the step that it leads to."""

    path: Path
    target: str


@dataclass(kw_only=True, eq=False)
class ScopeNode:
    """One scope: the step that opens it (empty for the workflow), its branch, its first step, its steps.

    `own_row` says that it is a workflow of its own, which sees nothing of what stands around it.
    """

    opened_by: str
    branch: str
    start: str
    own_row: bool
    around: "ScopeNode | None"
    steps: set[str] = field(default_factory=set)

    def sees(self, other: "ScopeNode") -> bool:
        """True if expressions here may read the outputs of steps of the other scope: one around it or within it."""
        return other in self._outwards() or self in other._outwards()

    def _outwards(self) -> list["ScopeNode"]:
        """This scope and those around it that share its row."""
        if self.own_row or self.around is None:
            return [self]
        return [self, *self.around._outwards()]


def exits(step: d.Step) -> list[Exit]:
    """Where a step leads to within its own scope."""
    if isinstance(step, d.ChoiceStep):
        branches = [Exit(path=("branches", i, "next"), target=b.next) for i, b in enumerate(step.branches)]
        return [*branches, Exit(path=("default",), target=step.default)]
    if isinstance(step, d.SucceedStep | d.FailStep):
        return []
    caught = step.catch if isinstance(step, d._Working) else {}
    return [
        Exit(path=("next",), target=step.next),
        *(Exit(path=("catch", error), target=target) for error, target in caught.items()),
    ]


def entries(step: d.Step) -> list[tuple[str, Exit]]:
    """The scopes that a step opens: the branch (empty for items), and where it begins."""
    if isinstance(step, d.ParallelStep):
        return [
            (name, Exit(path=("branches", name, "start"), target=branch.start))
            for name, branch in step.branches.items()
        ]
    return [("", Exit(path=("do",), target=step.do))] if isinstance(step, d.MapStep) else []


def scopes(definition: d.Definition) -> Iterator[ScopeNode]:
    """Every scope of a definition, outer ones first. A step that is reached from two scopes is in both."""
    todo = [ScopeNode(opened_by="", branch="", start=definition.start, own_row=True, around=None)]
    opened: set[tuple[str, str]] = set()
    while todo:
        scope = todo.pop(0)
        scope.steps |= closure({scope.start}, edges(definition)) & set(definition.steps)
        yield scope
        for name in sorted(scope.steps):
            for branch, entry in entries(definition.steps[name]):
                if (name, branch) not in opened and entry.target in definition.steps:
                    opened.add((name, branch))
                    own_row = isinstance(definition.steps[name], d.MapStep)
                    todo.append(
                        ScopeNode(opened_by=name, branch=branch, start=entry.target, own_row=own_row, around=scope)
                    )


def edges(definition: d.Definition) -> Mapping[str, set[str]]:
    """The steps that each step leads to within its scope."""
    return {name: {exit_.target for exit_ in exits(step)} for name, step in definition.steps.items()}


def closure(start: set[str], graph: Mapping[str, set[str]]) -> set[str]:
    """Everything that can be reached from `start`, itself included."""
    seen, todo = set(start), list(start)
    while todo:
        for target in graph.get(todo.pop(), set()) - seen:
            seen.add(target)
            todo.append(target)
    return seen
