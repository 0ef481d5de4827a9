"""One decision in the making: the events so far, and the state that they lead to."""

from collections import deque

from holdfast.schemas import events as e
from holdfast.schemas.record import Json, Record
from holdfast.streams.core import definition as d
from holdfast.streams.core.compile import CompiledDefinition
from holdfast.streams.core.evolve import Cause, evolve
from holdfast.streams.core.expressions import Scope
from holdfast.streams.core.state import StepRun, WorkflowState


class Turn:
    """Collects events. `state` is always the fold of the state before the decision and `events`."""

    def __init__(self, state: WorkflowState | None, definition: CompiledDefinition, cause: Cause) -> None:
        self._state = state
        self.definition = definition
        self.cause = cause
        self.events: list[Record] = []
        self.to_enter: deque[str] = deque()

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
        self._state = evolve(self._state, event, self.cause)
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

    def complete(self, name: str, output: Json, next_step: str = "") -> None:
        """End an active step with its output, and go on."""
        run, step = self.run(name), self.step(name)
        target = next_step or getattr(step, "next", "")
        self.emit(e.StepCompleted(step=name, visit=run.visit, kind=run.kind, output=output, next_step=target))
        if target:
            self.to_enter.append(target)

    def fail(self, name: str, error_class: str, message: str) -> None:
        """End an active step with an error: its `catch` goes on, or the workflow fails."""
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
            self.to_enter.append(target)
        else:
            self.fail_workflow(name, error_class, message)

    def fail_workflow(self, step: str, error_class: str, message: str) -> None:
        """End the workflow without its goal."""
        self.to_enter.clear()
        self.emit(e.WorkflowFailed(step=step, error_class=error_class, error_message=message))

    def block(self, step: str, code: str, message: str) -> None:
        """Stop until a person acts."""
        self.to_enter.clear()
        self.emit(e.WorkflowBlocked(step=step, code=code, message=message))
