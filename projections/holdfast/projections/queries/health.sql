-- How are the projections: rows, open dead letters, last event?
SELECT (SELECT count() FROM holdfast.events) AS rows,
       (SELECT max(ingested_at) FROM holdfast.events_by_time) AS last_ingest,
       (SELECT count() FROM holdfast.dead_letters FINAL WHERE state = 'open') AS open_dead_letters,
       (SELECT count() FROM holdfast.request_rejections FINAL) AS rejections,
       (SELECT count() FROM holdfast.expired_events FINAL) AS expired_events,
       (SELECT count() FROM holdfast.schema_migrations FINAL WHERE status = 'completed') AS migrations
