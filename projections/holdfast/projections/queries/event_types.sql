-- How many events of each type are there?
-- parameter tenant: String = ''
-- parameter since: DateTime64(3) = 1970-01-01 00:00:00
SELECT type, uniqExact(event_id) AS events, uniqExact(workflow_id) AS workflows, min(recorded_at) AS first_at,
       max(recorded_at) AS last_at
FROM holdfast.events_by_time
WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND recorded_at >= {since:DateTime64(3)}
GROUP BY type
ORDER BY events DESC, type
