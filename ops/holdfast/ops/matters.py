"""What a workflow waits for now, and what a person can type about it. Pure."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.ops.cures import EXPLANATIONS
from holdfast.ops.timeline_model import Approval, Call, Sleep, Timeline, Visit, Wait


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
    workflow_id = timeline.workflow_id
    if timeline.status == "failed":
        return [_explained("error", timeline.error_class, "")]
    if timeline.ended:
        return []
    if timeline.status == "blocked":
        return [
            _explained("blocked", timeline.error_class, timeline.error_message),
            Matter(kind="blocked", step="", what="", command=f'holdfast cancel {workflow_id} --reason "..."'),
        ]
    found = [_MATTERS[type(item)](timeline, visit, item) for visit in timeline.running for item in visit.items]
    return [matter for matter in found if matter is not None]


def _explained(kind: str, code: str, message: str) -> Matter:
    what = f"{code}: {message}" if message else code
    return Matter(kind=kind, step="", what=what, command=_explain(code))


def _explain(code: str) -> str:
    # Tools and `fail` steps give codes of their own, of which the engine knows nothing.
    return f"holdfast explain {code}" if code in EXPLANATIONS else ""


def _wait_matter(timeline: Timeline, visit: Visit, wait: Wait) -> Matter | None:
    if wait.status != "open":
        return None
    # What others gave must stay one argument when a person copies the command.
    command = ["holdfast", "signal", timeline.workflow_id, wait.event_type]
    command += ["--correlation", wait.correlation] if wait.correlation else []
    return Matter(
        kind="event",
        step=visit.step,
        what=f"the event {wait.event_type}" + (f" for {wait.correlation}" if wait.correlation else ""),
        until_ms=wait.expires_at_ms or None,
        command=shlex.join([*command, "--data", "{}"]),
    )


def _approval_matter(_timeline: Timeline, visit: Visit, approval: Approval) -> Matter | None:
    if approval.status != "open":
        return None
    return Matter(
        kind="approval",
        step=visit.step,
        what=f"the approval of {approval.tool} by {' or '.join(approval.roles)}",
        until_ms=approval.expires_at_ms,
        command=f"holdfast approvals show {approval.approval_id}",
    )


def _sleep_matter(_timeline: Timeline, visit: Visit, sleep: Sleep) -> Matter | None:
    if sleep.status != "open":
        return None
    return Matter(kind="time", step=visit.step, what="a time", until_ms=sleep.due_at_ms)


def _call_matter(_timeline: Timeline, visit: Visit, call: Call) -> Matter | None:
    attempt = call.last
    if attempt.status == "failed" and attempt.retry_at_ms:
        what = f"the next attempt of {call.kind} {call.name} after {attempt.error_class}"
        until_ms, command = attempt.retry_at_ms, _explain(attempt.error_class)
        return Matter(kind="retry", step=visit.step, what=what, until_ms=until_ms, command=command)
    if attempt.status != "open":
        return None
    # Short reads need no claim, so an open call without an executor is normal for moments, not for minutes.
    held = f", with {attempt.executor_id}" if attempt.executor_id else ", which no executor has claimed"
    what = f"the result of {call.kind} {call.name}, attempt {attempt.number}{held}"
    return Matter(kind="call", step=visit.step, what=what, until_ms=visit.timeout_at_ms, command="holdfast doctor")


_MATTERS: Mapping[type, Callable[[Timeline, Visit, Any], Matter | None]] = {
    Call: _call_matter,
    Wait: _wait_matter,
    Sleep: _sleep_matter,
    Approval: _approval_matter,
}
