-- Which workflows did one workflow start, and they in turn, and where does each stand?
-- parameter tenant: String = default
-- parameter workflow: String
-- parameter levels: UInt32 = 100
-- parameter limit: UInt32 = 1000
WITH RECURSIVE tree AS
(
    SELECT workflow_id AS parent_id, child_id, step, visit, item_index, start_step, requested_at, ended_at, outcome,
           error_class, error_message, toUInt32(1) AS level, [(first_sequence, child_id)] AS path
    FROM holdfast.v_children
    WHERE tenant = {tenant:String} AND workflow_id = {workflow:String}
    UNION ALL
    SELECT c.workflow_id, c.child_id, c.step, c.visit, c.item_index, c.start_step, c.requested_at, c.ended_at, c.outcome,
           c.error_class, c.error_message, t.level + 1, arrayPushBack(t.path, (c.first_sequence, c.child_id))
    FROM
    (
        SELECT * FROM holdfast.v_children
        WHERE tenant = {tenant:String} AND workflow_id IN (SELECT child_id FROM tree)
    ) AS c
    INNER JOIN tree AS t ON c.workflow_id = t.child_id
    WHERE t.level < {levels:UInt32}
)
SELECT t.level AS level, t.parent_id AS parent_id, t.child_id AS workflow_id, t.step AS step, t.visit AS visit,
       t.item_index AS item_index, t.start_step AS start_step, w.definition_name AS definition_name,
       multiIf(w.status != '', w.status, t.outcome != '', t.outcome, 'requested') AS status, w.step AS at_step,
       t.requested_at AS requested_at, t.ended_at AS ended_at, t.outcome AS outcome,
       if(t.error_class != '', t.error_class, w.last_error) AS error_class, t.error_message AS error_message,
       w.updated_at AS updated_at
FROM tree AS t
LEFT JOIN
(
    SELECT workflow_id, definition_name, status, step, last_error, updated_at FROM holdfast.v_workflows
    WHERE tenant = {tenant:String} AND workflow_id IN (SELECT child_id FROM tree)
) AS w ON w.workflow_id = t.child_id
ORDER BY t.path
LIMIT {limit:UInt32}
