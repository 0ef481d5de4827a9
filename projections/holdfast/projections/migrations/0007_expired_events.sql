-- Published events that nobody waited for in time.
CREATE TABLE IF NOT EXISTS {database}.expired_events
(
    tenant LowCardinality(String),
    event_id UUID,
    event_type LowCardinality(String),
    correlation String CODEC(ZSTD(1)),
    source_id String,
    correlation_id String,
    payload String CODEC(ZSTD(1)),
    published_at DateTime64(3, 'UTC'),
    expires_at DateTime64(3, 'UTC'),
    repeats UInt32,
    topic LowCardinality(String),
    kafka_partition UInt32,
    kafka_offset UInt64,
    ingested_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(ingested_at)
ORDER BY (tenant, event_type, correlation, source_id, event_id)
SETTINGS non_replicated_deduplication_window = 0;
