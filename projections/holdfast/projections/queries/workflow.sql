-- Where does one workflow stand, what does it wait for, what has it cost?
-- parameter tenant: String = default
-- parameter workflow: String
WITH undone AS
(
    SELECT step, visit, tool, status FROM holdfast.v_compensations
    WHERE tenant = {tenant:String} AND workflow_id = {workflow:String}
),
ended AS
(
    SELECT step, visit FROM holdfast.v_steps
    WHERE tenant = {tenant:String} AND workflow_id = {workflow:String} AND status != 'running'
      AND (step, visit) NOT IN (SELECT step, visit FROM undone WHERE status = 'running')
),
calls AS
(
    SELECT effect_key, attempt, status, cost_microusd, input_tokens, output_tokens, (step, visit) IN ended AS over
    FROM holdfast.v_model_calls
    WHERE tenant = {tenant:String} AND startsWith(effect_key, concat({tenant:String}, '/', {workflow:String}, '/'))
),
tools AS
(
    SELECT effect_key, tool, attempt, status, (step, visit) IN ended AS over FROM holdfast.v_tool_calls
    WHERE tenant = {tenant:String} AND startsWith(effect_key, concat({tenant:String}, '/', {workflow:String}, '/'))
)
SELECT w.*,
       (SELECT groupArray((timer_id, kind, due_at)) FROM holdfast.v_timers
        WHERE tenant = {tenant:String} AND workflow_id = {workflow:String} AND state = 'waiting'
          AND (step, visit) NOT IN ended) AS waiting_timers,
       (SELECT groupArray((approval_id, tool, expires_at)) FROM holdfast.v_approvals
        WHERE tenant = {tenant:String} AND workflow_id = {workflow:String} AND status = 'open'
          AND (step, visit) NOT IN ended) AS open_approvals,
       (SELECT groupArray((effect_key, tool, attempt)) FROM tools WHERE status = 'open' AND NOT over) AS open_tool_calls,
       (SELECT groupArray((effect_key, attempt)) FROM calls WHERE status = 'open' AND NOT over) AS open_model_calls,
       (SELECT groupArray((child_id, step, item_index)) FROM
        (
            SELECT child_id, step, item_index FROM holdfast.v_children
            WHERE tenant = {tenant:String} AND workflow_id = {workflow:String} AND ended_at = 0 AND released_at = 0
              AND (step, visit) NOT IN ended
            ORDER BY first_sequence
        )) AS open_children,
       (SELECT groupArray((step, visit, tool, status)) FROM undone) AS compensations,
       (SELECT sum(cost_microusd) FROM calls) AS cost_microusd,
       (SELECT sum(input_tokens + output_tokens) FROM calls) AS tokens
FROM holdfast.v_workflows AS w
WHERE w.tenant = {tenant:String} AND w.workflow_id = {workflow:String}
