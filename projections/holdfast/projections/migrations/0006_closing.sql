-- How workflows come to an end that is not their goal: calls that were searched for or resolved, what was undone, and
-- deadlines that somebody extended.
ALTER TABLE {database}.events ADD COLUMN IF NOT EXISTS lookup UInt32 AFTER item_count,
    ADD COLUMN IF NOT EXISTS found UInt8 AFTER lookup,
    ADD COLUMN IF NOT EXISTS evidence String CODEC(ZSTD(1)) AFTER found;

ALTER TABLE {database}.workflows ADD COLUMN IF NOT EXISTS closing_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    ADD COLUMN IF NOT EXISTS closing_outcome SimpleAggregateFunction(max, LowCardinality(String)),
    ADD COLUMN IF NOT EXISTS extended_to AggregateFunction(argMax, DateTime64(3, 'UTC'), UInt64);

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
       max(e.depth) AS depth, maxIf(e.start_step, e.type = 'WorkflowStarted') AS start_step,
       maxIf(e.recorded_at, e.type = 'ClosingStarted') AS closing_at,
       maxIf(e.decision, e.type = 'ClosingStarted') AS closing_outcome,
       argMaxStateIf(e.due_at, e.sequence, e.type = 'WorkflowResumed' AND e.due_at > 0) AS extended_to
FROM {database}.events AS e GROUP BY tenant, workflow_id;

-- A step has ended when it did. That undoing it is skipped or given up later is a matter of its compensation.
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
WHERE type IN ('StepStarted', 'StepCompleted', 'StepFailed', 'ItemsCounted')
   OR (type = 'StepCancelled' AND e.kind != 'compensation') OR (type = 'StepSkipped' AND e.next_step != '')
GROUP BY tenant, workflow_id, step, visit;

ALTER TABLE {database}.tool_calls ADD COLUMN IF NOT EXISTS searched_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    ADD COLUMN IF NOT EXISTS searches SimpleAggregateFunction(max, UInt32),
    ADD COLUMN IF NOT EXISTS found_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    ADD COLUMN IF NOT EXISTS resolved_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    ADD COLUMN IF NOT EXISTS resolved_by SimpleAggregateFunction(max, String),
    ADD COLUMN IF NOT EXISTS resolution SimpleAggregateFunction(max, LowCardinality(String)),
    ADD COLUMN IF NOT EXISTS evidence AggregateFunction(argMax, String, UInt64);

ALTER TABLE {database}.mv_tool_calls MODIFY QUERY
SELECT e.tenant, e.effect_key, e.attempt,
       max(e.workflow_id) AS workflow_id, max(e.definition_name) AS definition_name, max(e.step) AS step,
       max(e.visit) AS visit, max(e.turn) AS turn, max(e.call_index) AS call_index,
       max(e.tool) AS tool, max(e.effect) AS effect, max(e.action_hash) AS action_hash, max(e.approval_id) AS approval_id,
       min(e.sequence) AS first_sequence,
       maxIf(e.recorded_at, e.type = 'ToolCallRequested') AS requested_at,
       maxIf(e.recorded_at, e.type = 'ToolCallCompleted') AS completed_at,
       maxIf(e.recorded_at, e.type = 'ToolCallFailed') AS failed_at,
       maxIf(e.recorded_at, e.type = 'ToolOutcomeUnknown') AS unknown_at,
       maxIf(e.recorded_at, e.type = 'LateResultRecorded') AS late_at,
       maxIf(e.executor_id, e.type != 'ToolLookupCompleted') AS executor_id, max(e.duration_ms) AS duration_ms,
       max(e.error_class) AS error_class, max(e.error_message) AS error_message,
       maxIf(e.due_at, e.type = 'ToolCallFailed') AS retry_at,
       maxIf(e.recorded_at, e.type = 'ToolLookupCompleted') AS searched_at,
       maxIf(e.lookup, e.type = 'ToolLookupCompleted') AS searches,
       maxIf(e.recorded_at, e.type = 'ToolLookupCompleted' AND e.found = 1) AS found_at,
       maxIf(e.recorded_at, e.type = 'ToolOutcomeResolved') AS resolved_at,
       maxIf(e.actor_id, e.type = 'ToolOutcomeResolved') AS resolved_by,
       maxIf(e.decision, e.type = 'ToolOutcomeResolved') AS resolution,
       argMaxStateIf(e.evidence, e.sequence, e.evidence != '') AS evidence
FROM {database}.events AS e
WHERE type IN ('ToolCallRequested', 'ToolCallCompleted', 'ToolCallFailed', 'ToolOutcomeUnknown', 'ToolOutcomeResolved',
               'ToolLookupCompleted')
   OR (type = 'LateResultRecorded' AND kind = 'ReportToolResult')
GROUP BY tenant, effect_key, attempt;

-- What a visit of a step did and how it is undone. One visit may be undone in several goes: the last one counts.
CREATE TABLE IF NOT EXISTS {database}.compensations
(
    tenant LowCardinality(String),
    workflow_id String CODEC(ZSTD(1)),
    step LowCardinality(String),
    visit UInt32,
    definition_name SimpleAggregateFunction(max, LowCardinality(String)),
    effect_key SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    tool SimpleAggregateFunction(max, LowCardinality(String)),
    effect SimpleAggregateFunction(max, LowCardinality(String)),
    arguments SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    action_hash SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    first_sequence SimpleAggregateFunction(min, UInt64),
    registered_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    bound_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    dropped_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    started_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    timeout_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    ended_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    skipped_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    skipped_by SimpleAggregateFunction(max, String),
    cancelled_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    last_type AggregateFunction(argMax, LowCardinality(String), UInt64),
    outcome AggregateFunction(argMax, LowCardinality(String), UInt64),
    error_class AggregateFunction(argMax, LowCardinality(String), UInt64),
    error_message AggregateFunction(argMax, String, UInt64)
)
ENGINE = AggregatingMergeTree
ORDER BY (tenant, workflow_id, step, visit)
SETTINGS non_replicated_deduplication_window = 0;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.mv_compensations TO {database}.compensations AS
SELECT e.tenant, e.workflow_id, e.step, e.visit,
       max(e.definition_name) AS definition_name, max(e.effect_key) AS effect_key, max(e.tool) AS tool,
       max(e.effect) AS effect,
       maxIf(JSONExtractRaw(e.payload, 'arguments'), e.type = 'CompensationBound') AS arguments,
       max(e.action_hash) AS action_hash, min(e.sequence) AS first_sequence,
       maxIf(e.recorded_at, e.type = 'CompensationRegistered') AS registered_at,
       maxIf(e.recorded_at, e.type = 'CompensationBound') AS bound_at,
       maxIf(e.recorded_at, e.type = 'CompensationDropped') AS dropped_at,
       maxIf(e.recorded_at, e.type = 'CompensationStarted') AS started_at,
       maxIf(e.due_at, e.type = 'CompensationStarted') AS timeout_at,
       maxIf(e.recorded_at, e.type = 'CompensationEnded') AS ended_at,
       maxIf(e.recorded_at, e.type = 'StepSkipped') AS skipped_at,
       maxIf(e.actor_id, e.type = 'StepSkipped') AS skipped_by,
       maxIf(e.recorded_at, e.type = 'StepCancelled') AS cancelled_at,
       argMaxState(e.type, e.sequence) AS last_type,
       argMaxStateIf(e.decision, e.sequence, e.type = 'CompensationEnded') AS outcome,
       argMaxStateIf(e.error_class, e.sequence, e.type = 'CompensationEnded') AS error_class,
       argMaxStateIf(e.error_message, e.sequence, e.type = 'CompensationEnded') AS error_message
FROM {database}.events AS e
WHERE type IN ('CompensationRegistered', 'CompensationBound', 'CompensationDropped', 'CompensationStarted',
               'CompensationEnded')
   OR (type = 'StepCancelled' AND e.kind = 'compensation') OR (type = 'StepSkipped' AND e.next_step = '')
GROUP BY tenant, workflow_id, step, visit;

CREATE OR REPLACE VIEW {database}.v_workflows AS
SELECT w.tenant AS tenant, w.workflow_id AS workflow_id, max(w.definition_name) AS definition_name,
       argMaxMerge(w.definition_hash) AS definition_hash, argMaxMerge(w.status) AS status, argMaxMerge(w.step) AS step,
       argMaxMerge(w.last_type) AS last_type, argMaxMerge(w.last_error) AS last_error,
       min(w.started_at) AS started_at, max(w.updated_at) AS updated_at,
       argMaxMerge(w.extended_to) AS extended_to, if(extended_to > 0, extended_to, max(w.deadline_at)) AS deadline_at,
       max(w.last_sequence) AS last_sequence, lower(hex(argMaxMerge(w.head_hash))) AS head_hash,
       max(w.parent_id) AS parent_id, max(w.parent_step) AS parent_step, max(w.item_index) AS item_index,
       max(w.depth) AS depth, max(w.start_step) AS start_step, max(w.closing_at) AS closing_at,
       max(w.closing_outcome) AS closing_outcome
FROM {database}.workflows AS w GROUP BY tenant, workflow_id;

-- `outcome` is how a call ended of which nobody knew: done, not_done or retry as a person said, or found or not_found as
-- a search did. What was not found is made again, unless the workflow was to end.
CREATE OR REPLACE VIEW {database}.v_tool_calls AS
SELECT t.tenant AS tenant, t.effect_key AS effect_key, t.attempt AS attempt, max(t.workflow_id) AS workflow_id,
       max(t.definition_name) AS definition_name, max(t.step) AS step, max(t.visit) AS visit, max(t.turn) AS turn,
       max(t.call_index) AS call_index, max(t.tool) AS tool, max(t.effect) AS effect,
       max(t.action_hash) AS action_hash, max(t.approval_id) AS approval_id, min(t.first_sequence) AS first_sequence,
       max(t.requested_at) AS requested_at, max(t.completed_at) AS completed_at, max(t.failed_at) AS failed_at,
       max(t.unknown_at) AS unknown_at, max(t.late_at) AS late_at, max(t.searched_at) AS searched_at,
       max(t.searches) AS searches, max(t.found_at) AS found_at, max(t.resolved_at) AS resolved_at,
       max(t.resolved_by) AS resolved_by,
       multiIf(resolved_at > 0, max(t.resolution), found_at > 0, 'found', searched_at > 0, 'not_found', '') AS outcome,
       multiIf(completed_at > 0 OR outcome IN ('done', 'found'), 'completed', outcome IN ('not_done', 'retry'), 'failed',
               outcome = 'not_found', 'not_found', unknown_at > 0, 'unknown', failed_at > 0, 'failed', 'open') AS status,
       argMaxMerge(t.evidence) AS evidence,
       max(t.executor_id) AS executor_id, max(t.duration_ms) AS duration_ms, max(t.error_class) AS error_class,
       max(t.error_message) AS error_message, max(t.retry_at) AS retry_at
FROM {database}.tool_calls AS t GROUP BY tenant, effect_key, attempt;

CREATE VIEW IF NOT EXISTS {database}.v_compensations AS
SELECT c.tenant AS tenant, c.workflow_id AS workflow_id, c.step AS step, c.visit AS visit,
       max(c.definition_name) AS definition_name, max(c.effect_key) AS effect_key, max(c.tool) AS tool,
       max(c.effect) AS effect, max(c.arguments) AS arguments, max(c.action_hash) AS action_hash,
       min(c.first_sequence) AS first_sequence, max(c.registered_at) AS registered_at, max(c.bound_at) AS bound_at,
       max(c.dropped_at) AS dropped_at, max(c.started_at) AS started_at, max(c.timeout_at) AS timeout_at,
       max(c.ended_at) AS ended_at, max(c.skipped_at) AS skipped_at, max(c.skipped_by) AS skipped_by,
       max(c.cancelled_at) AS cancelled_at, argMaxMerge(c.last_type) AS last_type,
       multiIf(last_type = 'CompensationEnded', toString(argMaxMerge(c.outcome)),
               last_type = 'CompensationStarted', 'running', last_type = 'StepSkipped', 'skipped',
               last_type = 'StepCancelled', 'cancelled', last_type = 'CompensationDropped', 'dropped',
               last_type = 'CompensationBound', 'bound', 'registered') AS status,
       argMaxMerge(c.error_class) AS error_class, argMaxMerge(c.error_message) AS error_message
FROM {database}.compensations AS c GROUP BY tenant, workflow_id, step, visit;

-- As before, and what undoes the effect of a visit that has ended is open as long as it is being undone.
CREATE OR REPLACE VIEW {database}.v_open AS
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
LEFT JOIN
(
    SELECT tenant, workflow_id, step, visit FROM {database}.v_steps WHERE status != 'running'
) AS e ON e.tenant = o.tenant AND e.workflow_id = o.workflow_id AND e.step = o.step AND e.visit = o.visit
LEFT JOIN
(
    SELECT tenant, workflow_id, step, visit, started_at FROM {database}.v_compensations WHERE status = 'running'
) AS u ON u.tenant = o.tenant AND u.workflow_id = o.workflow_id AND u.step = o.step AND u.visit = o.visit
WHERE e.step = '' OR (u.step != '' AND o.since >= u.started_at);
