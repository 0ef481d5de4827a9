"""What the two classes of executor have in common: how a task becomes something to do."""

from collections.abc import Callable
from typing import Protocol

from holdfast.schemas.record import Message
from holdfast.schemas.topics import Topic
from holdfast.streams.executor.attempt import Prepared, Stop, Task
from holdfast.streams.executor.outcomes import Failure


class Calls(Protocol):
    """One class of calls: what it reads, how it acts, and what it knows about a call that was cut short."""

    task_class: str
    topic: Topic
    group: str

    @property
    def record(self) -> type[Task]:
        """The type of its tasks."""

    @property
    def abandoned(self) -> int:
        """Number of threads that outlived their call; each of them keeps a slot."""

    def when_freed(self, tell: Callable[[], None]) -> None:
        """Have `tell` called whenever `abandoned` goes down."""

    def prepare(self, message: Message[Task]) -> Prepared | Failure:
        """Everything that can be checked before acting."""

    def harmless(self, task: Task) -> bool:
        """True if a call has no effect, so that it never matters whether it was made."""

    def needs_grant(self, task: Task) -> bool:
        """True if the call must not begin before the fold has granted the claim."""

    def cut_short(self, task: Task, why: Stop) -> Failure:
        """The outcome of a call that was cancelled while it acted."""
