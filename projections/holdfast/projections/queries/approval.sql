-- What is one approval about, who decided it, and which call used it?
-- parameter tenant: String = default
-- parameter workflow: String
-- parameter approval: String
SELECT a.*, decided_hash != '' AND decided_hash != action_hash AS decided_other_action
FROM holdfast.v_approvals AS a
WHERE tenant = {tenant:String} AND workflow_id = {workflow:String} AND approval_id = {approval:String}
