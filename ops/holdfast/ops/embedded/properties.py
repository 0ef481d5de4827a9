"""The broker's configuration: one node that is broker and controller, on loopback, for one machine's work."""

from pathlib import Path

from holdfast.ops.embedded.ports import HOST

CLUSTER_ID = "5L6g3nShT-eMCtK--X86sw"

# Internal topics of a single node: one replica, few partitions.
_SINGLE_NODE = {
    f"{topic}.{setting}": value
    for topic in ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
    for setting, value in (("replication.factor", "1"), ("num.partitions", "4"), ("min.isr", "1"))
    if (topic, setting) != ("offsets.topic", "min.isr")
}

_FIXED = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
    "log.cleaner.dedupe.buffer.size": str(4 << 20),
    # A machine at rest should be at rest: these only keep an idle cluster of many nodes honest.
    "metadata.max.idle.interval.ms": "0",
    "controller.quorum.fetch.timeout.ms": "30000",
    "broker.heartbeat.interval.ms": "1000",
    "broker.session.timeout.ms": "3000",
    "log.cleaner.backoff.ms": "60000",
}

# Console only: whoever started the broker keeps its output, with a limit.
LOGGING = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %-5p %c{1}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
logger.started.name = kafka.server.KafkaRaftServer
logger.started.level = info
"""


def server_properties(*, data: Path, port: int, controller_port: int) -> str:
    """The text of `server.properties` for a broker whose log lies in `data`."""
    own = {
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "log.dirs": str(data),
    }
    return "".join(f"{key}={value}\n" for key, value in (own | _FIXED | _SINGLE_NODE).items())
