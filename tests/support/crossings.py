"""One workflow in which everything is under way at once, eight things that may have happened to it, and nine that may.

Its branches hold a call that an executor has claimed, an approval, a wait and a child. `STATES` bring it into the
state that a column of the semantics table is about, `ACTS` do what a row is about.
"""

from collections.abc import Callable, Mapping
from typing import Any

from holdfast.schemas import reports as rep
from holdfast.schemas import requests as req
from holdfast.schemas.ids import subscription_id
from support.scenario import define
from support.town import Town

CHILD = define({"work": {"kind": "tool", "tool": "look", "next": "done"}, "done": {"kind": "succeed"}}, name="child")
ID = "w-1"
CALL_KEY = "acme/w-1/call.1/0/0"
DEADLINE_MS = 60_000


def _parent() -> Any:
    branches = {"call": "call", "ask": "ask", "hear": "hear", "start": "start"}
    ends = {f"{name}_end": {"kind": "succeed"} for name in branches}
    steps: dict[str, Any] = {
        "all": {"kind": "parallel", "branches": branches, "timeout": "9d", "next": "end"},
        "call": {"kind": "tool", "tool": "slow", "retry": {"initial": "10m"}, "next": "call_end"},
        "ask": {"kind": "approval", "tool": "send", "roles": ["lead"], "timeout": "8d", "next": "ask_end"},
        "hear": {"kind": "wait", "event": "told", "timeout": "8d", "next": "hear_end"},
        "start": {"kind": "child", "definition": "child", "timeout": "8d", "next": "start_end"},
        **ends,
    }
    return define(steps, deadline="1m", on_deadline="escalate", settle="5m", children={"child": CHILD.hash})


def begun() -> Town:
    """The workflow with everything under way; its call is claimed."""
    parent = _parent()
    town = Town.of(CHILD, parent)
    town.start(parent)
    task = town.take("slow")
    body = rep.ClaimTask(effect_key=task.effect_key, attempt=1, executor_id="x1", lease_ms=600_000)
    town.send(ID, body, ("executor", "x1"))
    return town


def cancel(town: Town) -> None:
    town.cancel()


def pause(town: Town) -> None:
    town.send(ID, req.PauseWorkflow(reason="hold on"))


def reach_deadline(town: Town) -> None:
    town.now_ms = max(town.now_ms, town.state(ID).started_at_ms + DEADLINE_MS)
    town.look()


def fail_call(town: Town) -> None:
    body = rep.ReportTaskFailure(
        effect_key=CALL_KEY,
        attempt=1,
        executor_id="x1",
        error_class="unavailable",
        error_message="it broke",
        http_status=0,
        retry_after_ms=0,
        retryable=True,
        outcome_unknown=False,
        duration_ms=3,
    )
    town.send(ID, body, ("executor", "x1"))


def decide(town: Town) -> None:
    approval = next(iter(town.state(ID).approvals.values()))
    body = req.DecideApproval(
        approval_id=approval.approval_id, decision="approve", action_hash=approval.action_hash, comment=""
    )
    town.send(ID, body, ("person", "bea"))


def tell(town: Town) -> None:
    town.send(ID, req.DeliverEvent(event_type="told", correlation="", payload={"n": 1}), ("service", "crm"))


def hand(town: Town) -> None:
    """What the correlator does with a published event, whether or not the wait is over by then."""
    wait = subscription_id(ID, "hear.1", town.state(ID).started_at_ms)
    body = req.DeliverEvent(
        event_type="told", correlation="", payload={"n": 1}, subscription_id=wait, source_id="published-1"
    )
    town.send(ID, body, ("service", "crm"))


def end_child(town: Town) -> None:
    """The child's own end, as it reports it; for one that has ended already, the report again."""
    told = [letter for letter in town.letters if isinstance(letter.body, rep.ReportChildEnded)]
    if told:
        town.repeat(told[-1])
    else:
        town.answer(town.take("look"))


def die(town: Town) -> None:
    """The worker is killed: rows are made again from the journal, and what is owed is sent again."""
    town.recover()


Act = Callable[[Town], None]
ACTS: Mapping[str, Act] = {
    "cancel": cancel,
    "pause": pause,
    "the deadline": reach_deadline,
    "a failure worth a retry": fail_call,
    "an approval decision": decide,
    "an event": tell,
    "a published event": hand,
    "the end of a child": end_child,
    "the death of the worker": die,
}
STATES: Mapping[str, Act] = {
    "is being cancelled": cancel,
    "is paused": pause,
    "is past its deadline": reach_deadline,
    "waits for a retry": fail_call,
    "has its approval": decide,
    "has had its event": tell,
    "has had its child's end": end_child,
    "lost its worker": die,
}
