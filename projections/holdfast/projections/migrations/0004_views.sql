-- The readable face of the aggregating tables. A time of 1970-01-01 means that it has not come about.
CREATE VIEW IF NOT EXISTS {database}.v_workflows AS
SELECT w.tenant AS tenant, w.workflow_id AS workflow_id, max(w.definition_name) AS definition_name,
       argMaxMerge(w.definition_hash) AS definition_hash, argMaxMerge(w.status) AS status, argMaxMerge(w.step) AS step,
       argMaxMerge(w.last_type) AS last_type, argMaxMerge(w.last_error) AS last_error,
       min(w.started_at) AS started_at, max(w.updated_at) AS updated_at, max(w.deadline_at) AS deadline_at,
       max(w.last_sequence) AS last_sequence, lower(hex(argMaxMerge(w.head_hash))) AS head_hash
FROM {database}.workflows AS w GROUP BY tenant, workflow_id;

CREATE VIEW IF NOT EXISTS {database}.v_steps AS
SELECT s.tenant AS tenant, s.workflow_id AS workflow_id, s.step AS step, s.visit AS visit,
       max(s.definition_name) AS definition_name, max(s.kind) AS kind, min(s.first_sequence) AS first_sequence,
       max(s.last_sequence) AS last_sequence, max(s.started_at) AS started_at, max(s.timeout_at) AS timeout_at,
       max(s.completed_at) AS completed_at, max(s.failed_at) AS failed_at,
       multiIf(completed_at > 0, 'completed', failed_at > 0, 'failed', 'running') AS status,
       greatest(completed_at, failed_at) AS ended_at,
       if(ended_at > started_at, dateDiff('millisecond', started_at, ended_at), 0) AS duration_ms,
       max(s.next_step) AS next_step, max(s.error_class) AS error_class, max(s.error_message) AS error_message
FROM {database}.steps AS s GROUP BY tenant, workflow_id, step, visit;

CREATE VIEW IF NOT EXISTS {database}.v_model_calls AS
SELECT m.tenant AS tenant, m.effect_key AS effect_key, m.attempt AS attempt, max(m.workflow_id) AS workflow_id,
       max(m.definition_name) AS definition_name, max(m.step) AS step, max(m.visit) AS visit, max(m.turn) AS turn,
       min(m.first_sequence) AS first_sequence, max(m.requested_at) AS requested_at,
       max(m.completed_at) AS completed_at, max(m.failed_at) AS failed_at,
       multiIf(completed_at > 0, 'completed', failed_at > 0, 'failed', 'open') AS status,
       max(m.requested_model) AS requested_model, max(m.model) AS model, max(m.provider) AS provider,
       max(m.executor_id) AS executor_id, max(m.finish_reason) AS finish_reason, max(m.input_tokens) AS input_tokens,
       max(m.output_tokens) AS output_tokens, max(m.cached_tokens) AS cached_tokens,
       max(m.cost_microusd) AS cost_microusd, max(m.duration_ms) AS duration_ms, max(m.error_class) AS error_class,
       max(m.error_message) AS error_message, max(m.http_status) AS http_status, max(m.retry_at) AS retry_at
FROM {database}.model_calls AS m GROUP BY tenant, effect_key, attempt;

CREATE VIEW IF NOT EXISTS {database}.v_tool_calls AS
SELECT t.tenant AS tenant, t.effect_key AS effect_key, t.attempt AS attempt, max(t.workflow_id) AS workflow_id,
       max(t.definition_name) AS definition_name, max(t.step) AS step, max(t.visit) AS visit, max(t.turn) AS turn,
       max(t.call_index) AS call_index, max(t.tool) AS tool, max(t.effect) AS effect,
       max(t.action_hash) AS action_hash, max(t.approval_id) AS approval_id, min(t.first_sequence) AS first_sequence,
       max(t.requested_at) AS requested_at, max(t.completed_at) AS completed_at, max(t.failed_at) AS failed_at,
       max(t.unknown_at) AS unknown_at, max(t.late_at) AS late_at,
       multiIf(completed_at > 0, 'completed', unknown_at > 0, 'unknown', failed_at > 0, 'failed', 'open') AS status,
       max(t.executor_id) AS executor_id, max(t.duration_ms) AS duration_ms, max(t.error_class) AS error_class,
       max(t.error_message) AS error_message, max(t.retry_at) AS retry_at
FROM {database}.tool_calls AS t GROUP BY tenant, effect_key, attempt;

CREATE VIEW IF NOT EXISTS {database}.v_approvals AS
SELECT a.tenant AS tenant, a.workflow_id AS workflow_id, a.approval_id AS approval_id,
       max(a.definition_name) AS definition_name, max(a.step) AS step, max(a.tool) AS tool,
       max(a.action_hash) AS action_hash, max(a.summary) AS summary, max(a.arguments) AS arguments,
       max(a.roles) AS roles, max(a.requested_by) AS requested_by, max(a.requested_at) AS requested_at,
       max(a.expires_at) AS expires_at, max(a.decided_at) AS decided_at, max(a.decided_by) AS decided_by,
       max(a.decided_hash) AS decided_hash, max(a.decision) AS decision, max(a.comment) AS comment,
       max(a.expired_at) AS expired_at, max(a.used_at) AS used_at, max(a.used_by) AS used_by,
       multiIf(decided_at > 0, 'decided', expired_at > 0, 'expired', requested_at = 0, 'never_requested', 'open')
           AS status
FROM {database}.approvals AS a GROUP BY tenant, workflow_id, approval_id;

CREATE VIEW IF NOT EXISTS {database}.v_timers AS
SELECT t.tenant AS tenant, t.workflow_id AS workflow_id, t.timer_id AS timer_id,
       max(t.definition_name) AS definition_name, max(t.step) AS step, max(t.kind) AS kind, max(t.set_at) AS set_at,
       max(t.due_at) AS due_at, max(t.fired_at) AS fired_at, max(t.satisfied_at) AS satisfied_at,
       multiIf(satisfied_at > 0, 'satisfied', fired_at > 0, 'fired', 'waiting') AS state
FROM {database}.timers AS t GROUP BY tenant, workflow_id, timer_id;

-- The hash chain, recomputed (format: see the chain's own module). The first event of a sequence is the one that
-- counts; any other one is a fork. An empty tenant means all; `since` leaves out workflows untouched for longer.
CREATE VIEW IF NOT EXISTS {database}.v_chain AS
SELECT tenant, workflow_id, sequence, event_id, type, recorded_at, kafka_partition, kafka_offset,
       payload_erased AS erased,
       bad_hash AND NOT payload_erased AS bad_hash,
       place > 1 AS fork,
       NOT fork AND before = 0 AND sequence > 1 AS missing_head,
       NOT fork AND before > 0 AND sequence > before + 1 AS gap,
       NOT fork AND NOT gap AND NOT missing_head AND previous_hash != hash_before AS bad_link
FROM
(
    SELECT *, lagInFrame(sequence, 1, 0) OVER chain AS before,
           lagInFrame(hash, 1, toFixedString('', 32)) OVER chain AS hash_before
    FROM
    (
        SELECT tenant, workflow_id, sequence, event_id, type, recorded_at, kafka_partition, kafka_offset, hash,
               previous_hash, payload = '' AS payload_erased,
               SHA256(concat(
                   previous_hash,
                   arrayStringConcat(arrayMap(x -> concat(toString(length(x)), ':', x), [
                       toString(tenant), workflow_id, toString(sequence), toString(type), toString(definition_hash),
                       toString(decision_index), toString(decision_count), toString(cause_offset), cause_id,
                       toString(actor_kind), actor_id, toString(toUnixTimestamp64Milli(recorded_at))])),
                   SHA256(payload))) != hash AS bad_hash,
               row_number() OVER (PARTITION BY tenant, workflow_id, sequence ORDER BY kafka_offset, event_id) AS place
        FROM {database}.events FINAL
        WHERE ({tenant:String} = '' OR tenant = {tenant:String})
          AND (tenant, workflow_id) IN
              (
                  SELECT tenant, workflow_id FROM {database}.workflows
                  GROUP BY tenant, workflow_id HAVING max(updated_at) >= {since:DateTime64(3)}
              )
    )
    WINDOW chain AS (PARTITION BY tenant, workflow_id, place > 1 ORDER BY sequence
                     ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
);
