-- Who has to decide what, the most urgent first?
-- parameter tenant: String = ''
WITH asked AS
(
    SELECT * FROM holdfast.v_approvals WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND status = 'open'
)
SELECT a.tenant AS tenant, a.workflow_id AS workflow_id, a.approval_id AS approval_id,
       a.definition_name AS definition_name, a.step AS step, a.tool AS tool, a.summary AS summary, a.roles AS roles,
       a.action_hash AS action_hash, a.requested_at AS requested_at, a.expires_at AS expires_at
FROM asked AS a
LEFT ANTI JOIN
(
    SELECT tenant, workflow_id FROM holdfast.v_workflows WHERE status IN ('completed', 'failed', 'cancelled')
) AS ended ON ended.tenant = a.tenant AND ended.workflow_id = a.workflow_id
LEFT ANTI JOIN
(
    SELECT tenant, workflow_id, step, visit FROM holdfast.v_steps
    WHERE (tenant, workflow_id) IN (SELECT tenant, workflow_id FROM asked) AND status != 'running'
      AND (tenant, workflow_id, step, visit) NOT IN
          (
              SELECT tenant, workflow_id, step, visit FROM holdfast.v_compensations
              WHERE (tenant, workflow_id) IN (SELECT tenant, workflow_id FROM asked) AND status = 'running'
          )
) AS left ON left.tenant = a.tenant AND left.workflow_id = a.workflow_id AND left.step = a.step AND left.visit = a.visit
ORDER BY expires_at, tenant, workflow_id
LIMIT 1000
