"""Tool executors against a real broker; the test plays the orchestrator, and tools write down what they really did."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer

from holdfast.ops.embedded.broker import Broker
from holdfast.ops.topics import ensure_topics
from holdfast.schemas import ids
from holdfast.schemas import topics as t
from holdfast.schemas.partitioner import partition_of
from holdfast.schemas.reports import (
    ClaimTask,
    ExtendLease,
    ReleaseTask,
    ReportLookup,
    ReportTaskFailure,
    ReportToolResult,
)
from holdfast.schemas.tasks import GrantTask, RunToolCall
from support.executors import Fleet, Orchestrator, eventually, search_task, stop, tool_task

LEASE_MS = 4_000


def grant(task: RunToolCall, executor_id: str) -> GrantTask:
    return GrantTask(effect_key=task.effect_key, attempt=task.attempt, executor_id=executor_id)


async def test_a_call_without_a_lease_is_made_at_once_and_its_result_is_reported(
    fleet: Fleet, orchestrator: Orchestrator
) -> None:
    executor = fleet.tools()
    task = tool_task("slow_read", {"ms": 1})
    cause = await orchestrator.send(task)

    (result,) = await orchestrator.wait_for(ReportToolResult)
    assert (result.effect_key, result.attempt, result.executor_id) == (task.effect_key, 1, executor.id)
    assert result.result == {"text": "slept 1"}
    (report,), (record,) = orchestrator.reports, orchestrator.records
    assert report.meta.event_id == ids.derived_id(
        task.effect_key, 1, "holdfast.report.v1.ReportToolResult", executor.id
    )
    assert (report.meta.cause_id, report.meta.correlation_id) == (cause.event_id, "correlation-1")
    assert (report.meta.actor_kind, report.meta.actor_id) == ("executor", executor.id)
    assert report.meta.traceparent == cause.traceparent
    assert record.key == b"acme/w1"
    assert record.partition == partition_of(record.key, 4)
    assert dict(record.headers)["ce_type"] == b"holdfast.report.v1.ReportToolResult"


async def test_a_leased_call_is_claimed_before_it_acts_and_kept_by_heartbeats(
    fleet: Fleet, orchestrator: Orchestrator
) -> None:
    fleet.tools()
    task = tool_task("slow_keyed", {"ms": 2_500}, effect="keyed", lease_ms=LEASE_MS)
    await orchestrator.send(task)
    await orchestrator.wait_for(ReportToolResult)

    kinds = [type(report.body) for report in orchestrator.reports]
    assert kinds == [ClaimTask, ExtendLease, ExtendLease, ReportToolResult]
    assert len({report.meta.event_id for report in orchestrator.reports}) == 4


async def test_a_call_that_must_not_be_made_twice_waits_for_its_grant(fleet: Fleet, orchestrator: Orchestrator) -> None:
    executor = fleet.tools()
    task = tool_task("slow_once", {"ms": 1}, effect="once", lease_ms=LEASE_MS)
    await orchestrator.send(task)
    await orchestrator.wait_for(ClaimTask)
    await orchestrator.settle(0.7)
    assert fleet.begun(task.effect_key) == 0

    await orchestrator.send(grant(task, executor.id))
    await orchestrator.wait_for(ReportToolResult)
    assert fleet.begun(task.effect_key) == 1


async def test_a_call_without_a_grant_is_given_back_and_never_made(fleet: Fleet, orchestrator: Orchestrator) -> None:
    executor = fleet.tools()
    task = tool_task("slow_once", {"ms": 1}, effect="once", lease_ms=2_000)
    await orchestrator.send(task)
    (released,) = await orchestrator.wait_for(ReleaseTask)
    assert "not granted" in released.reason

    await orchestrator.send(grant(task, executor.id))  # too late
    await orchestrator.settle(0.7)
    assert fleet.begun(task.effect_key) == 0
    assert not orchestrator.of(ReportToolResult)


async def test_a_call_granted_to_another_executor_is_dropped(fleet: Fleet, orchestrator: Orchestrator) -> None:
    fleet.tools()
    task = tool_task("slow_once", {"ms": 1}, effect="once", lease_ms=2_000)
    await orchestrator.send(task)
    await orchestrator.wait_for(ClaimTask)
    await orchestrator.send(grant(task, "another@test/1"))
    await orchestrator.settle(2.5)
    assert fleet.begun(task.effect_key) == 0
    assert {type(report.body) for report in orchestrator.reports} == {ClaimTask}


@pytest.mark.parametrize(("tool", "effect", "unknown"), [("slow_read", "read", False), ("slow_keyed", "keyed", True)])
async def test_a_call_that_takes_too_long_is_stopped_and_only_a_read_is_known_to_have_done_nothing(
    fleet: Fleet, orchestrator: Orchestrator, tool: str, effect: str, unknown: bool
) -> None:
    fleet.tools()
    task = tool_task(tool, {"ms": 60_000}, effect=effect, timeout_ms=300)
    await orchestrator.send(task)
    (failure,) = await orchestrator.wait_for(ReportTaskFailure)
    assert (failure.error_class, failure.outcome_unknown, failure.retryable) == ("timeout", unknown, True)
    assert 300 <= failure.duration_ms < 1_500
    assert [what for what, *_ in fleet.probes()] == ["begin", "cancelled"]


async def test_a_call_whose_deadline_has_passed_is_not_made(fleet: Fleet, orchestrator: Orchestrator) -> None:
    """Whether another executor made one that takes no claim, and died before it said so, nobody knows."""
    fleet.tools()
    late = tool_task("slow_keyed", {"ms": 1}, effect="keyed", deadline_in_ms=-1, lease_ms=LEASE_MS, n=0)
    unclaimed = tool_task("slow_keyed", {"ms": 1}, effect="keyed", deadline_in_ms=-1, n=1)
    harmless = tool_task("slow_read", {"ms": 1}, deadline_in_ms=-1, n=2)
    for task in (late, unclaimed, harmless):
        await orchestrator.send(task)
    failures = await orchestrator.wait_for(ReportTaskFailure, 3)
    assert {failure.error_class for failure in failures} == {"timeout"}
    told = {failure.effect_key: failure.outcome_unknown for failure in failures}
    assert [told[task.effect_key] for task in (late, unclaimed, harmless)] == [False, True, False]
    assert fleet.probes() == []
    assert not orchestrator.of(ClaimTask)


async def test_every_way_to_fail_has_its_class_and_says_whether_something_may_have_happened(
    fleet: Fleet, orchestrator: Orchestrator
) -> None:
    fleet.tools()
    cases = [
        (tool_task("nobody_has_it", {}, n=0), ("unknown_tool", True, False)),
        (tool_task("slow_keyed", {"ms": 1}, effect="read", n=1), ("effect_changed", False, False)),
        (tool_task("slow_read", {"ms": "soon"}, n=2), ("invalid_arguments", False, False)),
        (tool_task("fail", {"code": "no_stock", "retryable": False}, effect="keyed", n=3), ("no_stock", False, False)),
        (
            tool_task("fail", {"code": "Not a code", "retryable": False}, effect="keyed", n=4),
            ("tool_error", True, True),
        ),
        (tool_task("crash", {"how": "boom"}, effect="keyed", n=5), ("tool_error", True, True)),
        (tool_task("crash", {"how": "cancelled"}, effect="keyed", n=6), ("tool_error", True, True)),
        (tool_task("crash_in_thread", {"how": "exit"}, n=7), ("tool_error", True, False)),
        (tool_task("crash_in_thread", {"how": "stop"}, n=8), ("tool_error", True, False)),
        (tool_task("answer", {"size": 300_000}, effect="keyed", n=9), ("result_too_large", False, False)),
        (tool_task("lie", {}, effect="keyed", n=10), ("invalid_result", False, False)),
    ]
    for task, _ in cases:
        await orchestrator.send(task)
    failures = {f.effect_key: f for f in await orchestrator.wait_for(ReportTaskFailure, len(cases))}
    found = {
        key: (failure.error_class, failure.retryable, failure.outcome_unknown) for key, failure in failures.items()
    }
    assert found == {task.effect_key: expected for task, expected in cases}
    assert "{'text': 7}" in failures[cases[10][0].effect_key].error_message  # what was returned is kept
    assert "slow_read" in failures[cases[2][0].effect_key].error_message


async def test_a_task_that_is_delivered_again_while_it_runs_or_later_is_made_once(
    fleet: Fleet, orchestrator: Orchestrator
) -> None:
    fleet.tools()
    task = tool_task("slow_keyed", {"ms": 800}, effect="keyed")
    await orchestrator.send(task)
    await eventually(lambda: fleet.begun(task.effect_key))
    await orchestrator.send(task)
    await orchestrator.wait_for(ReportToolResult)
    await orchestrator.send(task)
    again = tool_task("slow_keyed", {"ms": 1}, effect="keyed", attempt=2)
    await orchestrator.send(again)
    await orchestrator.wait_for(ReportToolResult, 2)
    await orchestrator.settle(0.5)
    assert fleet.begun(task.effect_key) == 2
    assert [result.attempt for result in orchestrator.of(ReportToolResult)] == [1, 2]


async def test_records_that_nobody_can_read_are_kept_and_stop_nothing(
    fleet: Fleet, orchestrator: Orchestrator, broker: Broker, topics: str
) -> None:
    fleet.tools()
    task = tool_task("slow_read", {"ms": 1})
    await orchestrator.send_bytes(t.TASKS_TOOL, b"\x00\x00\x00\xff\xffgarbage", key=b"acme/w9")
    await orchestrator.send(grant(task, "nobody"), topic=t.TASKS_TOOL)
    await orchestrator.send(task)
    await orchestrator.wait_for(ReportToolResult)

    async with AIOKafkaConsumer(
        topics + t.DEAD_LETTERS.name, bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest"
    ) as consumer:
        letters = [await asyncio.wait_for(consumer.getone(), 10) for _ in range(2)]
    codes = {dict(letter.headers)["x-dlq-error-class"]: letter for letter in letters}
    assert codes.keys() == {b"unknown_schema", b"unexpected_record"}
    assert codes[b"unknown_schema"].value == b"\x00\x00\x00\xff\xffgarbage"
    assert codes[b"unknown_schema"].key == b"acme/w9"
    assert dict(codes[b"unexpected_record"].headers)["x-dlq-topic"].decode() == topics + t.TASKS_TOOL.name


async def test_there_are_never_more_calls_at_a_time_than_slots(fleet: Fleet, orchestrator: Orchestrator) -> None:
    fleet.tools(slots=3)
    for n in range(20):
        tool = "slow_thread" if n % 2 else "slow_keyed"
        await orchestrator.send(tool_task(tool, {"ms": 60}, effect="keyed", n=n))
    await orchestrator.wait_for(ReportToolResult, 20)
    running = [sum(1 if what == "begin" else -1 for what, *_ in fleet.probes()[: end + 1]) for end in range(40)]
    assert max(running) == 3
    assert running[-1] == 0


async def test_a_thread_that_outlives_its_call_keeps_its_slot(fleet: Fleet, orchestrator: Orchestrator) -> None:
    fleet.tools(slots=1)
    await orchestrator.send(tool_task("slow_thread", {"ms": 2_500}, effect="keyed", timeout_ms=200))
    (failure,) = await orchestrator.wait_for(ReportTaskFailure)
    assert failure.outcome_unknown
    await orchestrator.send(tool_task("slow_read", {"ms": 1}, n=1))
    await orchestrator.wait_for(ReportToolResult)
    assert [(what, tool) for what, tool, *_ in fleet.probes()] == [
        ("begin", "slow_thread"),
        ("end", "slow_thread"),
        ("begin", "slow_read"),
        ("end", "slow_read"),
    ]


async def test_a_stopping_executor_gives_back_what_has_not_acted_and_finishes_what_has(
    fleet: Fleet, orchestrator: Orchestrator
) -> None:
    first = fleet.tools()
    waiting = tool_task("slow_once", {"ms": 1}, effect="once", lease_ms=60_000, n=1)
    running = tool_task("slow_keyed", {"ms": 1_500}, effect="keyed", lease_ms=60_000, n=2)
    await orchestrator.send(waiting)
    await orchestrator.send(running)
    await orchestrator.wait_for(ClaimTask, 2)
    await eventually(lambda: fleet.begun(running.effect_key))
    first.process.send_signal(signal.SIGTERM)

    (released,) = await orchestrator.wait_for(ReleaseTask)
    assert released.effect_key == waiting.effect_key
    (result,) = await orchestrator.wait_for(ReportToolResult)
    assert result.effect_key == running.effect_key
    assert first.wait() == 0

    # It has left its group: the next one need not wait for its session to time out (6 s).
    fleet.tools()
    started = time.monotonic()
    after = tool_task("slow_read", {"ms": 1}, n=3)
    await orchestrator.send(after)
    await orchestrator.wait_for(ReportToolResult, effect_key=after.effect_key)
    assert time.monotonic() - started < 5
    assert fleet.begun(running.effect_key) == 1


async def test_what_does_not_finish_within_the_grace_time_is_stopped_and_reported(
    fleet: Fleet, orchestrator: Orchestrator
) -> None:
    executor = fleet.tools(grace_ms=300)
    task = tool_task("slow_keyed", {"ms": 60_000}, effect="keyed", timeout_ms=120_000, lease_ms=60_000)
    await orchestrator.send(task)
    await eventually(lambda: fleet.begun(task.effect_key))
    executor.process.send_signal(signal.SIGTERM)
    (failure,) = await orchestrator.wait_for(ReportTaskFailure)
    assert (failure.error_class, failure.outcome_unknown, failure.retryable) == ("executor_stopped", True, True)
    assert executor.wait() == 0


async def test_a_killed_executors_unclaimed_calls_are_delivered_again_and_its_claimed_ones_are_not(
    fleet: Fleet, orchestrator: Orchestrator
) -> None:
    first = fleet.tools(instance_id="stable")
    free = tool_task("slow_keyed", {"ms": 3_000}, effect="keyed", n=1)
    claimed = tool_task("slow_keyed", {"ms": 3_000}, effect="keyed", lease_ms=60_000, n=2)
    await orchestrator.send(free)
    await orchestrator.send(claimed)
    await eventually(lambda: fleet.begun(free.effect_key) and fleet.begun(claimed.effect_key))
    await orchestrator.settle(0.6)  # the claim's offset is committed by now
    first.kill()

    # It comes back under its name, and gets its partitions at once: no session (6 s) has to time out.
    fleet.tools(instance_id="stable")
    started = time.monotonic()
    (result,) = await orchestrator.wait_for(ReportToolResult)
    assert result.effect_key == free.effect_key
    assert time.monotonic() - started < 3 + 5
    assert fleet.begun(free.effect_key) == 2
    assert fleet.begun(claimed.effect_key) == 1


async def test_an_executor_that_joins_does_not_make_running_claimed_calls_again(
    fleet: Fleet, orchestrator: Orchestrator
) -> None:
    fleet.tools()
    tasks = [tool_task("slow_keyed", {"ms": 3_000}, effect="keyed", lease_ms=60_000, n=n) for n in range(6)]
    for task in tasks:
        await orchestrator.send(task)
    await eventually(lambda: all(fleet.begun(task.effect_key) for task in tasks))
    second = fleet.tools()
    await eventually(lambda: "Setting newly assigned partitions" in second.said())
    await orchestrator.wait_for(ReportToolResult, 6)
    late = [tool_task("slow_read", {"ms": 1}, n=n) for n in range(100, 140)]
    for task in late:
        await orchestrator.send(task)
    results = await orchestrator.wait_for(ReportToolResult, 46)
    assert {result.executor_id for result in results[6:]} == {executor.id for executor in fleet.executors}
    assert [fleet.begun(task.effect_key) for task in tasks] == [1] * 6


async def test_two_processes_with_one_instance_id_do_not_throw_each_other_out_for_ever(
    fleet: Fleet, orchestrator: Orchestrator
) -> None:
    first = fleet.tools(instance_id="twin")
    await orchestrator.send(tool_task("slow_read", {"ms": 1}))
    await orchestrator.wait_for(ReportToolResult)
    fleet.tools(instance_id="twin")
    assert first.wait() == 70
    assert "another process has joined" in first.said()
    tasks = [tool_task("slow_read", {"ms": 1}, n=n) for n in range(1, 30)]
    for task in tasks:
        await orchestrator.send(task)
    await orchestrator.wait_for(ReportToolResult, 30)
    assert [fleet.begun(task.effect_key) for task in tasks] == [1] * 29


async def test_finished_work_is_committed(fleet: Fleet, orchestrator: Orchestrator) -> None:
    first = fleet.tools()
    tasks = [tool_task("slow_read", {"ms": 1}, n=n) for n in range(50)]
    for task in tasks:
        await orchestrator.send(task)
    await orchestrator.wait_for(ReportToolResult, 50)
    first.process.send_signal(signal.SIGTERM)
    assert first.wait() == 0
    fleet.tools()
    after = tool_task("slow_read", {"ms": 1}, n=99)
    await orchestrator.send(after)
    await orchestrator.wait_for(ReportToolResult, effect_key=after.effect_key)
    assert [fleet.begun(task.effect_key) for task in tasks] == [1] * 50


async def test_an_executor_that_cannot_extend_its_lease_stops_the_call_and_keeps_silent(
    private_broker: Callable[[], Broker], topic_prefix: str, tmp_path: Path
) -> None:
    broker = private_broker()
    await ensure_topics(broker.bootstrap, topic_prefix, 4)
    fleet = Fleet(broker.bootstrap, topic_prefix, tmp_path)
    try:
        async with Orchestrator(broker.bootstrap, topic_prefix) as orchestrator:
            fleet.tools()
            fenced = tool_task("slow_keyed", {"ms": 60_000}, effect="keyed", timeout_ms=120_000, lease_ms=LEASE_MS, n=1)
            short = tool_task("slow_keyed", {"ms": 2_000}, effect="keyed", n=2)
            await orchestrator.send(fenced)
            await orchestrator.send(short)
            await eventually(lambda: fleet.begun(fenced.effect_key) and fleet.begun(short.effect_key))
            await orchestrator.wait_for(ClaimTask)
            assert broker.pid is not None
            os.kill(broker.pid, signal.SIGSTOP)
            stopped_at = time.monotonic()
            await eventually(lambda: any(what == "cancelled" for what, *_ in fleet.probes()))
            assert time.monotonic() - stopped_at < LEASE_MS / 1000
            os.kill(broker.pid, signal.SIGCONT)

            # What was finished while the broker was away is reported once it is back.
            (result,) = await orchestrator.wait_for(ReportToolResult)
            assert result.effect_key == short.effect_key
            await orchestrator.settle(1.0)
            assert not orchestrator.of(ReportTaskFailure)
    finally:
        fleet.stop()


async def test_an_executor_without_its_topics_says_so_and_ends(
    broker: Broker, topic_prefix: str, tmp_path: Path
) -> None:
    fleet = Fleet(broker.bootstrap, topic_prefix, tmp_path)
    executor = fleet.tools()
    assert executor.wait() == 70
    assert "holdfast topics apply" in executor.said()


async def test_an_executor_that_cannot_report_ends_loudly(
    fleet: Fleet, orchestrator: Orchestrator, broker: Broker, topics: str
) -> None:
    from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

    from holdfast.ops.topics import admin_client

    async with admin_client(broker.bootstrap) as admin:
        limit = {"max.message.bytes": "2000", "message.timestamp.type": "LogAppendTime"}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topics + t.INBOX.name, limit)])
    executor = fleet.tools()
    await orchestrator.send(tool_task("noise", {"size": 100_000}))
    assert executor.wait() == 70
    assert "cannot go on" in executor.said()


async def test_a_call_that_ignores_its_cancellation_does_not_keep_a_stopping_executor_alive(
    fleet: Fleet, orchestrator: Orchestrator
) -> None:
    executor = fleet.tools(grace_ms=200)
    task = tool_task("stubborn", {"ms": 600_000}, effect="keyed", timeout_ms=600_000, lease_ms=60_000)
    await orchestrator.send(task)
    await eventually(lambda: fleet.begun(task.effect_key))
    executor.process.send_signal(signal.SIGTERM)
    assert executor.wait(40) == 70
    assert "did not stop within" in executor.said()


async def test_a_search_says_what_it_found_and_where_it_looked(fleet: Fleet, orchestrator: Orchestrator) -> None:
    executor = fleet.tools()
    call = tool_task("post", {"text": "hi", "before_ms": 0, "after_ms": 0}, effect="lookup", lease_ms=LEASE_MS)
    search = search_task("post", call.arguments)
    await orchestrator.send(search)
    (nothing,) = await orchestrator.wait_for(ReportLookup)
    assert (nothing.found, nothing.result, nothing.evidence) == (False, None, "the file has no such letter")
    assert (nothing.effect_key, nothing.attempt, nothing.lookup) == (call.effect_key, 1, 1)
    assert nothing.executor_id == executor.id

    await orchestrator.send(call)
    await orchestrator.wait_for(ClaimTask)
    await orchestrator.send(grant(call, executor.id))
    await orchestrator.wait_for(ReportToolResult)
    await orchestrator.send(search_task("post", call.arguments, lookup=2))
    (_, found) = await orchestrator.wait_for(ReportLookup, 2)
    assert (found.found, found.result, found.lookup) == (True, {"text": "hi"}, 2)
    assert found.evidence == f"{call.effect_key} stands in the file"
    assert [type(report.body) for report in orchestrator.reports].count(ClaimTask) == 1, "a search is not claimed"


async def test_every_way_in_which_a_search_fails_is_reported_with_its_class(
    fleet: Fleet, orchestrator: Orchestrator
) -> None:
    fleet.tools()
    cases = [
        (search_task("nobody_has_it", {}, n=0), "unknown_tool"),
        (search_task("slow_keyed", {"ms": 1}, n=1), "no_lookup"),
        (search_task("odd", {"how": 7}, n=2), "invalid_arguments"),
        (search_task("odd", {"how": "boom"}, n=3), "tool_error"),
        (search_task("odd", {"how": "known"}, n=4), "no_entry"),
        (search_task("odd", {"how": "lie"}, n=5), "invalid_result"),
        (search_task("odd", {"how": "slow"}, n=6, timeout_ms=300), "timeout"),
        (search_task("odd", {"how": "nothing"}, n=7), ""),
    ]
    for search, _ in cases:
        await orchestrator.send(search)
    reports = {report.effect_key: report for report in await orchestrator.wait_for(ReportLookup, len(cases))}
    assert {key: report.error_class for key, report in reports.items()} == {
        search.effect_key: expected for search, expected in cases
    }
    assert not any(report.found for report in reports.values())


async def test_a_search_waits_for_its_time_without_a_slot(fleet: Fleet, orchestrator: Orchestrator) -> None:
    fleet.tools(slots=1)
    await orchestrator.send(tool_task("slow_read", {"ms": 1}))
    await orchestrator.wait_for(ReportToolResult)  # it takes tasks by now
    search = search_task("odd", {"how": "nothing"}, n=1, not_before_in_ms=4_000)
    await orchestrator.send(search)
    await orchestrator.send(search)  # delivered twice, made once
    await orchestrator.send(tool_task("slow_read", {"ms": 1}, n=2))
    await orchestrator.wait_for(ReportLookup)
    await orchestrator.settle(0.5)
    assert [type(report.body) for report in orchestrator.reports] == [ReportToolResult, ReportToolResult, ReportLookup]
    assert orchestrator.records[-1].timestamp >= search.not_before_at_ms


async def test_a_search_that_its_executor_does_not_get_to_is_made_by_the_next(
    fleet: Fleet, orchestrator: Orchestrator
) -> None:
    first = fleet.tools(instance_id="stable")
    await orchestrator.send(tool_task("slow_read", {"ms": 1}))
    await orchestrator.wait_for(ReportToolResult)  # it takes tasks by now
    await orchestrator.send(search_task("odd", {"how": "nothing"}, n=1, not_before_in_ms=8_000))
    await orchestrator.settle(1.0)
    first.process.send_signal(signal.SIGTERM)
    assert first.wait() == 0, "a search that waits keeps nobody from stopping"
    second = fleet.tools(instance_id="stable")
    (report,) = await orchestrator.wait_for(ReportLookup)
    assert report.executor_id == second.id


async def test_a_call_that_nobody_waits_for_is_cut_off_only_if_it_changes_nothing(
    fleet: Fleet, orchestrator: Orchestrator
) -> None:
    fleet.tools()
    read = tool_task("slow_read", {"ms": 60_000}, n=1)
    effect = tool_task("slow_keyed", {"ms": 1_500}, effect="keyed", lease_ms=2_000, n=2)
    for task in (read, effect):
        await orchestrator.send(task)
    await eventually(lambda: fleet.begun(read.effect_key) and fleet.begun(effect.effect_key))
    for task in (read, effect):
        await orchestrator.send(stop(task))
    (failure,) = await orchestrator.wait_for(ReportTaskFailure)
    assert (failure.effect_key, failure.error_class, failure.outcome_unknown) == (read.effect_key, "withdrawn", False)
    (result,) = await orchestrator.wait_for(ReportToolResult)
    assert result.effect_key == effect.effect_key, "late, and yet it says what there is to undo"
    assert not orchestrator.of(ExtendLease), "a lease that nobody keeps is not extended"


async def test_a_function_in_a_thread_may_listen_and_give_up_before_it_acts(
    fleet: Fleet, orchestrator: Orchestrator
) -> None:
    fleet.tools(slots=1)
    task = tool_task("patient", {"ms": 60_000}, effect="keyed", timeout_ms=60_000)
    await orchestrator.send(task)
    await eventually(lambda: fleet.begun(task.effect_key))
    await orchestrator.send(stop(task))
    (failure,) = await orchestrator.wait_for(ReportTaskFailure)
    assert (failure.error_class, failure.outcome_unknown, failure.retryable) == ("cancelled", False, False)
    assert [what for what, *_ in fleet.probes()] == ["begin", "cancelled"]


async def test_a_thread_that_listens_gives_its_slot_back_when_its_time_is_over(
    fleet: Fleet, orchestrator: Orchestrator
) -> None:
    fleet.tools(slots=1)
    await orchestrator.send(tool_task("patient", {"ms": 60_000}, effect="keyed", timeout_ms=300))
    (failure,) = await orchestrator.wait_for(ReportTaskFailure)
    assert (failure.error_class, failure.outcome_unknown) == ("timeout", True)
    await orchestrator.send(tool_task("slow_read", {"ms": 1}, n=1))
    await orchestrator.wait_for(ReportToolResult)


async def test_a_claimed_call_that_was_withdrawn_before_its_grant_never_begins(
    fleet: Fleet, orchestrator: Orchestrator
) -> None:
    executor = fleet.tools(slots=1)
    task = tool_task("slow_once", {"ms": 1}, effect="once", lease_ms=60_000)
    await orchestrator.send(task)
    await orchestrator.wait_for(ClaimTask)
    await orchestrator.send(stop(task))
    await orchestrator.send(tool_task("slow_read", {"ms": 1}, n=1))
    await orchestrator.wait_for(ReportToolResult)
    await orchestrator.send(grant(task, executor.id))
    await orchestrator.settle(0.5)
    assert fleet.begun(task.effect_key) == 0
    assert {type(report.body) for report in orchestrator.reports} == {ClaimTask, ReportToolResult}


async def test_a_call_that_was_withdrawn_while_it_waited_for_a_slot_or_before_it_came_never_begins(
    fleet: Fleet, orchestrator: Orchestrator
) -> None:
    fleet.tools(slots=1)
    busy, queued, to_come, after = (tool_task("patient", {"ms": 1_500}, effect="keyed", n=n) for n in range(4))
    await orchestrator.send(busy)
    await eventually(lambda: fleet.begun(busy.effect_key))
    await orchestrator.send(queued)
    for task in (queued, to_come):
        await orchestrator.send(stop(task))
    await orchestrator.wait_for(ReportToolResult)
    for task in (to_come, after):
        await orchestrator.send(task)
    await orchestrator.wait_for(ReportToolResult, 2)
    await orchestrator.settle(0.5)
    assert {key for what, _, key, *_ in fleet.probes() if what == "begin"} == {busy.effect_key, after.effect_key}
    assert {type(report.body) for report in orchestrator.reports} == {ReportToolResult}


def claims_of(orchestrator: Orchestrator) -> list[str]:
    return [report.meta.event_id for report in orchestrator.reports if isinstance(report.body, ClaimTask)]


async def test_a_claim_that_is_refused_frees_its_slot_and_the_task_is_taken_up_when_it_is_sent_again(
    fleet: Fleet, orchestrator: Orchestrator
) -> None:
    """The workflow is paused: the fold refuses the claim, and sends the same attempt again when it goes on."""
    executor = fleet.tools(slots=1)
    task = tool_task("slow_once", {"ms": 1}, effect="once", lease_ms=60_000)
    await orchestrator.send(task)
    await orchestrator.wait_for(ClaimTask)
    await orchestrator.send(stop(task, "workflow_held"), cause_id=claims_of(orchestrator)[0])
    other = tool_task("slow_read", {"ms": 1}, n=1)
    await orchestrator.send(other)
    await orchestrator.wait_for(ReportToolResult, effect_key=other.effect_key)
    assert not orchestrator.of(ReleaseTask), "a claim that was refused is nothing to give back"

    await orchestrator.send(task)
    await orchestrator.wait_for(ClaimTask, 2)
    first, second = claims_of(orchestrator)
    assert first != second, "else the fold would take the second claim for a repeat of the first"
    await orchestrator.send(stop(task, "workflow_held"), cause_id=first)  # again, late
    await orchestrator.send(grant(task, executor.id))
    await orchestrator.wait_for(ReportToolResult, effect_key=task.effect_key)
    assert fleet.begun(task.effect_key) == 1


async def test_a_task_that_is_sent_again_while_its_claim_is_unanswered_is_claimed_again(
    fleet: Fleet, orchestrator: Orchestrator
) -> None:
    """Word of the refusal can be lost with the orchestrator that would have sent it."""
    executor = fleet.tools(slots=2)
    task = tool_task("slow_once", {"ms": 1}, effect="once", lease_ms=60_000)
    await orchestrator.send(task)
    await orchestrator.wait_for(ClaimTask)
    await orchestrator.send(task)
    await orchestrator.wait_for(ClaimTask, 2)
    first, second = claims_of(orchestrator)
    await orchestrator.send(stop(task, "workflow_held"), cause_id=first)  # of the claim before the last
    await orchestrator.send(grant(task, executor.id))
    await orchestrator.wait_for(ReportToolResult)
    assert first != second
    assert fleet.begun(task.effect_key) == 1


async def test_a_call_that_had_begun_when_its_claim_was_refused_goes_on_and_is_claimed_when_it_is_sent_again(
    fleet: Fleet, orchestrator: Orchestrator
) -> None:
    fleet.tools()
    task = tool_task("slow_keyed", {"ms": 4_000}, effect="keyed", lease_ms=2_000)
    await orchestrator.send(task)
    await eventually(lambda: fleet.begun(task.effect_key))
    await orchestrator.wait_for(ClaimTask)
    await orchestrator.send(stop(task, "workflow_held"), cause_id=claims_of(orchestrator)[0])
    await orchestrator.settle(1.5)
    before = len(orchestrator.of(ExtendLease))
    assert before < 2, "nobody keeps a lease for it"
    await orchestrator.send(task)
    await orchestrator.wait_for(ClaimTask, 2)
    await orchestrator.wait_for(ReportToolResult)
    assert len(orchestrator.of(ExtendLease)) > before
    assert fleet.begun(task.effect_key) == 1
