"""The story of a workflow as text for a terminal. Pure: a timeline and the present time in, rich renderables out."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from holdfast.ops.event_text import brief, clock, distance, duration, moment, money, safe, short_hash, until
from holdfast.ops.matters import Matter, matters
from holdfast.ops.timeline_line import GAP, Line
from holdfast.ops.timeline_model import (
    Approval,
    Attempt,
    Branch,
    Call,
    Child,
    Firings,
    Items,
    Notice,
    Sleep,
    Timeline,
    Visit,
    Wait,
)
from holdfast.ops.timeline_side_by_side_text import branch_line, child_lines, firings_lines, items_lines

STATUS_STYLES: Mapping[str, str] = {
    "running": "cyan",
    "waiting": "cyan",
    "paused": "bold yellow",
    "compensating": "yellow",
    "completed": "green",
    "failed": "red",
    "blocked": "bold red",
    "cancelled": "yellow",
}
ARGUMENTS_LIMIT = 60
OUTPUT_LIMIT = 400


def render(timeline: Timeline, now_ms: int) -> RenderableType:
    """The whole story: a header, a line per thing that happened, and what the workflow waits for."""
    return Group(_header(timeline, now_ms), "", _story(timeline, now_ms), "", *present(timeline, now_ms))


def _header(timeline: Timeline, now_ms: int) -> RenderableType:
    style = STATUS_STYLES.get(timeline.status, "")
    events = f"{_age(timeline, now_ms)}, {_count(timeline.last_sequence, 'event')}"
    head = Text.assemble((timeline.workflow_id, "bold"), GAP, (timeline.status, style), GAP, events)
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    deadline = moment(timeline.deadline_at_ms) if timeline.ended else until(timeline.deadline_at_ms, now_ms)
    scripted = f" ({timeline.scripted_model_calls} scripted)" if timeline.scripted_model_calls else ""
    facts = {
        **_parent(timeline),
        **_origin(timeline),
        "definition": f"{timeline.definition_name} @ {short_hash(timeline.definition_hash)}, tenant {timeline.tenant}",
        "started": f"{moment(timeline.started_at_ms)} by {timeline.started_by}",
        "deadline": deadline,
        "cost": f"{money(timeline.cost_microusd)}; {_count(timeline.model_calls, 'model call')}{scripted}, "
        f"{timeline.input_tokens} tokens in, {timeline.output_tokens} out; {_count(timeline.tool_calls, 'tool call')}",
    }
    for name, fact in facts.items():
        grid.add_row(name, Text(safe(fact)))
    return Group(head, grid)


def _parent(timeline: Timeline) -> dict[str, str]:
    if not timeline.parent_id:
        return {}
    item = f", item {timeline.parent_index} from {timeline.start_step} on" if timeline.start_step else ""
    return {"parent": f"{timeline.parent_id}, step {timeline.parent_step}{item}"}


def _origin(timeline: Timeline) -> dict[str, str]:
    if not timeline.forked_from:
        return {}
    return {"forked from": f"{timeline.forked_from}, after its event {timeline.forked_at}"}


def _age(timeline: Timeline, now_ms: int) -> str:
    if timeline.ended_at_ms is not None:
        return f"after {duration(timeline.ended_at_ms - timeline.started_at_ms)}"
    return f"for {duration(max(now_ms - timeline.started_at_ms, 0))}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _story(timeline: Timeline, now_ms: int) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right", no_wrap=True, style="dim")
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("at", Text("took", "dim"), Text("what", "dim"), Text("detail", "dim"))
    for line in lines(timeline, now_ms):
        grid.add_row(*line.cells(timeline.started_at_ms))
    return grid


def lines(timeline: Timeline, now_ms: int) -> Iterator[Line]:
    """The lines of the story: in order, but what belongs to a branch stands below it."""
    inside: dict[str, list[Visit]] = {}
    for entry in timeline.story:
        if isinstance(entry, Visit) and entry.scope:
            inside.setdefault(entry.scope, []).append(entry)
    for entry in timeline.story:
        if isinstance(entry, Notice):
            yield _notice(entry)
        elif not entry.scope:
            yield from _visit_lines(entry, inside, now_ms)


def _visit_lines(visit: Visit, inside: Mapping[str, list[Visit]], now_ms: int) -> Iterator[Line]:
    yield _visit(visit)
    for item in visit.items:
        if not isinstance(item, Branch):
            yield from _ITEMS[type(item)](item, now_ms)
            continue
        yield branch_line(item)
        for below in inside.get(item.scope, ()):
            yield from (replace(line, depth=line.depth + 2) for line in _visit_lines(below, inside, now_ms))


def _notice(notice: Notice) -> Line:
    what = {
        "refused": f"refused {notice.what}",
        "late": "late report",
        "kept": f"event {notice.what}",
        "expired": f"event {notice.what}",
        "act": notice.what,
    }[notice.kind]
    detail = {
        "act": f"by {notice.actor}: {brief(notice.message)}",
        "refused": f"from {notice.actor}: {notice.code}: {brief(notice.message)}",
        "late": f"{notice.what}, {notice.message}: recorded, changes nothing",
        "kept": f"{brief(notice.message)} from {notice.actor}: kept, nobody waited for it yet".lstrip(),
        "expired": f"{brief(notice.message)} given up: nobody waited for it in time".lstrip(),
    }[notice.kind]
    return Line(at_ms=notice.at_ms, took_ms=None, depth=0, what=what, detail=detail, style="yellow")


def _visit(visit: Visit) -> Line:
    ways = [visit.kind, visit.status]
    if visit.error_class:
        why = ": ".join(filter(None, [visit.error_class, brief(visit.error_message)]))
        ways[-1] = f"{visit.status}: {why}"
    if visit.next_step:
        ways.append(f"then {visit.next_step}")
    return Line(
        at_ms=visit.started_at_ms,
        took_ms=None if visit.ended_at_ms is None else visit.ended_at_ms - visit.started_at_ms,
        depth=0,
        what=visit.step if visit.visit == 1 else f"{visit.step} #{visit.visit}",
        detail=", ".join(ways),
        style=_VISIT_STYLES.get(visit.status, ""),
        weight="bold",
    )


def _call(call: Call, now_ms: int) -> Iterator[Line]:
    name = f"model {call.model or call.name}" if call.kind == "model" else f"tool {call.name}"
    asked = "" if call.kind == "model" else f"{call.effect} {brief(call.arguments, ARGUMENTS_LIMIT)}"
    for attempt in call.attempts:
        first, last = attempt is call.attempts[0], attempt is call.last
        outcome = _outcome(attempt, now_ms)
        answered = _answer(call) if last and call.provider else ""
        yield Line(
            at_ms=attempt.requested_at_ms,
            took_ms=_took_ms(attempt),
            depth=1 if first else 2,
            what=name if first else f"attempt {attempt.number}",
            detail="; ".join(filter(None, [asked if first else "", answered, outcome])) or attempt.status,
            style=_ATTEMPT_STYLES.get(attempt.status, ""),
        )
    for reason in call.rejections:
        yield Line(at_ms=None, took_ms=None, depth=2, what="not accepted", detail=brief(reason), style="yellow")


def _took_ms(attempt: Attempt) -> int | None:
    if attempt.ended_at_ms is None:
        return None
    # Whoever was not heard of again could not say how long it took.
    return attempt.duration_ms or attempt.ended_at_ms - attempt.requested_at_ms


def _answer(call: Call) -> str:
    # A scripted answer cost nothing and proves nothing about a model: its provider says so.
    return f"{call.provider}; {call.input_tokens} in, {call.output_tokens} out; {money(call.cost_microusd)}"


def _outcome(attempt: Attempt, now_ms: int) -> str:
    """What became of an attempt that did not simply succeed."""
    if attempt.status == "completed":
        return ""
    if attempt.status == "open":
        return f"with {attempt.executor_id}" if attempt.executor_id else "not claimed"
    if attempt.status == "withdrawn":
        return "nobody waits for it any more"
    if attempt.status == "released":
        return f"given back by {attempt.executor_id}: {brief(attempt.error_message)}"
    again = f"; again at {clock(attempt.retry_at_ms)}" if attempt.retry_at_ms else ""
    if attempt.retry_at_ms and attempt.retry_at_ms > now_ms:
        again = f"; again {distance(attempt.retry_at_ms, now_ms)}"
    return f"{attempt.error_class}: {brief(attempt.error_message)}{again}"


def awaited_types(wait: Wait) -> list[str]:
    """The types of the events that end a wait."""
    return [wait.event_type, *(one["event_type"] for one in wait.alternatives)]


def _wait(wait: Wait, now_ms: int) -> Iterator[Line]:
    about = [wait.correlation] if wait.correlation else []
    if wait.status == "received":
        about.append(f"received from {wait.received_from}" if wait.received_from else "had come before")
    elif wait.status == "open":
        about.append(f"until {until(wait.expires_at_ms, now_ms)}")
    else:
        about.append("did not come")
    yield Line(
        at_ms=wait.started_at_ms,
        took_ms=None if wait.received_at_ms is None else wait.received_at_ms - wait.started_at_ms,
        depth=1,
        what=f"event {wait.received_type or ' or '.join(awaited_types(wait))}",
        detail="; ".join(about),
        style="cyan" if wait.status == "open" else "",
    )


def _sleep(sleep: Sleep, now_ms: int) -> Iterator[Line]:
    yield Line(
        at_ms=sleep.started_at_ms,
        took_ms=None,
        depth=1,
        what="sleep",
        detail=f"until {until(sleep.due_at_ms, now_ms) if sleep.status == 'open' else moment(sleep.due_at_ms)}",
        style="cyan" if sleep.status == "open" else "",
    )


def _approval(approval: Approval, now_ms: int) -> Iterator[Line]:
    asked = f"hash {short_hash(approval.action_hash)}; asks {' or '.join(approval.roles)}"
    if approval.status == "open":
        said = f"until {until(approval.expires_at_ms, now_ms)}"
    elif approval.decided_by:
        said = f"{approval.status} by {approval.decided_by}" + (
            f': "{brief(approval.comment)}"' if approval.comment else ""
        )
    else:
        said = "nobody decided"
    decided_at_ms = approval.decided_at_ms
    yield Line(
        at_ms=approval.requested_at_ms,
        took_ms=None if decided_at_ms is None else decided_at_ms - approval.requested_at_ms,
        depth=1,
        what=f"approval of {approval.tool}",
        detail=f"{asked}; {said}",
        style=_APPROVAL_STYLES.get(approval.status, ""),
    )


_VISIT_STYLES: Mapping[str, str] = {"failed": "red", "cancelled": "yellow", "skipped": "yellow"}
_ATTEMPT_STYLES: Mapping[str, str] = {
    "open": "cyan",
    "failed": "red",
    "unknown": "bold red",
    "released": "yellow",
    "withdrawn": "yellow",
}
_APPROVAL_STYLES: Mapping[str, str] = {"open": "magenta", "approved": "green", "rejected": "red", "expired": "red"}
_ITEMS: Mapping[type, Callable[[Any, int], Iterator[Line]]] = {
    Call: _call,
    Wait: _wait,
    Sleep: _sleep,
    Approval: _approval,
    Child: lambda child, _now_ms: child_lines(child),
    Items: lambda items, _now_ms: items_lines(items),
    Firings: lambda firings, _now_ms: firings_lines(firings),
}


def _ending(timeline: Timeline) -> Iterator[RenderableType]:
    if timeline.status == "completed":
        yield Text.assemble(("output  ", "dim"), brief(timeline.output, OUTPUT_LIMIT))
    elif timeline.ended:
        said = ": ".join(filter(None, [timeline.error_class, brief(timeline.error_message, OUTPUT_LIMIT)]))
        yield Text.assemble((f"{timeline.status}  ", STATUS_STYLES[timeline.status]), said)


def present(timeline: Timeline, now_ms: int) -> Iterator[RenderableType]:
    """How the workflow ended, or what it waits for, and what to type next."""
    found = matters(timeline)
    several = len({matter.step for matter in found if matter.what}) > 1
    yield from _ending(timeline)
    for matter in found:
        if matter.what and not timeline.ended:
            word = "blocked by" if matter.kind == "blocked" else "waits for"
            step = f"{matter.step}: " if several else ""
            yield Text(f"{word}  {step}{_matter(matter, now_ms)}", _MATTER_STYLES.get(matter.kind, "cyan"))
    for command in dict.fromkeys(matter.command for matter in found if matter.command):
        yield Text.assemble(("next  ", "dim"), safe(command))


def _matter(matter: Matter, now_ms: int) -> str:
    limit = f", until {until(matter.until_ms, now_ms)}" if matter.until_ms else ""
    return safe(f"{matter.what}{limit}")


_MATTER_STYLES: Mapping[str, str] = {
    "blocked": "bold red",
    "approval": "magenta",
    "retry": "yellow",
    "person": "bold yellow",
}
