-- Which steps did one workflow enter, and how did each end?
-- parameter tenant: String = default
-- parameter workflow: String
SELECT s.step AS step, s.visit AS visit, kind, scope, status, started_at, s.ended_at AS ended_at, duration_ms, timeout_at,
       next_step, s.error_class AS error_class, s.error_message AS error_message, reason, item_count,
       c.items_ended AS items_ended, c.items_failed AS items_failed, s.first_sequence AS first_sequence, last_sequence
FROM holdfast.v_steps AS s
LEFT JOIN
(
    SELECT step, visit, countIf(ended_at > 0) AS items_ended,
           countIf(ended_at > 0 AND outcome != 'completed') AS items_failed
    FROM holdfast.v_children WHERE tenant = {tenant:String} AND workflow_id = {workflow:String} AND start_step != ''
    GROUP BY step, visit
) AS c ON c.step = s.step AND c.visit = s.visit
WHERE s.tenant = {tenant:String} AND s.workflow_id = {workflow:String}
ORDER BY first_sequence
