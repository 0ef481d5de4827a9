"""Rules about approvals: that each allows a call, and that the call can only come after it."""

from collections.abc import Iterator

from holdfast.streams.core import definition as d
from holdfast.streams.core import graph
from holdfast.streams.core.graph import Path
from holdfast.streams.core.lint.graph_rules import place_of
from holdfast.streams.core.lint.rule import Hit, Rule, Severity
from holdfast.streams.core.lint.subject import Subject


def _approved_calls(subject: Subject) -> Iterator[tuple[str, d.ToolStep, str, d.ApprovalStep]]:
    """The tool steps that an approval allows: name and step of the call, name and step of the approval."""
    for name, step in subject.steps.items():
        if isinstance(step, d.ToolStep) and step.approved_by is not None:
            approval = subject.steps.get(step.approved_by)
            if isinstance(approval, d.ApprovalStep):
                yield name, step, step.approved_by, approval


def _place(name: str) -> Path:
    return ("steps", name, "approved_by")


def _not_an_approval(subject: Subject) -> Iterator[Hit]:
    for name, step in subject.steps.items():
        named = step.approved_by if isinstance(step, d.ToolStep) else None
        if named is not None and not isinstance(subject.steps.get(named), d.ApprovalStep):
            yield Hit(_place(name), f"{named!r} is not an approval step")


def _approval_of_other_tool(subject: Subject) -> Iterator[Hit]:
    for name, step, approved_by, approval in _approved_calls(subject):
        if approval.tool != step.tool:
            yield Hit(_place(name), f"{approved_by!r} approves {approval.tool!r}, not {step.tool!r}")


def _approval_of_other_arguments(subject: Subject) -> Iterator[Hit]:
    for name, step, approved_by, approval in _approved_calls(subject):
        if approval.tool == step.tool and approval.arguments != step.arguments:
            yield Hit(_place(name), f"{approved_by!r} approves a call with other arguments than this step computes")


def _approval_out_of_sight(subject: Subject) -> Iterator[Hit]:
    for name, _, approved_by, _ in _approved_calls(subject):
        if not _in_sight(subject, name, approved_by):
            place = place_of(subject.homes[approved_by][0])
            yield Hit(_place(name), f"{approved_by!r} belongs to {place}, which cannot be seen from here")


def _in_sight(subject: Subject, name: str, approved_by: str) -> bool:
    own, other = (next(iter(subject.homes[step]), None) for step in (name, approved_by))
    return own is None or other is None or own.sees(other)


def _approval_not_before(subject: Subject) -> Iterator[Hit]:
    for name, _, approved_by, _ in _approved_calls(subject):
        before = subject.certainty.before.get(name) if subject.certainty is not None else None
        if before is not None and ("steps", approved_by) not in before and _in_sight(subject, name, approved_by):
            yield Hit(_place(name), f"not every path to here comes from {approved_by!r}")


def _approval_used_twice(subject: Subject) -> Iterator[Hit]:
    if subject.certainty is None:
        return
    used: dict[str, list[str]] = {}
    for name, _, approved_by, _ in _approved_calls(subject):
        used.setdefault(approved_by, []).append(name)
    for approval, names in used.items():
        # What can come after a call without anybody being asked again.
        edges = {step: targets - {approval} for step, targets in subject.edges.items()}
        for first in names:
            after = graph.closure(edges[first], edges)
            for second in (name for name in names if name in after):
                again = "this step again" if second == first else f"{second!r}"
                yield Hit(_place(first), f"a path leads from here to {again}, and {approval!r} allows one call only")


def _unused_approval(subject: Subject) -> Iterator[Hit]:
    used = {approved_by for _, _, approved_by, _ in _approved_calls(subject)}
    for name, step in subject.steps.items():
        if isinstance(step, d.ApprovalStep) and name not in used:
            yield Hit(("steps", name), "no tool step names this approval in `approved_by`")


APPROVAL_RULES: tuple[Rule[Subject], ...] = (
    Rule(
        name="not_an_approval",
        severity=Severity.ERROR,
        sentence="`approved_by` names something other than an approval step.",
        cure="name a step of kind approval",
        check=_not_an_approval,
        vital=True,
    ),
    Rule(
        name="approval_of_other_tool",
        severity=Severity.ERROR,
        sentence="An approval is about another tool than the one that is called.",
        cure="an approval allows one exact call: use the same tool in both",
        check=_approval_of_other_tool,
    ),
    Rule(
        name="approval_of_other_arguments",
        severity=Severity.WARNING,
        sentence="An approval and the call that it allows compute their arguments differently.",
        cure="an approval allows one exact call: use the same `arguments` in both, with a YAML anchor",
        check=_approval_of_other_arguments,
    ),
    Rule(
        name="approval_out_of_sight",
        severity=Severity.ERROR,
        sentence="An approval belongs to a place that the call cannot see: items of a `map`, or outside of them.",
        cure="ask in the same place in which the call is made",
        check=_approval_out_of_sight,
    ),
    Rule(
        name="approval_not_before",
        severity=Severity.ERROR,
        sentence="A path leads to a call without the approval that it needs.",
        cure="let every path to the call go through the approval",
        check=_approval_not_before,
    ),
    Rule(
        name="approval_used_twice",
        severity=Severity.WARNING,
        sentence="A path leads from one call to another that needs the same approval, which allows one call only.",
        cure="lead it through the approval again, or give the second call an approval of its own",
        check=_approval_used_twice,
    ),
    Rule(
        name="unused_approval",
        severity=Severity.WARNING,
        sentence="A person is asked to allow a call, and no step makes that call.",
        cure="name it in the `approved_by` of the tool step, or delete it",
        check=_unused_approval,
    ),
)
