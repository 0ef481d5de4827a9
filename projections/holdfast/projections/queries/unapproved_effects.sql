-- Which calls used an approval that does not cover them: not approved, another action, or decided later?
-- parameter tenant: String = ''
SELECT t.tenant AS tenant, t.workflow_id AS workflow_id, t.effect_key AS effect_key, t.attempt AS attempt,
       t.tool AS tool, t.approval_id AS approval_id, a.decision AS decision,
       t.action_hash != a.decided_hash AS other_action, a.decided_at > t.requested_at AS decided_later
FROM (SELECT * FROM holdfast.v_tool_calls WHERE approval_id != '') AS t
LEFT JOIN holdfast.v_approvals AS a
  ON a.tenant = t.tenant AND a.workflow_id = t.workflow_id AND a.approval_id = t.approval_id
WHERE ({tenant:String} = '' OR t.tenant = {tenant:String})
  AND (a.decision != 'approve' OR other_action OR decided_later)
LIMIT 1000
