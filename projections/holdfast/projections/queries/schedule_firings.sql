-- What became of the last firings of a schedule, the latest first?
-- parameter tenant: String = default
-- parameter schedule: String
-- parameter limit: UInt32 = 20
WITH fired AS
(
    SELECT recorded_at, workflow_id, sequence, due_at, decision, JSONExtractString(payload, 'child_id') AS child
    FROM holdfast.events FINAL
    WHERE tenant = {tenant:String} AND startsWith(workflow_id, concat('schedule:', {schedule:String}, ':'))
      AND type = 'ScheduleFired'
    ORDER BY recorded_at DESC, workflow_id DESC, sequence DESC
    LIMIT {limit:UInt32}
)
SELECT f.due_at AS nominal_at, f.decision AS outcome, f.recorded_at AS acted_at, f.workflow_id AS schedule_id,
       f.child AS started_id, w.status AS started_status, n.error_class AS refused
FROM fired AS f
LEFT JOIN
(
    SELECT workflow_id, status FROM holdfast.v_workflows
    WHERE tenant = {tenant:String} AND workflow_id IN (SELECT child FROM fired)
) AS w ON w.workflow_id = f.child
LEFT JOIN
(
    SELECT workflow_id, JSONExtractString(payload, 'child_id') AS child, max(error_class) AS error_class
    FROM holdfast.events
    WHERE tenant = {tenant:String} AND startsWith(workflow_id, concat('schedule:', {schedule:String}, ':'))
      AND type = 'ChildEnded' AND decision = 'rejected'
    GROUP BY workflow_id, child
) AS n ON n.workflow_id = f.workflow_id AND n.child = f.child
ORDER BY acted_at DESC, schedule_id DESC, f.sequence DESC
