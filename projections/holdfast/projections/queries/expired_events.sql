-- Which published events did nobody wait for in time?
-- parameter tenant: String = ''
-- parameter limit: UInt32 = 100
SELECT expires_at, tenant, event_type, correlation, source_id, published_at, repeats, payload
FROM holdfast.expired_events FINAL
WHERE ({tenant:String} = '' OR tenant = {tenant:String})
ORDER BY expires_at DESC, tenant, event_type, source_id
LIMIT {limit:UInt32}
