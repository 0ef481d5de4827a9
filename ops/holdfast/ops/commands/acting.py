"""What commands that ask the engine for something share: who acts, and what is said about what came of it."""

import getpass
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.ops.console import EXIT_REFUSED, CommandError, emit, show_error

if TYPE_CHECKING:
    from holdfast.ops.answers import Answers, Event, Folded, Repeated
    from holdfast.ops.client import Client, Receipt
    from holdfast.schemas.record import Json

TenantOption = Annotated[str, typer.Option("--tenant", help="Tenant; by default that of the settings.")]
ActorOption = Annotated[
    str, typer.Option("--as", metavar="NAME", help="The person who acts; by default the user of this computer.")
]

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Workflow id.")]


@dataclass(frozen=True, kw_only=True)
class Acting:
    """Where the engine is, and who asks it."""

    bootstrap: str
    topic_prefix: str
    tenant: str
    actor: str


def acting(tenant: str, actor: str = "") -> Acting:
    """From the settings, for what is empty. Raises CommandError if there is no project to ask."""
    from holdfast.ops.roles import bootstrap_of
    from holdfast.ops.settings import load_settings, project_of

    settings = load_settings(**({"tenant": tenant} if tenant else {}))
    return Acting(
        bootstrap=bootstrap_of(settings, project_of(settings)),
        topic_prefix=settings.topic_prefix,
        tenant=settings.tenant,
        actor=actor or getpass.getuser(),
    )


def tenant_of(tenant: str) -> str:
    """The tenant to read, for commands that need no broker."""
    from holdfast.ops.settings import load_settings

    return load_settings(**({"tenant": tenant} if tenant else {})).tenant


@asynccontextmanager
async def asking_engine(
    who: Acting, workflow_id: str, on_event: "Callable[[Event], None] | None" = None
) -> "AsyncIterator[tuple[Client, Answers]]":
    """A client to send with, and the answers about one workflow from now on."""
    from holdfast.ops.answers import Answers
    from holdfast.ops.client import Client

    given = {"on_event": on_event} if on_event else {}
    async with (
        Client(who.bootstrap, who.topic_prefix, who.tenant, who.actor) as client,
        Answers(who.bootstrap, who.topic_prefix, who.tenant, workflow_id, **given) as answers,
    ):
        yield client, answers


async def settled(
    who: Acting, answers: "Answers", receipt: "Receipt", *, as_json: bool, **facts: Any
) -> "tuple[Folded | Repeated, dict[str, Any]]":
    """The verdict about a request, and what JSON says about it: the receipt's fields, tenant, outcome and `facts`.

    A request that was refused, or not folded in time, ends the command with exit code 1.
    """
    from holdfast.ops.answers import Folded, Refused
    from holdfast.ops.cures import refusal

    said = {**asdict(receipt), "tenant": who.tenant, **facts}
    try:
        verdict = await answers.verdict(receipt.event_id)
    except TimeoutError:
        raise stopped(not_folded(receipt), {**said, "outcome": "accepted"}, as_json=as_json) from None
    if isinstance(verdict, Refused):
        error = refusal(verdict.code, verdict.message)
        refused = {"outcome": "refused", "code": verdict.code, "message": verdict.message, "cure": error.cure}
        raise stopped(error, {**said, **refused}, as_json=as_json)
    return verdict, {**said, "outcome": "folded" if isinstance(verdict, Folded) else "repeated"}


def not_folded(receipt: "Receipt") -> CommandError:
    """What to say of a request that has no verdict in time."""
    from holdfast.ops.answers import VERDICT_TIMEOUT_S

    return CommandError(
        f"accepted by Kafka as {receipt.event_id}, but not folded within {VERDICT_TIMEOUT_S:.0f} s: "
        "is the orchestrator running?",
        cure="`holdfast doctor`; the request is kept and will be folded once",
    )


def stopped(error: CommandError, said: dict[str, Any], *, as_json: bool) -> Exception:
    """What to raise for a command that ends with exit code 1; as JSON, what there is to say is printed first."""
    if not as_json:
        return error
    emit(said, as_json=True)
    show_error(error)
    return typer.Exit(EXIT_REFUSED)


def goes_on(verdict: "Folded | Repeated") -> str:
    """What the workflow does after a request, in a few words."""
    from holdfast.ops.answers import Folded
    from holdfast.ops.event_text import ENDINGS
    from holdfast.schemas.events import ClosingStarted, StepStarted, WorkflowBlocked, WorkflowPaused

    if not isinstance(verdict, Folded):
        return "nothing changed: the same request was folded before"
    last = verdict.events[-1].body
    if isinstance(last, WorkflowPaused):
        return "the workflow is held until `holdfast resume`"
    if isinstance(last, WorkflowBlocked):
        return f"the workflow is blocked: {last.message}"
    closing = next((event.body for event in verdict.events if isinstance(event.body, ClosingStarted)), None)
    if closing is not None and type(last) not in ENDINGS:
        return "the workflow ends once what is under way has settled and what was done is undone"
    if type(last) in ENDINGS:
        return f"the workflow has ended: {ENDINGS[type(last)]}"
    entered = [event.body.step for event in verdict.events if isinstance(event.body, StepStarted)]
    return f"the workflow goes on with {entered[-1]}" if entered else "the workflow goes on as before"


def seconds(duration: str) -> float:
    """The length of a duration option such as 30s or 2h. Raises BadParameter if it is none."""
    from holdfast.schemas.durations import parse_duration_ms

    try:
        return parse_duration_ms(duration) / 1000
    except ValueError as exc:
        raise typer.BadParameter(str(exc)) from exc


def json_option(text: str, option: str) -> "Json":
    """The JSON value that an option gives: JSON, @FILE, or - for standard input. Raises CommandError if it is none."""
    from holdfast.schemas import jsontext

    source = option
    if text == "-":
        text, source = sys.stdin.read(), "standard input"
    elif text.startswith("@"):
        source = text[1:]
        try:
            text = Path(source).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise CommandError(f"{source} cannot be read: {exc}") from exc
    try:
        return jsontext.loads(text)
    except ValueError as exc:
        raise CommandError(f"{source} is not JSON: {exc}", cure='quote it for the shell: \'{"key": "value"}\'') from exc
