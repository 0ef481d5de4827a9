-- Has every record of the journal arrived: rows, gaps and repeats by partition?
SELECT topic, kafka_partition, sum(is_event) AS rows, min(kafka_offset) AS first_offset, max(kafka_offset) AS last_offset,
       uniqExact(kafka_offset) AS offsets, last_offset - first_offset + 1 - offsets AS missing_offsets,
       rows - uniqExactIf(kafka_offset, is_event = 1) AS unmerged_doubles,
       uniqExactIf(kafka_offset, is_event = 1) - uniqExactIf(event_id, is_event = 1) AS repeated_events,
       uniqExactIf(kafka_offset, is_event = 0) AS unreadable, max(seen_at) AS last_ingest
FROM
(
    SELECT topic, kafka_partition, kafka_offset, event_id, 1 AS is_event, ingested_at AS seen_at
    FROM holdfast.events_by_time
    UNION ALL
    SELECT topic, kafka_partition, kafka_offset, toUUID('00000000-0000-0000-0000-000000000000'), 0, ingested_at
    FROM holdfast.dead_letters WHERE endsWith(topic, 'journal') AND stage IN ('decode', 'insert')
)
GROUP BY topic, kafka_partition
ORDER BY topic, kafka_partition
