"""Identities: workflow keys, and ids that are pure functions of what they identify.

Nothing here reads a clock or a random source: the same debt always has the same id, so a repeat of a message is
recognised everywhere (see ARCHITECTURE, invariants I1 and I5).
"""

import hashlib
import re

TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
WORKFLOW_ID_LENGTH = 128
WORKFLOW_ID = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._:-]{{0,{WORKFLOW_ID_LENGTH - 1}}}")
SHORTENED_PARENT_LENGTH = 64
EVENT_TYPE_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}"
EVENT_TYPE = re.compile(EVENT_TYPE_PATTERN)
EVENT_ID = re.compile(r"[^\x00-\x1f\x7f]{1,256}")
CORRELATION_LENGTH = 1_024


def workflow_key(tenant: str, workflow_id: str) -> str:
    """The record key of everything about one workflow: `tenant/workflow_id`."""
    return f"{tenant}/{workflow_id}"


def split_key(key: str) -> tuple[str, str]:
    """The inverse of `workflow_key`. Raises ValueError if `key` is not of that form."""
    tenant, slash, workflow_id = key.partition("/")
    if not slash or not TENANT.fullmatch(tenant) or not WORKFLOW_ID.fullmatch(workflow_id):
        raise ValueError(f"{key!r} is not a workflow key of the form tenant/workflow_id")
    return tenant, workflow_id


def correlation_key(tenant: str, event_type: str, correlation: str) -> str:
    """The record key of everything about events of one type and value: `tenant/event type/value`."""
    return f"{tenant}/{event_type}/{correlation}"


def split_correlation_key(key: str) -> tuple[str, str, str]:
    """The inverse of `correlation_key`: neither a tenant nor an event type has a slash."""
    tenant, event_type, correlation = key.split("/", 2)
    return tenant, event_type, correlation


def subscription_id(workflow_id: str, wait_id: str, started_at_ms: int) -> str:
    """Identity of one wait of one workflow, also among workflows that bore the same id one after the other."""
    return f"{workflow_id}/{wait_id}/{started_at_ms}"


def subscriber(subscription_id: str) -> str:
    """The workflow that a subscription belongs to."""
    return subscription_id.partition("/")[0]


def derived_id(*parts: str | int) -> str:
    """A UUID (version 8, RFC 9562 section 5.8) that is a pure function of `parts`."""
    return hash_id(hashlib.sha256("\x00".join(map(str, parts)).encode()).digest())


def hash_id(sha256: bytes) -> str:
    """The UUID (version 8) that stands for a hash: the id of a journal event is that of its chain hash."""
    digest = sha256.hex()
    return f"{digest[:8]}-{digest[8:12]}-8{digest[13:16]}-a{digest[17:20]}-{digest[20:32]}"


def child_id(parent: str, step: str, visit: int, index: int) -> str:
    """Identity of the workflow that a visit of a step starts, equal however often it is asked for.

    It tells where it belongs as long as a workflow id is long enough for that.
    """
    place = f"{step}.{visit}.{index}"
    spelled_out = f"{parent}:{place}"
    if len(spelled_out) <= WORKFLOW_ID_LENGTH:
        return spelled_out
    return f"{parent[:SHORTENED_PARENT_LENGTH]}:{derived_id(parent, place)}"


def effect_key(tenant: str, workflow_id: str, step: str, visit: int, turn: int, index: int) -> str:
    """Identity of one model or tool call, equal for all its attempts; tools get it as their idempotency key."""
    return f"{tenant}/{workflow_id}/{step}.{visit}/{turn}/{index}"


def workflow_of(effect_key: str) -> tuple[str, str]:
    """Tenant and workflow id of a call."""
    tenant, workflow_id, *_ = effect_key.split("/", 2)
    return tenant, workflow_id
