"""Every name inside Faust and its Kafka client that the kit relies on, as data for the test that watches upgrades."""

from collections.abc import Mapping

FAUST_VERSION = "0.15.3"

PRIVATE_NAMES: Mapping[str, tuple[str, ...]] = {
    "faust.transport.drivers.aiokafka:Consumer": (
        "_drain_messages",
        "_add_gap",
        "_is_changelog_tp",
        "_new_consumer_thread",
        "getmany",
        "perform_seek",
        "wait_first",
    ),
    "aiokafka.consumer.fetcher:Fetcher": ("_get_actions_per_node",),
    "faust.transport.drivers.aiokafka:Producer": ("_settings_extra", "flush"),
    "faust.assignor.partition_assignor:PartitionAssignor": ("_get_copartitioned_groups",),
    "faust.streams:Stream": ("_channel_stop_iteration", "maybe_start"),
    "faust.stores.memory:Store": (
        "apply_changelog_batch",
        "on_recovery_completed",
        "on_rebalance",
        "persisted_offset",
        "set_persisted_offset",
    ),
    "faust.tables.base:Collection": ("_new_store",),
    "faust.serializers.schemas:Schema": ("compile",),
}
"""Attributes of classes, as `module:class`."""

INSTANCE_NAMES: Mapping[str, tuple[str, ...]] = {
    "faust.transport.consumer": ("_unacked_messages", "_read_offset", "_thread"),
    "faust.transport.conductor": ("_tp_index",),
    "mode.services": ("_stopped",),
    "faust.transport.drivers.aiokafka": ("_consumer", "_producer"),
    "aiokafka.consumer.consumer": ("_coordinator", "_fetcher"),
    "aiokafka.consumer.fetcher": ("_fetch_max_wait_ms", "_records"),
    "aiokafka.consumer.group_coordinator": ("_coordination_task",),
}
"""Attributes that instances get, by the module that sets them."""
