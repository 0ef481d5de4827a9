"""Membership of a group, as Faust knows it."""

from typing import Any

from holdfast.streams.faustkit.flow import hold_flow


class FaustMembership:
    """A Faust application's place in its group."""

    def __init__(self, app: Any) -> None:
        self._app = app

    @property
    def generation(self) -> int:
        """Changes with every rebalance."""
        return int(self._app.consumer_generation_id)

    @property
    def active(self) -> bool:
        """False while a rebalance or a recovery is under way."""
        return not self._app.rebalancing and bool(self._app.flow_control.is_active())

    def assigned(self, topic: str) -> frozenset[int]:
        """The partitions of a topic that are this worker's."""
        return frozenset(tp.partition for tp in self._app.assignor.assigned_actives() if tp.topic == topic)

    def hold(self) -> None:
        """Let no message through until Faust resumes the flow."""
        hold_flow(self._app)
