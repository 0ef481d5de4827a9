"""Journals told as stories, and what every story has to be true to."""

from collections.abc import Iterator, Sequence

from rich.console import Console

from holdfast.ops.history import fold
from holdfast.ops.matters import matters
from holdfast.ops.timeline import tell
from holdfast.ops.timeline_model import Timeline, Visit
from holdfast.ops.timeline_text import render
from holdfast.schemas.record import Message, Record

Journal = Sequence[Message[Record]]


def story_of(journal: Journal) -> Timeline:
    timeline = tell(journal)
    assert timeline is not None
    return timeline


def text_of(timeline: Timeline, now_ms: int, width: int = 200) -> str:
    console = Console(width=width, color_system=None, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(render(timeline, now_ms))
    return captured.get()


def visits(timeline: Timeline) -> dict[str, Visit]:
    return {entry.step: entry for entry in timeline.story if isinstance(entry, Visit)}


def prefixes(journal: Journal) -> Iterator[tuple[int, Timeline]]:
    for count in range(1, len(journal) + 1):
        yield count, story_of(journal[:count])


def assert_true_to_the_fold(journal: Journal) -> None:
    """At every event, the story has the status and the open steps of the engine's own fold."""
    for count, timeline in prefixes(journal):
        state = fold(journal[:count])
        assert state is not None
        assert timeline.status == state.status.value
        assert [visit.step for visit in timeline.running] == list(state.active)
        assert timeline.ended == state.finished
        assert timeline.last_sequence == count


def assert_says_what_is_waited_for(journal: Journal) -> None:
    """After each decision, a workflow has ended or says what it waits for."""
    for count, timeline in prefixes(journal):
        meta = journal[count - 1].meta
        if meta.index == meta.count - 1 and not timeline.ended:
            assert [matter.what for matter in matters(timeline) if matter.what], f"after {meta.type}"


def assert_can_be_shown(journal: Journal, now_ms: int) -> None:
    """Every prefix can be shown, however narrow the terminal is."""
    for _, timeline in prefixes(journal):
        for width in (40, 80, 120):
            assert journal[0].meta.workflow_id in text_of(timeline, now_ms, width)
