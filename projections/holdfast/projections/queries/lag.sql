-- How long does an event take from the broker to its row?
-- parameter since: DateTime64(3) = 1970-01-01 00:00:00
SELECT count() AS events,
       quantilesExact(0.5, 0.95, 0.99, 1)(dateDiff('millisecond', recorded_at, ingested_at)) AS quantiles,
       quantiles[1] AS p50_ms, quantiles[2] AS p95_ms, quantiles[3] AS p99_ms, quantiles[4] AS max_ms
FROM holdfast.events_by_time
WHERE recorded_at >= {since:DateTime64(3)}
