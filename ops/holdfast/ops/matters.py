"""What a workflow waits for now, and what a person can type about it. Pure."""

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.ops.cures import EXPLANATIONS
from holdfast.ops.timeline_model import Approval, Branch, Call, Child, Firings, Items, Sleep, Timeline, Visit, Wait
from holdfast.ops.timeline_side_by_side import children_of

_STUCK = frozenset({"blocked", "paused"})


@dataclass(frozen=True, kw_only=True)
class Matter:
    """One thing that a workflow waits for now, until when (None: no limit of its own), and what a person can type."""

    kind: str
    step: str
    what: str
    until_ms: int | None = None
    command: str = ""


def matters(timeline: Timeline) -> list[Matter]:
    """What the workflow waits for now, and what can be done about it; for one that failed, where to read on."""
    told = _BY_STATUS.get(timeline.status)
    if told is not None:
        return list(told(timeline))
    if timeline.ended:
        return []
    return [
        matter
        for visit in timeline.running
        for item in visit.items
        for matter in _MATTERS[type(item)](timeline, visit, item)
    ]


def _failed(timeline: Timeline) -> Iterator[Matter]:
    yield _explained("error", timeline.error_class, "")
    visits = (entry for entry in reversed(timeline.story) if isinstance(entry, Visit) and entry.status == "failed")
    failed = [child for visit in visits for child in children_of(visit) if child.status == "failed"]
    yield from (_look_at(child) for child in failed[:1])


def _blocked(timeline: Timeline) -> Iterator[Matter]:
    yield _explained("blocked", timeline.error_class, timeline.error_message)
    command = f'holdfast cancel {timeline.workflow_id} --reason "..."'
    yield Matter(kind="blocked", step="", what="", command=command)


def _paused(timeline: Timeline) -> Iterator[Matter]:
    command = f'holdfast resume {timeline.workflow_id} --reason "..."'
    yield Matter(kind="person", step="", what="somebody who resumes it", command=command)


_BY_STATUS: Mapping[str, Callable[[Timeline], Iterator[Matter]]] = {
    "failed": _failed,
    "blocked": _blocked,
    "paused": _paused,
}


def _explained(kind: str, code: str, message: str) -> Matter:
    what = f"{code}: {message}" if message else code
    return Matter(kind=kind, step="", what=what, command=_explain(code))


def _explain(code: str) -> str:
    # Tools and `fail` steps give codes of their own, of which the engine knows nothing.
    return f"holdfast explain {code}" if code in EXPLANATIONS else ""


def _look_at(child: Child) -> Matter:
    return Matter(kind="child", step="", what="", command=f"holdfast show {child.workflow_id}")


def _wait_matter(timeline: Timeline, visit: Visit, wait: Wait) -> Iterator[Matter]:
    if wait.status != "open":
        return
    # What others gave must stay one argument when a person copies the command.
    command = ["holdfast", "signal", timeline.workflow_id, wait.event_type]
    command += ["--correlation", wait.correlation] if wait.correlation else []
    yield Matter(
        kind="event",
        step=visit.step,
        what="the event " + " or ".join(_awaited(wait)),
        until_ms=wait.expires_at_ms or None,
        command=shlex.join([*command, "--data", "{}"]),
    )


def _awaited(wait: Wait) -> list[str]:
    events = [(wait.event_type, wait.correlation)]
    events += [(one["event_type"], one["correlation"]) for one in wait.alternatives]
    return [event_type + (f" for {value}" if value else "") for event_type, value in events]


def _approval_matter(_timeline: Timeline, visit: Visit, approval: Approval) -> Iterator[Matter]:
    if approval.status == "open":
        yield Matter(
            kind="approval",
            step=visit.step,
            what=f"the approval of {approval.tool} by {' or '.join(approval.roles)}",
            until_ms=approval.expires_at_ms,
            command=f"holdfast approvals show {approval.approval_id}",
        )


def _sleep_matter(_timeline: Timeline, visit: Visit, sleep: Sleep) -> Iterator[Matter]:
    if sleep.status == "open":
        yield Matter(kind="time", step=visit.step, what="a time", until_ms=sleep.due_at_ms)


def _call_matter(_timeline: Timeline, visit: Visit, call: Call) -> Iterator[Matter]:
    attempt = call.last
    if attempt.status == "failed" and attempt.retry_at_ms:
        what = f"the next attempt of {call.kind} {call.name} after {attempt.error_class}"
        until_ms, command = attempt.retry_at_ms, _explain(attempt.error_class)
        yield Matter(kind="retry", step=visit.step, what=what, until_ms=until_ms, command=command)
    elif attempt.status == "unknown":
        what = f"a search for traces of {call.kind} {call.name}"
        yield Matter(kind="call", step=visit.step, what=what, command="holdfast explain outcome_unknown")
    elif attempt.status == "open":
        # Short reads need no claim, so an open call without an executor is normal for moments, not for minutes.
        held = f", with {attempt.executor_id}" if attempt.executor_id else ", which no executor has claimed"
        what = f"the result of {call.kind} {call.name}, attempt {attempt.number}{held}"
        yield Matter(kind="call", step=visit.step, what=what, until_ms=visit.timeout_at_ms, command="holdfast doctor")


def _child_matter(_timeline: Timeline, visit: Visit, child: Child) -> Iterator[Matter]:
    if child.heard_of or not child.awaited:
        return
    stands = f", {child.status} at {child.at_step}" if child.at_step else ""
    yield Matter(
        kind="child",
        step=visit.step,
        what=f"the workflow {child.workflow_id}{stands}",
        until_ms=visit.timeout_at_ms,
        command=f"holdfast show {child.workflow_id}",
    )


def _items_matter(timeline: Timeline, visit: Visit, items: Items) -> Iterator[Matter]:
    yield Matter(
        kind="items",
        step=visit.step,
        what=f"{items.total - items.ended} of {items.total} items",
        until_ms=visit.timeout_at_ms,
        command=f"holdfast list --parent {timeline.workflow_id}",
    )
    # What needs a person is worth a command of its own.
    yield from (_look_at(child) for child in [c for c in items.children if c.status in _STUCK][:1])


def _firings_matter(timeline: Timeline, visit: Visit, firings: Firings) -> Iterator[Matter]:
    if firings.children:
        command = f"holdfast list --parent {timeline.workflow_id}"
        yield Matter(kind="child", step=visit.step, what="", command=command)


def _nothing(_timeline: Timeline, _visit: Visit, _item: Any) -> Iterator[Matter]:
    """A branch is waited for by way of its steps."""
    return iter(())


_MATTERS: Mapping[type, Callable[[Timeline, Visit, Any], Iterator[Matter]]] = {
    Call: _call_matter,
    Wait: _wait_matter,
    Sleep: _sleep_matter,
    Approval: _approval_matter,
    Branch: _nothing,
    Child: _child_matter,
    Items: _items_matter,
    Firings: _firings_matter,
}
