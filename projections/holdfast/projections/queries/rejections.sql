-- Which requests were refused, and why?
-- parameter tenant: String = ''
-- parameter limit: UInt32 = 100
SELECT occurred_at, tenant, workflow_id, code, message, request_type, request_id, actor_kind, actor_id
FROM holdfast.request_rejections FINAL
WHERE ({tenant:String} = '' OR tenant = {tenant:String})
ORDER BY occurred_at DESC, tenant, workflow_id, request_id
LIMIT {limit:UInt32}
