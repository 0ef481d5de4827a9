-- Which model calls did one workflow make, and what did they cost?
-- parameter tenant: String = default
-- parameter workflow: String
SELECT effect_key, attempt, step, visit, turn, status, requested_model, model, provider, finish_reason, input_tokens,
       output_tokens, cached_tokens, cost_microusd, duration_ms, http_status, error_class, error_message, retry_at,
       requested_at, completed_at, failed_at, executor_id
FROM holdfast.v_model_calls
WHERE tenant = {tenant:String} AND startsWith(effect_key, concat({tenant:String}, '/', {workflow:String}, '/'))
ORDER BY first_sequence
