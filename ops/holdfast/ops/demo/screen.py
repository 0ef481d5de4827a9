"""How the demo looks: one line per thing that happens, then the story out of ClickHouse, then the sums."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.status import Status
from rich.table import Table
from rich.text import Text

from holdfast.ops import timeline_text
from holdfast.ops.demo import story
from holdfast.ops.demo.figures import Figures, mistakes
from holdfast.ops.demo.play import Kill
from holdfast.ops.demo.stage import RealModel
from holdfast.ops.demo.witness import Event
from holdfast.ops.event_text import safe
from holdfast.ops.screen import UNLIMITED, show
from holdfast.ops.timeline_model import Timeline

WHO_WIDTH = 16
GOES_ON = "the workflow goes on"

_WHO_STYLES = {story.ENGINE: "dim", story.CUSTOMER: "cyan", story.AGENT: "magenta"}


class Screen:
    """Everything that is printed for people, on standard output. `quiet` prints nothing."""

    def __init__(self, *, quiet: bool) -> None:
        width = None if sys.stdout.isatty() else UNLIMITED
        self._console = Console(width=width, highlight=False, markup=False, emoji=False, quiet=quiet)
        self._storyteller = story.Storyteller()
        self._began_s = 0.0
        self._status: Status | None = None

    def opening(self, model: RealModel | None) -> None:
        """What this is going to be."""
        self._say(Text("A support ticket, answered by an agent on Kafka, Faust and ClickHouse.", "bold"))
        self._say("Everything runs here and is real. Four processes get killed on the way.")
        if model:
            self._say(f"The model is {model['model_name']} at {model['model_base_url']}.")
        else:
            self._say("Only the model's answers are scripted (provider=scripted); for a real model set")
            self._say("OPENAI_API_KEY, or OPENAI_BASE_URL and OPENAI_MODEL for any other server.")
        self._say()

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Show that something goes on, on a terminal, until it is over."""
        with self._console.status(Text(what), spinner="dots") as status:
            self._status = status
            try:
                yield
            finally:
                self._status = None

    def event(self, event: Event) -> None:
        """One event of the workflow, if it is part of the story. The first one is when the clock starts."""
        self._began_s = self._began_s or time.monotonic()
        said = self._storyteller.tell(event)
        if said:
            who, what = said
            self._line(who, Text(safe(what)), _WHO_STYLES.get(who.split(" (")[0], "blue"))

    def killed(self, role: str, point: str) -> None:
        """A process was killed; the line follows when work went on."""
        self._now(f"{role} was killed {point}")

    def went_on(self, kill: Kill) -> None:
        """A kill that is over."""
        self._now(GOES_ON)
        took = (f"{kill.down_s:.1f} s", "bold")
        what = Text.assemble(("kill -9", "bold red"), f" {kill.point}; ", took, f" later {kill.outcome}")
        self._line(kill.role, what, "bold red")

    def timeline(self, told: Timeline) -> None:
        """The story as `holdfast show` tells it."""
        self._title(f"The same out of ClickHouse, as `holdfast show {told.workflow_id}` has it")
        self._block(timeline_text.render(told, int(time.time() * 1000)))

    def sums(self, figures: Figures) -> None:
        """The figures and the verdict."""
        self._title("Does it add up?")
        self._block(sums(figures))
        self._say()
        wrong = list(mistakes(figures))
        for mistake in wrong:
            self._say(Text(f"WRONG: {mistake}", "bold red"))
        if not wrong:
            verdict = f"{figures.kills} kills: nothing was lost, and nothing was done twice."
            self._say(Text.assemble((verdict, "bold green"), f" {figures.duration_s:.0f} s in all."))

    def ending(self, commands: Sequence[tuple[str, str]]) -> None:
        """What to type next: (command, what it is good for)."""
        self._title("Try next")
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True)
        grid.add_column(style="dim")
        for command, meaning in commands:
            grid.add_row(command, meaning)
        self._block(grid)

    def _title(self, text: str) -> None:
        self._say()
        self._say(Text(text, "bold"))
        self._say()

    def _line(self, who: str, what: Text, style: str) -> None:
        grid = Table.grid(padding=(0, 2))
        grid.add_column(width=6, justify="right", style="dim")
        grid.add_column(width=WHO_WIDTH, no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(f"{time.monotonic() - self._began_s:.1f} s", Text(who, style), what)
        self._say(grid)

    def _now(self, what: str) -> None:
        if self._status:
            self._status.update(Text(what))

    def _block(self, renderable: RenderableType) -> None:
        if not self._console.quiet:
            show(renderable)

    def _say(self, text: RenderableType = "") -> None:
        self._console.print(text)


def sums(figures: Figures) -> Table:
    """The figures, each beside what it must be."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("")
    table.add_column("found", justify="right")
    table.add_column("should be", style="dim")
    table.add_column("")
    for what, found, should, good in _checks(figures):
        verdict = Text("") if good is None else Text("ok", "green") if good else Text("WRONG", "bold red")
        table.add_row(what, found, should, verdict)
    return table


def _checks(figures: Figures) -> Sequence[tuple[str, str, str, bool | None]]:
    """What was counted, what was found, what it should be, and whether it is; None where nobody can tell."""
    paid, intents = figures.paid_model_calls, figures.recorded_model_intents
    events, rows = figures.journal_events, figures.clickhouse_events
    bill = "" if paid is not None else "; your provider knows how many were paid"
    return (
        ("e-mails sent", str(figures.emails_sent), "1, in the e-mail system's own journal", figures.emails_sent == 1),
        ("requests to send it", str(figures.email_requests), "2: the killed one and its repeat, one key", None),
        (
            "model calls paid",
            "?" if paid is None else str(paid),
            f"{intents} recorded before they were made{bill}",
            None if paid is None else paid <= intents,
        ),
        ("events in ClickHouse", str(rows), f"{events} in the journal", rows == events and not figures.events_differ),
        ("live rows that differ", str(figures.rows_differ), "0, by folding the journal again", not figures.rows_differ),
        ("tasks lost", str(figures.tasks_missing), "0, by the intents in the journal", not figures.tasks_missing),
        ("hash chain", "whole" if figures.chain_ok else "broken", "whole, recomputed in SQL", figures.chain_ok),
    )
