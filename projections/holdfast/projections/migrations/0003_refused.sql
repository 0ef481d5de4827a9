-- Requests that were refused before they reached a workflow.
CREATE TABLE IF NOT EXISTS {database}.request_rejections
(
    tenant LowCardinality(String),
    workflow_id String,
    event_id UUID,
    definition_name LowCardinality(String),
    cause_id String,
    correlation_id String,
    actor_kind LowCardinality(String),
    actor_id String,
    occurred_at DateTime64(3, 'UTC'),
    code LowCardinality(String),
    message String CODEC(ZSTD(1)),
    request_type LowCardinality(String),
    request_id String,
    topic LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset UInt64,
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(ingested_at)
ORDER BY (tenant, workflow_id, event_id)
SETTINGS non_replicated_deduplication_window = 0;

-- Records that nobody could read, and rows that ClickHouse would not take: where they stood, why, and every byte.
CREATE TABLE IF NOT EXISTS {database}.dead_letters
(
    topic LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset UInt64,
    stage LowCardinality(String),
    code LowCardinality(String),
    message String CODEC(ZSTD(1)),
    record_at DateTime64(3, 'UTC'),
    record_key String CODEC(ZSTD(1)),
    record_value String CODEC(ZSTD(1)),
    headers Array(Tuple(String, String)),
    state LowCardinality(String) DEFAULT 'open',
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(ingested_at)
ORDER BY (topic, kafka_partition, kafka_offset, stage)
SETTINGS non_replicated_deduplication_window = 0;
