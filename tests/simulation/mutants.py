"""Ways to break the real parts, each of which the simulator has to notice. What each of them does is its name."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from holdfast.projections.writer import Writer
from holdfast.schemas.record import changed
from holdfast.streams import consequences
from holdfast.streams.core import decide as deciding
from holdfast.streams.core.correlator import fold as correlating
from holdfast.streams.core.inputs import reports
from holdfast.streams.core.turn import Turn
from holdfast.streams.driver import Driver
from holdfast.streams.executor.tool_calls import ToolCalls
from holdfast.streams.folding import Folding
from holdfast.streams.row_table import RowTable

Break = Callable[[pytest.MonkeyPatch], None]


def an_input_is_folded_however_often_it_comes(patch: pytest.MonkeyPatch) -> None:
    """Either of the two that keep it from happening is enough: the row's offset, and the ids that it remembers."""
    get = RowTable.get

    def forgetful(self: RowTable, key: bytes) -> Any:
        row = get(self, key)
        return changed(row, inbox_offset=-1) if row is not None else None

    patch.setattr(RowTable, "get", forgetful)
    patch.setattr(deciding, "folded_before", lambda _state, _input_id: False)


def what_is_owed_is_not_sent_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Driver, "owed", lambda _self, _row: ())


def rows_are_durable_before_their_events(patch: pytest.MonkeyPatch) -> None:
    fold = Folding.fold

    async def hasty(self: Folding, events: Any) -> None:
        batch = self.folder.fold(events)
        await self._write_rows(self.folder.rows_to_write(batch, [0] * len(batch.records)), {})
        await fold(self, events)

    patch.setattr(Folding, "fold", hasty)


def a_stale_attempt_is_accepted(patch: pytest.MonkeyPatch) -> None:
    def any_attempt(turn: Turn, effect_key: str, _attempt: int) -> Any:
        runs = turn.state.active.values()
        return next(((run, run.calls[effect_key]) for run in runs if effect_key in run.calls), None)

    patch.setattr(reports, "_current_call", any_attempt)


def timers_fire_early(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Turn, "now_ms", property(lambda self: self.cause.now_ms + 3_000))


def calls_that_must_not_be_made_twice_do_not_wait_for_their_grant(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ToolCalls, "needs_grant", lambda _self, _task: False)


def an_event_that_was_taken_goes_to_the_next_wait_as_well(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(correlating.Work, "finish", lambda self, event, told: self.keep(event))


def nobody_says_that_a_wait_is_over(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(consequences, "closed", lambda _before, _after, _events: [])


def rows_of_a_batch_are_lost_on_their_way_to_the_tables(patch: pytest.MonkeyPatch) -> None:
    write = Writer.write

    def lossy(self: Writer, batch: Any) -> None:
        if batch.records > 3:
            batch.events.rows.pop()
        write(self, batch)

    patch.setattr(Writer, "write", lossy)


MUTANTS: Mapping[str, Break] = {
    mutant.__name__: mutant
    for mutant in (
        an_input_is_folded_however_often_it_comes,
        what_is_owed_is_not_sent_again,
        rows_are_durable_before_their_events,
        a_stale_attempt_is_accepted,
        timers_fire_early,
        calls_that_must_not_be_made_twice_do_not_wait_for_their_grant,
        an_event_that_was_taken_goes_to_the_next_wait_as_well,
        nobody_says_that_a_wait_is_over,
        rows_of_a_batch_are_lost_on_their_way_to_the_tables,
    )
}
