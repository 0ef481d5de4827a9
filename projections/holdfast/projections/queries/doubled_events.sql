-- Which events that were published for the first who waits ended more than one wait?
-- parameter tenant: String = ''
SELECT tenant, kind AS event_type, JSONExtractString(payload, 'correlation') AS correlation,
       JSONExtractString(payload, 'source_id') AS source_id, uniqExact(workflow_id, wait_id) AS waits,
       groupUniqArray((workflow_id, wait_id)) AS ended
FROM holdfast.events FINAL
WHERE type = 'EventReceived' AND decision = 'first' AND ({tenant:String} = '' OR tenant = {tenant:String})
GROUP BY tenant, event_type, correlation, source_id
HAVING waits > 1
ORDER BY waits DESC, source_id
LIMIT 1000
