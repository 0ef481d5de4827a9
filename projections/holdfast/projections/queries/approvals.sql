-- Who approved what, how long did it take, and what came of it?
-- parameter tenant: String = ''
-- parameter since: DateTime64(3) = 1970-01-01 00:00:00
SELECT tenant, workflow_id, approval_id, definition_name, tool, status, decision, decided_by, comment, requested_by,
       requested_at, decided_at, dateDiff('second', requested_at, decided_at) AS wait_s, expires_at,
       decided_by = requested_by AS decided_by_requester, used_by, used_at, action_hash
FROM holdfast.v_approvals
WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND requested_at >= {since:DateTime64(3)} AND status IN ('decided', 'expired')
ORDER BY requested_at DESC, tenant, workflow_id
LIMIT 1000
