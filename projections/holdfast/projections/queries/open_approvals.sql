-- Who has to decide what, the most urgent first?
-- parameter tenant: String = ''
SELECT a.tenant AS tenant, a.workflow_id AS workflow_id, a.approval_id AS approval_id,
       a.definition_name AS definition_name, a.step AS step, a.tool AS tool, a.summary AS summary, a.roles AS roles,
       a.action_hash AS action_hash, a.requested_at AS requested_at, a.expires_at AS expires_at
FROM holdfast.v_approvals AS a
LEFT ANTI JOIN
(
    SELECT tenant, workflow_id FROM holdfast.v_workflows WHERE status IN ('completed', 'failed', 'cancelled')
) AS ended ON ended.tenant = a.tenant AND ended.workflow_id = a.workflow_id
WHERE ({tenant:String} = '' OR a.tenant = {tenant:String}) AND a.status = 'open'
ORDER BY expires_at, tenant, workflow_id
LIMIT 1000
