"""The laws of the fold, for arbitrary schedules of inputs: what `decide`, `evolve` and `pending` promise each other."""

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.ops.timeline import tell
from holdfast.projections.rows import PROMOTED
from holdfast.schemas import events as e
from holdfast.schemas import reports as rep
from holdfast.schemas import requests as req
from holdfast.schemas import topics
from holdfast.schemas.codec import decode
from holdfast.schemas.correlations import SubscriptionClosed
from holdfast.schemas.record import EventMeta, Message, Record
from holdfast.schemas.tasks import LookUpEffect
from holdfast.streams.consequences import announced
from holdfast.streams.core.evolve import EVENT_TYPES, Cause, evolve
from holdfast.streams.core.pending import calls_owed, timers
from holdfast.streams.core.replay import first_divergence
from holdfast.streams.core.state import CallStatus, Status, WorkflowState
from holdfast.streams.core.told import TOLD
from holdfast.streams.core.transitions import TRANSITIONS
from holdfast.streams.outbound import Outbound
from holdfast.streams.recovery import Tail
from holdfast.streams.rows import state_from_json, state_json
from support.scenario import TENANT, WORKFLOW, Scenario, answer, define, fork_request

OUTPUT = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
CALL = {"to": "${input.to}"}
DEFINITION = define(
    {
        "think": {
            "kind": "agent",
            "instructions": "x",
            "tools": ["look", "send", "slow"],
            "output": OUTPUT,
            "max_turns": 4,
            "next": "pick",
            "catch": {"*": "pay"},
        },
        "pick": {
            "kind": "choice",
            "branches": [{"when": "steps.think.output.n > 3", "next": "both"}, {"when": "true", "next": "hear"}],
            "default": "broken",
        },
        "both": {
            "kind": "parallel",
            "branches": {"listen": "listen", "call": "call"},
            "join": "any",
            "timeout": "1h",
            "next": "ask",
            "catch": {"*": "pay"},
        },
        "listen": {"kind": "wait", "event": "told", "timeout": "20m", "next": "heard"},
        "heard": {"kind": "succeed"},
        "call": {
            "kind": "tool",
            "tool": "slow",
            "compensate": {"tool": "send", "arguments": {"of": "${steps.call.output}"}},
            "next": "rest",
        },
        "rest": {"kind": "sleep", "for": "1m", "next": "called"},
        "called": {"kind": "succeed"},
        "hear": {"kind": "wait", "event": "told", "timeout": "10m", "next": "ask", "catch": {"timeout": "nap"}},
        "nap": {"kind": "sleep", "for": "1m", "next": "ask"},
        "ask": {
            "kind": "approval",
            "tool": "send",
            "arguments": CALL,
            "roles": ["lead"],
            "timeout": "10m",
            "next": "peek",
            "catch": {"rejected": "note"},
        },
        "peek": {"kind": "tool", "tool": "look", "next": "go"},
        "go": {
            "kind": "tool",
            "tool": "send",
            "approved_by": "ask",
            "arguments": CALL,
            "compensate": {
                "tool": "slow",
                "arguments": {"of": "${steps.go.output}"},
                "restore": {"read": "peek"},
            },
            "next": "post",
        },
        "post": {
            "kind": "tool",
            "tool": "post",
            "compensate": {"tool": "pay", "arguments": {"of": "${steps.post.output}"}, "roles": ["lead"]},
            "next": "pay",
        },
        "note": {"kind": "assign", "set": {"rejected": True}, "next": "pay"},
        "pay": {"kind": "tool", "tool": "pay", "next": "end", "catch": {"*": "broken"}},
    },
    budget={"model_calls": 2, "tool_calls": 6},
)


class World:
    """Plays everybody around a workflow; each integer picks one thing that happens next."""

    def __init__(self) -> None:
        self.scenario = Scenario(DEFINITION)
        self.inputs: list[tuple[Record, str, int, tuple[str, str]]] = []
        self.taken: list[Any] = []
        self.number = 0

    def feed(self, body: Record, actor: tuple[str, str]) -> None:
        self.number += 1
        self.inputs.append((body, f"in-{self.number}", self.scenario.now_ms, actor))
        self.scenario.feed(body, f"in-{self.number}", actor)

    def act(self, choice: int) -> None:
        acts = (
            self.start,
            self.time,
            self.person,
            self.claim,
            self.report,
            self.report,
            self.fail,
            self.repeat,
            self.operate,
        )
        acts[choice % len(acts)](choice // len(acts))

    def start(self, choice: int) -> None:
        self.feed(
            req.StartWorkflow(definition="test", definition_hash=DEFINITION.hash, input={"to": choice}),
            ("person", "ann"),
        )

    def time(self, choice: int) -> None:
        self.scenario.now_ms += (100, 5_000, 61_000, 601_000)[choice % 4]
        self.feed(rep.FireTimer(timer_id="", due_at_ms=0), ("timer", "timers"))

    def person(self, choice: int) -> None:
        approvals = list(self.scenario.row.state.approvals.values()) if self.scenario.row else []
        if choice % 3 == 0:
            self.feed(req.DeliverEvent(event_type="told", correlation="", payload=choice), ("service", "crm"))
        elif choice % 7 == 1:
            self.feed(req.CancelWorkflow(reason="enough"), ("person", "ann"))
        elif approvals:
            decision = "approve" if choice % 2 else "reject"
            approval = approvals[-1]
            self.feed(
                req.DecideApproval(
                    approval_id=approval.approval_id,
                    decision=decision,
                    action_hash=approval.action_hash,
                    comment="",
                ),
                ("person", "bea"),
            )

    def operate(self, choice: int) -> None:
        state = self.scenario.row.state if self.scenario.row else None
        active = list(state.active.values()) if state else []
        step = active[choice % len(active)].step if active else "pay"
        calls = [call.effect_key for run in active for call in run.calls.values()]
        key = calls[choice % len(calls)] if calls else "none"
        bodies: tuple[Record, ...] = (
            req.PauseWorkflow(reason=""),
            req.ResumeWorkflow(reason="", extend_ms=choice % 2 * 60_000),
            req.ResumeWorkflow(reason="", extend_ms=0),
            req.ResolveCall(
                effect_key=key, outcome=("done", "not_done", "retry")[choice % 3], result=choice, reason=""
            ),
            req.ResolveCall(effect_key=key, outcome="done", result=choice, reason=""),
            req.RetryStep(step=step, reason=""),
            req.SkipStep(step=step, output={"n": choice % 10}, reason=""),
            req.CancelWorkflow(reason=""),
            req.TerminateWorkflow(reason=""),
        )
        self.feed(bodies[choice // 7 % (len(bodies) - (choice % 5 != 0))], ("person", "ops"))

    def task(self, choice: int) -> Any:
        self.taken += self.scenario.tasks
        self.scenario.tasks.clear()
        # mostly the newest, now and then one of long ago: executors are slow and repeat themselves
        return self.taken[-1 - (choice % 3 if choice % 5 == 0 else 0) % len(self.taken)] if self.taken else None

    def claim(self, choice: int) -> None:
        if task := self.task(choice):
            who = f"x{choice % 2}"
            self.feed(
                rep.ClaimTask(effect_key=task.effect_key, attempt=task.attempt, executor_id=who, lease_ms=30_000),
                ("executor", who),
            )

    def report(self, choice: int) -> None:
        task = self.task(choice)
        if task is None:
            return
        if isinstance(task, LookUpEffect):
            body: Record = rep.ReportLookup(
                effect_key=task.effect_key,
                attempt=task.attempt,
                lookup=task.lookup,
                executor_id="x0",
                found=choice % 2 == 0,
                result=choice,
                evidence="",
                error_class="unavailable" if choice % 7 == 0 else "",
                error_message="",
            )
        elif hasattr(task, "tool"):
            body = rep.ReportToolResult(
                effect_key=task.effect_key, attempt=task.attempt, executor_id="x0", result=choice % 3, duration_ms=1
            )
        else:
            responses = (
                answer(f'{{"n": {choice % 10}}}'),
                answer(calls=[("look", {}), ("send", {"to": 1})]),
                answer("nonsense"),
                answer(calls=[("none", {})]),
                None,
            )
            body = rep.ReportModelResult(
                effect_key=task.effect_key,
                attempt=task.attempt,
                executor_id="x0",
                provider="p",
                model="m",
                response=responses[choice % len(responses)],
                finish_reason="stop",
                input_tokens=1,
                output_tokens=1,
                cached_tokens=0,
                cost_microusd=1,
                duration_ms=1,
            )
        self.feed(body, ("executor", "x0"))

    def fail(self, choice: int) -> None:
        if task := self.task(choice):
            self.feed(
                rep.ReportTaskFailure(
                    effect_key=task.effect_key,
                    attempt=task.attempt,
                    executor_id="x0",
                    error_class=("unavailable", "tool_error", "timeout")[choice % 3],
                    error_message="",
                    http_status=0,
                    retry_after_ms=0,
                    retryable=choice % 4 == 0,
                    outcome_unknown=choice % 5 == 0,
                    duration_ms=1,
                ),
                ("executor", "x0"),
            )

    def repeat(self, choice: int) -> None:
        """The last input again: what Kafka and impatient clients do."""
        if self.inputs and self.scenario.row is not None:
            body, input_id, _, actor = self.inputs[-1]
            before = self.scenario.row
            self.scenario.feed(body, input_id, actor)
            assert self.scenario.row is not None
            assert self.scenario.row.state == before.state, "a repeat changes nothing"
            assert self.scenario.row.sequence == before.sequence


OUTCOMES = ("done", "not_done", "retry")
ENGINE = ("engine", "orchestrator")
schedules = st.lists(st.integers(0, 10_000), min_size=1, max_size=60)


def run(schedule: list[int]) -> World:
    """The world after a schedule. In one of three, its workflow is a fork of another one, and the rest follows."""
    world = World()
    begun = 0
    if schedule[0] % 3 == 2:
        begun = len(schedule) // 2
        fork(world, source(schedule[:begun]), schedule[0])
    if world.scenario.row is None:
        world.start(0)
    for choice in schedule[begun:]:
        world.act(choice)
    return world


def source(schedule: list[int]) -> World:
    """Another world, of which the workflow may be forked."""
    world = World()
    world.scenario.workflow_id = "w-source"
    world.start(0)
    for choice in schedule:
        world.act(choice)
    return world


def fork(world: World, other: World, choice: int) -> None:
    """Begin a world's workflow from the end of one of the decisions of another one."""
    ends = [place for place, m in enumerate(other.scenario.journal, start=1) if m.meta.index == m.meta.count - 1]
    journal = other.scenario.journal[: ends[choice % len(ends)]]
    world.scenario.now_ms = other.scenario.now_ms + choice
    redo = (("pay",), (), (), ("think",))[choice // 3 % 4]
    world.feed(fork_request(journal, DEFINITION, redo=redo), ("person", "ann"))


def refold(journal: list[Message[Record]]) -> WorkflowState | None:
    state = None
    for message in journal:
        state = evolve(state, message.body, Cause.of(message.meta))
    return state


@settings(max_examples=150)
@given(schedules)
def test_folding_the_journal_gives_the_live_state(schedule: list[int]) -> None:
    world = run(schedule)
    assert world.scenario.row is not None
    assert refold(world.scenario.journal) == world.scenario.state


@settings(max_examples=100)
@given(schedules)
def test_a_state_is_the_same_to_the_byte_folded_now_or_read_back_or_folded_again(schedule: list[int]) -> None:
    """Decisions go by the order of a state's maps: it must not depend on whether a row was in memory."""
    scenario = run(schedule).scenario
    again = refold(scenario.journal)
    assert scenario.row is not None
    assert again is not None
    assert state_json(again) == scenario.row.text == state_json(state_from_json(scenario.row.text))


@settings(max_examples=100)
@given(schedules)
def test_a_journal_holds_everything_that_its_decisions_went_by(schedule: list[int]) -> None:
    """Its inputs, read back from it and decided over again, lead to the same events: a shadow run has no noise."""
    assert first_divergence(run(schedule).scenario.journal, DEFINITION) is None


@settings(max_examples=60)
@given(schedules)
def test_the_story_that_people_are_shown_has_the_status_and_the_open_steps_of_the_state(schedule: list[int]) -> None:
    scenario = run(schedule).scenario
    timeline = tell(scenario.journal)
    assert timeline is not None
    assert (timeline.status, timeline.ended) == (scenario.state.status.value, scenario.state.finished)
    assert sorted(visit.step for visit in timeline.running) == sorted(scenario.state.active)


@settings(max_examples=60)
@given(schedules, st.integers(0, 1_000))
def test_a_prefix_and_the_rest_give_the_same_as_the_whole(schedule: list[int], at: int) -> None:
    journal = run(schedule).scenario.journal
    cut = at % (len(journal) + 1)
    state = refold(journal[:cut])
    for message in journal[cut:]:
        state = evolve(state, message.body, Cause.of(message.meta))
    assert state == refold(journal)


@settings(max_examples=100)
@given(schedules)
def test_a_state_survives_its_row(schedule: list[int]) -> None:
    state = run(schedule).scenario.state
    assert state_from_json(state_json(state)) == state


@settings(max_examples=150)
@given(schedules)
def test_sequences_have_no_gaps_and_decisions_are_whole(schedule: list[int]) -> None:
    journal = run(schedule).scenario.journal
    assert [m.meta.sequence for m in journal] == list(range(1, len(journal) + 1))
    for before, after in itertools.pairwise(journal):
        assert after.meta.previous_hash == before.meta.hash
        whole = before.meta.index == before.meta.count - 1
        assert after.meta.index == (0 if whole else before.meta.index + 1)


@settings(max_examples=150)
@given(schedules)
def test_statuses_move_along_the_table_and_an_end_is_the_end(schedule: list[int]) -> None:
    state = None
    for message in run(schedule).scenario.journal:
        after = evolve(state, message.body, Cause.of(message.meta))
        if state is not None and after.status is not state.status:
            assert after.status in TRANSITIONS[state.status]
        state = after


def status_in_row(body: Record) -> str:
    mapped = PROMOTED[type(body)]
    named = next((field for field, column in mapped.columns.items() if column == "status"), "")
    return getattr(body, named) if named else mapped.constants.get("status", "")


@settings(max_examples=150)
@given(schedules)
def test_the_status_in_the_tables_is_the_live_one_after_each_decision(schedule: list[int]) -> None:
    state, said = None, ""
    for message in run(schedule).scenario.journal:
        state = evolve(state, message.body, Cause.of(message.meta))
        said = status_in_row(message.body) or said
        if message.meta.index == message.meta.count - 1:
            assert said == state.status, message.meta.type


@pytest.mark.parametrize("cls", PROMOTED, ids=lambda cls: cls.__name__)
def test_the_tables_take_from_an_event_the_status_that_the_engine_means_by_it(cls: type[Record]) -> None:
    mapped = PROMOTED[cls]
    by_field = cls is e.StatusChanged
    assert ("status" in mapped.columns.values()) == by_field
    assert mapped.constants.get("status") == (None if by_field else TOLD.get(cls))


@settings(max_examples=150)
@given(schedules)
def test_a_workflow_is_finished_or_owed_something_or_waits_with_a_limit(schedule: list[int]) -> None:
    state = run(schedule).scenario.state
    if state.finished:
        assert not list(timers(state))
        assert not calls_owed(state)
        return
    if state.closing is None and state.deadline_at_ms:
        assert min(timer.due_at_ms for timer in timers(state)) <= state.deadline_at_ms
    elif not state.held:
        assert list(timers(state)) or calls_owed(state)
    if state.status is Status.WAITING:
        assert all(run_.timeout_at_ms or run_.wake_at_ms for run_ in state.active.values())


@settings(max_examples=150)
@given(schedules)
def test_a_call_has_at_most_one_accepted_outcome_and_an_intent_before_it(schedule: list[int]) -> None:
    intents: set[tuple[str, int]] = set()
    outcomes: list[str] = []
    for message in run(schedule).scenario.journal:
        body = message.body
        if isinstance(body, e.ModelCallRequested | e.ToolCallRequested):
            assert (body.effect_key, body.attempt) not in intents
            intents.add((body.effect_key, body.attempt))
        if isinstance(body, e.ModelCallCompleted | e.ToolCallCompleted):
            assert (body.effect_key, body.attempt) in intents
            outcomes.append(body.effect_key)
    assert len(outcomes) == len(set(outcomes))


@settings(max_examples=150)
@given(schedules)
def test_no_call_is_asked_for_beyond_the_budget(schedule: list[int]) -> None:
    asked = {"model_calls": 0, "tool_calls": 0}
    undoing = False
    for message in run(schedule).scenario.journal:
        undoing = undoing or isinstance(message.body, e.ClosingStarted)
        if isinstance(message.body, e.ModelCallRequested):
            asked["model_calls"] += 1
        elif isinstance(message.body, e.ToolCallRequested) and not undoing:
            asked["tool_calls"] += 1
    budget = DEFINITION.definition.budget.limits()
    assert all(asked[limit] <= budget[limit] for limit in asked)


@settings(max_examples=100)
@given(schedules)
def test_nothing_is_asked_of_executors_after_the_end(schedule: list[int]) -> None:
    ended = False
    for message in run(schedule).scenario.journal:
        assert not (ended and isinstance(message.body, e.ModelCallRequested | e.ToolCallRequested))
        ended = ended or isinstance(message.body, e.WorkflowCompleted | e.WorkflowFailed | e.WorkflowCancelled)


@settings(max_examples=100)
@given(schedules)
def test_every_owed_task_was_sent_exactly_once(schedule: list[int]) -> None:
    world = run(schedule)
    tasks = [task for task in (*world.taken, *world.scenario.tasks) if not isinstance(task, LookUpEffect)]
    sent = [(task.effect_key, task.attempt) for task in tasks]
    resumed = any(isinstance(m.body, e.WorkflowResumed | e.ToolOutcomeResolved) for m in world.scenario.journal)
    assert resumed or len(sent) == len(set(sent))
    owed = {
        (key, attempt) for key, attempt, status in calls_owed(world.scenario.state) if status is CallStatus.REQUESTED
    }
    assert owed <= set(sent)


@settings(max_examples=80)
@given(schedules, st.integers(0, 1_000))
def test_recovery_from_a_journal_that_a_zombie_doubled_gives_the_live_row(schedule: list[int], doubled: int) -> None:
    world = run(schedule)
    journal = world.scenario.journal
    again = journal[: doubled % (len(journal) + 1)]
    tail = Tail()
    for offset, message in enumerate([*journal, *again]):
        tail.take(None, b"k", message, offset)
    row = tail.rows[b"k"]
    assert world.scenario.row is not None
    assert (row.state, row.sequence, row.head_hash) == (
        world.scenario.state,
        world.scenario.row.sequence,
        world.scenario.row.head_hash,
    )
    assert not tail.cut_short


@settings(max_examples=80)
@given(schedules, st.integers(0, 1_000))
def test_a_decision_cut_short_is_completed_to_the_same_row(schedule: list[int], at: int) -> None:
    world = run(schedule)
    journal = world.scenario.journal
    cut = at % len(journal)
    tail = Tail()
    for offset, message in enumerate(journal[: cut + 1]):
        tail.take(None, b"k", message, offset)
    prefix = tail.cut_short.get(b"k", [])
    if not prefix:
        return
    offset = prefix[0].meta.cause_offset
    body, input_id, now_ms, actor = next(i for i in world.inputs if i[1] == prefix[0].meta.cause_id)
    again = Scenario(DEFINITION, now_ms=now_ms, row=tail.rows.get(b"k"), offset=offset - 1)
    meta = prefix[0].meta
    outcome = again.driver.fold(
        again.row,
        Message(
            meta=type(meta)(
                event_id=input_id,
                type=type(body).__name__,
                tenant=meta.tenant,
                workflow_id=meta.workflow_id,
                actor_kind=actor[0],
                actor_id=actor[1],
                occurred_at_ms=now_ms,
            ),
            body=body,
        ),
        offset=offset,
        now_ms=now_ms,
        prefix=prefix,
    )
    assert outcome.row is not None
    assert len(outcome.journal) == meta.count - len(prefix)
    whole = refold([m for m in journal if m.meta.sequence <= outcome.row.sequence])
    assert outcome.row.state == whole


@settings(max_examples=150)
@given(schedules, st.integers(0, 1_000))
def test_a_fork_asks_for_no_effect_that_is_done_or_may_be(schedule: list[int], at: int) -> None:
    """Whatever point it begins from, unless somebody asks for it."""
    other, world = source(schedule), World()
    fork(world, other, at * 12 + 3)  # nothing is to be done again
    if world.scenario.row is None:
        return
    forked = next(m.body for m in world.scenario.journal if isinstance(m.body, e.WorkflowForked))
    history = [message.body for message in other.scenario.journal[: forked.source_sequence]]
    effects = {place(body) for body in history if isinstance(body, e.ToolCallRequested) and body.effect != "read"}
    begun = {place(body) for body in history if isinstance(body, e.ToolCallCompleted | e.TaskClaimed)}
    failed = {place(body) for body in history if isinstance(body, e.ToolCallFailed | e.TaskReleased)}
    assert not {place(task) for task in world.scenario.tasks} & ((effects & begun) - failed)


def place(of_call: Any) -> str:
    """Where a call stands in a workflow, whichever workflow that is."""
    return str(of_call.effect_key).split("/", 2)[2]


def test_every_event_type_has_an_applier() -> None:
    from holdfast.schemas.topics import JOURNAL

    assert set(JOURNAL.records) == EVENT_TYPES


def test_every_input_type_has_a_handler() -> None:
    from holdfast.schemas.topics import INBOX
    from holdfast.streams.core.decide import INPUT_TYPES

    assert set(INBOX.records) == INPUT_TYPES


LASTING = (*topics.RESULTS.records, SubscriptionClosed, rep.ReportChildEnded)


def with_strangers(world: World) -> list[tuple[Message[Record], int]]:
    """Between a workflow's own inputs: starts of a child that has its id, and events for waits that it never had."""
    mixed = []
    for number, (own, input_id, now_ms, actor) in enumerate(world.inputs):
        start = req.StartWorkflow(
            definition="test",
            definition_hash=DEFINITION.hash,
            input={},
            parent_id=f"parent-{number}",
            parent_step="s",
            parent_visit=1,
        )
        event = req.DeliverEvent(event_type="told", correlation="", payload=0, subscription_id=f"none-{number}")
        for body, name, who in ((own, input_id, actor), (start, f"s-{number}", ENGINE), (event, f"e-{number}", ENGINE)):
            meta = EventMeta(
                event_id=name,
                type=type(body).__name__,
                tenant=TENANT,
                workflow_id=WORKFLOW,
                actor_kind=who[0],
                actor_id=who[1],
                occurred_at_ms=now_ms,
            )
            mixed.append((Message(meta=meta, body=body), now_ms))
    return mixed


@settings(max_examples=60)
@given(schedules, st.integers(0, 1_000))
def test_what_a_crash_kept_from_others_is_sent_by_the_next_worker(schedule: list[int], at: int) -> None:
    """A crash leaves the journal and nothing behind it, from any input on: answers, results, the end of waits."""
    inputs = with_strangers(run(schedule))
    cut = at % len(inputs)
    driver = Scenario(DEFINITION).driver
    row, kept, tail = None, None, Tail()
    lost: list[tuple[int, Outbound]] = []
    sent: list[Outbound] = []
    for offset, (message, now_ms) in enumerate(inputs):
        outcome = driver.fold(row, message, offset=offset, now_ms=now_ms)
        row = outcome.row
        if offset < cut:
            kept = row
            continue
        lost += [(offset, record) for record in outcome.outbound]
        for record in outcome.journal:
            event = decode(record.value)
            if decided := tail.take(kept, record.key, event, offset):
                sent += announced(*decided, Cause.of(event.meta))
    recovered = next(iter(tail.rows.values()), kept)
    assert recovered is not None
    sent += driver.owed(recovered)
    for message, now_ms in inputs[cut : recovered.inbox_offset + 1]:
        sent += driver.repeated(recovered, message, now_ms=now_ms)
    known = {(record.topic.name, decode(record.value).meta.event_id) for record in sent}
    for offset, record in lost:
        told = decode(record.value)
        if isinstance(told.body, LASTING) and offset <= recovered.inbox_offset:  # what lies behind is folded again
            assert (record.topic.name, told.meta.event_id) in known, told.body
    statuses = [decode(record.value).body for record in sent if record.topic is topics.STATUS]
    assert [getattr(body, "status", "") for body in statuses] == [recovered.state.status]
