-- Which schedules are there, and where does each stand?
-- parameter tenant: String = ''
-- parameter schedule: String = ''
WITH runs AS
(
    SELECT tenant, splitByChar(':', workflow_id)[2] AS name,
           max(toUInt32OrZero(splitByChar(':', workflow_id)[3])) AS number,
           concat('schedule:', name, ':', toString(number)) AS run_id
    FROM holdfast.workflows
    WHERE startsWith(workflow_id, concat('schedule:', {schedule:String}, if({schedule:String} = '', '', ':')))
      AND ({tenant:String} = '' OR tenant = {tenant:String})
    GROUP BY tenant, name
)
SELECT r.tenant AS tenant, r.name AS name, r.number AS number, r.run_id AS workflow_id, w.status AS status,
       if(a.moved_to != '', a.moved_to, w.definition_hash) AS running_hash, w.started_at AS started_at,
       a.ended_at AS ended_at, a.reason AS reason, a.acted_by AS acted_by, f.acted_to AS acted_to, f.started AS started,
       f.last_nominal_at AS last_nominal_at, f.last_outcome AS last_outcome
FROM runs AS r
INNER JOIN
(
    SELECT tenant, workflow_id, maxIf(due_at, decision != 'triggered') AS acted_to,
           uniqExactIf(sequence, decision IN ('started', 'triggered')) AS started,
           argMaxIf(due_at, sequence, type = 'ScheduleFired') AS last_nominal_at,
           argMaxIf(decision, sequence, type = 'ScheduleFired') AS last_outcome
    FROM holdfast.events
    WHERE (tenant, workflow_id) IN (SELECT tenant, run_id FROM runs) AND type IN ('ScheduleStarted', 'ScheduleFired')
    GROUP BY tenant, workflow_id
) AS f ON f.tenant = r.tenant AND f.workflow_id = r.run_id
INNER JOIN
(
    SELECT tenant, workflow_id, status, definition_hash, started_at FROM holdfast.v_workflows
    WHERE (tenant, workflow_id) IN (SELECT tenant, run_id FROM runs)
) AS w ON w.tenant = r.tenant AND w.workflow_id = r.run_id
LEFT JOIN
(
    SELECT tenant, workflow_id,
           argMaxIf(JSONExtractString(payload, 'to_definition_hash'), sequence, type = 'WorkflowMigrated') AS moved_to,
           argMaxIf(JSONExtractString(payload, 'reason'), sequence, type != 'WorkflowMigrated') AS reason,
           argMaxIf(actor_id, sequence, type != 'WorkflowMigrated') AS acted_by,
           maxIf(recorded_at, type IN ('WorkflowCompleted', 'WorkflowFailed', 'WorkflowCancelled')) AS ended_at
    FROM holdfast.events
    WHERE (tenant, workflow_id) IN (SELECT tenant, run_id FROM runs)
      AND type IN ('WorkflowMigrated', 'WorkflowPaused', 'WorkflowResumed', 'WorkflowCompleted', 'WorkflowFailed',
                   'WorkflowCancelled')
    GROUP BY tenant, workflow_id
) AS a ON a.tenant = r.tenant AND a.workflow_id = r.run_id
ORDER BY tenant, name
LIMIT 1000
