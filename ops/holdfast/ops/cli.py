"""The `holdfast` command: puts the command modules together and turns errors into sentences and exit codes.

Exit codes: 0 done, 1 refused or failed, 2 wrong use.
"""

import errno
import importlib
import importlib.util
import logging
import os
import sys
from typing import Annotated

import typer

from holdfast.ops.console import EXIT_REFUSED, show_error
from holdfast.ops.errors import CommandError

# In the order of `holdfast --help`. Each module has `register(app)`; it imports what it needs inside its commands,
# so that the help, and every other command, starts fast.
COMMANDS = (
    "platform",
    "demo",
    "workflows",
    "operators",
    "events",
    "lint",
    "apply",
    "definitions",
    "migrate",
    "fork",
    "graph",
    "schedules",
    "content",
    "queues",
    "approvals",
    "explain",
    "sql",
    "audit",
    "projections",
    "dead_letters",
    "topics",
    "schemas",
    "simulate",
    "chaos",
    "bench",
)
PACKAGE = "holdfast.ops.commands"


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        sys.stdout.write(f"holdfast {version('holdfast')}\n")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A durable engine for AI-agent workflows on Kafka and ClickHouse.

    Example: holdfast up --detach; holdfast doctor; holdfast down
    """
    # Clients tell what they try again; commands tell what came of it.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def build_app() -> typer.Typer:
    """The application with every command that exists."""
    app = typer.Typer(
        name="holdfast",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        callback=_root,
    )
    for name in COMMANDS:
        if importlib.util.find_spec(f"{PACKAGE}.{name}"):
            importlib.import_module(f"{PACKAGE}.{name}").register(app)
    return app


def main() -> None:
    """Entry point of the `holdfast` script."""
    try:
        build_app()()
    except CommandError as error:
        show_error(error)
        sys.exit(EXIT_REFUSED)
    except BrokenPipeError:
        # The reader has gone (`holdfast ... | head`); the interpreter must not complain while flushing either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_REFUSED)
    except TimeoutError:
        show_error(CommandError("a part of the project did not answer in time", cure="`holdfast doctor`"))
        sys.exit(EXIT_REFUSED)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        show_error(CommandError(f"the disk is full: {error}", cure="make room where `holdfast doctor` says"))
        sys.exit(EXIT_REFUSED)


if __name__ == "__main__":
    main()
