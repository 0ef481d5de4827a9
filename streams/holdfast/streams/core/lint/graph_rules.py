"""Rules about the graph: where steps lead, and whether they are reached and end."""

from collections.abc import Iterator, Mapping

from holdfast.streams.core import definition as d
from holdfast.streams.core import graph
from holdfast.streams.core.graph import ScopeNode
from holdfast.streams.core.lint.rule import Hit, Rule, Severity
from holdfast.streams.core.lint.subject import Subject

_ENDS = d.SucceedStep | d.FailStep
_WAITS = d.WaitStep | d.ApprovalStep | d.SleepStep | d.ScheduleStep
_WORKS_NOT = d.ChoiceStep | d.AssignStep


def _no_such_step(subject: Subject) -> Iterator[Hit]:
    for path, target in subject.targets:
        if target not in subject.steps:
            yield Hit(path, f"there is no step {target!r}", names_of_steps(subject))


def _unreachable_step(subject: Subject) -> Iterator[Hit]:
    if subject.definition.start not in subject.steps:
        return
    for name, homes in subject.homes.items():
        if not homes:
            yield Hit(("steps", name), "no path from the start leads here")


def _step_in_two_places(subject: Subject) -> Iterator[Hit]:
    for name, homes in subject.homes.items():
        if len(homes) > 1:
            places = " and ".join(place_of(scope) for scope in homes)
            yield Hit(("steps", name), f"it belongs to {places}, but a step can only be in one place at a time")


def _no_end(subject: Subject) -> Iterator[Hit]:
    if not subject.leads_somewhere:
        return
    circling = {name for cycle in _cycles_that_nothing_leaves(subject) for name in cycle}
    for name in sorted({name for scope in subject.scopes for name in scope.steps} - _ending(subject) - circling):
        yield Hit(("steps", name), "no path leads from here to an end")


def _ending(subject: Subject) -> set[str]:
    incoming: dict[str, set[str]] = {}
    for name, targets in subject.edges.items():
        for target in targets:
            incoming.setdefault(target, set()).add(name)
    return graph.closure({name for name, step in subject.steps.items() if isinstance(step, _ENDS)}, incoming)


def _endless_loop(subject: Subject) -> Iterator[Hit]:
    if not subject.leads_somewhere:
        return
    for cycle in _cycles_that_nothing_leaves(subject):
        yield Hit(
            ("steps", cycle[0]),
            f"{_listed(cycle)} lead round in a circle that does no work and that nothing leaves",
        )


def _cycles_that_nothing_leaves(subject: Subject) -> list[list[str]]:
    return [
        cycle
        for cycle in cycles(subject.edges)
        if all(isinstance(subject.steps[name], _WORKS_NOT) for name in cycle)
        and all(subject.edges[name] <= set(cycle) for name in cycle)
    ]


def _unbounded_loop(subject: Subject) -> Iterator[Hit]:
    if not subject.leads_somewhere or "max_steps" in subject.definition.model_fields_set:
        return
    endless = _cycles_that_nothing_leaves(subject)
    busy = {name: targets for name, targets in subject.edges.items() if not isinstance(subject.steps[name], _WAITS)}
    for cycle in cycles(busy):
        if cycle not in endless and not _counts(subject, set(cycle)):
            limit = subject.definition.max_steps
            yield Hit(
                ("steps", cycle[0]),
                f"{_listed(cycle)} may be repeated without a pause until the workflow has entered {limit} steps",
            )


def _counts(subject: Subject, cycle: set[str]) -> bool:
    """True if a step of the cycle computes a variable from itself, and a choice that can leave the cycle reads it."""
    counted: set[str] = set()
    asked: set[str] = set()
    for site in subject.compiling_sites:
        step = subject.steps[site.step]
        read = {read.path[1] for read in subject.reads(site) if len(read.path) > 1 and read.path[0] == "vars"}
        if site.step in cycle and isinstance(step, d.AssignStep):
            counted |= read & {str(site.path[3])}
        if site.step in cycle and isinstance(step, d.ChoiceStep) and not subject.edges[site.step] <= cycle:
            asked |= read
    return bool(counted & asked)


def cycles(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """The sets of steps that can be gone round in, each in the order of `edges`; targets that are no keys are ignored.

    They are the strongly connected components (Kosaraju: by the order in which a search leaves the steps, backwards).
    """
    incoming: dict[str, set[str]] = {name: set() for name in edges}
    for name, targets in edges.items():
        for target in targets & edges.keys():
            incoming[target].add(name)
    order = {name: place for place, name in enumerate(edges)}
    open_ = set(edges)
    found = []
    for name in reversed(_in_order_of_leaving(edges)):
        if name in open_:
            together = _closure_within({name}, incoming, open_)
            open_ -= together
            if len(together) > 1 or name in edges[name]:
                found.append(sorted(together, key=order.__getitem__))
    return sorted(found, key=lambda cycle: order[cycle[0]])


def _closure_within(start: set[str], edges: Mapping[str, set[str]], within: set[str]) -> set[str]:
    seen, todo = set(start), list(start)
    while todo:
        for target in (edges[todo.pop()] & within) - seen:
            seen.add(target)
            todo.append(target)
    return seen


def _in_order_of_leaving(edges: Mapping[str, set[str]]) -> list[str]:
    seen: set[str] = set()
    left: list[str] = []
    for start in edges:
        stack = [] if start in seen else [(start, iter(sorted(edges[start] & edges.keys())))]
        seen.add(start)
        while stack:
            name, targets = stack[-1]
            target = next((other for other in targets if other not in seen), None)
            if target is None:
                stack.pop()
                left.append(name)
            else:
                seen.add(target)
                stack.append((target, iter(sorted(edges[target] & edges.keys()))))
    return left


def _listed(names: list[str]) -> str:
    return ", ".join(names) if len(names) > 1 else f"{names[0]} and itself"


def names_of_steps(subject: Subject) -> str:
    """The cure for a name that is no step's."""
    return "the steps are " + ", ".join(subject.steps)


def place_of(scope: ScopeNode) -> str:
    """How to speak of a scope."""
    if not scope.opened_by:
        return "the workflow itself"
    return f"branch {scope.branch!r} of {scope.opened_by!r}" if scope.branch else f"the items of {scope.opened_by!r}"


GRAPH_RULES: tuple[Rule[Subject], ...] = (
    Rule(
        name="no_such_step",
        severity=Severity.ERROR,
        sentence="`start`, `next`, `catch`, a branch or `do` names a step that does not exist.",
        cure="correct the name",
        check=_no_such_step,
        vital=True,
    ),
    Rule(
        name="unreachable_step",
        severity=Severity.ERROR,
        sentence="No path from the start leads to a step.",
        cure="name it as a `next` or `catch`, or delete it",
        check=_unreachable_step,
    ),
    Rule(
        name="step_in_two_places",
        severity=Severity.ERROR,
        sentence="A step is reached from two scopes: the workflow, a branch of a `parallel`, the items of a `map`.",
        cure="give each its own step; a branch and an item end with a `succeed` or `fail` step of their own",
        check=_step_in_two_places,
        vital=True,
    ),
    Rule(
        name="no_end",
        severity=Severity.ERROR,
        sentence="No path leads from a step to an end.",
        cure="lead it to a `succeed` or `fail` step",
        check=_no_end,
    ),
    Rule(
        name="endless_loop",
        severity=Severity.ERROR,
        sentence="Steps that do no work (`choice`, `assign`) lead round in a circle that nothing leaves.",
        cure="let a `choice` lead out of it",
        check=_endless_loop,
    ),
    Rule(
        name="unbounded_loop",
        severity=Severity.WARNING,
        sentence=(
            "Steps can be repeated without a step that waits or asks, and without a variable that counts: only "
            "`max_steps` ends that."
        ),
        cure="count the rounds in a variable that a `choice` looks at, or set `max_steps` to what you allow",
        check=_unbounded_loop,
    ),
)
