-- Which workflows do not go on, and why?
-- parameter tenant: String = ''
-- parameter idle_minutes: UInt32 = 30
WITH now64(3, 'UTC') AS now
SELECT w.tenant AS tenant, w.workflow_id AS workflow_id, w.definition_name AS definition_name, w.status AS status,
       w.last_error AS last_error, w.closing_outcome AS closing_outcome, w.step AS step, w.parent_id AS parent_id, w.last_type AS last_type, w.updated_at AS updated_at,
       w.deadline_at AS deadline_at,
       multiIf(w.status = 'blocked', 'blocked', w.closing_at > 0, 'closing',
               w.deadline_at > 0 AND w.deadline_at < now, 'deadline_passed',
               w.status = 'paused', 'paused', o.timers_overdue > 0, 'timer_overdue',
               o.approvals_overdue > 0, 'approval_overdue', o.calls > 0, 'call_open',
               o.not_started > 0, 'child_not_started', o.not_told > 0, 'child_ended_unheard', 'nothing_owed') AS reason
FROM holdfast.v_workflows AS w
LEFT JOIN
(
    SELECT tenant, workflow_id,
           countIf(kind = 'timer' AND until < now) AS timers_overdue,
           countIf(kind = 'approval' AND until < now) AS approvals_overdue,
           countIf(kind IN ('tool_call', 'model_call')) AS calls,
           countIf(kind = 'child' AND child_status = '') AS not_started,
           countIf(kind = 'child' AND child_status IN ('completed', 'failed', 'cancelled')) AS not_told,
           countIf(kind IN ('timer', 'approval', 'retry') AND until >= now)
           + countIf(kind = 'child' AND child_status NOT IN ('', 'completed', 'failed', 'cancelled')) AS ahead
    FROM
    (
        SELECT o.tenant AS tenant, o.workflow_id AS workflow_id, o.kind AS kind, o.until AS until,
               c.status AS child_status
        FROM holdfast.v_open AS o
        LEFT JOIN holdfast.v_workflows AS c ON c.tenant = o.tenant AND c.workflow_id = o.id
    )
    GROUP BY tenant, workflow_id
) AS o ON o.tenant = w.tenant AND o.workflow_id = w.workflow_id
WHERE ({tenant:String} = '' OR w.tenant = {tenant:String})
  AND w.status NOT IN ('completed', 'failed', 'cancelled')
  AND (w.status = 'blocked' OR (w.closing_at = 0 AND w.deadline_at > 0 AND w.deadline_at < now)
       OR (w.updated_at < now - toIntervalMinute({idle_minutes:UInt32}) AND (w.status = 'paused' OR o.ahead = 0)))
ORDER BY w.updated_at
LIMIT 1000
