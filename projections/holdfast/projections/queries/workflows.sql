-- Which workflows are there, the latest first: those that people or systems started (top), children, or all?
-- parameter tenant: String = ''
-- parameter status: String = ''
-- parameter definition: String = ''
-- parameter since: DateTime64(3) = 1970-01-01 00:00:00
-- parameter which: String = top
-- parameter parent: String = ''
-- parameter limit: UInt32 = 100
WITH found AS
(
    SELECT tenant, workflow_id, definition_name, status, step, last_type, last_error, started_at, updated_at,
           deadline_at, last_sequence, parent_id, parent_step, item_index, depth, forked_from,
           forked_at
    FROM holdfast.v_workflows
    WHERE ({tenant:String} = '' OR tenant = {tenant:String})
      AND ({status:String} = '' OR status = {status:String})
      AND ({definition:String} = '' OR definition_name = {definition:String})
      AND updated_at >= {since:DateTime64(3)}
      AND multiIf({parent:String} != '', parent_id = {parent:String}, {which:String} = 'top', parent_id = '',
                  {which:String} = 'children', parent_id != '', {which:String} = 'all')
    ORDER BY updated_at DESC, tenant, workflow_id
    LIMIT {limit:UInt32}
)
SELECT f.*, s.steps AS steps
FROM found AS f
LEFT JOIN
(
    SELECT tenant, workflow_id, arraySort(groupArray(toString(step))) AS steps FROM holdfast.v_steps
    WHERE (tenant, workflow_id) IN (SELECT tenant, workflow_id FROM found) AND status = 'running' AND kind != 'parallel'
    GROUP BY tenant, workflow_id
) AS s ON s.tenant = f.tenant AND s.workflow_id = f.workflow_id
ORDER BY f.updated_at DESC, f.tenant, f.workflow_id
