-- Which errors occur, how often, and did the retries heal them?
-- parameter tenant: String = ''
-- parameter since: DateTime64(3) = 1970-01-01 00:00:00
SELECT e.tenant AS tenant, e.definition_name AS definition_name, e.step AS step, e.error_class AS error_class,
       e.type AS type, count() AS errors, uniqExact(e.workflow_id) AS workflows,
       countIf(e.retry_at > 0) AS retried, countIf(s.status = 'completed') AS step_completed_later,
       max(e.recorded_at) AS last_at, argMax(e.error_message, e.recorded_at) AS last_message
FROM (SELECT * FROM holdfast.errors FINAL) AS e
LEFT JOIN holdfast.v_steps AS s
  ON s.tenant = e.tenant AND s.workflow_id = e.workflow_id AND s.step = e.step AND s.visit = e.visit
WHERE ({tenant:String} = '' OR e.tenant = {tenant:String}) AND e.recorded_at >= {since:DateTime64(3)}
GROUP BY tenant, definition_name, step, error_class, type
ORDER BY errors DESC, tenant, definition_name, step, error_class, type
LIMIT 1000
