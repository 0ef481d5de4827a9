-- Which calls were made without a recorded intent?
-- parameter tenant: String = ''
SELECT tenant, workflow_id, effect_key, attempt, 'tool' AS kind, status
FROM holdfast.v_tool_calls
WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND requested_at = 0
UNION ALL
SELECT tenant, workflow_id, effect_key, attempt, 'model' AS kind, status
FROM holdfast.v_model_calls
WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND requested_at = 0
LIMIT 1000
