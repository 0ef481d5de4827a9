-- What did one person or process do?
-- parameter actor: String
-- parameter tenant: String = ''
-- parameter since: DateTime64(3) = 1970-01-01 00:00:00
SELECT recorded_at, tenant, workflow_id, sequence, type, step, status, actor_kind
FROM holdfast.events_by_time FINAL
WHERE actor_id = {actor:String} AND ({tenant:String} = '' OR tenant = {tenant:String})
  AND recorded_at >= {since:DateTime64(3)}
ORDER BY recorded_at, tenant, workflow_id, sequence
LIMIT 1 BY event_id
LIMIT 1000
