-- Current states of what a workflow is made of. Only idempotent aggregates (min, max, argMax): an event that arrives
-- twice changes nothing. Each column of a call, an approval and a timer is written by one event type, so `max` is the
-- value itself. Read them through the views of 0004.
CREATE TABLE IF NOT EXISTS {database}.workflows
(
    tenant LowCardinality(String),
    workflow_id String CODEC(ZSTD(1)),
    definition_name SimpleAggregateFunction(max, LowCardinality(String)),
    definition_hash AggregateFunction(argMax, LowCardinality(String), UInt64),
    started_at SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    updated_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    deadline_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    last_sequence SimpleAggregateFunction(max, UInt64),
    status AggregateFunction(argMax, LowCardinality(String), UInt64),
    step AggregateFunction(argMax, LowCardinality(String), UInt64),
    last_type AggregateFunction(argMax, LowCardinality(String), UInt64),
    last_error AggregateFunction(argMax, LowCardinality(String), UInt64),
    head_hash AggregateFunction(argMax, FixedString(32), UInt64)
)
ENGINE = AggregatingMergeTree
ORDER BY (tenant, workflow_id)
SETTINGS non_replicated_deduplication_window = 0;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.mv_workflows TO {database}.workflows AS
SELECT e.tenant, e.workflow_id,
       max(e.definition_name) AS definition_name, argMaxState(e.definition_hash, e.sequence) AS definition_hash,
       min(e.recorded_at) AS started_at, max(e.recorded_at) AS updated_at,
       maxIf(e.due_at, e.type = 'WorkflowStarted') AS deadline_at,
       max(e.sequence) AS last_sequence,
       argMaxStateIf(e.status, e.sequence, e.status != '') AS status,
       argMaxStateIf(e.step, e.sequence, e.step != '') AS step,
       argMaxState(e.type, e.sequence) AS last_type,
       argMaxStateIf(e.error_class, e.sequence, e.error_class != '' AND e.type != 'InputRejected') AS last_error,
       argMaxState(e.hash, e.sequence) AS head_hash
FROM {database}.events AS e GROUP BY tenant, workflow_id;

CREATE TABLE IF NOT EXISTS {database}.steps
(
    tenant LowCardinality(String),
    workflow_id String CODEC(ZSTD(1)),
    step LowCardinality(String),
    visit UInt32,
    definition_name SimpleAggregateFunction(max, LowCardinality(String)),
    kind SimpleAggregateFunction(max, LowCardinality(String)),
    first_sequence SimpleAggregateFunction(min, UInt64),
    last_sequence SimpleAggregateFunction(max, UInt64),
    started_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    timeout_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    completed_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    failed_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    next_step SimpleAggregateFunction(max, LowCardinality(String)),
    error_class SimpleAggregateFunction(max, LowCardinality(String)),
    error_message SimpleAggregateFunction(max, String)
)
ENGINE = AggregatingMergeTree
ORDER BY (tenant, workflow_id, step, visit)
SETTINGS non_replicated_deduplication_window = 0;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.mv_steps TO {database}.steps AS
SELECT e.tenant, e.workflow_id, e.step, e.visit,
       max(e.definition_name) AS definition_name, max(e.kind) AS kind,
       min(e.sequence) AS first_sequence, max(e.sequence) AS last_sequence,
       maxIf(e.recorded_at, e.type = 'StepStarted') AS started_at,
       maxIf(e.due_at, e.type = 'StepStarted') AS timeout_at,
       maxIf(e.recorded_at, e.type = 'StepCompleted') AS completed_at,
       maxIf(e.recorded_at, e.type = 'StepFailed') AS failed_at,
       max(e.next_step) AS next_step, max(e.error_class) AS error_class, max(e.error_message) AS error_message
FROM {database}.events AS e WHERE type IN ('StepStarted', 'StepCompleted', 'StepFailed')
GROUP BY tenant, workflow_id, step, visit;

CREATE TABLE IF NOT EXISTS {database}.model_calls
(
    tenant LowCardinality(String),
    effect_key String CODEC(ZSTD(1)),
    attempt UInt32,
    workflow_id SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    definition_name SimpleAggregateFunction(max, LowCardinality(String)),
    step SimpleAggregateFunction(max, LowCardinality(String)),
    visit SimpleAggregateFunction(max, UInt32),
    turn SimpleAggregateFunction(max, UInt32),
    first_sequence SimpleAggregateFunction(min, UInt64),
    requested_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    completed_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    failed_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    requested_model SimpleAggregateFunction(max, LowCardinality(String)),
    model SimpleAggregateFunction(max, LowCardinality(String)),
    provider SimpleAggregateFunction(max, LowCardinality(String)),
    executor_id SimpleAggregateFunction(max, LowCardinality(String)),
    finish_reason SimpleAggregateFunction(max, LowCardinality(String)),
    input_tokens SimpleAggregateFunction(max, Int64),
    output_tokens SimpleAggregateFunction(max, Int64),
    cached_tokens SimpleAggregateFunction(max, Int64),
    cost_microusd SimpleAggregateFunction(max, Int64),
    duration_ms SimpleAggregateFunction(max, Int64),
    error_class SimpleAggregateFunction(max, LowCardinality(String)),
    error_message SimpleAggregateFunction(max, String),
    http_status SimpleAggregateFunction(max, UInt32),
    retry_at SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (tenant, effect_key, attempt)
SETTINGS non_replicated_deduplication_window = 0;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.mv_model_calls TO {database}.model_calls AS
SELECT e.tenant, e.effect_key, e.attempt,
       max(e.workflow_id) AS workflow_id, max(e.definition_name) AS definition_name, max(e.step) AS step,
       max(e.visit) AS visit, max(e.turn) AS turn, min(e.sequence) AS first_sequence,
       maxIf(e.recorded_at, e.type = 'ModelCallRequested') AS requested_at,
       maxIf(e.recorded_at, e.type = 'ModelCallCompleted') AS completed_at,
       maxIf(e.recorded_at, e.type = 'ModelCallFailed') AS failed_at,
       maxIf(e.model, e.type = 'ModelCallRequested') AS requested_model,
       maxIf(e.model, e.type = 'ModelCallCompleted') AS model,
       max(e.provider) AS provider, max(e.executor_id) AS executor_id, max(e.finish_reason) AS finish_reason,
       max(e.input_tokens) AS input_tokens, max(e.output_tokens) AS output_tokens, max(e.cached_tokens) AS cached_tokens,
       max(e.cost_microusd) AS cost_microusd, max(e.duration_ms) AS duration_ms,
       max(e.error_class) AS error_class, max(e.error_message) AS error_message, max(e.http_status) AS http_status,
       maxIf(e.due_at, e.type = 'ModelCallFailed') AS retry_at
FROM {database}.events AS e WHERE type IN ('ModelCallRequested', 'ModelCallCompleted', 'ModelCallFailed')
GROUP BY tenant, effect_key, attempt;

CREATE TABLE IF NOT EXISTS {database}.tool_calls
(
    tenant LowCardinality(String),
    effect_key String CODEC(ZSTD(1)),
    attempt UInt32,
    workflow_id SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    definition_name SimpleAggregateFunction(max, LowCardinality(String)),
    step SimpleAggregateFunction(max, LowCardinality(String)),
    visit SimpleAggregateFunction(max, UInt32),
    turn SimpleAggregateFunction(max, UInt32),
    call_index SimpleAggregateFunction(max, UInt32),
    tool SimpleAggregateFunction(max, LowCardinality(String)),
    effect SimpleAggregateFunction(max, LowCardinality(String)),
    action_hash SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    approval_id SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    first_sequence SimpleAggregateFunction(min, UInt64),
    requested_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    completed_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    failed_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    unknown_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    late_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    executor_id SimpleAggregateFunction(max, LowCardinality(String)),
    duration_ms SimpleAggregateFunction(max, Int64),
    error_class SimpleAggregateFunction(max, LowCardinality(String)),
    error_message SimpleAggregateFunction(max, String),
    retry_at SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (tenant, effect_key, attempt)
SETTINGS non_replicated_deduplication_window = 0;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.mv_tool_calls TO {database}.tool_calls AS
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
       max(e.executor_id) AS executor_id, max(e.duration_ms) AS duration_ms,
       max(e.error_class) AS error_class, max(e.error_message) AS error_message,
       maxIf(e.due_at, e.type = 'ToolCallFailed') AS retry_at
FROM {database}.events AS e
WHERE type IN ('ToolCallRequested', 'ToolCallCompleted', 'ToolCallFailed', 'ToolOutcomeUnknown')
   OR (type = 'LateResultRecorded' AND kind = 'ReportToolResult')
GROUP BY tenant, effect_key, attempt;

CREATE TABLE IF NOT EXISTS {database}.approvals
(
    tenant LowCardinality(String),
    workflow_id String CODEC(ZSTD(1)),
    approval_id String CODEC(ZSTD(1)),
    definition_name SimpleAggregateFunction(max, LowCardinality(String)),
    step SimpleAggregateFunction(max, LowCardinality(String)),
    tool SimpleAggregateFunction(max, LowCardinality(String)),
    action_hash SimpleAggregateFunction(max, String),
    summary SimpleAggregateFunction(max, String),
    arguments SimpleAggregateFunction(max, String),
    roles SimpleAggregateFunction(max, String),
    requested_by SimpleAggregateFunction(max, String),
    requested_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    expires_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    decided_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    decided_by SimpleAggregateFunction(max, String),
    decided_hash SimpleAggregateFunction(max, String),
    decision SimpleAggregateFunction(max, LowCardinality(String)),
    comment SimpleAggregateFunction(max, String),
    expired_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    used_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    used_by SimpleAggregateFunction(max, String)
)
ENGINE = AggregatingMergeTree
ORDER BY (tenant, workflow_id, approval_id)
SETTINGS non_replicated_deduplication_window = 0;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.mv_approvals TO {database}.approvals AS
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
       maxIf(e.effect_key, e.type = 'ToolCallRequested') AS used_by
FROM {database}.events AS e
WHERE approval_id != ''
GROUP BY tenant, workflow_id, approval_id;

CREATE TABLE IF NOT EXISTS {database}.timers
(
    tenant LowCardinality(String),
    workflow_id String CODEC(ZSTD(1)),
    timer_id String CODEC(ZSTD(1)),
    definition_name SimpleAggregateFunction(max, LowCardinality(String)),
    step SimpleAggregateFunction(max, LowCardinality(String)),
    kind SimpleAggregateFunction(max, LowCardinality(String)),
    set_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    due_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    fired_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    satisfied_at SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (tenant, workflow_id, timer_id)
SETTINGS non_replicated_deduplication_window = 0;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.mv_timers TO {database}.timers AS
SELECT e.tenant, e.workflow_id, if(e.timer_id != '', e.timer_id, e.wait_id) AS timer_id,
       max(e.definition_name) AS definition_name, max(e.step) AS step,
       max(multiIf(e.type = 'TimerScheduled', 'sleep', e.type = 'WaitStarted', 'wait', '')) AS kind,
       maxIf(e.recorded_at, e.type IN ('TimerScheduled', 'WaitStarted')) AS set_at,
       max(e.due_at) AS due_at,
       maxIf(e.recorded_at, e.type = 'TimerFired') AS fired_at,
       maxIf(e.recorded_at, e.type = 'EventReceived') AS satisfied_at
FROM {database}.events AS e
WHERE type IN ('TimerScheduled', 'TimerFired', 'WaitStarted', 'EventReceived') AND (timer_id != '' OR wait_id != '')
GROUP BY tenant, workflow_id, timer_id;

CREATE TABLE IF NOT EXISTS {database}.errors
(
    tenant LowCardinality(String),
    recorded_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    error_class LowCardinality(String),
    workflow_id String CODEC(ZSTD(1)),
    sequence UInt64 CODEC(T64, ZSTD(1)),
    event_id UUID,
    type LowCardinality(String),
    definition_name LowCardinality(String),
    step LowCardinality(String),
    visit UInt32,
    effect_key String CODEC(ZSTD(1)),
    attempt UInt32,
    tool LowCardinality(String),
    error_message String CODEC(ZSTD(1)),
    http_status UInt32,
    retry_at DateTime64(3, 'UTC'),
    projector_version UInt32
)
ENGINE = ReplacingMergeTree(projector_version)
PARTITION BY toYYYYMM(recorded_at)
PRIMARY KEY (tenant, toStartOfHour(recorded_at), error_class)
ORDER BY (tenant, toStartOfHour(recorded_at), error_class, recorded_at, workflow_id, sequence, event_id)
SETTINGS non_replicated_deduplication_window = 0;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.mv_errors TO {database}.errors AS
SELECT tenant, recorded_at, error_class, workflow_id, sequence, event_id, type, definition_name, step, visit,
       effect_key, attempt, tool, error_message, http_status,
       if(type IN ('ModelCallFailed', 'ToolCallFailed'), due_at, toDateTime64(0, 3, 'UTC')) AS retry_at,
       projector_version
FROM {database}.events WHERE error_class != '';
