"""What the demo plays on: a project of its own, and the systems outside of it as processes of their own."""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.ops.demo import example
from holdfast.ops.errors import CommandError
from holdfast.ops.scripted_model.child import ChildServer, ChildServerError, ScriptedModel
from holdfast.ops.settings import Settings
from holdfast.ops.trial.sandbox import Sandbox, sandbox
from holdfast.streams.core.definition import Definition

OPENAI_URL = "https://api.openai.com/v1"
OPENAI_MODEL = "gpt-4.1-mini"


RealModel = Mapping[str, Any]
"""The settings of a model that is not scripted."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Everything that runs. `model` is None if a real model answers."""

    project: Sandbox
    tickets: ChildServer
    emails: ChildServer
    model: ScriptedModel | None
    definition: Definition


def real_model(user: Settings) -> RealModel | None:
    """The settings of the user's model, None if there is none. Raises CommandError if they do not suffice."""
    if not user.model_base_url and not user.model_api_key:
        return None
    if user.model_base_url and not user.model_name:
        raise CommandError(
            f"which model of {user.model_base_url}?",
            cure="set OPENAI_MODEL, or unset OPENAI_BASE_URL and OPENAI_API_KEY for scripted answers",
        )
    return {
        "model_base_url": user.model_base_url or OPENAI_URL,
        "model_api_key": user.model_api_key,
        "model_name": user.model_name or OPENAI_MODEL,
    }


@contextmanager
def stage(home: Path, model: RealModel | None) -> Iterator[Stage]:
    """The running stage in `home`, with the user's `model` or a scripted one; all of it ends with the context.

    Raises CommandError.
    """
    examples = example.examples_folder()
    definition = example.load_definition(examples)
    folder, systems = examples / example.NAME, home / "systems"
    tickets = ChildServer([str(folder / "ticket_system.py")], systems / "tickets")
    emails = ChildServer([str(folder / "email_system.py")], systems / "emails")
    scripted = None if model else ScriptedModel(folder / "model_script.yaml", systems / "model")
    with ExitStack() as open_:
        _start(open_, [tickets, emails, *([scripted] if scripted else [])])
        answers = model if scripted is None else {"model_base_url": scripted.base_url, "model_name": "scripted"}
        project = open_.enter_context(
            sandbox(
                home,
                environment={
                    "PYTHONPATH": os.pathsep.join(filter(None, [str(examples), os.environ.get("PYTHONPATH")])),
                    "SUPPORT_TICKET_SYSTEM_URL": tickets.url,
                    "SUPPORT_EMAIL_SYSTEM_URL": emails.url,
                },
                tool_modules=(example.TOOL_MODULE,),
                **(answers or {}),
            )
        )
        yield Stage(project=project, tickets=tickets, emails=emails, model=scripted, definition=definition)


def _start(open_: ExitStack, servers: Sequence[ChildServer]) -> None:
    """Start all at once; also those that have started end if one cannot."""
    for server in servers:
        open_.callback(server.stop)
    try:
        with ThreadPoolExecutor(len(servers)) as pool:
            list(pool.map(ChildServer.start, servers))
    except ChildServerError as exc:
        raise CommandError(str(exc)) from exc
