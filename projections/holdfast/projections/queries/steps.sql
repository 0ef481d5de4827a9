-- Which steps did one workflow enter, and how did each end?
-- parameter tenant: String = default
-- parameter workflow: String
SELECT step, visit, kind, status, started_at, ended_at, duration_ms, timeout_at, next_step, error_class, error_message,
       first_sequence, last_sequence
FROM holdfast.v_steps
WHERE tenant = {tenant:String} AND workflow_id = {workflow:String}
ORDER BY first_sequence
