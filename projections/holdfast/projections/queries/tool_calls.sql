-- Which tool calls did one workflow make, attempt by attempt?
-- parameter tenant: String = default
-- parameter workflow: String
SELECT effect_key, attempt, step, visit, turn, call_index, tool, effect, status, approval_id, action_hash, duration_ms,
       outcome, evidence, searches, searched_at, resolved_at, resolved_by, error_class, error_message, retry_at,
       requested_at, completed_at, failed_at, unknown_at, late_at, executor_id
FROM holdfast.v_tool_calls
WHERE tenant = {tenant:String} AND startsWith(effect_key, concat({tenant:String}, '/', {workflow:String}, '/'))
ORDER BY first_sequence
