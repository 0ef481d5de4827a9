-- Which workflows say that they were forked after an event that is not in the history that they name?
-- parameter tenant: String = ''
WITH forked AS
(
    SELECT tenant, workflow_id, forked_from, forked_at, JSONExtractString(payload, 'source_hash') AS source_hash
    FROM holdfast.events FINAL
    WHERE type = 'WorkflowForked' AND payload != '' AND ({tenant:String} = '' OR tenant = {tenant:String})
)
SELECT f.tenant AS tenant, f.workflow_id AS workflow_id, f.forked_from AS forked_from, f.forked_at AS forked_at,
       f.source_hash AS source_hash
FROM forked AS f
LEFT ANTI JOIN
(
    SELECT tenant, workflow_id, sequence, lower(hex(hash)) AS hash FROM holdfast.events
    WHERE (tenant, workflow_id, sequence) IN (SELECT tenant, forked_from, forked_at FROM forked)
) AS s ON s.tenant = f.tenant AND s.workflow_id = f.forked_from AND s.sequence = f.forked_at AND s.hash = f.source_hash
ORDER BY tenant, workflow_id
LIMIT 1000
