"""Letters between workflows, seen from outside: those that states owe, and those that stand in the inbox."""

from dataclasses import dataclass, field

from holdfast.schemas import reports as rep
from holdfast.schemas import requests as req
from holdfast.schemas.ids import workflow_key
from holdfast.schemas.record import Message, Record
from holdfast.streams.core.pending import letter_for, letters_owed
from holdfast.streams.core.state import WorkflowState
from holdfast.streams.outbound import letter_id

Place = tuple[str, str]
"""Where a letter stands and by which id: the receiver's workflow key, the event id."""

LETTERS = (req.StartWorkflow, req.CancelWorkflow, rep.ReportChildEnded)
_ENGINE = "engine"


@dataclass(frozen=True, kw_only=True)
class Letter:
    """One letter: `about` is start, stop or ended; sender and receiver are workflow keys."""

    about: str
    sender: str
    receiver: str


@dataclass(kw_only=True)
class Letters:
    """Takes every state that the journal leads to, and then every record of the inbox."""

    ever: dict[Place, Letter] = field(default_factory=dict)
    now: dict[str, set[Place]] = field(default_factory=dict)
    sent: set[Place] = field(default_factory=set)
    starts: dict[Place, Letter] = field(default_factory=dict)
    begun: set[tuple[str, str]] = field(default_factory=set)

    def take_state(self, state: WorkflowState) -> None:
        """Note what a workflow owes in one of its states; the last one counts."""
        sender = workflow_key(state.tenant, state.workflow_id)
        if state.parent is not None:
            self.begun.add((workflow_key(state.tenant, state.parent.workflow_id), sender))
        owed = {}
        for (about, other), debt in letters_owed(state).items():
            receiver = workflow_key(state.tenant, other)
            place = (receiver, letter_id(type(letter_for(state, debt)), state.workflow_id, other))
            owed[place] = Letter(about=about, sender=sender, receiver=receiver)
        self.ever |= owed
        self.now[sender] = set(owed)

    def take_input(self, message: Message[Record]) -> None:
        """Note a record of the inbox: starts, stops and ends that the engine itself wrote are letters."""
        meta, body = message.meta, message.body
        if meta.actor_kind != _ENGINE or not isinstance(body, LETTERS):
            return
        receiver = workflow_key(meta.tenant, meta.workflow_id)
        self.sent.add((receiver, meta.event_id))
        if isinstance(body, req.StartWorkflow):
            parent = workflow_key(meta.tenant, body.parent_id)
            refusal = letter_id(rep.ReportChildEnded, meta.workflow_id, body.parent_id)
            self.starts[parent, refusal] = Letter(about="start", sender=parent, receiver=receiver)

    @property
    def missing(self) -> tuple[Letter, ...]:
        """What is owed now and was never sent. What is owed no more was sent, or is of no concern to anybody."""
        owed = set().union(*self.now.values()) - self.sent
        return tuple(self.ever[place] for place in sorted(owed))

    @property
    def unexpected(self) -> tuple[Place, ...]:
        """What was sent though no state ever owed it, and nothing was refused by it."""
        return tuple(sorted(self.sent - self.ever.keys() - self.starts.keys()))

    @property
    def unanswered(self) -> tuple[Letter, ...]:
        """Starts that led neither to a workflow of that parent nor to a refusal that the parent hears of."""
        return tuple(
            start
            for refusal, start in sorted(self.starts.items())
            if refusal not in self.sent and (start.sender, start.receiver) not in self.begun
        )
