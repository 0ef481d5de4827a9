"""Rich text on standard output: fitted to a terminal; plain, unwrapped and without trailing blanks in a pipe."""

import sys
from collections.abc import Callable

from rich.console import Console, RenderableType
from rich.text import Text

UNLIMITED = 10_000


def live(*, stderr: bool = False) -> Console:
    """A console for what comes bit by bit: as wide as a terminal, without limit in a pipe."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else UNLIMITED
    return Console(width=width, file=stream, highlight=False, markup=False, emoji=False)


def line_printer(*, stderr: bool = False) -> Callable[[Text], None]:
    """A function that prints lines as they come: cut to a terminal's width, whole in a pipe."""
    console = live(stderr=stderr)

    def put(line: Text) -> None:
        console.print(line, no_wrap=True, overflow="ellipsis")
        console.file.flush()

    return put


def show(*renderables: RenderableType) -> None:
    """Print on standard output, one after the other."""
    if sys.stdout.isatty():
        console = Console(highlight=False, markup=False, emoji=False)
        for renderable in renderables:
            console.print(renderable)
        return
    console = Console(width=UNLIMITED, highlight=False, markup=False, emoji=False, file=sys.stdout, color_system=None)
    with console.capture() as captured:
        for renderable in renderables:
            console.print(renderable)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
