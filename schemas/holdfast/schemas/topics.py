"""Every topic as data: name, key, what may be on it, who writes and reads it, how long it is kept.

`holdfast topics apply` creates them, start-up checks them against the broker, `asyncapi.yaml` is made from them.
Topics keyed by workflow have the same number of partitions, so one partition of each makes up one shard.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from holdfast.schemas import controls, correlations, definitions, events, reports, requests, results, state, tasks
from holdfast.schemas.codec import record_types
from holdfast.schemas.keys import CORRELATED
from holdfast.schemas.record import Record

DAY_MS = 86_400_000
DEFAULT_PREFIX = "holdfast."
DEFAULT_PARTITIONS = 4
WORKFLOW_KEY = "tenant/workflow_id"
CORRELATION_KEY = "tenant/event type/value"
_OTHER_KEYS: Mapping[type[Record], str] = {
    **dict.fromkeys(CORRELATED, CORRELATION_KEY),
    state.PartitionRow: "NUL, partition",
}


def _records_of(*modules: object) -> tuple[type[Record], ...]:
    wanted = {module.NAMESPACE for module in modules}  # type: ignore[attr-defined]
    return tuple(cls for subject, cls in record_types().items() if subject.rpartition(".")[0] in wanted)


@dataclass(frozen=True, kw_only=True)
class Topic:
    """One topic.

    `name` is without the prefix; `key` says what the record key is, of all records but those that have their own
    (`key_for`); `co_partitioned` topics share one partition count and murmur2; `retention_ms` of -1 keeps records for
    ever; `config` is further topic configuration.
    """

    name: str
    key: str
    records: tuple[type[Record], ...]
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    purpose: str
    co_partitioned: bool = True
    cleanup: str = "delete"
    retention_ms: int = -1
    config: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def key_for(self, record: type[Record]) -> str:
        """What the key of a record of that type is."""
        return _OTHER_KEYS.get(record, self.key)

    def partitions(self, count: int) -> int:
        """Number of partitions, given the count for topics keyed by workflow."""
        return count if self.co_partitioned else 1

    def broker_config(self) -> dict[str, str]:
        """The configuration that the broker should have for this topic."""
        retention = {} if self.cleanup == "compact" else {"retention.ms": str(self.retention_ms)}
        return {"cleanup.policy": self.cleanup, **retention, **self.config}


ENDINGS = (events.WorkflowCompleted, events.WorkflowFailed, events.WorkflowCancelled)

REQUESTS = Topic(
    name="requests",
    key=WORKFLOW_KEY,
    records=_records_of(requests),
    producers=("anybody allowed",),
    consumers=("ingress",),
    purpose="What upstream systems and people ask for.",
    retention_ms=14 * DAY_MS,
)
INBOX = Topic(
    name="inbox",
    key=WORKFLOW_KEY,
    records=tuple(record for record in _records_of(requests, reports) if record is not requests.PublishEvent),
    producers=("ingress", "correlator", "executors", "timers"),
    consumers=("orchestrator",),
    purpose="The one ordered input of each workflow; the broker's append time is the only clock.",
    retention_ms=14 * DAY_MS,
    config=MappingProxyType({"message.timestamp.type": "LogAppendTime"}),
)
JOURNAL = Topic(
    name="journal",
    key=WORKFLOW_KEY,
    records=_records_of(events),
    producers=("orchestrator",),
    consumers=("sink", "anybody allowed"),
    purpose="The truth: every event of every workflow.",
)
TASKS_MODEL = Topic(
    name="tasks.model",
    key="effect key / attempt",
    records=(tasks.RunModelCall,),
    producers=("orchestrator",),
    consumers=("model executors",),
    purpose="Model calls to make.",
    retention_ms=7 * DAY_MS,
)
TASKS_TOOL = Topic(
    name="tasks.tool",
    key="effect key / attempt",
    records=(tasks.RunToolCall, tasks.LookUpEffect),
    producers=("orchestrator",),
    consumers=("tool executors",),
    purpose="Tool calls to make, and traces of calls to search for.",
    retention_ms=7 * DAY_MS,
)
GRANTS = Topic(
    name="grants",
    key="effect key / attempt",
    records=(tasks.GrantTask, tasks.StopTask),
    producers=("orchestrator",),
    consumers=("executors",),
    purpose="Claims that won, for calls that must not be made twice; claims that were refused; attempts to give up.",
    retention_ms=DAY_MS // 24,
)
RESULTS = Topic(
    name="results",
    key=WORKFLOW_KEY,
    records=(*ENDINGS, results.RequestRejected, results.EventExpired),
    producers=("orchestrator", "ingress", "correlator"),
    consumers=("downstream systems", "sink"),
    purpose="How workflows ended, requests that were refused, and published events that nobody waited for.",
    retention_ms=30 * DAY_MS,
)
STATUS = Topic(
    name="status",
    key=WORKFLOW_KEY,
    records=(results.WorkflowStatus,),
    producers=("orchestrator",),
    consumers=("anybody allowed",),
    purpose="The latest status of each workflow.",
    cleanup="compact",
)
DEFINITIONS = Topic(
    name="definitions",
    key="definition hash",
    records=_records_of(definitions),
    producers=("holdfast apply",),
    consumers=("ingress", "orchestrator"),
    purpose="Every published definition.",
    co_partitioned=False,
    cleanup="compact",
)
CONTROLS = Topic(
    name="controls",
    key="scope",
    records=(controls.LimitSet, controls.LimitRemoved),
    producers=("holdfast queues",),
    consumers=("executors", "holdfast queues"),
    purpose="The latest word of operators about each scope: limits, weights, pauses; who said it, when and why.",
    co_partitioned=False,
    cleanup="compact",
)
QUEUES = Topic(
    name="queues",
    key="executor id",
    records=(controls.QueuesReported,),
    producers=("executors",),
    consumers=("executors", "holdfast queues"),
    purpose="What waits and runs at each executor, as it says every few seconds.",
    co_partitioned=False,
    retention_ms=DAY_MS // 24,
)
DEAD_LETTERS = Topic(
    name="dead-letters",
    key="the original key",
    records=(),
    producers=("every role",),
    consumers=("sink", "holdfast dead-letters"),
    purpose="Records that nobody could read, untouched, with x-dlq-* headers that say where they stood and why.",
    retention_ms=90 * DAY_MS,
)
# A zombie's stale row must not erase a newer one before recovery has seen both.
_ROWS = MappingProxyType({"min.compaction.lag.ms": str(DAY_MS), "segment.ms": str(DAY_MS)})
CHANGELOG = Topic(
    name="orchestrator-state-changelog",
    key=WORKFLOW_KEY,
    records=(state.WorkflowRow, state.PartitionRow),
    producers=("orchestrator",),
    consumers=("orchestrator",),
    purpose="The orchestrator's rows: a cache of the journal.",
    cleanup="compact",
    config=_ROWS,
)
CORRELATIONS = Topic(
    name="correlations",
    key=CORRELATION_KEY,
    records=(*_records_of(correlations), requests.PublishEvent),
    producers=("orchestrator", "ingress", "timers"),
    consumers=("correlator",),
    purpose="The one ordered input of the correlator: who waits for what, and events for whoever waits.",
    retention_ms=14 * DAY_MS,
    config=MappingProxyType({"message.timestamp.type": "LogAppendTime"}),
)
CORRELATOR_CHANGELOG = Topic(
    name="orchestrator-correlations-changelog",
    key="s or e, id of the subscription or event, NUL, tenant/event type/value",
    records=(state.SubscriptionRow, state.EventRow, state.PartitionRow),
    producers=("correlator",),
    consumers=("correlator", "holdfast events"),
    purpose="The correlator's rows: open subscriptions, and published events with their fate.",
    cleanup="compact",
    config=_ROWS,
)

TOPICS: tuple[Topic, ...] = (
    REQUESTS,
    INBOX,
    JOURNAL,
    TASKS_MODEL,
    TASKS_TOOL,
    GRANTS,
    RESULTS,
    STATUS,
    DEFINITIONS,
    CONTROLS,
    QUEUES,
    DEAD_LETTERS,
    CHANGELOG,
    CORRELATIONS,
    CORRELATOR_CHANGELOG,
)
