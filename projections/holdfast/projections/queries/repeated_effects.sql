-- Which tool calls took effect more than once?
-- parameter tenant: String = ''
SELECT tenant, workflow_id, effect_key, max(v.tool) AS tool, max(v.effect) AS effect,
       countIf(completed_at > 0) AS completed, countIf(late_at > 0) AS late,
       countIf(outcome IN ('done', 'found') AND completed_at = 0 AND late_at = 0) AS seen_only,
       completed + late + seen_only AS executions,
       groupArray((attempt, executor_id, completed_at, late_at, outcome)) AS attempts
FROM holdfast.v_tool_calls AS v
WHERE ({tenant:String} = '' OR tenant = {tenant:String})
GROUP BY tenant, workflow_id, effect_key
HAVING executions > 1
ORDER BY executions DESC, effect_key
LIMIT 1000
