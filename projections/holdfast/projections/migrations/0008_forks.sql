-- Workflows that begin from a point of another one's history: from which one, and after which of its events.
ALTER TABLE {database}.events ADD COLUMN IF NOT EXISTS forked_from String CODEC(ZSTD(1)) AFTER evidence,
    ADD COLUMN IF NOT EXISTS forked_at UInt64 CODEC(ZSTD(1)) AFTER forked_from;

ALTER TABLE {database}.workflows ADD COLUMN IF NOT EXISTS forked_from SimpleAggregateFunction(max, String),
    ADD COLUMN IF NOT EXISTS forked_at SimpleAggregateFunction(max, UInt64);

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
       argMaxStateIf(e.due_at, e.sequence, e.type = 'WorkflowResumed' AND e.due_at > 0) AS extended_to,
       max(e.forked_from) AS forked_from, max(e.forked_at) AS forked_at
FROM {database}.events AS e GROUP BY tenant, workflow_id;

CREATE OR REPLACE VIEW {database}.v_workflows AS
SELECT w.tenant AS tenant, w.workflow_id AS workflow_id, max(w.definition_name) AS definition_name,
       argMaxMerge(w.definition_hash) AS definition_hash, argMaxMerge(w.status) AS status, argMaxMerge(w.step) AS step,
       argMaxMerge(w.last_type) AS last_type, argMaxMerge(w.last_error) AS last_error,
       min(w.started_at) AS started_at, max(w.updated_at) AS updated_at,
       argMaxMerge(w.extended_to) AS extended_to, if(extended_to > 0, extended_to, max(w.deadline_at)) AS deadline_at,
       max(w.last_sequence) AS last_sequence, lower(hex(argMaxMerge(w.head_hash))) AS head_hash,
       max(w.parent_id) AS parent_id, max(w.parent_step) AS parent_step, max(w.item_index) AS item_index,
       max(w.depth) AS depth, max(w.start_step) AS start_step, max(w.closing_at) AS closing_at,
       max(w.closing_outcome) AS closing_outcome, max(w.forked_from) AS forked_from, max(w.forked_at) AS forked_at
FROM {database}.workflows AS w GROUP BY tenant, workflow_id;
