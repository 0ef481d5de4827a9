"""`holdfast demo`: what Holdfast is, shown in about a minute."""

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.ops import interrupts
from holdfast.ops.console import EXIT_REFUSED, JsonOption, emit, progress, say

if TYPE_CHECKING:
    from holdfast.ops.demo.figures import Figures
    from holdfast.ops.demo.stage import Stage

EXIT_INTERRUPTED = 130


def register(app: typer.Typer) -> None:
    """Add `holdfast demo`."""
    app.command("demo")(demo)


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running, to look around.")] = False,
    home: Annotated[
        Path | None, typer.Option(help="An empty folder to work in, which stays; without it a temporary one.")
    ] = None,
    stay: Annotated[int, typer.Option(hidden=True)] = -1,
    as_json: JsonOption = False,
) -> None:
    """Run a support ticket through everything real, kill four processes on the way, and count whether it adds up.

    Exit code 1 if any figure is off. It never touches your own project.

    Example: holdfast demo --keep
    """
    interrupts.raise_once()
    try:
        _prepare()
        if keep and stay < 0:
            from holdfast.ops.demo.background import run_apart

            where = [] if home is None else ["--home", str(home.absolute())]
            code = run_apart([*where, *(["--json"] if as_json else [])])
        else:
            code = _demo(home and home.absolute(), stay, as_json=as_json)
    except KeyboardInterrupt:
        say("interrupted: everything has been stopped")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    raise typer.Exit(code)


def _prepare() -> None:
    from holdfast.ops.settings import load_settings
    from holdfast.ops.setup import set_up

    user = load_settings()
    with progress() as report:
        set_up(user.cache_dir, maven_url=user.maven_url, report=report)


def _demo(given_home: Path | None, descriptor: int, *, as_json: bool) -> int:
    from holdfast.ops.demo.background import stay
    from holdfast.ops.demo.figures import mistakes
    from holdfast.ops.demo.run import run
    from holdfast.ops.demo.screen import Screen

    screen, holdfast = Screen(quiet=as_json), _own_name()

    def afterwards(figures: "Figures", stage: "Stage", stays: bool) -> None:
        if as_json:
            emit(figures.as_json(), as_json=True)
            for mistake in mistakes(figures):
                say(f"WRONG: {mistake}")
        home, kept = stage.project.home, descriptor >= 0
        screen.ending(_after_keeping(holdfast, home, stays=stays) if kept else _after(holdfast))
        if kept:
            say(f"it keeps running in {home}")
            stay(stage, figures, descriptor)
        elif stays:
            say(f"its data and logs are in {home}")
        # What follows is the orderly stop: it needs no interrupt, and must not be cut short by one.
        interrupts.ignore()

    return exit_code(run(given_home, screen, afterwards))


def exit_code(figures: "Figures") -> int:
    """0 if everything adds up."""
    from holdfast.ops.demo.figures import mistakes

    return EXIT_REFUSED if any(mistakes(figures)) else 0


def _own_name() -> str:
    """What to type for this program: from a checkout its folder is rarely on the PATH."""
    if shutil.which("holdfast"):
        return "holdfast"
    path, here = Path(sys.executable).with_name("holdfast"), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _after(holdfast: str) -> tuple[tuple[str, str], ...]:
    from holdfast.ops.demo.example import WORKFLOW_ID

    return (
        (f"{holdfast} demo --keep", "the same, and it goes on running; then"),
        (f"{holdfast} show {WORKFLOW_ID}", "and whatever else it names"),
    )


def _after_keeping(holdfast: str, home: Path, *, stays: bool) -> tuple[tuple[str, str], ...]:
    from holdfast.ops.demo.example import WORKFLOW_ID

    return (
        (f"export HOLDFAST_HOME={home}", "for the commands below"),
        (f"{holdfast} show {WORKFLOW_ID}", "the story; --events for all of it"),
        (f"{holdfast} state {WORKFLOW_ID} --at 20", "the exact state at any point"),
        (f"{holdfast} audit verify", "the hash chains, recomputed"),
        (f"{holdfast} sql --questions", "what to ask ClickHouse"),
        (f"{holdfast} down", f"stop it{'' if stays else ' and remove its folder'}"),
    )
