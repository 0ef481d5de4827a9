"""One decision in the making: the events so far, the state that they lead to, and what comes next."""

import dataclasses
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from holdfast.schemas import events as e
from holdfast.schemas import jsontext
from holdfast.schemas.record import Json, Record, changed
from holdfast.streams.core import definition as d
from holdfast.streams.core.appliers import APPLIERS
from holdfast.streams.core.compile import CompiledDefinition
from holdfast.streams.core.evolve import Cause, evolve
from holdfast.streams.core.expressions import Scope
from holdfast.streams.core.scopes import TOP, running_branches, runs_in, scope_of, split_scope
from holdfast.streams.core.state import Status, StepRun, WorkflowState
from holdfast.streams.core.told import told_by

_EVENTS: tuple[type[Record], ...] = (e.WorkflowStarted, *APPLIERS)
_JSON_FIELDS = {kind: tuple(each.name for each in dataclasses.fields(kind) if each.type is Json) for kind in _EVENTS}


@dataclass(frozen=True, slots=True)
class Entry:
    """A step to enter, in a scope."""

    step: str
    scope: str


@dataclass(frozen=True, slots=True)
class Close:
    """The workflow is to end without its goal."""

    outcome: str
    step: str
    error_class: str
    message: str


@dataclass(frozen=True, slots=True)
class Join:
    """A parallel step to ask whether it is done, now that one of its branches has ended."""

    step: str
    visit: int


class Turn:
    """Collects events. `state` is always the fold of the state before the decision and `events`.

    `ahead` has what the decision goes on with, in order; `candidate` is the definition that the input asks for, if it
    asks for another one than the workflow has; `told` is the status that the events say by themselves.
    """

    def __init__(
        self,
        state: WorkflowState | None,
        definition: CompiledDefinition,
        cause: Cause,
        candidate: CompiledDefinition | None = None,
    ) -> None:
        self._state = state
        self.told = state.status if state is not None else Status.PENDING
        self.definition = definition
        self.candidate = candidate
        self.cause = cause
        self.events: list[Record] = []
        self.ahead: deque[Entry | Join | Close] = deque()

    @property
    def exists(self) -> bool:
        """True if the workflow has begun."""
        return self._state is not None

    @property
    def state(self) -> WorkflowState:
        """The state after the events so far."""
        assert self._state is not None, "nothing has been decided yet"
        return self._state

    @property
    def now_ms(self) -> int:
        """The time of this decision."""
        return self.cause.now_ms

    def emit(self, event: Record) -> None:
        """Add an event."""
        event = _as_journaled(event)
        self._state = evolve(self._state, event, self.cause)
        self.told = told_by(event) or self.told
        self.events.append(event)

    def step(self, name: str) -> d.Step:
        """A step of the definition."""
        return self.definition.steps[name]

    def run(self, name: str) -> StepRun:
        """The active run of a step."""
        return self.state.active[name]

    def scope(self) -> Scope:
        """What expressions see now."""
        state = self.state
        return {
            "input": state.input,
            "steps": {name: {"output": output} for name, output in state.outputs.items()},
            "vars": dict(state.variables),
            "workflow": {
                "id": state.workflow_id,
                "tenant": state.tenant,
                "definition": state.definition_name,
                "started_at_ms": state.started_at_ms,
            },
        }

    def render(self, step: str, field: str) -> Json:
        """A step's template field, evaluated now. Raises ExpressionError."""
        return self.definition.render(step, field, self.scope())

    def enter(self, step: str, scope: str) -> None:
        """Go on with a step."""
        self.ahead.append(Entry(step, scope))

    def begin(self, name: str, scope: str) -> None:
        """Begin a visit of a step."""
        step = self.step(name)
        timeout_ms = getattr(step, "timeout_ms", 0)
        self.emit(
            e.StepStarted(
                step=name,
                visit=self.state.visits.get(name, 0) + 1,
                kind=step.kind,
                timeout_at_ms=self.now_ms + timeout_ms if timeout_ms else 0,
                scope=scope,
            )
        )

    def complete(self, name: str, output: Json, next_step: str = "") -> None:
        """End an active step with its output, and go on."""
        self.cancel_branches(name, "branch_cancelled")
        run, step = self.run(name), self.step(name)
        target = next_step or getattr(step, "next", "")
        self.emit(e.StepCompleted(step=name, visit=run.visit, kind=run.kind, output=output, next_step=target))
        if target:
            self.enter(target, run.scope)

    def fail(self, name: str, error_class: str, message: str) -> None:
        """End an active step with an error: its `catch` goes on, or its branch fails, or the workflow."""
        self.cancel_branches(name, error_class)
        run, step = self.run(name), self.step(name)
        catch = step.catch if isinstance(step, d._Working) else {}
        target = catch.get(error_class) or catch.get(d.ANY_ERROR) or ""
        self.emit(
            e.StepFailed(
                step=name,
                visit=run.visit,
                kind=run.kind,
                error_class=error_class,
                error_message=message,
                next_step=target,
            )
        )
        if target:
            self.enter(target, run.scope)
        else:
            self.fail_scope(run.scope, name, error_class, message)

    def succeed_scope(self, scope: str, output: Json) -> None:
        """End a branch, or the workflow, with its output."""
        if scope == TOP:
            self.ahead.clear()
            self.withdraw("workflow_completed")
            self.emit(e.WorkflowCompleted(output=output))
        else:
            self._end_branch(scope, "completed", output=output)

    def fail_scope(self, scope: str, step: str, error_class: str, message: str) -> None:
        """End a branch, or the workflow, without its goal."""
        if scope == TOP:
            self.fail_workflow(step, error_class, message)
        else:
            self._end_branch(scope, "failed", error_class=error_class, message=message)

    def fail_workflow(self, step: str, error_class: str, message: str) -> None:
        """Bring the workflow to its end without its goal; see `closing.py`."""
        self._close(Close("failed", step, error_class, message))

    def cancel_workflow(self, reason: str) -> None:
        """Bring the workflow to its end because somebody asked for it; see `closing.py`."""
        self._close(Close("cancelled", "", "", reason))

    def _close(self, close: Close) -> None:
        # Nothing that was ahead matters any more, and only the first reason counts.
        if not any(isinstance(following, Close) for following in self.ahead):
            self.ahead.clear()
            self.ahead.append(close)

    def end(self, outcome: str, step: str, error_class: str, message: str, *, terminated: bool = False) -> None:
        """End the workflow now, with whatever is under way."""
        self.ahead.clear()
        self.withdraw(error_class or f"workflow_{outcome}")
        if outcome == "failed":
            self.emit(e.WorkflowFailed(step=step, error_class=error_class, error_message=message))
        else:
            self.emit(e.WorkflowCancelled(reason=message, terminated=terminated))

    def withdraw(self, reason: str, keep: Callable[[StepRun], bool] = lambda _run: False) -> None:
        """Give up every step, wherever it is, but those to keep."""
        # What was begun last ends first, so a branch ends after the steps in it.
        for run in reversed(list(self.state.active.values())):
            for branch in running_branches(run):
                self._emit_branch_end(scope_of(run, branch), "cancelled", None, reason, "")
            if not keep(run):
                self.emit(e.StepCancelled(step=run.step, visit=run.visit, kind=run.kind, reason=reason))

    def cancel_branches(self, step: str, reason: str) -> None:
        """Give up the branches of a step that still run, with everything in them."""
        run = self.run(step)
        for branch in running_branches(run):
            scope = scope_of(run, branch)
            self.cancel_runs(scope, reason)
            self._emit_branch_end(scope, "cancelled", None, reason, "")

    def block(self, step: str, code: str, message: str) -> None:
        """Stop until a person acts."""
        self.ahead.clear()
        self.emit(e.WorkflowBlocked(step=step, code=code, message=message))

    def cancel_runs(self, scope: str, reason: str) -> None:
        """Give up the steps of a scope, with everything in them."""
        for run in runs_in(self.state, scope):
            self.cancel_branches(run.step, reason)
            self.emit(e.StepCancelled(step=run.step, visit=run.visit, kind=run.kind, reason=reason))

    def _end_branch(
        self, scope: str, outcome: str, output: Json = None, error_class: str = "", message: str = ""
    ) -> None:
        self.cancel_runs(scope, error_class or "branch_ended")
        self._emit_branch_end(scope, outcome, output, error_class, message)
        step, visit, _branch = split_scope(scope)
        self.ahead.append(Join(step, visit))

    def _emit_branch_end(self, scope: str, outcome: str, output: Json, error_class: str, message: str) -> None:
        step, visit, branch = split_scope(scope)
        self.emit(
            e.BranchEnded(
                step=step,
                visit=visit,
                branch=branch,
                outcome=outcome,
                output=output,
                error_class=error_class,
                error_message=message,
            )
        )


def _as_journaled(event: Record) -> Record:
    """The event as it will be read back: a state must not depend on whether it was folded now or from the journal."""
    values = vars(event)
    moved = {
        name: ordered
        for name in _JSON_FIELDS[type(event)]
        if (ordered := jsontext.in_order(values[name])) is not values[name]
    }
    return changed(event, **moved) if moved else event
