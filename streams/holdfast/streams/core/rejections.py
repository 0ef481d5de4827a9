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
    "workflow_blocked": "Expected a workflow that can go on, but {workflow_id!r} is blocked.",
    "definition_not_found": "Expected a published definition {definition!r}, but there is none.",
    "input_invalid": "Expected an input that fits the definition's schema, but {errors}",
    "event_not_expected": "Expected an event that the definition names, but it has no step waiting for {event_type!r}.",
    "event_buffer_full": "Expected fewer than {limit} events that nobody waits for yet, but there are that many.",
    "payload_too_large": "Expected at most {limit} bytes, but there are {size}.",
    "approval_not_open": "Expected an open approval {approval_id!r}, but there is none.",
    "approval_hash_mismatch": "Expected a decision about the call {expected}, but it is about {action_hash}.",
    "decision_invalid": "Expected approve or reject, but the decision is {decision!r}.",
    "reviewer_not_a_person": "Expected a person to decide, but {actor_id!r} is a {actor_kind}.",
    "self_approval": "Expected somebody else to decide, but {actor_id!r} started the workflow.",
    "lease_held": "Expected a free attempt, but {executor_id!r} holds it.",
    "attempt_not_current": "Expected the current attempt of a call, but attempt {attempt} of {effect_key!r} is not.",
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
