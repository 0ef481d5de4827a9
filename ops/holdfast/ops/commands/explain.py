"""`holdfast explain`: what a stable code means and what to do about it."""

from dataclasses import asdict
from typing import Annotated

import typer

from holdfast.ops.console import CommandError, JsonOption, emit

CLICKHOUSE_PREFIX = "clickhouse_"


def register(app: typer.Typer) -> None:
    """Add `holdfast explain`."""
    app.command("explain")(explain)


def explain(
    code: Annotated[
        str, typer.Argument(help="A code of a refusal, error, dead letter, audit or outage, or a rule.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Say what a code means and what to do about it; without a code, list them all.

    JSON: code, kind, meaning, cure. Example: holdfast explain self_approval
    """
    from holdfast.ops.cures import EXPLANATIONS
    from holdfast.ops.lint_page import rule_explanations

    explanations = {**EXPLANATIONS, **rule_explanations()}
    if not code:
        emit([asdict(known) for known in explanations.values()], table=("code", "kind", "meaning"), as_json=as_json)
        return
    known = explanations.get(code) or (EXPLANATIONS["unwritable"] if code.startswith(CLICKHOUSE_PREFIX) else None)
    if known is None:
        raise CommandError(
            f"{code!r} is not a code of the engine: tools and `fail` steps may give their own",
            cure="`holdfast explain` lists the engine's codes; `holdfast sql -q errors` shows where this one occurs",
        )
    emit(asdict(known), as_json=as_json)
