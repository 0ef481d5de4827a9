"""What the tables know of schedules, and when they fire next. Pure.

A schedule is run by one workflow, `schedule:NAME:1`. It stays the same one when the schedule is changed; a schedule
that was deleted or has ended goes on as `schedule:NAME:2`, and so on. So whoever starts the next one starts it once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from holdfast.ops.history import ms_of
from holdfast.schemas.record import Json
from holdfast.streams.core.schedule import Timing, fire_at_ms, firings, jitter_name
from holdfast.streams.core.times import time_text
from holdfast.streams.core.zones import load_zone

# How the status of its workflow is called where people read of a schedule.
_STANDINGS: Mapping[str, str] = {
    "running": "active",
    "waiting": "active",
    "completed": "over",
    "cancelled": "deleted",
}
_ENDED = frozenset({"completed", "failed", "cancelled"})


def run_id(name: str, number: int) -> str:
    """The id of the workflow that runs a schedule; `number` is from 1."""
    return f"schedule:{name}:{number}"


@dataclass(frozen=True, kw_only=True)
class Run:
    """The latest workflow that runs, or ran, a schedule.

    `reason` and `acted_by` belong to the last time somebody paused, resumed or ended it; `acted_to_ms` is the nominal
    time up to which firings were acted on. What has not happened is None, or empty.
    """

    tenant: str
    name: str
    number: int
    workflow_id: str
    status: str
    definition_hash: str
    started_at_ms: int
    ended_at_ms: int | None
    reason: str
    acted_by: str
    acted_to_ms: int
    started: int
    last_nominal_at_ms: int | None
    last_outcome: str

    @property
    def ended(self) -> bool:
        """True if it does not fire any more, for whatever reason."""
        return self.status in _ENDED

    @property
    def standing(self) -> str:
        """How it stands: active, paused, blocked, over (there is no firing left), deleted or failed."""
        return _STANDINGS.get(self.status, self.status)

    def succession(self) -> Json:
        """The input of the workflow that follows a run that ended.

        One that failed had not meant to end: what it missed is made up for.
        """
        return {"after_ms": self.acted_to_ms} if self.status == "failed" else {}


def run_of(row: Mapping[str, Any]) -> Run:
    """The run in a row of the question `schedules`."""
    return Run(
        tenant=row["tenant"],
        name=row["name"],
        number=int(row["number"]),
        workflow_id=row["workflow_id"],
        status=row["status"],
        definition_hash=row["running_hash"],
        started_at_ms=ms_of(row["started_at"]) or 0,
        ended_at_ms=ms_of(row["ended_at"]),
        reason=row["reason"],
        acted_by=row["acted_by"],
        acted_to_ms=ms_of(row["acted_to"]) or 0,
        started=int(row["started"]),
        last_nominal_at_ms=ms_of(row["last_nominal_at"]),
        last_outcome=row["last_outcome"],
    )


@dataclass(frozen=True, kw_only=True)
class Firing:
    """A firing that was acted on. `outcome` is started, skipped, buffered, lapsed, triggered, or refused.

    A workflow that could not be started was `refused`, with the code `error`. What lapsed stands for all firings up to
    the next one. `status` is that of the workflow, empty if the tables do not know it.
    """

    nominal_at_ms: int
    outcome: str
    acted_at_ms: int
    schedule_id: str
    workflow_id: str
    status: str
    error: str


def firing_of(row: Mapping[str, Any]) -> Firing:
    """The firing in a row of the question `schedule_firings`."""
    return Firing(
        nominal_at_ms=ms_of(row["nominal_at"]) or 0,
        outcome="refused" if row["refused"] else row["outcome"],
        acted_at_ms=ms_of(row["acted_at"]) or 0,
        schedule_id=row["schedule_id"],
        workflow_id=row["started_id"],
        status=row["started_status"],
        error=row["refused"],
    )


@dataclass(frozen=True, kw_only=True)
class Upcoming:
    """A firing to come: its nominal time, when it happens (with its share of the jitter), and both as text.

    `local` is the nominal time on the clocks of `zone`, which is UTC for a timing without one.
    """

    nominal_at_ms: int
    fires_at_ms: int
    utc: str
    local: str
    zone: str


def upcoming(run: Run, timing: Timing, now_ms: int) -> Iterator[Upcoming]:
    """The firings of a schedule that come after a moment, in order; none if it has ended, often without end."""
    if run.ended:
        return
    zone, name = timing.zone or "UTC", jitter_name(run.tenant, run.name)
    # Jitter puts off into the future what by its nominal time is past.
    for nominal_ms in firings(timing, max(run.acted_to_ms, now_ms - timing.jitter_ms)):
        fires_at_ms = fire_at_ms(timing, name, nominal_ms)
        if fires_at_ms > now_ms:
            yield Upcoming(
                nominal_at_ms=nominal_ms,
                fires_at_ms=fires_at_ms,
                utc=time_text(nominal_ms),
                local=datetime.fromtimestamp(nominal_ms / 1000, UTC).astimezone(load_zone(zone)).isoformat(),
                zone=zone,
            )
