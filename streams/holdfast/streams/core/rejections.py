"""Why an input is refused: stable codes, a sentence each. A refusal is a value, and it changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass

SENTENCES: Mapping[str, str] = {
    "workflow_not_found": "Expected a workflow {workflow_id!r}, but there is none.",
    "workflow_exists": "Expected a new workflow id, but {workflow_id!r} is taken and {status}.",
    "start_step_unknown": "Expected to begin at a step of the definition, but it has no {step!r}.",
    "nested_too_deep": "Expected at most {limit} workflows above one another, but there are more.",
    "started_as_child": "Expected a start from outside, but it claims {parent!r} as its parent.",
    "workflow_finished": "Expected a workflow that still runs, but {workflow_id!r} is {status}.",
    "workflow_held": "Expected a workflow that goes on, but {workflow_id!r} is {status}.",
    "workflow_closing": "Expected a workflow that goes on, but {workflow_id!r} is on its way to its end.",
    "not_held": "Expected a paused or blocked workflow, but {workflow_id!r} is {status}.",
    "step_unknown": "Expected a step of the definition, but it has no {step!r}.",
    "step_not_active": "Expected a step that is under way, but {step!r} is not.",
    "step_out_of_reach": "Expected a step of a place that is open, but the branch of {step!r} does not run.",
    "step_cannot_be_skipped": "Expected a step that leads to one other step, but {step!r} is a {kind} step.",
    "call_open": "Expected every effect to be settled, but the call {effect_key!r} is {status}.",
    "call_unknown": "Expected every outcome to be known, but nobody knows that of {effect_key!r}.",
    "undo_unknown": "Expected an effect that can be undone once more, but nobody knows how to undo {step!r}.",
    "call_not_unknown": "Expected a call of which nobody knows the outcome, but {effect_key!r} is none.",
    "cannot_migrate": "Expected a version that the workflow can go on with, but {obstacles}.",
    "cannot_fork": "Expected a point from which a workflow can go on, but {obstacles}.",
    "fork_across_tenants": "Expected a history of the tenant {tenant!r}, but it is one of {other!r}.",
    "redo_unknown": "Expected a step of the definition or a call that is under way, but {what!r} is neither.",
    "set_invalid": "Expected a value that can be put in place of another one, but {error}.",
    "snapshot_invalid": "Expected what a workflow had come to, but it is not that: {error}",
    "not_a_schedule": "Expected a schedule, but {workflow_id!r} has no schedule step under way.",
    "outcome_invalid": "Expected done, not_done or retry, but the outcome is {outcome!r}.",
    "definition_not_found": "Expected a published definition {definition!r}, but there is none.",
    "budget_invalid": "The budget of the start was not accepted: {error}.",
    "input_invalid": "Expected an input that fits the definition's schema, but {errors}",
    "event_not_expected": "Expected an event that the definition names, but it has no step waiting for {event_type!r}.",
    "event_not_allowed": "Expected {event_type!r} {allowed}, but nobody waits for it and the workflow is at {at}.",
    "event_buffer_full": "Expected fewer than {limit} events that nobody waits for yet, but there are that many.",
    "event_type_invalid": "Expected letters, digits and . _ : -, at most 128, but the event type is {event_type!r}.",
    "event_id_invalid": "Expected an event id of 1 to 256 printable characters, but it is {event_id!r}.",
    "correlation_too_long": "Expected a correlation of at most {limit} characters, but it has {length}.",
    "ttl_invalid": "Expected a time to live from 0 to {limit} ms, but it is {ttl_ms}.",
    "event_addressed": "Expected an event for whoever waits, but it names the workflow {workflow_id!r}.",
    "handed_from_outside": "Expected an event from outside, but it claims the subscription {subscription_id!r}.",
    "payload_too_large": "Expected at most {limit} bytes, but there are {size}.",
    "approval_not_open": "Expected an open approval {approval_id!r}, but there is none.",
    "approval_hash_mismatch": "Expected a decision about the call {expected}, but it is about {action_hash}.",
    "decision_invalid": "Expected approve or reject, but the decision is {decision!r}.",
    "reviewer_not_a_person": "Expected a person to decide, but {actor_id!r} is a {actor_kind}.",
    "self_approval": "Expected somebody else to decide, but {actor_id!r} started the workflow.",
    "lease_held": "Expected a free attempt, but {executor_id!r} holds it.",
    "attempt_not_current": "Expected the current attempt of a call, but attempt {attempt} of {effect_key!r} is not.",
    "lookup_too_early": "Expected a search for {effect_key!r} not before {not_before_at_ms}, but it came back earlier.",
    "key_mismatch": "Expected the key {expected!r}, but the record's key is {key!r}.",
    "tenant_invalid": "Expected a tenant of a-z, 0-9, - and _, at most 63, but it is {tenant!r}.",
    "workflow_id_invalid": "Expected letters, digits and . _ : -, at most 128, but the id is {workflow_id!r}.",
    "not_a_request": "Expected a request, but the record is a {record_type}.",
    "internal_error": "The engine failed on this input: {error}",
}


@dataclass(frozen=True, slots=True)
class Rejection:
    """A refused input: a stable code and why, in a sentence."""

    code: str
    message: str


def reject(code: str, **details: object) -> Rejection:
    """The rejection of that code. Raises KeyError for a code that is not in SENTENCES, or a detail it lacks."""
    return Rejection(code=code, message=SENTENCES[code].format(**details))
