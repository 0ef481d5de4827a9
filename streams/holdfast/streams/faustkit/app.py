"""A Faust application with the settings that the kit needs."""

from pathlib import Path
from typing import Any

import faust
from mode.supervisors import CrashingSupervisor

from holdfast.streams.faustkit.assignor import CompleteAssignor
from holdfast.streams.faustkit.monitor import QuietMonitor
from holdfast.streams.faustkit.stream import BatchStream
from holdfast.streams.faustkit.table import GuardedTable
from holdfast.streams.faustkit.transport import FastTransport

STREAM_BUFFER_MAX_SIZE = 16_384
PRODUCER_BATCH_BYTES = 262_144


def build_app(
    app_id: str, *, bootstrap: str, partitions: int, data_dir: Path, instance_id: str, session_timeout_ms: int
) -> Any:
    """A Faust application.

    `app_id` is the consumer group and the prefix of changelogs; `instance_id` makes the membership static, so that a
    quick restart takes its partitions back without a rebalance; `session_timeout_ms` is how long a silent worker
    keeps its partitions.
    """
    app = faust.App(
        app_id,
        broker=f"kafka://{bootstrap}",
        datadir=str(data_dir),
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=partitions,
        table_standby_replicas=0,
        web_enabled=False,
        Stream=BatchStream,
        Table=GuardedTable,
        Monitor=QuietMonitor,
        PartitionAssignor=CompleteAssignor,
        agent_supervisor=CrashingSupervisor,
        stream_buffer_maxsize=STREAM_BUFFER_MAX_SIZE,
        stream_wait_empty=True,
        broker_commit_interval=1.0,
        broker_session_timeout=session_timeout_ms / 1000,
        broker_heartbeat_interval=min(3.0, session_timeout_ms / 3000),
        broker_rebalance_timeout=30.0,
        consumer_group_instance_id=instance_id,
        producer_linger=0.0,
        producer_max_batch_size=PRODUCER_BATCH_BYTES,
        producer_request_timeout=30.0,
        producer_compression_type="lz4",
    )
    app.transport = FastTransport(app.conf.broker_consumer, app)
    return app
