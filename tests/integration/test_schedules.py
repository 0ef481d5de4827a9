"""Schedules on a real engine: applied, killed, caught up, paused, triggered, deleted, and what overlaps."""

import asyncio
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from holdfast.ops.embedded.broker import Broker
from holdfast.ops.history import history
from holdfast.ops.schedules import Run, run_of
from holdfast.ops.topics import ensure_topics
from holdfast.projections.client import ClickHouse
from holdfast.schemas import events as e
from holdfast.schemas.record import Message, Record
from holdfast.streams import audit
from support.cli import Cli, command, delete_topics, environment
from support.orchestrators import PARTITIONS, Worker
from support.sinks import TOKEN, SinkProcess, eventually

EXAMPLE = Path(__file__).parents[2] / "ops" / "examples" / "first"
SECOND_MS = 1_000
WINDOW_S = 10
JOBS = {
    "quick": "name: quick\ndeadline: 1h\nstart: end\nsteps: {end: {kind: succeed}}\n",
    "slow": "name: slow\ndeadline: 1h\nstart: nap\nsteps:\n"
    "  nap: {kind: sleep, for: 2500ms, next: end}\n  end: {kind: succeed}\n",
}
Journal = list[Message[Record]]


@dataclass(frozen=True)
class Project:
    """A command line, the orchestrator's only worker, and the tables."""

    cli: Cli
    worker: Worker
    tables: ClickHouse

    def journal(self, workflow_id: str) -> Journal:
        return list(history(self.tables, "default", workflow_id))

    def applied(self, text: str) -> Any:
        """What applying a schedule file comes to."""
        (row,) = self.cli.ok("schedules", "apply", self.cli.file(text), "--json").json
        return row

    def run(self, name: str, holds: Callable[[Run], bool] = bool) -> Run:
        """What the tables know of a schedule, once something is true of it."""

        def look() -> Run | None:
            found = [run_of(row) for row in self.tables.named("schedules", tenant="default", schedule=name)]
            return found[0] if found and holds(found[0]) else None

        found: Run = eventually(look)
        return found

    def shown(self, name: str) -> Any:
        return self.cli.ok("schedules", "show", name, "--limit", "1000", "--json").json

    def act(self, verb: str, name: str) -> Any:
        return self.cli.ok("schedules", verb, name, "--reason", "a test", "--as", "mia", "--json").json

    def deleted(self, name: str) -> Journal:
        """The journal of a schedule's workflow, once it is deleted and the tables have all of it."""
        workflow_id = self.act("delete", name)["workflow_id"]

        def over() -> Any:
            journal = self.journal(workflow_id)
            return journal if isinstance(journal[-1].body, e.WorkflowCancelled) else None

        found: Journal = eventually(over)
        return found


@pytest.fixture(scope="module")
def project(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder, prefix = tmp_path_factory.mktemp("schedules"), f"t{uuid.uuid4().hex[:10]}."
    asyncio.run(ensure_topics(broker.bootstrap, prefix, PARTITIONS))
    sink = SinkProcess(folder / "sink", broker.bootstrap, prefix)
    worker = Worker(folder, broker.bootstrap, prefix)
    try:
        worker.start()
        tables = sink.ready()
        bridge = {"BRIDGE_URL": tables.url, "BRIDGE_TOKEN": TOKEN, "PARTITIONS": str(PARTITIONS)}
        cli = Cli(folder, environment(folder / "home", broker, prefix, **bridge), broker.bootstrap, prefix)
        cli.ok("apply", *(cli.file(text) for text in JOBS.values()), str(EXAMPLE / "workflow.yaml"))
        yield Project(cli=cli, worker=worker, tables=tables)
    finally:
        worker.kill()
        sink.kill()
        asyncio.run(delete_topics(broker.bootstrap, prefix))


def new_name() -> str:
    return f"s-{uuid.uuid4().hex[:8]}"


def schedule(name: str, definition: str = "quick", **timing: Any) -> str:
    """A schedule file that fires every second."""
    told = {"every": "1s", "overlap": "allow", **timing}
    fields = ", ".join(f"{field}: {value}" for field, value in told.items())
    return f"name: {name}\ndefinition: {definition}\ntiming: {{{fields}}}\n"


def nominal_times(journal: Journal) -> list[int]:
    """The nominal times in s that a journal accounts for, in its order; what lapsed stands for all it lapsed up to."""
    found: list[int] = []
    lapsed_ms: int | None = None
    for message in journal:
        body = message.body
        if isinstance(body, e.ScheduleStarted) and lapsed_ms is not None:
            found += range(lapsed_ms // SECOND_MS, body.after_at_ms // SECOND_MS + 1)
            lapsed_ms = None
        elif isinstance(body, e.ScheduleFired) and body.outcome == "lapsed":
            lapsed_ms = body.nominal_at_ms
        elif isinstance(body, e.ScheduleFired) and body.outcome in ("started", "skipped"):
            found.append(body.nominal_at_ms // SECOND_MS)
    return found


def fired(journal: Journal, outcome: str) -> list[e.ScheduleFired]:
    return [m.body for m in journal if isinstance(m.body, e.ScheduleFired) and m.body.outcome == outcome]


def started(count: int) -> Callable[[Run], bool]:
    """True of a schedule that has started so many workflows."""
    return lambda run: run.started >= count


def test_every_firing_is_accounted_for_once_although_the_orchestrator_is_killed_and_stays_away(
    project: Project, broker: Broker
) -> None:
    name = new_name()
    project.applied(schedule(name, catch_up_window=f"{WINDOW_S}s"))
    seen = project.run(name, started(3)).started
    project.worker.kill()
    back_at_s = time.time() + WINDOW_S + 4
    eventually(lambda: time.time() > back_at_s)
    project.worker.start()
    for kill in range(3):
        seen = project.run(name, started(seen + 3 + kill)).started
        project.worker.kill()
        project.worker.start()
    project.run(name, started(seen + 3))
    journal = project.deleted(name)

    accounted = nominal_times(journal)
    assert accounted == list(range(accounted[0], accounted[-1] + 1)), "each second once, in order"
    first = next(message for message in journal if message.body in fired(journal, "lapsed"))
    lapsed_ms, came_back_ms = fired(journal, "lapsed")[0].nominal_at_ms, first.meta.recorded_at_ms
    made_up_ms = min(body.nominal_at_ms for body in fired(journal, "started") if body.nominal_at_ms > lapsed_ms)
    oldest_ms = came_back_ms - WINDOW_S * SECOND_MS
    assert lapsed_ms < oldest_ms <= made_up_ms < oldest_ms + SECOND_MS

    begun = [body.child_id for body in fired(journal, "started")]
    assert len(set(begun)) == len(begun)
    assert eventually(lambda: runs_of(project, name, len(begun))) == dict.fromkeys(begun, "completed")
    found = asyncio.run(audit.compare(broker.bootstrap, project.cli.prefix))
    assert found.whole, str(found)


def runs_of(project: Project, name: str, count: int) -> Any:
    """The status of each workflow that a schedule started, once so many have ended; each must have begun once."""
    sql = """
        SELECT workflow_id, uniqExactIf(event_id, type = 'WorkflowStarted') AS begun,
               anyIf(status, status IN ('completed', 'failed', 'cancelled')) AS ended
        FROM holdfast.events FINAL WHERE startsWith(workflow_id, {prefix:String}) GROUP BY workflow_id"""
    rows = project.tables.query(sql, {"prefix": f"{name}-"})
    assert {row["begun"] for row in rows} <= {1}
    ended = {row["workflow_id"]: row["ended"] for row in rows if row["ended"]}
    return ended if len(ended) == count else None


def test_a_schedule_is_paused_resumed_triggered_and_deleted_by_its_name(project: Project) -> None:
    name = new_name()
    row = project.applied(schedule(name))
    assert (row["status"], row["workflow_id"]) == ("new", f"schedule:{name}:1")
    project.run(name, started(2))
    told = project.shown(name)
    assert (told["status"], told["starts"], len(told["next"])) == ("active", "quick", 5)
    assert told["firings"][-1]["workflow_id"].startswith(f"{name}-")

    assert project.act("pause", name)["outcome"] == "folded"
    paused = project.run(name, lambda run: run.standing == "paused")
    assert (paused.acted_by, paused.reason) == ("mia", "a test")
    refused = project.cli("schedules", "trigger", name, "--reason", "now")
    assert (refused.code, "refused (workflow_held)" in refused.err, "  try: " in refused.err) == (1, True, True)
    eventually(lambda: time.time() * SECOND_MS > paused.acted_to_ms + 3 * SECOND_MS)
    assert project.run(name).acted_to_ms == paused.acted_to_ms

    project.act("resume", name)
    triggered = project.act("trigger", name)["started"]
    eventually(lambda: statuses(project, [triggered]) == Counter(completed=1))
    told = project.shown(name)
    by_hand = [firing for firing in told["firings"] if firing["outcome"] == "triggered"]
    assert [(firing["workflow_id"], firing["status"]) for firing in by_hand] == [(triggered, "completed")]

    journal = project.deleted(name)
    accounted = nominal_times(journal)
    assert accounted == list(range(accounted[0], accounted[-1] + 1)), "what was missed while it was paused is made up"


def test_a_deleted_schedule_is_listed_on_request_and_starts_anew_from_then_on(project: Project) -> None:
    name = new_name()
    project.applied(schedule(name))
    project.cli.says(name, "schedules", "list")
    last_ms = project.run(name, started(1)).acted_to_ms
    project.deleted(name)
    project.run(name, lambda run: run.standing == "deleted")
    assert name not in project.cli.ok("schedules", "list").out
    rows = project.cli.ok("schedules", "list", "--all", "--json").json
    assert [row["status"] for row in rows if row["name"] == name] == ["deleted"]
    assert f"{name}  deleted  by mia: a test" in project.cli.ok("schedules", "show", name).out
    gone = project.cli("schedules", "pause", name, "--reason", "x")
    assert (gone.code, "it is deleted" in gone.err, "  try: " in gone.err) == (1, True, True)

    eventually(lambda: time.time() * SECOND_MS > last_ms + 5 * SECOND_MS)
    again = project.applied(schedule(name))
    assert (again["status"], again["workflow_id"]) == ("started again", f"schedule:{name}:2")
    begun = project.run(name, started(1))
    assert min(nominal_times(project.deleted(name))) * SECOND_MS > begun.started_at_ms, "nothing is made up for"


def test_applying_what_is_in_force_changes_nothing_and_a_change_goes_on_where_it_stands(project: Project) -> None:
    name, job = new_name(), new_name()
    definition = f"name: {job}\ndeadline: 1h\nstart: end\nsteps: {{end: {{kind: succeed, output: 1}}}}\n"
    project.cli.ok("apply", project.cli.file(definition))
    first = project.applied(schedule(name, job))
    same = project.applied(f"# as before\n{schedule(name, job)}")
    assert (same["status"], same["definition_hash"]) == ("unchanged", first["definition_hash"])

    project.cli.ok("apply", project.cli.file(definition.replace("output: 1", "output: 2")))
    newer = project.applied(schedule(name, job))
    assert (newer["status"], newer["workflow_id"]) == ("changed", first["workflow_id"])
    assert newer["children"] != first["children"], "the newest is pinned"
    project.act("pause", name)
    slower = project.applied(schedule(name, job, every="1h", offset="30m"))
    assert slower["status"] == "changed"
    as_it_stood = ("paused", slower["definition_hash"])  # a change does not wake it
    run = project.run(name, lambda run: (run.standing, run.definition_hash) == as_it_stood)
    assert {coming["utc"][14:] for coming in project.shown(name)["next"]} == {"30:00Z"}
    project.act("resume", name)
    assert project.applied(schedule(name, job))["status"] == "changed"
    project.run(name, started(run.started + 2))
    accounted = nominal_times(project.deleted(name))
    assert len(set(accounted)) == len(accounted)


def test_many_who_apply_at_once_leave_one_schedule(project: Project) -> None:
    name = new_name()
    files = [project.cli.file(schedule(name, every=f"{hours}h")) for hours in (1, 2, 3, 4)]
    for round_ in (1, 2):
        at_once = [
            subprocess.Popen(
                command("schedules", "apply", file),
                env=project.cli.env,
                cwd=project.cli.folder,
                stdout=subprocess.DEVNULL,
            )
            for file in files
        ]
        assert [process.wait(120) for process in at_once] == [0] * len(files)
        alone = f"schedule:{name}:{round_}"
        eventually(lambda: alive(project, name) == [alone])  # noqa: B023 - called at once
        moves = [m.body for m in project.deleted(name) if isinstance(m.body, e.WorkflowMigrated)]
        assert len(moves) == len(files) - 1, "one started it, the others moved it one after the other"


def alive(project: Project, name: str) -> list[str]:
    rows = project.tables.query(
        "SELECT workflow_id, status FROM holdfast.v_workflows WHERE startsWith(workflow_id, {prefix:String})",
        {"prefix": f"schedule:{name}:"},
    )
    return [row["workflow_id"] for row in rows if row["status"] != "cancelled"]


def test_what_overlaps_goes_by_the_policy_of_the_schedule(project: Project) -> None:
    names = {policy: new_name() for policy in ("skip", "buffer_one", "allow", "cancel_old")}
    files = [project.cli.file(schedule(name, "slow", overlap=policy)) for policy, name in names.items()]
    rows = project.cli.ok("schedules", "apply", *files, "--json").json
    assert [row["status"] for row in rows] == ["new"] * 4
    for name in names.values():
        project.run(name, started(4))
    journals = {policy: project.deleted(name) for policy, name in names.items()}
    for journal in journals.values():
        held_back = {body.nominal_at_ms // SECOND_MS for body in fired(journal, "buffered")}
        accounted = {*nominal_times(journal), *held_back}
        assert accounted == set(range(min(accounted), max(accounted) + 1))
    side_by_side = {policy: most_at_once(journal) for policy, journal in journals.items()}
    assert (side_by_side["skip"], side_by_side["buffer_one"]) == (1, 1)
    assert side_by_side["allow"] > 1
    assert fired(journals["skip"], "skipped")
    first_held_back = fired(journals["buffer_one"], "buffered")[0].nominal_at_ms
    assert first_held_back in {body.nominal_at_ms for body in fired(journals["buffer_one"], "started")}
    replaced = [m.body.child_id for m in journals["cancel_old"] if isinstance(m.body, e.ChildReleased)]
    assert replaced == [body.child_id for body in fired(journals["cancel_old"], "started")][: len(replaced)]
    assert len(replaced) >= 3
    eventually(lambda: statuses(project, replaced) == Counter(cancelled=len(replaced)))


def most_at_once(journal: Journal) -> int:
    """How many workflows of a schedule ran side by side at most, as far as its journal tells."""
    running: set[str] = set()
    most = 0
    for message in journal:
        body = message.body
        if isinstance(body, e.ChildRequested):
            running.add(body.child_id)
        elif isinstance(body, e.ChildEnded):
            running.discard(body.child_id)
        most = max(most, len(running))
    return most


def statuses(project: Project, workflow_ids: list[str]) -> Counter[str]:
    rows = project.tables.query(
        "SELECT status FROM holdfast.v_workflows WHERE workflow_id IN {ids:Array(String)}", {"ids": workflow_ids}
    )
    return Counter(row["status"] for row in rows)


def test_the_example_is_applied_as_it_stands(project: Project) -> None:
    (row,) = project.cli.ok("schedules", "apply", str(EXAMPLE / "schedule.yaml"), "--json").json
    assert (row["name"], row["status"]) == ("every-morning", "new")
    assert {coming["local"][10:19] for coming in project.shown("every-morning")["next"]} == {"T09:00:00"}
    text = project.cli.ok("schedules", "show", "every-morning").out
    assert "0 9 * * MON-FRI on the clocks of Europe/Paris" in text
    assert "nothing has fired yet" in text
    project.deleted("every-morning")


def test_a_schedule_that_fires_once_is_over_then(project: Project) -> None:
    name = new_name()
    at_ms = int(time.time() * SECOND_MS) + 20 * SECOND_MS
    text = f"name: {name}\ndefinition: quick\ntiming: {{at: {at_ms}}}\n"
    assert project.applied(text)["status"] == "new"
    run = project.run(name, lambda run: run.standing == "over")
    assert (run.last_nominal_at_ms, run.last_outcome) == (at_ms, "started")
    assert project.applied(text)["status"] == "over"
    late = project.cli("schedules", "apply", project.cli.file(text.replace(str(at_ms), str(at_ms - 1))))
    assert (late.code, f"{name} would never fire" in late.err) == (1, True)


def test_all_mistakes_are_told_and_then_nothing_is_applied(project: Project) -> None:
    name = new_name()
    good, broken = project.cli.file(schedule(name)), project.cli.file(schedule("quick", "nothing", every="soon"))
    ran = project.cli("schedules", "apply", good, broken)
    assert ran.code == 1
    told = next(line for line in ran.err.splitlines() if line.startswith(f"{broken}:3:10: error "))
    assert "timing.every: 'soon' is not a duration" in told
    assert project.cli("schedules", "show", name).code == 1
    taken = project.cli("schedules", "apply", project.cli.file(schedule("quick", "nothing")), "--json")
    assert [row["status"] for row in taken.json] == ["invalid"]
    assert [mistake["place"] for mistake in taken.json[0]["mistakes"]] == ["name", "definition"]
    twice = project.cli("schedules", "apply", good, project.cli.file(schedule(name, every="2s")))
    assert "doubled_name" in twice.err


@pytest.mark.parametrize("verb", ["show", "delete"])
def test_a_schedule_that_nobody_knows_is_a_sentence_with_a_cure(project: Project, verb: str) -> None:
    ran = project.cli("schedules", verb, "nobody", *(() if verb == "show" else ("--reason", "x")))
    assert (ran.code, "no schedule 'nobody'" in ran.err, "  try: " in ran.err) == (1, True, True)
