"""What each stable code means and what to do about it, for people. A test compares the tables with the engine."""

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.ops.errors import CommandError


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """One code. `kind` says where it is met; `meaning` and `cure` are for the person who meets it."""

    code: str
    kind: str
    meaning: str
    cure: str


# Codes of inputs that were refused and changed nothing: code -> (meaning, cure).
_REFUSALS: Mapping[str, tuple[str, str]] = {
    "workflow_not_found": (
        "No workflow of this tenant has that id; or it ended so long ago that its row is gone.",
        "`holdfast list` shows the ids; mind --tenant",
    ),
    "workflow_exists": (
        "The id of a new workflow is taken. The workflow that has it goes on unchanged.",
        "leave --id out, or choose another one; `holdfast show ID` shows the one that has it",
    ),
    "start_step_unknown": (
        "The workflow was to begin at a step that its definition does not have.",
        "`holdfast definitions show NAME` shows the steps",
    ),
    "nested_too_deep": (
        "Workflows that start workflows stand above one another, more than the engine allows.",
        "does a definition start itself? `holdfast show ID` shows the parents",
    ),
    "started_as_child": (
        "A start from outside claims to come from another workflow; only the engine starts children.",
        "leave the parent's fields empty",
    ),
    "workflow_closing": (
        "The workflow is on its way to its end: what is under way is awaited, what was done is being undone.",
        "`holdfast show ID` shows what it waits for; `holdfast terminate` ends it at once, with whatever is left",
    ),
    "not_held": (
        "The workflow is neither paused nor blocked, so there is nothing to resume.",
        "`holdfast show ID` shows what it does",
    ),
    "step_unknown": (
        "The definition that the workflow runs by has no step of that name.",
        "`holdfast definitions show NAME@HASH` shows the steps; `holdfast show ID` names the version",
    ),
    "step_not_active": (
        "Only a step that is under way can be ended in its stead.",
        "`holdfast show ID` shows which steps are under way",
    ),
    "step_out_of_reach": (
        "The step belongs to a branch that does not run, or to the items of a map step, each a workflow of its own.",
        "retry the parallel step itself, or the item: `holdfast show ID` shows its id",
    ),
    "step_cannot_be_skipped": (
        "The step does not lead to just one other step, so nobody can tell where to go on.",
        "`holdfast retry ID --from STEP` goes on wherever you like",
    ),
    "call_open": (
        "A call of the step may still take effect, and going on without it could do the same thing twice.",
        "wait for it; or find out what it did and say so: `holdfast resolve ID EFFECT_KEY`",
    ),
    "call_unknown": (
        "Nobody knows whether a call took effect, and the workflow does not go on before somebody does.",
        "find out by its key in the system that it was made to, then `holdfast resolve ID EFFECT_KEY`",
    ),
    "undo_unknown": (
        "How to undo the step's effect was to come from its result, and the result did not say it.",
        "undo it by hand in the system that it was made in, then `holdfast skip ID STEP` says so",
    ),
    "call_not_unknown": (
        "The call's outcome is known, or it belongs to another workflow.",
        "`holdfast show ID` shows the calls and their outcomes",
    ),
    "cannot_migrate": (
        "Something that is under way in the workflow has no place in the other version of the definition.",
        "keep the steps that are under way, in their kinds and places; or wait until the workflow is past them",
    ),
    "cannot_fork": (
        "Nothing can go on from that point by that definition: what was under way has no place there, may have been "
        "done, or had ended.",
        "fork at another event (`holdfast show ID --events`), by another --definition, or say what is done again: "
        "--redo STEP",
    ),
    "fork_across_tenants": (
        "A history belongs to one tenant, and so do its forks.",
        "fork within the tenant: --tenant",
    ),
    "redo_unknown": (
        "What is to be done again is neither a step of the definition nor a call that was under way at that point.",
        "`holdfast show ID` shows steps and the keys of calls",
    ),
    "sequence_unknown": (
        "The workflow's history does not have that event.",
        "`holdfast show ID --events` shows the events and their numbers",
    ),
    "set_invalid": (
        "A path leads to nothing that a fork can have another value for.",
        "input.a.b, steps.NAME.output.a of a step that has ended, or vars.NAME",
    ),
    "snapshot_invalid": (
        "A request to fork does not carry what a workflow had come to in the form that this version reads.",
        "let `holdfast fork` of this version make the request",
    ),
    "never_moved": (
        "The workflow was to go back to the version before its last move, but it has never been moved.",
        "`holdfast migrate ID --to NAME@HASH` moves it to any version; `holdfast definitions list --versions`",
    ),
    "not_a_schedule": (
        "Only a schedule can be triggered.",
        "`holdfast start NAME` starts a workflow; `holdfast list` shows which ones there are",
    ),
    "outcome_invalid": (
        "A call is settled as done, not_done or retry.",
        "`holdfast resolve --help`",
    ),
    "workflow_finished": (
        "The workflow has ended, and an ended workflow takes no more inputs.",
        "`holdfast show ID` shows how it ended; start another one",
    ),
    "workflow_held": (
        "The workflow has stopped until a person looks at it, and takes no decisions until then.",
        "`holdfast show ID` says what stopped it",
    ),
    "definition_not_found": (
        "No definition is published under that name or hash.",
        "`holdfast definitions list`, then `holdfast apply FILE`",
    ),
    "budget_invalid": (
        "A start named a budget that is no object of whole numbers by limit.",
        "the limits are model_calls, tool_calls, tokens and cost_microusd",
    ),
    "budget_exhausted": (
        "A step would have spent more than the workflow's `budget` allows, so its call was not made.",
        "raise the budget in the definition and start again, or `catch` the error in the step",
    ),
    "changed_since": (
        "A prior value was not put back, because somebody has changed it since the workflow wrote.",
        "look at the value, then compare again (`holdfast retry ID --from STEP`) or leave it (`holdfast skip ID STEP`)",
    ),
    "input_invalid": (
        "The input of the new workflow does not fit the JSON Schema under `input` in its definition.",
        "correct the input; `holdfast definitions show NAME --json` has the schema",
    ),
    "event_not_expected": (
        "No step of the workflow's definition waits for events of that type.",
        "check the spelling; `holdfast definitions show NAME` shows what its wait steps wait for",
    ),
    "event_not_allowed": (
        "No step waits for the event, and the definition does not allow it to come early at this place (`events`).",
        "send it again when the workflow waits for it: `holdfast show ID` says for what it waits",
    ),
    "event_buffer_full": (
        "As many events that nobody waits for yet are kept as may be: by the workflow, or for the type and value.",
        "`holdfast show ID` or `holdfast events waiting`: why does nobody wait? Send the event again later",
    ),
    "event_type_invalid": (
        "The type of a published event has a form that is not allowed.",
        "letters, digits and . _ : -, beginning with a letter or digit, at most 128 characters",
    ),
    "event_id_invalid": (
        "The id of a published event, by which repeats are recognised, has a form that is not allowed.",
        "1 to 256 printable characters",
    ),
    "correlation_too_long": (
        "The correlation value of a published event is longer than any wait asks for.",
        "use an id as correlation value, and put the rest into the payload",
    ),
    "ttl_invalid": (
        "An event cannot be kept for that long while nobody waits for it.",
        "a time to live is at most 30 days; 0 means one day",
    ),
    "event_addressed": (
        "An event that was published for whoever waits names a workflow.",
        "`holdfast signal ID TYPE` is for one workflow; leave the workflow id empty to publish",
    ),
    "handed_from_outside": (
        "An event from outside claims that the engine has handed it to a wait.",
        "leave `subscription_id` empty",
    ),
    "payload_too_large": (
        "A value is larger than what a workflow may carry.",
        "keep the large value in a store of your own and send its id",
    ),
    "approval_not_open": (
        "Nobody is asked that now: the approval is decided, has expired, or belongs to another workflow.",
        "`holdfast approvals list` shows the open ones, `holdfast approvals show APPROVAL_ID` this one",
    ),
    "approval_hash_mismatch": (
        "The decision is about another call than the one that waits: tool, arguments or workflow differ.",
        "read `holdfast approvals show APPROVAL_ID` again and decide with the hash that it shows",
    ),
    "decision_invalid": ("A decision is either `approve` or `reject`.", "send one of the two"),
    "reviewer_not_a_person": (
        "Only people decide approvals; services, executors and timers do not.",
        "let a person decide: `holdfast approvals approve APPROVAL_ID --as NAME`",
    ),
    "self_approval": (
        "Whoever started a workflow must not approve its calls.",
        "let somebody else decide, who signs in under their own name (--as NAME)",
    ),
    "lease_held": (
        "An executor asked for an attempt that another executor holds. The first claim won.",
        "nothing: the executor drops its attempt, and no call was made",
    ),
    "attempt_not_current": (
        "An executor spoke of an attempt that is over or was replaced by a later one.",
        "nothing, if it is rare; if not, calls take longer than their lease: see the executor's log",
    ),
    "lookup_too_early": (
        "An executor looked for traces of a call before they can be seen, and found none. That says nothing yet.",
        "set the clock of the executor's machine; the search is made again by itself",
    ),
    "key_mismatch": (
        "A record's Kafka key is not `tenant/workflow_id` of what it says about itself.",
        "correct the producer: key = tenant/workflow_id, partitioner murmur2",
    ),
    "tenant_invalid": ("The tenant's name has a form that is not allowed.", "a-z, 0-9, - and _, at most 63 characters"),
    "workflow_id_invalid": (
        "The workflow id has a form that is not allowed.",
        "letters, digits and . _ : -, beginning with a letter or digit, at most 128 characters",
    ),
    "not_a_request": (
        "A record of another type stands on the requests topic.",
        "correct the producer; `holdfast topics list` says what belongs where",
    ),
    "internal_error": (
        "The engine itself, or an executor, failed on this input. This is a bug; the rest goes on.",
        "keep the output of `holdfast show ID --events --json` and the role's log, and report it",
    ),
}

# Classes of errors that a step, a call or a workflow can end with; definitions can `catch` and `retry` by them.
_ERRORS: Mapping[str, tuple[str, str]] = {
    "compensation_failed": (
        "What the workflow did before could not all be undone.",
        "`holdfast show ID` says what is undone and what is not; undo it by hand and `holdfast skip ID STEP`, or "
        "`holdfast retry ID --from STEP`",
    ),
    "idle_timeout": (
        "Nothing happened to the workflow for longer than the `idle_timeout` of its definition.",
        "`holdfast show ID` shows what it waited for",
    ),
    "unknown_outcome": (
        "Nobody knows whether something was done, so nobody can tell whether it has to be undone.",
        "find out by the call's key, then `holdfast skip ID STEP` once nothing is left to undo",
    ),
    "too_many_items": (
        "A map step was given more items than `max_items` allows, or than a list may have (1,000).",
        "raise `max_items`; more than 1,000 come from the content store: `holdfast content put FILE`, one item a line",
    ),
    "content_missing": (
        "A reference names a body that the content store does not have.",
        "is HOLDFAST_CONTENT_URL the same for executors and for whoever put it? `holdfast content put` it again, then "
        "`holdfast retry ID --from STEP`",
    ),
    "content_corrupt": (
        "A body in the content store is not what was put there: its bytes have another hash.",
        "`holdfast content put` the file again, which repairs it, then `holdfast retry ID --from STEP`; check the disk",
    ),
    "content_too_large": (
        "A body, or one of its lines, is larger than the content store or a map step takes.",
        "split the file; put large parts of a line into the store by themselves and their references into the line",
    ),
    "content_not_json_lines": (
        "A line of a body is not a JSON value by itself; the message names it.",
        "one JSON value a line, without empty lines; `holdfast content put --raw` keeps anything else",
    ),
    "content_reference_invalid": (
        "A value is meant to be a reference to JSON lines and is none, or it says something else than the body.",
        "pass on what `holdfast content put FILE` prints, as it is; `holdfast content show` prints it again",
    ),
    "approval_missing": (
        "A tool step needs an unused approval of this very call, and there is none: the arguments differ from what was "
        "approved, or the approval has expired.",
        "let the tool step and its approval step compute the same arguments, or allow more time to decide",
    ),
    "budget_exhausted": (
        "The model's provider says that the account has no credit left.",
        "settle it with the provider; workflows that failed must be started again",
    ),
    "cancelled": (
        "A tool gave up because nobody waited for its call any more. It had not acted.",
        "nothing: the step had ended before, or the workflow",
    ),
    "deadline_exceeded": (
        "The workflow did not end within the `deadline` of its definition.",
        "`holdfast show ID` shows where the time went; raise `deadline`, or give steps timeouts with a `catch`",
    ),
    "decision_diverged": (
        "A crash cut a decision short, and this version of the engine would decide otherwise than the one before.",
        "cancel the workflow and start it again; finish or drain workflows before changing the engine's rules",
    ),
    "effect_changed": (
        "The tool now declares another effect than the one that the workflow's definition pinned.",
        "run an executor with the tool as it was, or `holdfast apply` the definition and start again",
    ),
    "executor_stopped": (
        "An executor was asked to end while the call ran. The attempt is made again where that is safe.",
        "nothing; for calls that must not be made twice see `holdfast show ID`",
    ),
    "expression_error": (
        "A CEL expression of the definition could not be evaluated with this data.",
        "the message has the expression; test for missing fields with `has(...)`, then `holdfast apply`",
    ),
    "failed": (
        "The workflow reached a `fail` step that gives no error class of its own.",
        "`holdfast show ID` shows the way there",
    ),
    "invalid_arguments": (
        "The arguments of a tool call do not fit the tool's schema. The tool was not called.",
        "correct `arguments` in the definition; an agent reads the error and tries again",
    ),
    "invalid_output": (
        "An answer is not what the step asks for: not JSON, against `output`, or against `check`, also after repairs.",
        "`holdfast show ID` has the reasons; make instructions or schema plainer, or raise `max_repairs`",
    ),
    "invalid_request": (
        "The model's server refused the request itself: unknown model, wrong address, or parameters it does not take.",
        "`holdfast doctor --model`; check HOLDFAST_MODEL_BASE_URL (it ends in /v1) and HOLDFAST_MODEL_NAME",
    ),
    "invalid_result": (
        "A tool returned something else than its schema promises. Its effect has happened all the same.",
        "correct the tool's return type; look in the outside system before you start the workflow again",
    ),
    "lease_expired": (
        "An executor claimed a call and was not heard of again: it died, hung, or lost the broker.",
        "nothing, if the call could be repeated; `holdfast doctor` and the executor's log say why",
    ),
    "no_lookup": (
        "Traces of a call were to be searched for, but the tool that this executor has cannot do that.",
        "run an executor with the tool as it was when the definition was applied; `holdfast resolve ID EFFECT_KEY`",
    ),
    "outcome_unknown": (
        "Nobody knows whether a call took effect, and a call of its kind is never repeated blindly.",
        "look in the outside system for the effect key that `holdfast show ID` shows; then `holdfast resolve ID KEY`",
    ),
    "output_rejected": (
        "A model's answer was refused and the model was told why. It may answer again.",
        "nothing, unless it happens often: then make instructions or schema plainer",
    ),
    "permission_denied": (
        "The model's server does not accept the key, or the key may not use that model.",
        "correct HOLDFAST_MODEL_API_KEY; `holdfast doctor --model`",
    ),
    "rate_limited": (
        "The model's server asks for fewer requests. Calls are made again after the time it names.",
        "nothing, if it passes; else fewer slots (HOLDFAST_EXECUTOR_SLOTS) or a higher limit at the provider",
    ),
    "rejected": (
        "A person refused an approval, and the definition has no `catch` for that.",
        "`holdfast show ID` has who and why; add `catch: {rejected: STEP}` to the approval step",
    ),
    "result_too_large": (
        "A call returned more than the journal takes. Its effect has happened all the same.",
        "let the tool keep large values in a store and return their id",
    ),
    "state_too_large": (
        "The workflow carries more data than it may.",
        "keep large values in a store of your own and pass their ids between steps",
    ),
    "step_limit": (
        "The workflow entered more steps than `max_steps` allows: most often a loop that does not end.",
        "`holdfast show ID` shows the loop; correct its `choice`, or raise `max_steps`",
    ),
    "timeout": (
        "A call, a step, a wait or an approval did not end within its `timeout`.",
        "`holdfast show ID` shows which; raise the timeout, or add `catch: {timeout: STEP}`",
    ),
    "tool_error": (
        "A tool raised an error that it did not name.",
        "the message and the tool executor's log have it; raise ToolError in the tool to name it and say what is safe",
    ),
    "turn_limit": (
        "An agent used all its turns without an accepted answer.",
        "`holdfast show ID` shows what it did; give it fewer tools, plainer instructions, or raise `max_turns`",
    ),
    "unavailable": (
        "The other side could not be reached or failed on its own: connection refused or cut, or a 5xx answer.",
        "nothing, if a later attempt succeeds; else look at the other side",
    ),
    "unknown_tool": (
        "No running executor has the tool that the call names.",
        "name its module in HOLDFAST_TOOL_MODULES and restart the tool executor",
    ),
    "withdrawn": (
        "Nobody waited for a call any more, so its executor cut it off. It changes nothing outside.",
        "nothing: the step had ended before, or the workflow",
    ),
}

# Codes of records that nobody could use; they stand untouched in the dead letters.
_DEAD_LETTERS: Mapping[str, tuple[str, str]] = {
    "no_meta": ("A row of a state topic stands where records belong.", "correct the producer"),
    "no_value": ("A record has a key but no value.", "correct the producer: only compacted topics take deletions"),
    "not_a_row": ("A record stands on a state topic, where only rows belong.", "correct the producer"),
    "not_framed": (
        "The value does not begin with byte 00 and a 4-byte schema id.",
        "write Confluent framing; `holdfast schemas list` has the ids",
    ),
    "trailing_bytes": ("More bytes follow the record than its schema has.", "write with the schema that the id names"),
    "undecodable": (
        "The bytes are not what the schema that they name says.",
        "write with the schema that the id names",
    ),
    "unexpected_record": (
        "A record of a known type stands on a topic that it does not belong to.",
        "correct the producer",
    ),
    "unexpected_type": (
        "A record of a known type stands on a topic that it does not belong to.",
        "correct the producer",
    ),
    "unknown_schema": (
        "The schema id is not in the catalogue of this version.",
        "update the reader, or write with a schema of `holdfast schemas list`",
    ),
    "unwritable": ("ClickHouse did not take the row.", "the dead letter's message has ClickHouse's words"),
    "wrong_key": ("An event in the journal has the key of another workflow.", "find who else writes the journal"),
}

# What an audit can find in the hash chain of a workflow.
_FINDINGS: Mapping[str, tuple[str, str]] = {
    "broken_link": ("An event names another predecessor than the one before it.", "compare with the journal's copy"),
    "fork": (
        "Two different events have the same place in a workflow. The first one counts.",
        "find the second writer: an orchestrator that was suspended, or a stranger",
    ),
    "gap": (
        "Events are missing in the middle of a workflow.",
        "`holdfast projections rebuild` reads the journal again",
    ),
    "hash_mismatch": ("An event is not what was hashed when it was written.", "compare with the journal's copy"),
    "missing_head": (
        "The first events of a workflow are missing.",
        "`holdfast projections rebuild`, if the journal still has them",
    ),
    "payload_erased": ("The content of an event was removed on purpose; its hash remains.", "nothing"),
}

# Why the tables stand still, while the workflows go on.
_OUTAGES: Mapping[str, tuple[str, str]] = {
    "clickhouse_away": (
        "The sink cannot reach ClickHouse. The tables stand still; nothing is lost, since the journal keeps it.",
        "start ClickHouse, or correct HOLDFAST_CLICKHOUSE_DSN; the sink goes on by itself",
    ),
    "clickhouse_unable": (
        "ClickHouse answers but stores nothing: too many parts, too little memory, or trouble with its files.",
        "`holdfast projections status` has ClickHouse's words; the sink goes on by itself once ClickHouse does",
    ),
    "disk_full": (
        "There is no room where ClickHouse keeps its files. The tables stand still; nothing is lost.",
        "make room on that disk, which `holdfast doctor` names; the sink goes on by itself",
    ),
}

# Codes of limits that were refused.
_LIMITS: Mapping[str, tuple[str, str]] = {
    "scope_unknown": (
        "The scope of a limit names no tasks.",
        "name a class, a tenant, a definition or several: tool:send_email, model, tenant:acme, tool,tenant:*",
    ),
    "rate_unknown": (
        "A rate is a number per s, min or h, and at least 1.",
        "write it like 10/s, 1000/min or 5/h",
    ),
    "limit_empty": (
        "A limit was to be set that limits nothing.",
        "give --max-in-flight, --requests, --units, --weight or --paused; `holdfast queues unset` takes a limit away",
    ),
    "limit_unknown": (
        "A limit was to be removed from a scope that has none.",
        "`holdfast queues` shows the limits and their scopes",
    ),
}

_KINDS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "refusal": _REFUSALS,
    "error": _ERRORS,
    "dead letter": _DEAD_LETTERS,
    "audit finding": _FINDINGS,
    "outage": _OUTAGES,
    "limit": _LIMITS,
}

EXPLANATIONS: Mapping[str, Explanation] = {
    code: Explanation(code=code, kind=kind, meaning=meaning, cure=cure)
    for kind, table in _KINDS.items()
    for code, (meaning, cure) in table.items()
}


def cure_of(code: str) -> str:
    """What to do about a code; for a code that is not the engine's, where it comes from."""
    known = EXPLANATIONS.get(code)
    return known.cure if known else f"{code} is not a code of the engine: a tool or a `fail` step gave it"


def refusal(code: str, message: str) -> CommandError:
    """The error by which a command says that the engine, or the command in its stead, has refused something."""
    return CommandError(f"refused ({code}): {message}", cure=cure_of(code))
