-- Work side by side: branches, items and child workflows; steps that were cancelled or skipped; what belongs to which
-- visit of a step, so that nothing of a step that has ended looks open.
ALTER TABLE {database}.events ADD COLUMN IF NOT EXISTS scope LowCardinality(String) CODEC(ZSTD(1)) AFTER due_at,
    ADD COLUMN IF NOT EXISTS branch LowCardinality(String) AFTER scope,
    ADD COLUMN IF NOT EXISTS reason LowCardinality(String) AFTER branch,
    ADD COLUMN IF NOT EXISTS parent_id String CODEC(ZSTD(1)) AFTER reason,
    ADD COLUMN IF NOT EXISTS parent_step LowCardinality(String) AFTER parent_id,
    ADD COLUMN IF NOT EXISTS depth UInt32 AFTER parent_step,
    ADD COLUMN IF NOT EXISTS start_step LowCardinality(String) AFTER depth,
    ADD COLUMN IF NOT EXISTS child_id String CODEC(ZSTD(1)) AFTER start_step,
    ADD COLUMN IF NOT EXISTS item_count UInt32 AFTER child_id;

ALTER TABLE {database}.workflows ADD COLUMN IF NOT EXISTS parent_id SimpleAggregateFunction(max, String),
    ADD COLUMN IF NOT EXISTS parent_step SimpleAggregateFunction(max, LowCardinality(String)),
    ADD COLUMN IF NOT EXISTS item_index SimpleAggregateFunction(max, UInt32),
    ADD COLUMN IF NOT EXISTS depth SimpleAggregateFunction(max, UInt32),
    ADD COLUMN IF NOT EXISTS start_step SimpleAggregateFunction(max, LowCardinality(String));

ALTER TABLE {database}.mv_workflows MODIFY QUERY
SELECT e.tenant, e.workflow_id,
       max(e.definition_name) AS definition_name, argMaxState(e.definition_hash, e.sequence) AS definition_hash,
       min(e.recorded_at) AS started_at, max(e.recorded_at) AS updated_at,
       maxIf(e.due_at, e.type = 'WorkflowStarted') AS deadline_at,
       max(e.sequence) AS last_sequence,
       argMaxStateIf(e.status, e.sequence, e.status != '') AS status,
       argMaxStateIf(e.step, e.sequence, e.step != '') AS step,
       argMaxState(e.type, e.sequence) AS last_type,
       argMaxStateIf(e.error_class, e.sequence, e.error_class != '' AND e.type != 'InputRejected') AS last_error,
       argMaxState(e.hash, e.sequence) AS head_hash,
       max(e.parent_id) AS parent_id, max(e.parent_step) AS parent_step,
       maxIf(e.call_index, e.type = 'WorkflowStarted') AS item_index,
       max(e.depth) AS depth, maxIf(e.start_step, e.type = 'WorkflowStarted') AS start_step
FROM {database}.events AS e GROUP BY tenant, workflow_id;

ALTER TABLE {database}.steps ADD COLUMN IF NOT EXISTS scope SimpleAggregateFunction(max, LowCardinality(String)),
    ADD COLUMN IF NOT EXISTS cancelled_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    ADD COLUMN IF NOT EXISTS skipped_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    ADD COLUMN IF NOT EXISTS reason SimpleAggregateFunction(max, LowCardinality(String)),
    ADD COLUMN IF NOT EXISTS item_count SimpleAggregateFunction(max, UInt32);

ALTER TABLE {database}.mv_steps MODIFY QUERY
SELECT e.tenant, e.workflow_id, e.step, e.visit,
       max(e.definition_name) AS definition_name, max(e.kind) AS kind,
       min(e.sequence) AS first_sequence, max(e.sequence) AS last_sequence,
       maxIf(e.recorded_at, e.type = 'StepStarted') AS started_at,
       maxIf(e.due_at, e.type = 'StepStarted') AS timeout_at,
       maxIf(e.recorded_at, e.type = 'StepCompleted') AS completed_at,
       maxIf(e.recorded_at, e.type = 'StepFailed') AS failed_at,
       max(e.next_step) AS next_step, max(e.error_class) AS error_class, max(e.error_message) AS error_message,
       max(e.scope) AS scope,
       maxIf(e.recorded_at, e.type = 'StepCancelled') AS cancelled_at,
       maxIf(e.recorded_at, e.type = 'StepSkipped') AS skipped_at,
       max(e.reason) AS reason, max(e.item_count) AS item_count
FROM {database}.events AS e
WHERE type IN ('StepStarted', 'StepCompleted', 'StepFailed', 'StepCancelled', 'StepSkipped', 'ItemsCounted')
GROUP BY tenant, workflow_id, step, visit;

ALTER TABLE {database}.approvals ADD COLUMN IF NOT EXISTS visit SimpleAggregateFunction(max, UInt32);

ALTER TABLE {database}.mv_approvals MODIFY QUERY
SELECT e.tenant, e.workflow_id, e.approval_id,
       max(e.definition_name) AS definition_name, maxIf(e.step, e.type = 'ApprovalRequested') AS step,
       maxIf(e.tool, e.type = 'ApprovalRequested') AS tool,
       maxIf(e.action_hash, e.type = 'ApprovalRequested') AS action_hash,
       maxIf(JSONExtractString(e.payload, 'summary'), e.type = 'ApprovalRequested') AS summary,
       maxIf(JSONExtractRaw(e.payload, 'arguments'), e.type = 'ApprovalRequested') AS arguments,
       maxIf(JSONExtractRaw(e.payload, 'roles'), e.type = 'ApprovalRequested') AS roles,
       maxIf(e.actor_id, e.type = 'ApprovalRequested') AS requested_by,
       maxIf(e.recorded_at, e.type = 'ApprovalRequested') AS requested_at,
       maxIf(e.due_at, e.type = 'ApprovalRequested') AS expires_at,
       maxIf(e.recorded_at, e.type = 'ApprovalDecided') AS decided_at,
       maxIf(e.actor_id, e.type = 'ApprovalDecided') AS decided_by,
       maxIf(e.action_hash, e.type = 'ApprovalDecided') AS decided_hash,
       max(e.decision) AS decision,
       maxIf(JSONExtractString(e.payload, 'comment'), e.type = 'ApprovalDecided') AS comment,
       maxIf(e.recorded_at, e.type = 'ApprovalExpired') AS expired_at,
       maxIf(e.recorded_at, e.type = 'ToolCallRequested') AS used_at,
       maxIf(e.effect_key, e.type = 'ToolCallRequested') AS used_by,
       maxIf(e.visit, e.type = 'ApprovalRequested') AS visit
FROM {database}.events AS e
WHERE approval_id != ''
GROUP BY tenant, workflow_id, approval_id;

ALTER TABLE {database}.timers ADD COLUMN IF NOT EXISTS visit SimpleAggregateFunction(max, UInt32);

ALTER TABLE {database}.mv_timers MODIFY QUERY
SELECT e.tenant, e.workflow_id, if(e.timer_id != '', e.timer_id, e.wait_id) AS timer_id,
       max(e.definition_name) AS definition_name, max(e.step) AS step,
       max(multiIf(e.type = 'TimerScheduled', 'sleep', e.type = 'WaitStarted', 'wait', '')) AS kind,
       maxIf(e.recorded_at, e.type IN ('TimerScheduled', 'WaitStarted')) AS set_at,
       max(e.due_at) AS due_at,
       maxIf(e.recorded_at, e.type = 'TimerFired') AS fired_at,
       maxIf(e.recorded_at, e.type = 'EventReceived') AS satisfied_at,
       max(e.visit) AS visit
FROM {database}.events AS e
WHERE type IN ('TimerScheduled', 'TimerFired', 'WaitStarted', 'EventReceived') AND (timer_id != '' OR wait_id != '')
GROUP BY tenant, workflow_id, timer_id;

-- What was given up is no error.
ALTER TABLE {database}.mv_errors MODIFY QUERY
SELECT tenant, recorded_at, error_class, workflow_id, sequence, event_id, type, definition_name, step, visit,
       effect_key, attempt, tool, error_message, http_status,
       if(type IN ('ModelCallFailed', 'ToolCallFailed'), due_at, toDateTime64(0, 3, 'UTC')) AS retry_at,
       projector_version
FROM {database}.events WHERE error_class != '' AND NOT (type = 'BranchEnded' AND decision = 'cancelled');

CREATE TABLE IF NOT EXISTS {database}.children
(
    tenant LowCardinality(String),
    workflow_id String CODEC(ZSTD(1)),
    child_id String CODEC(ZSTD(1)),
    step SimpleAggregateFunction(max, LowCardinality(String)),
    visit SimpleAggregateFunction(max, UInt32),
    item_index SimpleAggregateFunction(max, UInt32),
    start_step SimpleAggregateFunction(max, LowCardinality(String)),
    first_sequence SimpleAggregateFunction(min, UInt64),
    requested_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    limit_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    released_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    ended_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    outcome SimpleAggregateFunction(max, LowCardinality(String)),
    error_class SimpleAggregateFunction(max, LowCardinality(String)),
    error_message SimpleAggregateFunction(max, String)
)
ENGINE = AggregatingMergeTree
ORDER BY (tenant, workflow_id, child_id)
SETTINGS non_replicated_deduplication_window = 0;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.mv_children TO {database}.children AS
SELECT e.tenant, e.workflow_id, e.child_id,
       max(e.step) AS step, max(e.visit) AS visit, max(e.call_index) AS item_index, max(e.start_step) AS start_step,
       min(e.sequence) AS first_sequence,
       maxIf(e.recorded_at, e.type = 'ChildRequested') AS requested_at,
       maxIf(e.due_at, e.type = 'ChildRequested') AS limit_at,
       maxIf(e.recorded_at, e.type = 'ChildReleased') AS released_at,
       maxIf(e.recorded_at, e.type = 'ChildEnded') AS ended_at,
       max(e.decision) AS outcome, max(e.error_class) AS error_class, max(e.error_message) AS error_message
FROM {database}.events AS e WHERE type IN ('ChildRequested', 'ChildReleased', 'ChildEnded')
GROUP BY tenant, workflow_id, child_id;

CREATE TABLE IF NOT EXISTS {database}.branches
(
    tenant LowCardinality(String),
    workflow_id String CODEC(ZSTD(1)),
    step LowCardinality(String),
    visit UInt32,
    branch LowCardinality(String),
    first_sequence SimpleAggregateFunction(min, UInt64),
    started_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    ended_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    outcome SimpleAggregateFunction(max, LowCardinality(String)),
    error_class SimpleAggregateFunction(max, LowCardinality(String)),
    error_message SimpleAggregateFunction(max, String)
)
ENGINE = AggregatingMergeTree
ORDER BY (tenant, workflow_id, step, visit, branch)
SETTINGS non_replicated_deduplication_window = 0;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.mv_branches TO {database}.branches AS
SELECT e.tenant, e.workflow_id, e.step, e.visit, one AS branch,
       min(e.sequence) AS first_sequence,
       maxIf(e.recorded_at, e.type = 'BranchesStarted') AS started_at,
       maxIf(e.recorded_at, e.type = 'BranchEnded') AS ended_at,
       max(e.decision) AS outcome, max(e.error_class) AS error_class, max(e.error_message) AS error_message
FROM {database}.events AS e
ARRAY JOIN if(type = 'BranchesStarted', JSONExtract(payload, 'branches', 'Array(String)'), [toString(e.branch)]) AS one
WHERE type IN ('BranchesStarted', 'BranchEnded')
GROUP BY tenant, workflow_id, step, visit, branch;

CREATE OR REPLACE VIEW {database}.v_workflows AS
SELECT w.tenant AS tenant, w.workflow_id AS workflow_id, max(w.definition_name) AS definition_name,
       argMaxMerge(w.definition_hash) AS definition_hash, argMaxMerge(w.status) AS status, argMaxMerge(w.step) AS step,
       argMaxMerge(w.last_type) AS last_type, argMaxMerge(w.last_error) AS last_error,
       min(w.started_at) AS started_at, max(w.updated_at) AS updated_at, max(w.deadline_at) AS deadline_at,
       max(w.last_sequence) AS last_sequence, lower(hex(argMaxMerge(w.head_hash))) AS head_hash,
       max(w.parent_id) AS parent_id, max(w.parent_step) AS parent_step, max(w.item_index) AS item_index,
       max(w.depth) AS depth, max(w.start_step) AS start_step
FROM {database}.workflows AS w GROUP BY tenant, workflow_id;

CREATE OR REPLACE VIEW {database}.v_steps AS
SELECT s.tenant AS tenant, s.workflow_id AS workflow_id, s.step AS step, s.visit AS visit,
       max(s.definition_name) AS definition_name, max(s.kind) AS kind, min(s.first_sequence) AS first_sequence,
       max(s.last_sequence) AS last_sequence, max(s.started_at) AS started_at, max(s.timeout_at) AS timeout_at,
       max(s.completed_at) AS completed_at, max(s.failed_at) AS failed_at, max(s.cancelled_at) AS cancelled_at,
       max(s.skipped_at) AS skipped_at,
       multiIf(completed_at > 0, 'completed', failed_at > 0, 'failed', skipped_at > 0, 'skipped',
               cancelled_at > 0, 'cancelled', 'running') AS status,
       greatest(completed_at, failed_at, cancelled_at, skipped_at) AS ended_at,
       if(ended_at > started_at, dateDiff('millisecond', started_at, ended_at), 0) AS duration_ms,
       max(s.next_step) AS next_step, max(s.error_class) AS error_class, max(s.error_message) AS error_message,
       max(s.scope) AS scope, max(s.reason) AS reason, max(s.item_count) AS item_count
FROM {database}.steps AS s GROUP BY tenant, workflow_id, step, visit;

CREATE OR REPLACE VIEW {database}.v_approvals AS
SELECT a.tenant AS tenant, a.workflow_id AS workflow_id, a.approval_id AS approval_id,
       max(a.definition_name) AS definition_name, max(a.step) AS step, max(a.visit) AS visit, max(a.tool) AS tool,
       max(a.action_hash) AS action_hash, max(a.summary) AS summary, max(a.arguments) AS arguments,
       max(a.roles) AS roles, max(a.requested_by) AS requested_by, max(a.requested_at) AS requested_at,
       max(a.expires_at) AS expires_at, max(a.decided_at) AS decided_at, max(a.decided_by) AS decided_by,
       max(a.decided_hash) AS decided_hash, max(a.decision) AS decision, max(a.comment) AS comment,
       max(a.expired_at) AS expired_at, max(a.used_at) AS used_at, max(a.used_by) AS used_by,
       multiIf(decided_at > 0, 'decided', expired_at > 0, 'expired', requested_at = 0, 'never_requested', 'open')
           AS status
FROM {database}.approvals AS a GROUP BY tenant, workflow_id, approval_id;

CREATE OR REPLACE VIEW {database}.v_timers AS
SELECT t.tenant AS tenant, t.workflow_id AS workflow_id, t.timer_id AS timer_id,
       max(t.definition_name) AS definition_name, max(t.step) AS step, max(t.visit) AS visit, max(t.kind) AS kind,
       max(t.set_at) AS set_at, max(t.due_at) AS due_at, max(t.fired_at) AS fired_at,
       max(t.satisfied_at) AS satisfied_at,
       multiIf(satisfied_at > 0, 'satisfied', fired_at > 0, 'fired', 'waiting') AS state
FROM {database}.timers AS t GROUP BY tenant, workflow_id, timer_id;

CREATE VIEW IF NOT EXISTS {database}.v_children AS
SELECT c.tenant AS tenant, c.workflow_id AS workflow_id, c.child_id AS child_id, max(c.step) AS step,
       max(c.visit) AS visit, max(c.item_index) AS item_index, max(c.start_step) AS start_step,
       min(c.first_sequence) AS first_sequence, max(c.requested_at) AS requested_at, max(c.limit_at) AS limit_at,
       max(c.released_at) AS released_at, max(c.ended_at) AS ended_at, max(c.outcome) AS outcome,
       max(c.error_class) AS error_class, max(c.error_message) AS error_message
FROM {database}.children AS c GROUP BY tenant, workflow_id, child_id;

CREATE VIEW IF NOT EXISTS {database}.v_branches AS
SELECT b.tenant AS tenant, b.workflow_id AS workflow_id, b.step AS step, b.visit AS visit, b.branch AS branch,
       min(b.first_sequence) AS first_sequence, max(b.started_at) AS started_at, max(b.ended_at) AS ended_at,
       if(ended_at > 0, max(b.outcome), 'running') AS status,
       if(ended_at > started_at, dateDiff('millisecond', started_at, ended_at), 0) AS duration_ms,
       max(b.error_class) AS error_class, max(b.error_message) AS error_message
FROM {database}.branches AS b GROUP BY tenant, workflow_id, step, visit, branch;

-- What workflows wait for now: `number` is the attempt of a call and the index of an item, `until` 1970-01-01 without a
-- limit. What belongs to a visit of a step that has ended, however it did, is owed to nobody any more.
CREATE VIEW IF NOT EXISTS {database}.v_open AS
SELECT o.*
FROM
(
    SELECT 'timer' AS kind, tenant, workflow_id, step, visit, timer_id AS id, toString(v.kind) AS what,
           toUInt32(0) AS number, set_at AS since, due_at AS until
    FROM {database}.v_timers AS v WHERE state = 'waiting'
    UNION ALL
    SELECT 'approval', tenant, workflow_id, step, visit, approval_id, toString(tool), 0, requested_at, expires_at
    FROM {database}.v_approvals WHERE status = 'open'
    UNION ALL
    SELECT if(status = 'open', 'tool_call', 'retry'), tenant, workflow_id, step, visit, effect_key, toString(tool),
           attempt, requested_at, retry_at
    FROM {database}.v_tool_calls WHERE status = 'open' OR retry_at > now64(3)
    UNION ALL
    SELECT if(status = 'open', 'model_call', 'retry'), tenant, workflow_id, step, visit, effect_key,
           toString(requested_model), attempt, requested_at, retry_at
    FROM {database}.v_model_calls WHERE status = 'open' OR retry_at > now64(3)
    UNION ALL
    SELECT 'child', tenant, workflow_id, step, visit, child_id, toString(start_step), item_index, requested_at, limit_at
    FROM {database}.v_children WHERE ended_at = 0 AND released_at = 0
) AS o
LEFT ANTI JOIN
(
    SELECT tenant, workflow_id, step, visit FROM {database}.v_steps WHERE status != 'running'
) AS e ON e.tenant = o.tenant AND e.workflow_id = o.workflow_id AND e.step = o.step AND e.visit = o.visit;
