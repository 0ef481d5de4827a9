"""What goes wrong, and how often. The counts come from the journal, so they survive the end of the process."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.ops.scripted_model.journal import Entry
from holdfast.ops.scripted_model.script import Fault, FaultKind, Rule, Script
from holdfast.ops.scripted_model.transcript import Transcript

Body = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What is sent: a JSON body, or `text` if that is given. `cut` closes the connection half-way through."""

    status: int = 200
    body: Body | None = None
    text: str = ""
    retry_after: str = ""
    cut: bool = False
    paid: bool = True


def _refusal(status: int, code: str, message: str, retry_after: str = "") -> Reply:
    body = {"error": {"message": message, "type": code, "code": code, "param": None}}
    return Reply(status=status, body=body, retry_after=retry_after, paid=False)


def refused(code: str, message: str) -> Reply:
    """The reply to a request that the script cannot answer; 400, so that nobody tries again."""
    return _refusal(400, code, message)


def _choice(body: Body, **changes: Any) -> Reply:
    return Reply(body={**body, "choices": [{**body["choices"][0], **changes}]})


def _message(body: Body, **changes: Any) -> Reply:
    return _choice(body, message={**body["choices"][0]["message"], **changes})


def _truncated(body: Body, _fault: Fault) -> Reply:
    message = body["choices"][0]["message"]
    half = (message["content"] or "")[: len(message["content"] or "") // 2]
    return _choice(body, message={"role": "assistant", "content": half}, finish_reason="length")


def _wrong_tool(body: Body, _fault: Fault) -> Reply:
    calls = [
        {**call, "function": {**call["function"], "name": "no_such_tool"}}
        for call in body["choices"][0]["message"].get("tool_calls", ())
    ]
    return _message(body, tool_calls=calls)


_REPLIES: Mapping[FaultKind, Callable[[Body, Fault], Reply]] = {
    "delay": lambda body, fault: Reply(body=body),
    "rate_limit": lambda body, fault: _refusal(429, "rate_limit_exceeded", "too many requests", fault.retry_after),
    "quota": lambda body, fault: _refusal(429, "insufficient_quota", "you exceeded your current quota"),
    "error": lambda body, fault: _refusal(fault.status, "server_error", "the server had an error"),
    "cut": lambda body, fault: Reply(body=body, cut=True),
    "html": lambda body, fault: Reply(text="<html><body>Bad gateway</body></html>", paid=False),
    "invalid_json": lambda body, fault: _message(body, content='```json\n{"not": finished', tool_calls=None),
    "length": _truncated,
    "wrong_tool": _wrong_tool,
    "no_choices": lambda body, fault: Reply(body={**body, "choices": None}),
    "no_finish": lambda body, fault: _choice(body, finish_reason=None),
    "no_usage": lambda body, fault: Reply(body={key: value for key, value in body.items() if key != "usage"}),
}


def reply(body: Body, fault: Fault | None) -> Reply:
    """The reply to a request whose answer is `body`, with what goes wrong."""
    return Reply(body=body) if fault is None else _REPLIES[fault.kind](body, fault)


class Faults:
    """All faults of a server, those of its script and those that were added, and how often each has happened."""

    def __init__(self, script: Script, entries: Iterable[Entry]) -> None:
        self._script = script
        self._added: list[Fault] = []
        self._happened: Counter[tuple[str, str]] = Counter()
        for entry in entries:
            self.replay(entry)

    def replay(self, entry: Entry) -> None:
        """Take a journal entry into account."""
        if entry["entry"] == "fault":
            self._added.append(Fault.model_validate(entry["fault"]))
        elif entry.get("fault"):
            self._happened[str(entry["fault"]), str(entry["fault_scope"])] += 1

    @property
    def next_id(self) -> str:
        """A name for the next fault that is added without one."""
        return f"added-{len(self._added)}"

    def due(self, rule: Rule, transcript: Transcript) -> tuple[Fault, str, str] | None:
        """The fault that happens to this request, with its id and the digest it is counted by."""
        candidates = [
            *((fault.id, fault) for fault in self._added),
            *((fault.id or f"{rule.name}/{place}", fault) for place, fault in enumerate(rule.faults)),
            *((fault.id or f"script/{place}", fault) for place, fault in enumerate(self._script.faults)),
        ]
        for id_, fault in candidates:
            scope = transcript.digest if fault.per == "transcript" else transcript.conversation
            if transcript.fits(fault.match) and self._happened[id_, scope] < fault.times:
                return fault, id_, scope
        return None
