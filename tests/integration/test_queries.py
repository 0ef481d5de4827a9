"""Every shipped question, asked of real data."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from holdfast.projections.client import named_queries
from holdfast.projections.migrate import shipped
from holdfast.schemas import events, ids, jsontext
from holdfast.schemas.codec import payload_of
from holdfast.schemas.record import Message, Record
from support import journal_builder as build
from support.engine import JOURNAL, Engine
from support.journal_builder import START_MS, WorkflowJournal, interleaved, support_ticket

Ask = Callable[..., list[dict[str, Any]]]
DAY_MS = 86_400_000
HOUR_MS = 3_600_000


def twice_done() -> WorkflowJournal:
    """An e-mail that was sent by an attempt given up for dead, and again by the next."""
    journal = WorkflowJournal(workflow_id="twice", now_ms=START_MS)
    key = journal.effect_key("send")
    journal.decide(
        events.WorkflowStarted(input={}, deadline_at_ms=START_MS + DAY_MS),
        build.tool_requested(journal, "send", "send_email", effect="keyed"),
    )
    journal.decide(
        events.ToolCallFailed(
            step="send",
            visit=1,
            turn=0,
            effect_key=key,
            index=0,
            attempt=1,
            executor_id="e-1",
            tool="send_email",
            error_class="lease_expired",
            error_message="Nobody heard of the executor for 30 s.",
            retry_at_ms=START_MS + 1000,
            duration_ms=0,
        ),
        replace(build.tool_requested(journal, "send", "send_email", effect="keyed"), attempt=2),
    )
    journal.decide(replace(build.tool_completed(journal, "send", "send_email"), attempt=2))
    journal.decide(
        events.LateResultRecorded(
            effect_key=key, attempt=1, executor_id="e-1", report_type="ReportToolResult", report={}
        )
    )
    return journal


def unasked() -> WorkflowJournal:
    """Calls that nobody asked for, and one with an approval for something else."""
    journal = WorkflowJournal(workflow_id="unasked", now_ms=START_MS)
    journal.decide(
        events.WorkflowStarted(input={}, deadline_at_ms=START_MS + DAY_MS),
        build.tool_completed(journal, "pay", "pay"),
        build.model_completed(journal, "think", turn=1),
        build.tool_requested(journal, "refund", "refund", effect="keyed", approval_id="never.asked"),
    )
    return journal


def blocked() -> WorkflowJournal:
    journal = WorkflowJournal(workflow_id="blocked", now_ms=START_MS)
    journal.decide(
        events.WorkflowStarted(input={}, deadline_at_ms=4_000_000_000_000),
        events.WorkflowBlocked(step="send", code="outcome_unknown", message="Look it up, then decide."),
    )
    return journal


def sleeping() -> WorkflowJournal:
    """Silent for long, but owed a timer in the far future: not stuck."""
    journal = WorkflowJournal(workflow_id="sleeping", now_ms=START_MS)
    journal.decide(
        events.WorkflowStarted(input={}, deadline_at_ms=4_000_000_000_000),
        events.StepStarted(step="rest", visit=1, kind="sleep", timeout_at_ms=0),
        events.TimerScheduled(step="rest", visit=1, timer_id="rest.1", due_at_ms=3_900_000_000_000),
    )
    return journal


def forgotten() -> WorkflowJournal:
    """Running, silent, and owed nothing: the invariant that this must not happen is broken."""
    journal = WorkflowJournal(workflow_id="forgotten", now_ms=START_MS)
    journal.decide(events.WorkflowStarted(input={}, deadline_at_ms=4_000_000_000_000))
    return journal


def schedule(name: str, number: int = 1) -> WorkflowJournal:
    """A schedule that has begun."""
    journal = WorkflowJournal(tenant="clock", workflow_id=f"schedule:{name}:{number}", definition=name, now_ms=START_MS)
    journal.decide(
        events.WorkflowStarted(input={}, deadline_at_ms=4_000_000_000_000),
        events.ScheduleStarted(step="fire", visit=1, after_at_ms=START_MS),
        events.TimerScheduled(step="fire", visit=1, timer_id="fire.1/1", due_at_ms=START_MS + HOUR_MS),
        actor=("person", "ann"),
    )
    return journal


def fired(hours: int, outcome: str, child_id: str = "") -> events.ScheduleFired:
    """A firing so many hours after the start."""
    nominal_at_ms = START_MS + hours * HOUR_MS
    return events.ScheduleFired(step="fire", visit=1, nominal_at_ms=nominal_at_ms, outcome=outcome, child_id=child_id)


def hourly() -> WorkflowJournal:
    """Started two workflows, one of which was refused, was triggered, moved to another version, and is paused."""
    journal = schedule("hourly", 2)
    journal.decide(fired(1, "started", "hourly-1"), after_ms=HOUR_MS)
    journal.decide(fired(2, "started", "hourly-2"), after_ms=HOUR_MS)
    refused = {"outcome": "rejected", "output": None, "error_class": "workflow_exists", "error_message": "It exists."}
    journal.decide(events.ChildEnded(step="fire", visit=1, index=0, child_id="hourly-2", **refused))  # type: ignore[arg-type]
    journal.decide(fired(3, "skipped"), after_ms=HOUR_MS)
    journal.decide(fired(99, "triggered", "hourly-now"), actor=("person", "mia"))
    moved = {"from_definition_hash": "hash-1", "to_definition_hash": "hash-2", "to_definition_name": "hourly"}
    journal.decide(events.WorkflowMigrated(**moved, reason="another version"))
    journal.decide(events.WorkflowPaused(reason="holidays"), actor=("person", "mia"))
    return journal


def report() -> WorkflowJournal:
    """What the first firing started."""
    journal = WorkflowJournal(tenant="clock", workflow_id="hourly-1", definition="report", now_ms=START_MS)
    journal.decide(events.WorkflowStarted(input={}, deadline_at_ms=4_000_000_000_000, parent_id="schedule:hourly:2"))
    journal.decide(events.WorkflowFailed(step="add", error_class="tool_error", error_message="No such table."))
    return journal


def deleted() -> WorkflowJournal:
    journal = schedule("hourly", 1)
    journal.decide(fired(0, "lapsed"))
    journal.decide(events.WorkflowCancelled(reason="wrong", terminated=False), actor=("person", "ann"))
    return journal


def told_of(workflow_id: str, source_id: str, audience: str) -> WorkflowJournal:
    """A wait that a published event has ended."""
    journal = WorkflowJournal(tenant="shop", workflow_id=workflow_id, now_ms=START_MS)
    journal.decide(
        events.WorkflowStarted(input={}, deadline_at_ms=4_000_000_000_000),
        events.EventReceived(
            event_type="paid",
            correlation="o-1",
            source_id=source_id,
            payload={},
            wait_id="pay.1",
            audience=audience,
        ),
    )
    return journal


def story() -> list[Message[Record]]:
    return list(
        interleaved(
            [
                support_ticket("done"),
                support_ticket("asking", ended=False, start_ms=START_MS + 1000),
                support_ticket("other", tenant="acme"),
                twice_done(),
                unasked(),
                blocked(),
                sleeping(),
                forgotten(),
                deleted(),
                hourly(),
                report(),
                schedule("other", 1),
                *(told_of(f"first-{n}", "e-1", "first") for n in range(2)),
                *(told_of(f"all-{n}", "e-2", "everyone") for n in range(2)),
                *(told_of(f"sent-{n}", "e-3", "") for n in range(2)),
                told_of("one", "e-4", "first"),
            ]
        )
    )


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine with the story in it, every event twice, in two parts: answers must not notice."""
    engine = Engine(tmp_path_factory.mktemp("queries"))
    engine.load(story())
    engine.load(story())
    engine.call(
        "insert",
        "request_rejections",
        ["tenant", "workflow_id", "event_id", "code", "message", "request_type", "request_id", "occurred_at"],
        [["acme", "w", ids.derived_id("r"), "unknown_definition", "There is none.", "StartWorkflow", "r-1", START_MS]],
    )
    engine.call(
        "insert",
        "expired_events",
        ["tenant", "event_id", "event_type", "correlation", "source_id", "payload", "expires_at", "repeats"],
        [["acme", ids.derived_id("x"), "paid", "o-9", "e-9", '{"cents":5}', START_MS, 2]] * 2,
    )
    columns = ["topic", "kafka_partition", "kafka_offset", "stage", "code", "message", "record_key", "record_value"]
    letter = ["p.inbox", 2, 7, "decode", "not_framed", "no frame", b"key", b"\x00\xff"]
    engine.call("insert", "dead_letters", columns, [letter])
    yield engine
    engine.close()


@pytest.fixture
def ask(told: Engine) -> Ask:
    return told.ask


def test_timeline(ask: Ask) -> None:
    rows = ask("timeline", workflow="done")
    expected = support_ticket("done").messages
    assert [(row["sequence"], row["type"]) for row in rows] == [(m.meta.sequence, m.meta.type) for m in expected]
    assert [row["payload"] for row in rows] == [payload_of(m.body) for m in expected]


def test_workflows(ask: Ask) -> None:
    assert {row["workflow_id"]: row["status"] for row in ask("workflows", tenant="default")} == {
        "done": "completed",
        "asking": "waiting",
        "twice": "running",
        "unasked": "running",
        "blocked": "blocked",
        "sleeping": "waiting",
        "forgotten": "running",
    }
    assert [row["workflow_id"] for row in ask("workflows", tenant="acme")] == ["other"]
    assert [row["tenant"] for row in ask("workflows", status="completed")] == ["acme", "default"]
    assert ask("workflows", definition="none") == []
    assert len(ask("workflows", limit="2")) == 2
    assert {row["workflow_id"] for row in ask("workflows", since="2026-01-01 00:01:31")} == {
        "done",
        "asking",
        "other",
        "schedule:hourly:2",
    }


def test_schedules(ask: Ask) -> None:
    found = {row["name"]: row for row in ask("schedules", tenant="clock")}
    assert list(found) == ["hourly", "other"]
    row = found["hourly"]
    assert (row["workflow_id"], row["number"], row["status"]) == ("schedule:hourly:2", 2, "paused")
    assert (row["running_hash"], row["reason"], row["acted_by"]) == ("hash-2", "holidays", "mia")
    assert row["ended_at"].startswith("1970")
    assert row["acted_to"] == "2026-01-01 03:00:00.000", "what was triggered is no firing of the timing"
    assert (row["started"], row["last_outcome"]) == (3, "triggered")
    assert (found["other"]["running_hash"], found["other"]["started"]) == (jsontext.digest("other"), 0)
    assert found["other"]["acted_to"] == "2026-01-01 00:00:00.000"
    assert [row["tenant"] for row in ask("schedules", schedule="other")] == ["clock"]
    assert ask("schedules", schedule="oth") == []
    assert ask("schedules", tenant="default") == []


def test_schedule_firings(ask: Ask) -> None:
    rows = ask("schedule_firings", tenant="clock", schedule="hourly")
    assert [(row["schedule_id"], row["outcome"], row["started_id"], row["started_status"]) for row in rows] == [
        ("schedule:hourly:2", "triggered", "hourly-now", ""),
        ("schedule:hourly:2", "skipped", "", ""),
        ("schedule:hourly:2", "started", "hourly-2", ""),
        ("schedule:hourly:2", "started", "hourly-1", "failed"),
        ("schedule:hourly:1", "lapsed", "", ""),
    ]
    assert [row["refused"] for row in rows] == ["", "", "workflow_exists", "", ""]
    assert rows[3]["nominal_at"] == "2026-01-01 01:00:00.000"
    assert len(ask("schedule_firings", tenant="clock", schedule="hourly", limit="2")) == 2
    assert ask("schedule_firings", tenant="clock", schedule="hour") == []


def test_workflow(ask: Ask) -> None:
    (row,) = ask("workflow", workflow="asking")
    assert (row["status"], row["step"], row["last_type"]) == ("waiting", "send", "ApprovalRequested")
    assert [approval[:2] for approval in row["open_approvals"]] == [["send.1", "send_email"]]
    assert row["waiting_timers"] == []
    assert row["cost_microusd"] == 1201 + 1202 + 1203
    assert row["tokens"] == 401 + 402 + 403 + 3 * 50
    (resting,) = ask("workflow", workflow="sleeping")
    assert [timer[:2] for timer in resting["waiting_timers"]] == [["rest.1", "sleep"]]
    (late,) = ask("workflow", workflow="unasked")
    assert [call[1] for call in late["open_tool_calls"]] == ["refund"]
    (done,) = ask("workflow", workflow="done")
    assert done["head_hash"] == support_ticket("done").head.hex()


def test_steps(ask: Ask) -> None:
    rows = ask("steps", workflow="done")
    assert [(row["step"], row["status"], row["next_step"]) for row in rows] == [
        ("triage", "completed", "ask"),
        ("ask", "completed", "cool_down"),
        ("cool_down", "completed", "send"),
        ("send", "completed", "close"),
        ("close", "completed", ""),
    ]
    assert rows[1]["duration_ms"] == 30_000


def test_model_calls(ask: Ask) -> None:
    rows = ask("model_calls", workflow="done")
    assert [(row["turn"], row["attempt"], row["status"], row["cost_microusd"]) for row in rows] == [
        (1, 1, "failed", 0),
        (1, 2, "completed", 1201),
        (2, 1, "completed", 1202),
        (3, 1, "completed", 1203),
    ]
    assert (rows[0]["error_class"], rows[0]["http_status"]) == ("rate_limited", 429)
    assert (rows[1]["requested_model"], rows[1]["model"]) == ("small-1", "small-1-2026")


def test_spend(ask: Ask) -> None:
    rows = {(row["tenant"], row["by_model"]): row for row in ask("spend")}
    assert rows["acme", "small-1-2026"]["total_microusd"] == 3606
    assert rows["default", "small-1"]["failed"] == 2
    assert rows["default", "small-1-2026"]["calls"] == 7


def test_tool_calls(ask: Ask) -> None:
    rows = ask("tool_calls", workflow="twice")
    assert [(row["attempt"], row["status"], row["error_class"]) for row in rows] == [
        (1, "failed", "lease_expired"),
        (2, "completed", ""),
    ]
    assert not rows[0]["late_at"].startswith("1970")
    assert [row["tool"] for row in ask("tool_calls", workflow="done")] == ["read_ticket", "send_email", "close_ticket"]


def test_open_approvals(ask: Ask) -> None:
    (row,) = ask("open_approvals")
    assert (row["workflow_id"], row["approval_id"], row["roles"]) == ("asking", "send.1", '["support-lead"]')


def test_approval(ask: Ask) -> None:
    (row,) = ask("approval", workflow="done", approval="send.1")
    assert (row["status"], row["decision"], row["decided_by"]) == ("decided", "approve", "mia@example.org")
    assert row["used_by"] == "default/done/send.1/0/0"
    assert row["decided_other_action"] == 0
    assert row["arguments"] == '{"to":"kunde@example.org"}'


def test_approvals(ask: Ask) -> None:
    rows = ask("approvals", tenant="default")
    decided = [(row["workflow_id"], row["decided_by"], row["wait_s"]) for row in rows if row["requested_by"]]
    assert decided == [("done", "mia@example.org", 120)]


def test_repeated_effects(ask: Ask) -> None:
    (row,) = ask("repeated_effects")
    assert (row["workflow_id"], row["tool"], row["effect"], row["executions"]) == ("twice", "send_email", "keyed", 2)


def test_unrequested_effects(ask: Ask) -> None:
    found = {(row["kind"], row["effect_key"]) for row in ask("unrequested_effects")}
    assert found == {("tool", "default/unasked/pay.1/0/0"), ("model", "default/unasked/think.1/1/0")}


def test_unapproved_effects(ask: Ask) -> None:
    (row,) = ask("unapproved_effects")
    assert (row["workflow_id"], row["tool"], row["decision"]) == ("unasked", "refund", "")


def test_doubled_events(ask: Ask) -> None:
    (row,) = ask("doubled_events")
    assert (row["event_type"], row["correlation"], row["source_id"], row["waits"]) == ("paid", "o-1", "e-1", 2)


def test_errors(ask: Ask) -> None:
    rows = {row["error_class"]: row for row in ask("errors", tenant="default")}
    assert (rows["rate_limited"]["errors"], rows["rate_limited"]["retried"]) == (2, 2)
    assert rows["rate_limited"]["step_completed_later"] == 2
    assert (rows["lease_expired"]["errors"], rows["lease_expired"]["step_completed_later"]) == (1, 0)
    assert rows["output_rejected"]["last_message"] == "category is missing; urgency is missing"
    assert rows["outcome_unknown"]["type"] == "WorkflowBlocked"


def test_stuck(ask: Ask) -> None:
    found = {row["workflow_id"]: row["reason"] for row in ask("stuck", tenant="default")}
    assert found == {
        "asking": "deadline_passed",
        "twice": "deadline_passed",
        "unasked": "deadline_passed",
        "blocked": "blocked",
        "forgotten": "nothing_owed",
    }


def test_chain(ask: Ask) -> None:
    (row,) = ask("chain")
    workflows = {(message.meta.tenant, message.meta.workflow_id) for message in story()}
    assert (row["events"], row["workflows"]) == (len(story()), len(workflows))
    assert sum(row.values()) == len(story()) + len(workflows)


def test_chain_breaks(ask: Ask) -> None:
    assert ask("chain_breaks") == []


def test_missing_tails(ask: Ask) -> None:
    assert ask("missing_tails") == []


def test_partitions(ask: Ask, told: Engine) -> None:
    # A partition of its own: the first event at offset 0, nothing at 1, and the same event again at 2.
    told.load([story()[0]], partition=1)
    told.load([story()[0]], partition=1, first_offset=2)
    row, holed = ask("partitions")
    assert (holed["rows"], holed["missing_offsets"], holed["repeated_events"]) == (2, 1, 1)
    assert (row["topic"], row["kafka_partition"]) == (JOURNAL, 0)
    assert (row["first_offset"], row["last_offset"], row["offsets"]) == (0, len(story()) - 1, len(story()))
    assert (row["missing_offsets"], row["repeated_events"], row["unreadable"]) == (0, 0, 0)


def test_lag(ask: Ask) -> None:
    (row,) = ask("lag")
    assert row["events"] >= len(story())
    assert 0 < row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"] <= row["max_ms"]


def test_event_types(ask: Ask) -> None:
    rows = {row["type"]: row for row in ask("event_types")}
    assert rows["WorkflowStarted"]["events"] == 19
    assert rows["ApprovalDecided"]["workflows"] == 2
    assert sum(row["events"] for row in rows.values()) == len(story())


def test_acts(ask: Ask) -> None:
    rows = ask("acts", actor="mia@example.org")
    assert [(row["tenant"], row["workflow_id"], row["type"]) for row in rows] == [
        ("acme", "other", "ApprovalDecided"),
        ("acme", "other", "ToolCallRequested"),
        ("default", "done", "ApprovalDecided"),
        ("default", "done", "ToolCallRequested"),
    ]


def test_rejections(ask: Ask) -> None:
    (row,) = ask("rejections", tenant="acme")
    assert (row["code"], row["request_id"]) == ("unknown_definition", "r-1")
    assert ask("rejections", tenant="default") == []


def test_expired_events(ask: Ask) -> None:
    (row,) = ask("expired_events", tenant="acme")
    assert (row["event_type"], row["correlation"], row["source_id"], row["repeats"]) == ("paid", "o-9", "e-9", 2)
    assert ask("expired_events", tenant="default") == []


def test_dead_letters(ask: Ask) -> None:
    (row,) = ask("dead_letters")
    assert (row["topic"], row["code"], row["bytes"]) == ("p.inbox", "not_framed", 2)


def test_dead_letter(ask: Ask) -> None:
    (row,) = ask("dead_letter", topic="p.inbox", partition="2", offset="7")
    assert (row["key_hex"], row["value_hex"]) == ("6b6579", "00ff")


def test_health(ask: Ask) -> None:
    (row,) = ask("health")
    assert (row["open_dead_letters"], row["rejections"], row["expired_events"]) == (1, 1, 1)
    assert row["migrations"] == len(shipped())
    assert row["rows"] >= len(story())


def test_every_shipped_question_has_a_test() -> None:
    files = Path(__file__).parent.glob("test_queries*.py")
    tests = {name for file in files for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)}
    assert {f"test_{name}" for name in named_queries()} <= tests
