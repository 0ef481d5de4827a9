"""A workflow that begins from a point of another one's history: what it has, what it does again, what it may not."""

from typing import Any

import pytest

from holdfast.ops.graph.run import run_of
from holdfast.ops.timeline import tell
from holdfast.ops.timeline_model import Items
from holdfast.schemas import events as e
from holdfast.schemas import requests as req
from holdfast.schemas.results import RequestRejected
from holdfast.streams.core.evolve import Cause, evolve
from holdfast.streams.core.replay import first_divergence
from holdfast.streams.core.state import Origin
from holdfast.streams.rows import state_json
from support.scenario import Scenario, answer, define, fork_request, only

Steps = dict[str, Any]
HEAR: Steps = {"kind": "wait", "event": "told", "timeout": "1h", "next": "end"}
FIND: Steps = {"kind": "tool", "tool": "look", "arguments": {"n": "${input.n}"}, "next": "hear"}
SLOW: Steps = {"kind": "tool", "tool": "slow", "arguments": {"n": "${input.n}"}, "next": "hear"}
END: Steps = {"kind": "succeed", "output": {"found": "${steps.find.output}", "told": "${steps.hear.output}"}}
STEPS: Steps = {"find": FIND, "hear": HEAR, "end": END}


def played(steps: Steps, value: Any = None, **more: Any) -> Scenario:
    scenario = Scenario(define(steps, **more))
    scenario.start(value or {"n": 1})
    return scenario


def found() -> Scenario:
    """A workflow that has found 7 and waits to be told something."""
    scenario = played(STEPS)
    scenario.tool_result(scenario.take(), 7)
    return scenario


def refusal(fork: Scenario) -> RequestRejected:
    assert fork.row is None
    refused: RequestRejected = only(fork.sent, RequestRejected)
    return refused


def assert_whole(fork: Scenario) -> None:
    """Its journal alone gives its row, to the byte, and its inputs lead to the same events again."""
    state = None
    for message in fork.journal:
        state = evolve(state, message.body, Cause.of(message.meta))
    assert state is not None
    assert fork.row is not None
    assert state_json(state) == fork.row.text
    assert first_divergence(fork.journal, fork.definition) is None


def test_a_fork_has_what_was_done_and_goes_on_from_there() -> None:
    fork = found().fork()
    assert fork.names == ["WorkflowStarted", "WorkflowForked", "StepStarted", "WaitStarted"]
    assert fork.tasks == []
    fork.deliver("told", "yes")
    assert fork.state.output == {"found": 7, "told": "yes"}
    assert_whole(fork)


def test_a_picture_of_it_shows_what_was_done_before() -> None:
    fork = found().fork()
    told = tell(fork.journal)
    assert told is not None
    run = run_of(fork.definition.definition, told)
    assert {name: (step.tone.value, step.state) for name, step in run.steps.items() if name != "hear"} == {
        "find": ("done", ("done", "in w-1")),
        "end": ("ahead", ()),
    }


def test_its_lineage_is_on_record() -> None:
    source = found()
    fork = source.fork()
    forked = only(fork.last, e.WorkflowForked)
    last = source.journal[-1].meta
    assert (forked.source_id, forked.source_sequence, forked.source_hash) == ("w-1", last.sequence, last.hash.hex())
    assert fork.state.origin == Origin(workflow_id="w-1", sequence=last.sequence, event_hash=last.hash.hex())


def test_its_limits_begin_with_it() -> None:
    source = found()
    source.now_ms += 3_000_000
    fork = source.fork()
    assert fork.state.deadline_at_ms == fork.now_ms + 3_600_000
    assert fork.state.active["hear"].timeout_at_ms == fork.now_ms + 3_600_000


def test_the_workflow_that_it_was_forked_from_is_not_touched() -> None:
    source = found()
    before = source.row
    source.fork()
    assert source.row == before


def test_values_are_changed_on_the_way() -> None:
    fork = found().fork(changes={"steps.find.output": {"n": 8}, "input.n": 2})
    fork.deliver("told", "no")
    assert fork.state.output == {"found": {"n": 8}, "told": "no"}
    assert fork.state.input == {"n": 2}
    assert_whole(fork)


@pytest.mark.parametrize("path", ["output", "steps.hear", "steps.none.output.x", "input.a.b", "vars.x.y", ""])
def test_a_path_that_leads_nowhere_is_refused(path: str) -> None:
    assert refusal(found().fork(changes={path: 1})).code == "set_invalid"


def test_a_changed_input_has_to_fit() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    source = played(STEPS, input=schema)
    assert refusal(source.fork(changes={"input.n": "many"})).code == "input_invalid"


def test_another_definition_may_go_on() -> None:
    more = define({**STEPS, "hear": {**HEAR, "next": "again"}, "again": {**HEAR, "event": "asked"}})
    fork = found().fork(to=more)
    fork.deliver("told", "yes")
    assert list(fork.state.active) == ["again"]


def test_a_definition_without_a_place_for_what_was_under_way_is_refused() -> None:
    other = define({"find": {**FIND, "next": "listen"}, "listen": HEAR})
    refused = refusal(found().fork(to=other))
    assert refused.code == "cannot_fork"
    assert "step 'hear' was under way as wait" in refused.message
    assert list(found().fork(to=other, redo=("listen",)).state.active) == ["listen"]


def test_a_call_that_was_only_asked_for_is_made_by_the_fork() -> None:
    source = played({"go": SLOW, "hear": HEAR})
    fork = source.fork()
    task = fork.take()
    assert task.effect_key == "acme/w-2/go.1/0/0"
    fork.tool_result(task, 1)
    assert list(fork.state.active) == ["hear"]


def test_a_read_that_was_under_way_is_made_again() -> None:
    source = played(STEPS)
    source.pause()
    fork = source.fork()
    assert fork.take().effect_key == "acme/w-2/find.1/0/0"


def under_way() -> Scenario:
    """A workflow with a keyed call that may be taking effect."""
    undo = {"tool": "send", "arguments": {"undo": "${steps.go.output}"}}
    source = played({"go": {**SLOW, "compensate": undo}, "hear": HEAR})
    source.claim(source.tasks[0])
    return source


def test_a_call_that_may_have_taken_effect_is_a_persons_matter() -> None:
    fork = under_way().fork()
    assert (fork.state.status, fork.state.error_class) == ("blocked", "outcome_unknown")
    assert "which is acme/w-2/go.1/0/0 here" in fork.state.error_message
    assert fork.tasks == [], "nothing is done or looked for under a key that nobody knows"
    assert "it was under way in w-1 as acme/w-1/go.1/0/0" in only(fork.last, e.ToolOutcomeUnknown).error_message
    fork.resolve("acme/w-2/go.1/0/0", "done", 3)
    assert (fork.state.outputs["go"], list(fork.state.active)) == (3, ["hear"])
    assert fork.state.compensations == {}, "it is not the fork's to undo"
    assert_whole(fork)


def test_what_is_made_again_after_all_is_the_forks_to_undo() -> None:
    fork = under_way().fork()
    fork.resolve("acme/w-2/go.1/0/0", "retry")
    task = fork.take()
    assert task.attempt == 2
    fork.tool_result(task, 4)
    fork.cancel()
    assert fork.take().arguments == {"undo": 4}
    assert_whole(fork)


@pytest.mark.parametrize("redo", ["go", "acme/w-1/go.1/0/0"])
def test_what_is_asked_for_is_done_again_at_once(redo: str) -> None:
    fork = under_way().fork(redo=(redo,))
    assert fork.take().effect_key == "acme/w-2/go.1/0/0"
    assert "go.1" in fork.state.compensations
    assert_whole(fork)


@pytest.mark.parametrize("redo", ["find", "acme/w-1/find.1/0/0"])
def test_a_step_that_has_ended_is_gone_on_from_if_asked_for(redo: str) -> None:
    fork = found().fork(redo=(redo,))
    assert list(fork.state.active) == ["find"]
    assert fork.state.visits == {"find": 2}
    fork.tool_result(fork.take(), 9)
    fork.deliver("told", 1)
    assert fork.state.output == {"found": 9, "told": 1}


def test_what_the_source_would_undo_is_not_the_forks() -> None:
    book = {**SLOW, "compensate": {"tool": "send", "arguments": {"undo": "${steps.book.output}"}}}
    source = played({"book": book, "hear": HEAR})
    source.tool_result(source.take(), "b-1")
    fork = source.fork()
    fork.cancel()
    assert fork.state.status == "cancelled"
    assert fork.tasks == []


def test_a_call_that_was_done_while_the_workflow_was_held_is_not_made_again() -> None:
    source = played({"go": SLOW, "hear": HEAR})
    source.pause()
    source.tool_result(source.take(), 5)
    fork = source.fork()
    assert (fork.state.outputs, list(fork.state.active)) == ({"go": 5}, ["hear"])
    assert fork.tasks == []
    assert_whole(fork)


def test_events_that_came_early_are_kept_and_one_that_a_held_wait_got_is_taken() -> None:
    source = found()
    source.pause()
    source.deliver("told", "first")
    source.deliver("told", "second")
    fork = source.fork()
    assert fork.state.output == {"found": 7, "told": "first"}


AGENT: Steps = {
    "think": {"kind": "agent", "instructions": "x", "prompt": "p", "tools": ["look", "send"], "next": "end"},
    "end": {"kind": "succeed", "output": "${steps.think.output}"},
}


def test_an_agent_goes_on_with_its_conversation() -> None:
    source = played(AGENT)
    source.model_result(source.take(), answer(calls=[("send", {"n": 1}), ("look", {})]))
    source.tool_result(source.take(), "sent")
    fork = source.fork()
    task = fork.take()
    assert (task.tool, task.effect_key) == ("look", "acme/w-2/think.1/1/2"), "what was sent is not sent again"
    fork.tool_result(task, "seen")
    asked = fork.take()
    assert [message["role"] for message in asked.messages] == ["system", "user", "assistant", "tool", "tool"]
    assert [message["content"] for message in asked.messages[3:]] == ['{"result":"sent"}', '{"result":"seen"}']
    fork.model_result(asked, answer("done"))
    assert fork.state.output == "done"
    assert_whole(fork)


def test_its_budget_is_its_own_and_holds_from_its_first_call_on() -> None:
    source = played(AGENT, budget={"tool_calls": 2})
    source.model_result(source.take(), answer(calls=[("send", {"n": 1}), ("look", {})]))
    poorer = define(AGENT, budget={"tool_calls": 1})
    assert len(source.fork().tasks) == 2
    refused = source.fork(to=poorer)
    assert (refused.state.status, refused.state.error_class) == ("failed", "budget_exhausted")
    assert refused.tasks == []
    assert_whole(refused)


def test_an_agents_model_is_asked_again_for_the_answer_that_was_awaited() -> None:
    source = played(AGENT)
    source.model_result(source.take(), answer(calls=[("look", {})]))
    source.tool_result(source.take(), "seen")
    source.claim(source.tasks[0])
    fork = source.fork()
    task = fork.take()
    assert (task.effect_key, len(task.messages)) == ("acme/w-2/think.1/2/0", 4)
    fork.model_result(task, answer("done"))
    assert fork.state.output == "done"
    assert_whole(fork)


def test_an_answer_that_came_while_the_workflow_was_held_is_read() -> None:
    source = played(AGENT)
    source.pause()
    source.model_result(source.take(), answer("done"))
    fork = source.fork()
    assert fork.state.output == "done"
    assert_whole(fork)


BOTH: Steps = {
    "both": {"kind": "parallel", "branches": {"a": "find", "b": "hear"}, "timeout": "1h", "next": "end"},
    "find": {**FIND, "next": "a_end"},
    "a_end": {"kind": "succeed", "output": "${steps.find.output}"},
    "hear": {**HEAR, "next": "b_end"},
    "b_end": {"kind": "succeed", "output": "${steps.hear.output}"},
    "end": {"kind": "succeed", "output": "${steps.both.output.results}"},
}


def test_branches_that_have_ended_stay_ended_and_the_others_go_on() -> None:
    source = played(BOTH)
    source.tool_result(source.take(), 7)
    fork = source.fork()
    assert fork.tasks == []
    assert list(fork.state.active) == ["both", "hear"]
    fork.deliver("told", 8)
    assert fork.state.output == {"a": 7, "b": 8}
    assert_whole(fork)


TALK: Steps = {
    "first": {**HEAR, "event": "one", "next": "note"},
    "note": {"kind": "assign", "set": {"heard": "${steps.first.output}"}, "next": "pick"},
    "pick": {"kind": "choice", "branches": [{"when": "vars.heard > 1", "next": "both"}], "default": "first"},
    "both": {"kind": "parallel", "branches": {"a": "left", "b": "right"}, "timeout": "1h", "next": "nap"},
    "left": {**HEAR, "event": "two", "next": "left_again"},
    "left_again": {**HEAR, "event": "three", "next": "left_end"},
    "left_end": {"kind": "succeed", "output": "${steps.left_again.output}"},
    "right": {**HEAR, "event": "four", "next": "right_end"},
    "right_end": {"kind": "succeed", "output": "${steps.right.output}"},
    "nap": {"kind": "sleep", "for": "1m", "next": "last"},
    "last": {**HEAR, "event": "five", "next": "end"},
    "end": {"kind": "succeed", "output": ["${vars.heard}", "${steps.both.output}", "${steps.last.output}"]},
}
TOLD = (("one", 1), ("one", 2), ("five", 3), ("two", 4), ("four", 5), ("three", 6), ("", 0))


def tell_all(scenario: Scenario, told: tuple[tuple[str, int], ...]) -> None:
    for event_type, payload in told:
        if event_type:
            scenario.deliver(event_type, payload)
        else:
            scenario.fire()


@pytest.mark.parametrize("after", range(len(TOLD)))
def test_a_fork_that_hears_the_same_comes_to_the_same_end(after: int) -> None:
    """Wherever it begins: loops, branches, early events and timers are where they were."""
    source = played(TALK)
    tell_all(source, TOLD[:after])
    at = len(source.journal)
    tell_all(source, TOLD[after:])
    assert source.state.status == "completed"
    fork = source.fork(at)
    tell_all(fork, TOLD[after:])
    assert fork.state.output == source.state.output
    assert_whole(fork)


def test_another_definition_may_need_fewer_branches() -> None:
    source = played(BOTH)
    source.tool_result(source.take(), 7)
    fork = source.fork(to=define({**BOTH, "both": {**BOTH["both"], "join": "any"}}))
    assert fork.state.output == {"a": 7}


def test_a_step_of_a_branch_is_done_again_within_it() -> None:
    source = played(BOTH)
    source.tool_result(source.take(), 7)
    refused = refusal(source.fork(redo=("find",)))
    assert "the branch of 'find' did not run then" in refused.message
    fork = source.fork(redo=("hear",))
    assert list(fork.state.active) == ["both", "hear"]
    assert list(source.fork(redo=("both", "both")).state.active) == ["both", "find", "hear"]
    assert "'hear' lies within another one" in refusal(source.fork(redo=("hear", "both"))).message


EACH: Steps = {
    "each": {"kind": "map", "items": "${input.items}", "do": "go", "concurrency": 1, "timeout": "1h", "next": "end"},
    "go": {"kind": "succeed", "output": "${input.item}"},
    "end": {"kind": "succeed", "output": "${steps.each.output.results}"},
}


def item_ended(scenario: Scenario, index: int, output: Any) -> None:
    from holdfast.schemas.reports import ReportChildEnded

    body = ReportChildEnded(
        step="each",
        visit=1,
        index=index,
        child_id=f"{scenario.workflow_id}:each.1.{index}",
        outcome="completed",
        output=output,
        error_class="",
        error_message="",
    )
    scenario.feed(body, actor=("engine", "orchestrator"))


def test_items_that_have_ended_are_not_done_again() -> None:
    source = played(EACH, {"items": [1, 2, 3]})
    item_ended(source, 0, 10)
    fork = source.fork()
    assert list(fork.state.children) == ["w-2:each.1.1"]
    told = tell(fork.journal)
    assert told is not None
    assert (told.forked_from, told.forked_at) == ("w-1", len(source.journal))
    items = [item for item in told.running[0].items if isinstance(item, Items)]
    assert [(item.total, item.started, item.ended, item.failed) for item in items] == [(3, 2, 1, 0)]
    item_ended(fork, 1, 20)
    item_ended(fork, 2, 30)
    assert fork.state.output == [10, 20, 30]
    assert_whole(fork)


def test_items_that_were_under_way_keep_a_fork_from_being_unless_the_step_is_done_again() -> None:
    source = played(EACH, {"items": [1, 2, 3]})
    source.pause()
    assert "workflows of 'each' were under way" in refusal(source.fork()).message
    assert list(source.fork(redo=("each",)).state.children) == ["w-2:each.1.0"]


ASKED: Steps = {
    "ask": {"kind": "approval", "tool": "slow", "arguments": {}, "roles": ["lead"], "timeout": "1h", "next": "go"},
    "go": {"kind": "tool", "tool": "slow", "approved_by": "ask", "next": "hear"},
    "hear": HEAR,
}


def test_an_approval_is_not_the_forks() -> None:
    source = played(ASKED)
    source.decide()
    refused = refusal(source.fork())
    assert "step 'go' needs an approval of its own: go on from 'ask'" in refused.message
    fork = source.fork(redo=("ask",))
    assert fork.state.status == "waiting"
    fork.decide()
    assert fork.take().effect_key == "acme/w-2/go.1/0/0"


def test_a_workflow_that_has_ended_is_gone_on_from_a_step() -> None:
    source = found()
    source.cancel()
    assert "had ended there" in refusal(source.fork()).message
    fork = source.fork(redo=("hear",))
    fork.deliver("told", "after all")
    assert fork.state.output == {"found": 7, "told": "after all"}


def test_what_is_not_there_cannot_be_done_again() -> None:
    assert refusal(found().fork(redo=("nothing",))).code == "redo_unknown"


def test_two_steps_of_one_place_cannot_both_be_gone_on_from() -> None:
    assert "cannot both be gone on from" in refusal(found().fork(redo=("find", "hear"))).message


def test_a_schedule_is_not_forked() -> None:
    timing = {"every": "1h"}
    steps: Steps = {"fire": {"kind": "schedule", "timing": timing, "definition": "other", "next": "end"}}
    source = played(steps, children={"other": "f" * 64})
    assert "it is a schedule" in refusal(source.fork()).message


def request(**values: Any) -> req.ForkWorkflow:
    source = found()
    body = fork_request(source.journal, source.definition)
    return req.ForkWorkflow(**{**vars(body), **values})


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"snapshot": {"no": "snapshot"}}, "snapshot_invalid"),
        ({"snapshot": None}, "snapshot_invalid"),
        ({"snapshot": "x" * 600_000}, "payload_too_large"),
        ({"definition_hash": "f" * 64}, "definition_not_found"),
    ],
)
def test_a_request_that_is_not_one_is_refused(values: dict[str, Any], code: str) -> None:
    fork = Scenario(found().definition, workflow_id="w-2")
    fork.feed(request(**values))
    assert refusal(fork).code == code


def test_a_history_of_another_tenant_is_refused() -> None:
    body = request()
    assert isinstance(body.snapshot, dict)
    fork = Scenario(found().definition, workflow_id="w-2")
    fork.feed(request(snapshot={**body.snapshot, "tenant": "other"}))
    assert refusal(fork).code == "fork_across_tenants"


def test_an_id_that_is_taken_is_refused() -> None:
    fork = found().fork()
    fork.feed(request())
    assert only(fork.last, e.InputRejected).code == "workflow_exists"


def test_a_fork_is_forked_again() -> None:
    source = found()
    fork = source.fork(changes={"steps.find.output": 8})
    again = Scenario(source.definition, now_ms=fork.now_ms, workflow_id="w-3")
    again.feed(fork_request(fork.journal, source.definition))
    again.deliver("told", 1)
    assert again.state.output == {"found": 8, "told": 1}
    assert again.state.origin is not None
    assert again.state.origin.workflow_id == "w-2"
