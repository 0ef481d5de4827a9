-- The audit trail: one row per journal event. Its identity (tenant, workflow_id, sequence, event_id) is a function of
-- the event, so a replay collapses, and two different events under one sequence both stay and show up as a fork.
CREATE TABLE IF NOT EXISTS {database}.events
(
    tenant LowCardinality(String),
    workflow_id String CODEC(ZSTD(1)),
    sequence UInt64 CODEC(Delta, ZSTD(1)),
    event_id UUID,
    type LowCardinality(String),
    definition_name LowCardinality(String),
    definition_hash LowCardinality(String),
    decision_index UInt32,
    decision_count UInt32,
    cause_offset Int64,
    cause_id String CODEC(ZSTD(1)),
    correlation_id String CODEC(ZSTD(1)),
    traceparent String CODEC(ZSTD(1)),
    actor_kind LowCardinality(String),
    actor_id String CODEC(ZSTD(1)),
    occurred_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    recorded_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    previous_hash FixedString(32),
    hash FixedString(32),
    step LowCardinality(String),
    visit UInt32,
    turn UInt32,
    call_index UInt32,
    attempt UInt32,
    effect_key String CODEC(ZSTD(1)),
    kind LowCardinality(String),
    status LowCardinality(String),
    next_step LowCardinality(String),
    error_class LowCardinality(String),
    error_message String CODEC(ZSTD(1)),
    tool LowCardinality(String),
    effect LowCardinality(String),
    action_hash String CODEC(ZSTD(1)),
    approval_id String CODEC(ZSTD(1)),
    decision LowCardinality(String),
    timer_id String CODEC(ZSTD(1)),
    wait_id String CODEC(ZSTD(1)),
    executor_id LowCardinality(String),
    provider LowCardinality(String),
    model LowCardinality(String),
    finish_reason LowCardinality(String),
    http_status UInt32,
    input_tokens Int64,
    output_tokens Int64,
    cached_tokens Int64,
    cost_microusd Int64,
    duration_ms Int64,
    due_at DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    payload String CODEC(ZSTD(1)),
    topic LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset UInt64 CODEC(Delta, ZSTD(1)),
    projector_version UInt32 DEFAULT 1,
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1)),
    INDEX by_time recorded_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(projector_version)
PARTITION BY toYYYYMM(recorded_at)
PRIMARY KEY (tenant, workflow_id, sequence)
ORDER BY (tenant, workflow_id, sequence, event_id)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 0,
         min_age_to_force_merge_seconds = 3600, min_age_to_force_merge_on_partition_only = 1;

-- The same events in time order and without payload: boards, "what happened when", and the check of offsets. Its key
-- ends with the Kafka coordinates: an event that stands in the journal twice stands here twice.
CREATE TABLE IF NOT EXISTS {database}.events_by_time
(
    tenant LowCardinality(String),
    recorded_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    type LowCardinality(String),
    definition_name LowCardinality(String),
    workflow_id String CODEC(ZSTD(1)),
    sequence UInt64 CODEC(T64, ZSTD(1)),
    event_id UUID,
    step LowCardinality(String),
    attempt UInt32,
    status LowCardinality(String),
    actor_kind LowCardinality(String),
    actor_id String CODEC(ZSTD(1)),
    error_class LowCardinality(String),
    topic LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset UInt64 CODEC(T64, ZSTD(1)),
    projector_version UInt32,
    ingested_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(projector_version)
PARTITION BY toYYYYMM(recorded_at)
PRIMARY KEY (tenant, toStartOfHour(recorded_at), type)
ORDER BY (tenant, toStartOfHour(recorded_at), type, recorded_at, workflow_id, sequence, event_id, topic,
          kafka_partition, kafka_offset)
SETTINGS non_replicated_deduplication_window = 0,
         min_age_to_force_merge_seconds = 3600, min_age_to_force_merge_on_partition_only = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.mv_events_by_time TO {database}.events_by_time AS
SELECT tenant, recorded_at, type, definition_name, workflow_id, sequence, event_id, step, attempt, status, actor_kind,
       actor_id, error_class, topic, kafka_partition, kafka_offset, projector_version, ingested_at
FROM {database}.events;
