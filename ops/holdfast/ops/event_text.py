"""Times, sizes and events in words: one line per event. Pure; everything from outside is made safe to print."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from rich.text import Text

from holdfast.schemas import events as e
from holdfast.schemas import jsontext
from holdfast.schemas.codec import LAST_MS
from holdfast.schemas.record import Message, Record

HASH_LENGTH = 12
TEXT_LIMIT = 100
TYPE_WIDTH = 18
ID_WIDTH = 28
_WORTH_NAMING = frozenset({"person", "service"})
# References to content stay whole: people copy them.
_HASH = re.compile(r"(?<!sha256:)\b[0-9a-f]{64}\b")
_UNITS_MS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"))


def duration(ms: int) -> str:
    """A length of time with two units at most: 850 ms, 2.1 s, 1m 05s, 3h 12m, 6d 23h."""
    if ms < 1_000:
        return f"{ms} ms"
    if ms < 60_000:
        return f"{ms / 1000:.1f} s" if ms < 59_950 else "1m"
    for (unit_ms, unit), (part_ms, part) in pairwise(_UNITS_MS):
        if ms >= unit_ms:
            rest = ms % unit_ms // part_ms
            return f"{ms // unit_ms}{unit} {rest:02}{part}" if rest else f"{ms // unit_ms}{unit}"
    raise AssertionError("a minute is the smallest unit here")


def moment(at_ms: int) -> str:
    """A time in UTC, to the second."""
    return _utc(at_ms).strftime("%Y-%m-%d %H:%M:%S UTC")


def clock(at_ms: int) -> str:
    """A time of day in UTC, to the ms."""
    return _utc(at_ms).strftime("%H:%M:%S.%f")[:-3]


def _utc(at_ms: int) -> datetime:
    # A sleep may be until any number of ms: what no calendar has is its last day.
    return datetime.fromtimestamp(min(at_ms, LAST_MS) / 1000, UTC)


def distance(at_ms: int, now_ms: int) -> str:
    """A time as seen from now: `in 6d 23h`, `5m 00s ago`."""
    return f"in {duration(at_ms - now_ms)}" if at_ms > now_ms else f"{duration(now_ms - at_ms)} ago"


def until(at_ms: int, now_ms: int) -> str:
    """A limit of time, both as distance and as time."""
    return f"{moment(at_ms)} ({distance(at_ms, now_ms)})"


def money(microusd: int) -> str:
    """Dollars, with as many digits as small amounts need."""
    digits = 2 if microusd >= 1_000_000 or not microusd else 4 if microusd >= 10_000 else 6
    return f"${microusd / 1_000_000:.{digits}f}"


def short_hash(text: str) -> str:
    """The beginning of a hash, enough to tell one from another."""
    return text[:HASH_LENGTH]


def safe(text: str) -> str:
    """Text that a terminal prints and does not obey: control, direction and invisible characters become escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def brief(value: object, limit: int = TEXT_LIMIT) -> str:
    """A value on one line and safe to print: text as it is, anything else as JSON; long text and hashes are cut."""
    text = safe(value if isinstance(value, str) else jsontext.dumps(value))
    text = _HASH.sub(lambda found: short_hash(found[0]), text)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def _step(event: Any) -> str:
    return event.step if event.visit == 1 else f"{event.step} (visit {event.visit})"


def _expected(event: e.WaitStarted) -> str:
    others = [o for o in event.alternatives if isinstance(o, dict)] if isinstance(event.alternatives, list) else []
    first: Any = {"event_type": event.event_type, "correlation": event.correlation}
    return " or ".join(f"{one['event_type']} {brief(one['correlation'])}".rstrip() for one in (first, *others))


def _received(event: e.EventReceived) -> str:
    said = f"{event.event_type} {brief(event.correlation)}".rstrip()
    published = {"first": ", published for whoever waits", "everyone": ", published for everybody who waits"}
    return said + published.get(event.audience, "") + ("" if event.wait_id else ", kept: nobody waits for it yet")


def _attempt(event: Any) -> str:
    return f", attempt {event.attempt}" if event.attempt > 1 else ""


def _why(event: Any) -> str:
    return f": {brief(event.reason)}" if event.reason else ""


def _failure(event: Any) -> str:
    return f"{event.error_class}: {brief(event.error_message)}"


def _retry(event: Any) -> str:
    return f"; again at {clock(event.retry_at_ms)}" if event.retry_at_ms else "; not tried again"


_SAYS: Mapping[type[Record], Callable[[Any], str]] = {
    e.WorkflowStarted: lambda b: f"input {brief(b.input)}",
    e.WorkflowCompleted: lambda b: f"output {brief(b.output)}",
    e.WorkflowFailed: lambda b: f"{b.step}: {_failure(b)}",
    e.WorkflowCancelled: lambda b: brief(b.reason),
    e.WorkflowBlocked: lambda b: f"{b.step}: {b.code}: {brief(b.message)}",
    e.StepStarted: lambda b: f"{_step(b)}: {b.kind}",
    e.StepCompleted: lambda b: f"{_step(b)}" + (f", then {b.next_step}" if b.next_step else ""),
    e.StepFailed: lambda b: f"{_step(b)}: {_failure(b)}" + (f", then {b.next_step}" if b.next_step else ""),
    e.StepCancelled: lambda b: f"{_step(b)}: {b.reason}",
    e.StatusChanged: lambda b: b.status,
    e.WorkflowPaused: lambda b: brief(b.reason),
    e.WorkflowResumed: lambda b: (
        brief(b.reason) + (f"; deadline {moment(b.deadline_at_ms)}" if b.deadline_at_ms else "")
    ),
    e.DeadlineReached: lambda b: f"it was {moment(b.due_at_ms)}: {b.policy}",
    e.IdleLimitReached: lambda b: f"it was {moment(b.due_at_ms)}: {b.policy}",
    e.StepTimedOut: lambda b: f"{_step(b)}: the limit was {moment(b.due_at_ms)}",
    e.StepRetried: lambda b: f"{b.step}: {brief(b.reason)}",
    e.StepSkipped: lambda b: f"{_step(b)}: {brief(b.reason)}, then {b.next_step or 'on'}",
    e.ToolOutcomeResolved: lambda b: f"{_step(b)}: {b.tool} {b.outcome}: {brief(b.evidence)}",
    e.ToolLookupRequested: lambda b: f"{_step(b)}: {b.tool}, search {b.lookup}",
    e.ToolLookupCompleted: lambda b: (
        f"{_step(b)}: search {b.lookup} " + ("found it: " if b.found else "found nothing: ") + brief(b.evidence)
    ),
    e.ClosingStarted: lambda b: f"{b.outcome}" + (f", {b.step}: {_failure(b)}" if b.error_class else ""),
    e.WorkflowMigrated: lambda b: (
        f"from {short_hash(b.from_definition_hash)} to {b.to_definition_name}@{short_hash(b.to_definition_hash)}"
        f"{_why(b)}"
    ),
    e.WorkflowForked: lambda b: f"from {b.source_id} after its event {b.source_sequence}{_why(b)}",
    e.StepTakenOver: lambda b: f"{_step(b)}: goes on from where it stood",
    e.ScheduleStarted: lambda b: f"{_step(b)}: after {moment(b.after_at_ms)}",
    e.ScheduleFired: lambda b: f"{_step(b)}: {moment(b.nominal_at_ms)}: {b.outcome} {b.child_id}".rstrip(),
    e.ChildReleased: lambda b: f"{_step(b)}: {b.child_id}: {b.reason}",
    e.CompensationRegistered: lambda b: f"{_step(b)}: by {b.tool}",
    e.CompensationBound: lambda b: f"{_step(b)}: by {b.tool}, {brief(b.arguments)}",
    e.CompensationDropped: lambda b: f"{_step(b)}: nothing to undo: {brief(b.reason)}",
    e.CompensationStarted: lambda b: _step(b),
    e.CompensationEnded: lambda b: f"{_step(b)}: {b.outcome}" + (f", {_failure(b)}" if b.error_class else ""),
    e.BranchesStarted: lambda b: f"{_step(b)}: {', '.join(b.branches)}",
    e.BranchEnded: lambda b: f"{_step(b)}: {b.branch} {b.outcome}" + (f", {_failure(b)}" if b.error_class else ""),
    e.ItemsCounted: lambda b: f"{_step(b)}: {b.total} items",
    e.ChildRequested: lambda b: f"{_step(b)}: {b.child_id}, {brief(b.input)}",
    e.ChildEnded: lambda b: f"{_step(b)}: {b.child_id} {b.outcome}" + (f", {_failure(b)}" if b.error_class else ""),
    e.ModelCallRequested: lambda b: f"{_step(b)}: model {b.model}, turn {b.turn}{_attempt(b)}",
    e.ModelCallCompleted: lambda b: (
        f"{_step(b)}: {b.model} of {b.provider}, {b.input_tokens} tokens in, {b.output_tokens} out, "
        f"{money(b.cost_microusd)}, {duration(b.duration_ms)}"
    ),
    e.ModelCallFailed: lambda b: f"{_step(b)}: {_failure(b)}{_retry(b)}",
    e.OutputRejected: lambda b: f"{_step(b)}: {brief('; '.join(b.errors))}",
    e.ToolCallRequested: lambda b: f"{_step(b)}: {b.tool}{_attempt(b)}, {brief(b.arguments)}",
    e.ToolCallCompleted: lambda b: f"{_step(b)}: {b.tool}, {duration(b.duration_ms)}, result {brief(b.result)}",
    e.ToolCallFailed: lambda b: f"{_step(b)}: {b.tool}: {_failure(b)}{_retry(b)}",
    e.ToolOutcomeUnknown: lambda b: f"{_step(b)}: {b.tool}: {brief(b.error_message)}",
    e.TaskClaimed: lambda b: f"{_step(b)}: by {b.executor_id} until {clock(b.lease_until_ms)}",
    e.LeaseExtended: lambda b: f"{_step(b)}: by {b.executor_id} until {clock(b.lease_until_ms)}",
    e.TaskReleased: lambda b: f"{_step(b)}: by {b.executor_id}: {brief(b.reason)}",
    e.LateResultRecorded: lambda b: f"{b.report_type} of attempt {b.attempt} by {b.executor_id}",
    e.TimerScheduled: lambda b: f"{_step(b)}: until {moment(b.due_at_ms)}",
    e.TimerFired: lambda b: b.timer_id,
    e.ApprovalRequested: lambda b: f"{_step(b)}: {b.tool} by {', '.join(b.roles)}, hash {short_hash(b.action_hash)}",
    e.ApprovalDecided: lambda b: f"{_step(b)}: {b.decision}" + (f": {brief(b.comment)}" if b.comment else ""),
    e.ApprovalExpired: lambda b: f"{_step(b)}: nobody decided in time",
    e.WaitStarted: lambda b: f"{_step(b)}: {_expected(b)}, until {moment(b.expires_at_ms)}",
    e.EventReceived: _received,
    e.EarlyEventExpired: lambda b: f"{b.event_type} {brief(b.correlation)}: nobody waited for it in time",
    e.InputRejected: lambda b: f"{b.input_type}: {b.code}: {brief(b.message)}",
}
EVENT_TYPES = frozenset(_SAYS)

# What matters most is seen first: rich styles by event type; the rest has none.
STYLES: Mapping[type[Record], str] = {
    e.WorkflowStarted: "bold",
    e.WorkflowCompleted: "bold green",
    e.WorkflowFailed: "bold red",
    e.WorkflowCancelled: "bold yellow",
    e.WorkflowBlocked: "bold red",
    e.StepFailed: "red",
    e.StepCancelled: "yellow",
    e.StatusChanged: "dim",
    e.WorkflowPaused: "bold yellow",
    e.WorkflowResumed: "bold",
    e.DeadlineReached: "red",
    e.IdleLimitReached: "red",
    e.StepTimedOut: "red",
    e.WorkflowMigrated: "bold yellow",
    e.WorkflowForked: "bold",
    e.StepRetried: "yellow",
    e.StepSkipped: "yellow",
    e.ClosingStarted: "bold yellow",
    e.CompensationStarted: "yellow",
    e.CompensationEnded: "yellow",
    e.ModelCallFailed: "red",
    e.OutputRejected: "yellow",
    e.ToolCallFailed: "red",
    e.ToolOutcomeUnknown: "bold red",
    e.TaskClaimed: "dim",
    e.LeaseExtended: "dim",
    e.TaskReleased: "yellow",
    e.LateResultRecorded: "yellow",
    e.ApprovalRequested: "magenta",
    e.ApprovalDecided: "magenta",
    e.ApprovalExpired: "red",
    e.WaitStarted: "cyan",
    e.EventReceived: "cyan",
    e.EarlyEventExpired: "yellow",
    e.TimerScheduled: "cyan",
    e.InputRejected: "yellow",
}


def says(event: Record) -> str:
    """What an event says, on one line. Raises KeyError for what is not a journal event."""
    return safe(_SAYS[type(event)](event))


ENDINGS: Mapping[type[Record], str] = {
    e.WorkflowCompleted: "completed",
    e.WorkflowFailed: "failed",
    e.WorkflowCancelled: "cancelled",
}


def event_line(event: Message[Record], *, with_id: bool = False) -> Text:
    """One line about one event: time, workflow (if asked for), sequence, type, what it says, who caused it."""
    meta = event.meta
    cells = [(clock(meta.recorded_at_ms), "dim"), (f"{meta.sequence:>4}", "dim")]
    if with_id:
        cells.insert(1, (f"{safe(meta.workflow_id):<{ID_WIDTH}}", ""))
    cells.append((f"{meta.type:<{TYPE_WIDTH}}", STYLES.get(type(event.body), "")))
    cells.append((says(event.body), STYLES.get(type(event.body), "")))
    if meta.actor_kind in _WORTH_NAMING and meta.index == 0:
        cells.append((f"({safe(meta.actor_id)})", "dim"))
    return Text("  ").join([Text(*cell) for cell in cells])
