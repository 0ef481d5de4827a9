"""Faust's assignor, but a topic that is missing ends the worker instead of being left out."""

from typing import Any

from faust.assignor.partition_assignor import PartitionAssignor

from holdfast.streams.faustkit.exit import die


class CompleteAssignor(PartitionAssignor):
    """Assigns all topics or none.

    A broker that has just come back may not tell yet what it has. The stock assignor then hands out nothing, and the
    worker sits there without a partition until somebody joins or leaves.
    """

    @classmethod
    def _get_copartitioned_groups(cls, topics: Any, cluster: Any, subscriptions: Any) -> Any:
        missing = sorted(topic for topic in topics if not cluster.partitions_for_topic(topic))
        if missing:
            die(f"the broker does not know {', '.join(missing)}, so partitions cannot be assigned")
        return super()._get_copartitioned_groups(topics, cluster, subscriptions)
