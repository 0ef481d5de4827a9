"""Whether a workflow can be moved to another version, told from its history by the engine's own rules. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from holdfast.ops.cures import cure_of
from holdfast.ops.history import fold
from holdfast.schemas import events as e
from holdfast.schemas.record import EventMeta, Message, Record
from holdfast.schemas.requests import MigrateWorkflow
from holdfast.streams.core.compile import CompiledDefinition
from holdfast.streams.core.decide import decide
from holdfast.streams.core.evolve import Cause
from holdfast.streams.core.rejections import Rejection, reject
from holdfast.streams.core.scopes import leaves
from holdfast.streams.core.state import WorkflowState

Journal = Sequence[Message[Record]]
Definitions = Callable[[str], CompiledDefinition | None]

CAN_MOVE, THERE, CANNOT, MOVED, ACCEPTED = "can_move", "there", "cannot", "moved", "accepted"


@dataclass(frozen=True, kw_only=True)
class Move:
    """One workflow and its move. `at` are the steps under way; the hashes are those of definitions.

    `outcome` is can_move or there (it runs by that version already) before anything was sent, moved or accepted (the
    engine has not answered in time) after that, and cannot at any time, with `code`, `message` and `cure`.
    """

    workflow_id: str
    outcome: str
    at: tuple[str, ...] = ()
    from_hash: str = ""
    to_hash: str = ""
    code: str = ""
    message: str = ""
    cure: str = ""


def refused(move: Move, code: str, message: str) -> Move:
    """The move, which was refused."""
    return Move(**{**vars(move), "outcome": CANNOT, "code": code, "message": message, "cure": cure_of(code)})


def outcome(move: Move, what: str) -> Move:
    """The move, of which something came."""
    return Move(**{**vars(move), "outcome": what})


def version_before(journal: Journal) -> str:
    """The hash of the version that a workflow was moved away from last; empty if it never was moved."""
    moves = [message.body for message in journal if isinstance(message.body, e.WorkflowMigrated)]
    return moves[-1].from_definition_hash if moves else ""


def check(workflow_id: str, journal: Journal, to_hash: str, definitions: Definitions, now_ms: int) -> Move:
    """What the engine would say to a move. An empty `to_hash` stands for the version that it came from."""
    state = fold(journal)
    if state is None:
        return refused(Move(workflow_id=workflow_id, outcome=CANNOT), *_said("workflow_not_found", workflow_id))
    wanted = to_hash or version_before(journal)
    move = Move(
        workflow_id=workflow_id,
        outcome=CAN_MOVE,
        at=tuple(sorted(run.step for run in leaves(state))),
        from_hash=state.definition_hash,
        to_hash=wanted,
    )
    if not wanted:
        return refused(move, "never_moved", f"Expected a workflow that was moved before, but {workflow_id!r} was not.")
    definition = definitions(state.definition_hash)
    if definition is None:
        return refused(move, *_said("definition_not_found", state.definition_hash))
    answer = decide(state, _request(state, wanted, now_ms), definition, _cause(state, now_ms), definitions(wanted))
    if isinstance(answer, Rejection):
        return refused(move, answer.code, answer.message)
    return move if answer.events else outcome(move, THERE)


def _said(code: str, what: str) -> tuple[str, str]:
    rejection = reject(code, workflow_id=what, definition=what)
    return rejection.code, rejection.message


def _request(state: WorkflowState, to_hash: str, now_ms: int) -> Message[MigrateWorkflow]:
    meta = EventMeta(
        event_id="dry-run",
        type=MigrateWorkflow.__name__,
        tenant=state.tenant,
        workflow_id=state.workflow_id,
        actor_kind="person",
        actor_id="",
        occurred_at_ms=now_ms,
    )
    return Message(meta=meta, body=MigrateWorkflow(definition_hash=to_hash, reason=""))


def _cause(state: WorkflowState, now_ms: int) -> Cause:
    return Cause(
        tenant=state.tenant,
        workflow_id=state.workflow_id,
        definition_name=state.definition_name,
        definition_hash=state.definition_hash,
        input_id="dry-run",
        now_ms=now_ms,
        actor_kind="person",
        actor_id="",
    )
