"""`holdfast topics`: create, compare and list the topics."""

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

import typer

from holdfast.ops.console import EXIT_REFUSED, JsonOption, emit


def register(app: typer.Typer) -> None:
    """Add `holdfast topics`."""
    topics = typer.Typer(no_args_is_help=True, help="Create, compare and list the topics.")
    topics.command("apply")(apply)
    topics.command("check")(check)
    topics.command("list")(list_)
    app.add_typer(topics, name="topics")


def _settings_and_bootstrap() -> tuple[Any, str]:
    from holdfast.ops.roles import bootstrap_of
    from holdfast.ops.settings import load_settings, project_of

    settings = load_settings()
    return settings, bootstrap_of(settings, project_of(settings))


def _rows(states: Sequence[Any]) -> list[dict[str, Any]]:
    return [
        {
            "topic": state.name,
            "status": str(state.status),
            "partitions": state.partitions,
            "wanted_partitions": state.wanted_partitions,
            "differs": {key: {"is": was, "should_be": wanted} for key, (was, wanted) in state.differs.items()},
        }
        for state in states
    ]


def _emit(states: Sequence[Any], *, as_json: bool) -> None:
    rows = _rows(states)
    if not as_json:
        for row in rows:
            row["differs"] = [
                f"{key}={pair['is']} (should be {pair['should_be']})" for key, pair in row["differs"].items()
            ]
    emit(rows, as_json=as_json)


def apply(as_json: JsonOption = False) -> None:
    """Create the topics that are missing and correct their configuration; shows what there was before.

    Example: holdfast topics apply
    """
    from holdfast.ops.topics import ensure_topics

    settings, bootstrap = _settings_and_bootstrap()
    states = asyncio.run(ensure_topics(bootstrap, settings.topic_prefix, settings.partitions, settings.replication))
    _emit(states, as_json=as_json)


def check(as_json: JsonOption = False) -> None:
    """Compare the broker's topics with what they should be, changing nothing; exit code 1 if one differs.

    Example: holdfast topics check --json
    """
    from holdfast.ops.topics import Status, check_topics

    settings, bootstrap = _settings_and_bootstrap()
    states = asyncio.run(check_topics(bootstrap, settings.topic_prefix, settings.partitions))
    _emit(states, as_json=as_json)
    if any(state.status is not Status.OK for state in states):
        sys.exit(EXIT_REFUSED)


def list_(as_json: JsonOption = False) -> None:
    """List every topic with its key, its writers and readers, and why it exists; needs no broker.

    Example: holdfast topics list
    """
    from holdfast.ops.settings import load_settings
    from holdfast.schemas.topics import TOPICS

    settings = load_settings()
    rows = [
        {
            "topic": settings.topic_prefix + topic.name,
            "key": topic.key,
            "partitions": topic.partitions(settings.partitions),
            "config": topic.broker_config() if as_json else [f"{k}={v}" for k, v in topic.broker_config().items()],
            "producers": topic.producers,
            "consumers": topic.consumers,
            "purpose": topic.purpose,
        }
        for topic in TOPICS
    ]
    emit(rows, as_json=as_json)
