-- What did workflows do that can be undone, and what of it is undone?
-- parameter tenant: String = ''
-- parameter workflow: String = ''
-- parameter status: String = ''
SELECT tenant, workflow_id, step, visit, status, tool, effect, arguments, effect_key, registered_at, bound_at, started_at,
       ended_at, skipped_at, skipped_by, error_class, error_message, action_hash
FROM holdfast.v_compensations
WHERE ({tenant:String} = '' OR tenant = {tenant:String})
  AND ({workflow:String} = '' OR workflow_id = {workflow:String})
  AND ({status:String} = '' OR status = {status:String})
ORDER BY tenant, workflow_id, first_sequence
LIMIT 1000
