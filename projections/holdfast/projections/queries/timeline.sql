-- What happened in one workflow, in order?
-- parameter tenant: String = default
-- parameter workflow: String
SELECT sequence, recorded_at, type, step, visit, turn, attempt, status, tool, model, actor_kind, actor_id, error_class,
       error_message, due_at, duration_ms, cost_microusd, effect_key, cause_offset, payload, toString(event_id) AS event_id
FROM holdfast.events FINAL
WHERE tenant = {tenant:String} AND workflow_id = {workflow:String}
ORDER BY sequence, kafka_offset
