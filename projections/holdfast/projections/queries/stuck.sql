-- Which workflows do not go on, and why?
-- parameter tenant: String = ''
-- parameter idle_minutes: UInt32 = 30
WITH now64(3, 'UTC') AS now
SELECT w.tenant AS tenant, w.workflow_id AS workflow_id, w.definition_name AS definition_name, w.status AS status,
       w.step AS step, w.last_type AS last_type, w.updated_at AS updated_at, w.deadline_at AS deadline_at,
       multiIf(w.status = 'blocked', 'blocked', w.deadline_at > 0 AND w.deadline_at < now, 'deadline_passed',
               t.overdue > 0, 'timer_overdue', a.overdue > 0, 'approval_overdue', c.open > 0, 'call_open',
               'nothing_owed') AS reason
FROM holdfast.v_workflows AS w
LEFT JOIN
(
    SELECT tenant, workflow_id, countIf(due_at < now) AS overdue, countIf(due_at >= now) AS ahead
    FROM holdfast.v_timers WHERE state = 'waiting' GROUP BY tenant, workflow_id
) AS t ON t.tenant = w.tenant AND t.workflow_id = w.workflow_id
LEFT JOIN
(
    SELECT tenant, workflow_id, countIf(expires_at < now) AS overdue, countIf(expires_at >= now) AS ahead
    FROM holdfast.v_approvals WHERE status = 'open' GROUP BY tenant, workflow_id
) AS a ON a.tenant = w.tenant AND a.workflow_id = w.workflow_id
LEFT JOIN
(
    SELECT tenant, workflow_id, countIf(status = 'open') AS open, countIf(retry_at >= now) AS ahead
    FROM
    (
        SELECT tenant, workflow_id, status, retry_at FROM holdfast.v_tool_calls
        UNION ALL
        SELECT tenant, workflow_id, status, retry_at FROM holdfast.v_model_calls
    )
    GROUP BY tenant, workflow_id
) AS c ON c.tenant = w.tenant AND c.workflow_id = w.workflow_id
WHERE ({tenant:String} = '' OR w.tenant = {tenant:String})
  AND w.status NOT IN ('completed', 'failed', 'cancelled')
  AND (w.status = 'blocked' OR (w.deadline_at > 0 AND w.deadline_at < now)
       OR (w.updated_at < now - toIntervalMinute({idle_minutes:UInt32}) AND t.ahead + a.ahead + c.ahead = 0))
ORDER BY w.updated_at
LIMIT 1000
