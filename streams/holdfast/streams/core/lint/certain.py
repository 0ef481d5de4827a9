"""What has certainly happened, and what can have happened, before a step is entered.

A data flow over the graph of each scope: a step that completes leaves its output, a step whose error is caught does
not; a branch of a `choice` may also be taken only if some path is there. What holds on every way to a step is certain.
"""

from collections.abc import Callable, Iterable
from functools import reduce

from holdfast.streams.core import definition as d
from holdfast.streams.core import graph
from holdfast.streams.core.graph import Exit, ScopeNode
from holdfast.streams.core.lint.reads import NOTHING, Facts

ConditionFacts = Callable[[str, bool], Facts]
"""What is certainly there if a condition (its source) has given an outcome."""
COMPLETING = frozenset({"next", "branches", "default"})
"""The fields of a step that say where it leads to when it completes; `catch` leads on when it has not."""


class Certainty:
    """The facts of a sound definition: every exit leads to a step, and every step is in one scope at most."""

    def __init__(self, definition: d.Definition, facts_if: ConditionFacts) -> None:
        self._steps = definition.steps
        self._facts_if = facts_if
        self._scopes = list(graph.scopes(definition))
        self._gains: dict[ScopeNode, dict[str, Facts]] = {}
        for scope in reversed(self._scopes):  # inner scopes first: what they leave, the scopes around them gain
            self._gains[scope] = self._gain(scope)
        self.before: dict[str, Facts] = {}
        for scope in self._scopes:
            around = NOTHING if scope.own_row else self.before[scope.opened_by]
            self.before |= {name: around | gain for name, gain in self._gains[scope].items()}
        self._after: dict[str, set[str]] = {}
        self._ways: dict[str, set[str]] = {}
        for scope in self._scopes:
            self._add_ways(scope)

    def can_come_before(self, earlier: str, later: str) -> bool:
        """True if a workflow may have completed one step when it enters the other."""
        return later in graph.closure(self._after.get(earlier, set()), self._ways)

    def _gain(self, scope: ScopeNode) -> dict[str, Facts]:
        """What the way from the scope's start to each of its steps adds to what was certain before the scope."""
        gain: dict[str, Facts] = {scope.start: NOTHING}
        todo = [scope.start]
        while todo:
            name = todo.pop()
            for exit_ in graph.exits(self._steps[name]):
                left = gain[name] | self._left_by(name, exit_)
                known = gain.get(exit_.target)
                gain[exit_.target] = met = left if known is None else known & left
                if met != known:
                    todo.append(exit_.target)
        return gain

    def _left_by(self, name: str, exit_: Exit) -> Facts:
        """What is certain on leaving a step by one of its exits, beyond what was before it."""
        step = self._steps[name]
        if exit_.path[0] not in COMPLETING:
            return NOTHING
        done: Facts = frozenset({("steps", name)})
        if isinstance(step, d.AssignStep):
            done |= {("vars", variable) for variable in step.set}
        if isinstance(step, d.ParallelStep):
            done |= self._left_by_branches(name, step)
        if isinstance(step, d.ChoiceStep):
            done |= self._chosen(step, exit_)
        return done

    def _chosen(self, step: d.ChoiceStep, exit_: Exit) -> Facts:
        taken = exit_.path[1] if exit_.path[0] == "branches" else len(step.branches)
        assert isinstance(taken, int)
        refused = [self._facts_if(branch.when, False) for branch in step.branches[:taken]]
        chosen = [self._facts_if(branch.when, True) for branch in step.branches[taken : taken + 1]]
        return frozenset().union(*refused, *chosen)

    def _left_by_branches(self, name: str, step: d.ParallelStep) -> Facts:
        """What the branches of a parallel step have certainly left if each of them had to complete."""
        if step.on_failure == "ignore" or step.wanted(len(step.branches)) < len(step.branches):
            return NOTHING
        always = [s for s in self._scopes if s.opened_by == name and not step.branches[s.branch].when]
        return frozenset().union(*(self._left_by_end(scope) for scope in always))

    def _left_by_end(self, scope: ScopeNode) -> Facts:
        ends = [name for name in scope.steps if isinstance(self._steps[name], d.SucceedStep)]
        return _in_all(self._gains[scope].get(name, NOTHING) | {("steps", name)} for name in ends)

    def _add_ways(self, scope: ScopeNode) -> None:
        """Which steps may come once a step has completed (`_after`) or was entered (`_ways`), also side by side."""
        beside = self._beside(scope)
        for name in scope.steps:
            step = self._steps[name]
            exits = graph.exits(step)
            opened = {entry.target for _, entry in graph.entries(step)} if isinstance(step, d.ParallelStep) else set()
            self._after.setdefault(name, set()).update({e.target for e in exits if e.path[0] in COMPLETING}, beside)
            self._ways.setdefault(name, set()).update({e.target for e in exits}, opened, beside)

    def _beside(self, scope: ScopeNode) -> set[str]:
        """The steps that may be entered while a scope runs, or because of how it ends: siblings, what comes next."""
        if scope.own_row or scope.around is None:
            return set()
        opener = self._steps[scope.opened_by]
        siblings = {entry.target for _, entry in graph.entries(opener)}
        return siblings | {exit_.target for exit_ in graph.exits(opener)} | self._beside(scope.around)


def _in_all(found: Iterable[Facts]) -> Facts:
    sets = list(found)
    return reduce(lambda one, other: one & other, sets) if sets else NOTHING
