-- Which branches did the parallel steps of one workflow have, and how did each end?
-- parameter tenant: String = default
-- parameter workflow: String
SELECT step, visit, branch, status, started_at, ended_at, duration_ms, error_class, error_message
FROM holdfast.v_branches
WHERE tenant = {tenant:String} AND workflow_id = {workflow:String}
ORDER BY first_sequence, step, visit, branch
