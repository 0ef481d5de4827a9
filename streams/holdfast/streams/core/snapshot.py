"""What a workflow had come to at a point of its history: all that a fork takes over, as a value that an event carries.

It has a form of its own, beside the state's: events stay for ever, states may be laid out anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from holdfast.schemas.record import Json, Message, Record
from holdfast.streams.core.appliers.items import not_kept
from holdfast.streams.core.evolve import Cause, evolve
from holdfast.streams.core.pending import calls_under_way
from holdfast.streams.core.state import (
    Call,
    CallKind,
    CallStatus,
    Child,
    Content,
    ItemFailure,
    ReceivedEvent,
    StepRun,
    WorkflowState,
)

Journal = Sequence[Message[Record]]


class InvalidSnapshot(Exception):
    """The JSON is not a snapshot."""


@dataclass(frozen=True, kw_only=True)
class KeptCall:
    """A call of a visit. `answer` is what came of one that is done.

    `begun` says that it may have reached the outside world: an intent of the very last decision has not.
    """

    kind: CallKind
    effect_key: str
    turn: int
    index: int
    status: CallStatus
    tool: str = ""
    effect: str = ""
    arguments: Json = None
    call_id: str = ""
    answer: Json = None
    error_class: str = ""
    unsure: bool = False
    begun: bool = False


@dataclass(frozen=True, kw_only=True)
class KeptBranch:
    """A branch of a parallel step; `outcome` is empty if it had not ended."""

    name: str
    outcome: str = ""
    output: Json = None
    error_class: str = ""
    error_message: str = ""


@dataclass(frozen=True, kw_only=True)
class KeptContent:
    """How far a map step over content was; the fields are those of `state.Content`.

    What ended items left and a call was to keep is with `ended`.
    """

    source: Json
    read: int
    ended: tuple[Json, ...]
    kept: int
    parts: Json
    failed: int
    first_failure: ItemFailure | None


@dataclass(frozen=True, kw_only=True)
class KeptItems:
    """How far a map step was. `waiting` are the items that it had not started, what ended is by index as text.

    Over content, `waiting` are those that were read, and what ended is in `content`.
    """

    total: int
    shared: Json
    waiting: tuple[Json, ...]
    results: Mapping[str, Json] = field(default_factory=dict)
    failures: Mapping[str, Json] = field(default_factory=dict)
    content: KeptContent | None = None

    @property
    def has_ended(self) -> bool:
        """True if an item has ended."""
        content = self.content
        return bool(self.results or self.failures or (content is not None and (content.ended or content.kept)))


@dataclass(frozen=True, kw_only=True)
class KeptChild:
    """A workflow that a visit waited for; `begun` as for calls."""

    index: int
    input: Json
    begun: bool


@dataclass(frozen=True, kw_only=True)
class KeptRun:
    """A visit that had not ended."""

    step: str
    kind: str
    visit: int
    scope: str = ""
    turn: int = 0
    repairs: int = 0
    model: str = ""
    parameters: Json = None
    messages: tuple[Json, ...] = ()
    calls: tuple[KeptCall, ...] = ()
    branches: tuple[KeptBranch, ...] = ()
    items: KeptItems | None = None
    children: tuple[KeptChild, ...] = ()
    child_result: Json = None


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A workflow after an event. `at_ms` is the time of that event; `ending` says that it had ended or was about to.

    `active` are the visits that had not ended, outer ones first, in the order in which they began.
    """

    tenant: str
    definition_hash: str
    at_ms: int
    ending: bool
    start_step: str
    input: Json
    variables: Mapping[str, Json] = field(default_factory=dict)
    outputs: Mapping[str, Json] = field(default_factory=dict)
    visits: Mapping[str, int] = field(default_factory=dict)
    active: tuple[KeptRun, ...] = ()
    early_events: tuple[ReceivedEvent, ...] = ()


def snapshot_of(journal: Journal) -> Snapshot:
    """What a workflow had come to after these events: all of its history up to the end of a decision, at least one."""
    last = journal[-1].meta
    assert last.index == last.count - 1, "a decision is taken over whole"
    before: WorkflowState | None = None
    state: WorkflowState | None = None
    for message in journal:
        if message.meta.index == 0:
            before = state
        state = evolve(state, message.body, Cause.of(message.meta))
    assert state is not None
    return _snapshot(before, state)


def _snapshot(before: WorkflowState | None, state: WorkflowState) -> Snapshot:
    came_while_held = tuple(
        run.wait.matched for run in state.active.values() if run.wait is not None and run.wait.matched is not None
    )
    return Snapshot(
        tenant=state.tenant,
        definition_hash=state.definition_hash,
        at_ms=state.updated_at_ms,
        ending=state.finished or state.closing is not None,
        start_step=state.start_step,
        input=state.input,
        variables=state.variables,
        outputs=state.outputs,
        visits=state.visits,
        active=tuple(_run(run, before, state) for run in state.active.values()),
        early_events=(*came_while_held, *state.early_events),
    )


def _run(run: StepRun, before: WorkflowState | None, state: WorkflowState) -> KeptRun:
    under_way = calls_under_way(before) if before is not None else {}
    asked_for = before.children if before is not None else {}
    return KeptRun(
        step=run.step,
        kind=run.kind,
        visit=run.visit,
        scope=run.scope,
        turn=run.turn,
        repairs=run.repairs,
        model=run.model,
        parameters=run.parameters,
        messages=run.messages,
        calls=tuple(_call(call, under_way) for call in run.calls.values()),
        branches=tuple(
            KeptBranch(
                name=name,
                outcome=branch.outcome,
                output=branch.output,
                error_class=branch.error_class,
                error_message=branch.error_message,
            )
            for name, branch in run.branches.items()
        ),
        items=_items(run),
        children=tuple(
            _child(child, asked_for) for child in state.children.values() if child.awaited and child.is_of(run)
        ),
        child_result=run.child_result,
    )


def _call(call: Call, under_way: Mapping[str, int]) -> KeptCall:
    requested = call.status is CallStatus.REQUESTED
    return KeptCall(
        kind=call.kind,
        effect_key=call.effect_key,
        turn=call.turn,
        index=call.index,
        status=call.status,
        tool=call.tool,
        effect=call.effect,
        arguments=call.arguments,
        call_id=call.call_id,
        answer=call.answer,
        error_class=call.error_class,
        unsure=call.unsure,
        begun=call.unsure or not requested or under_way.get(call.effect_key) == call.attempt,
    )


def _items(run: StepRun) -> KeptItems | None:
    items = run.items
    if items is None:
        return None
    return KeptItems(
        total=items.total,
        shared=items.shared,
        waiting=items.waiting,
        results=items.results,
        failures=items.failures,
        content=None if items.content is None else _content(items.content, not_kept(run)),
    )


def _content(content: Content, ended: list[Json]) -> KeptContent:
    return KeptContent(
        source=content.source,
        read=content.read,
        ended=tuple(ended),
        kept=content.kept - (len(ended) - len(content.ended)),
        parts=content.parts,
        failed=content.failed,
        first_failure=content.first_failure,
    )


def _child(child: Child, asked_for: Mapping[str, Child]) -> KeptChild:
    return KeptChild(index=child.index, input=child.input, begun=child.child_id in asked_for)


@cache
def _adapter() -> TypeAdapter[Snapshot]:
    return TypeAdapter(Snapshot)


def to_json(snapshot: Snapshot) -> Json:
    """The JSON that requests and events carry."""
    value: Json = _adapter().dump_python(snapshot, mode="json")
    return value


def from_json(value: Any) -> Snapshot:
    """The inverse of to_json; what newer versions may have added is passed over. Raises InvalidSnapshot."""
    try:
        return _adapter().validate_python(value)
    except ValidationError as exc:
        first = exc.errors()[0]
        raise InvalidSnapshot(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from exc
