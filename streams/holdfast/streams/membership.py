"""What a worker knows of its group: which partitions are its own, and since when."""

from typing import Protocol


class Membership(Protocol):
    """A worker's place in its group. Topics have their full names."""

    @property
    def generation(self) -> int:
        """A number that changes with every rebalance: what was begun under another one is not ours to finish."""

    @property
    def active(self) -> bool:
        """False while a rebalance or a recovery is under way."""

    def assigned(self, topic: str) -> frozenset[int]:
        """The partitions of a topic that are this worker's."""

    def hold(self) -> None:
        """Let no message through until the committed offsets are sought; called when a table has recovered."""
