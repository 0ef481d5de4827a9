-- Of which workflows do the tables know a later event than the audit trail holds?
-- parameter tenant: String = ''
SELECT w.tenant AS tenant, w.workflow_id AS workflow_id, w.last_sequence AS known_sequence, e.stored AS stored_sequence
FROM holdfast.v_workflows AS w
LEFT JOIN
(
    SELECT tenant, workflow_id, max(sequence) AS stored FROM holdfast.events GROUP BY tenant, workflow_id
) AS e ON e.tenant = w.tenant AND e.workflow_id = w.workflow_id
WHERE ({tenant:String} = '' OR w.tenant = {tenant:String}) AND w.last_sequence != e.stored
ORDER BY tenant, workflow_id
LIMIT 1000
