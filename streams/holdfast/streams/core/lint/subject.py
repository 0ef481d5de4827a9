"""A definition, and what rules ask about it. Each answer is computed once, when the first rule asks."""

from collections.abc import Mapping
from functools import cached_property

from holdfast.streams.core import definition as d
from holdfast.streams.core import graph
from holdfast.streams.core.expressions import ExpressionError
from holdfast.streams.core.graph import Exit, Path, ScopeNode
from holdfast.streams.core.lint.certain import Certainty
from holdfast.streams.core.lint.outputs import output_shape
from holdfast.streams.core.lint.reads import NOTHING, Facts, Read, facts_if, reads
from holdfast.streams.core.lint.shapes import ANY, TEXT, WHOLE, Field, Kind, Shape, record, shape_of
from holdfast.streams.core.lint.tree import Tree, tree_of
from holdfast.streams.core.lint.typed import TypedEnvironment, Verdict
from holdfast.streams.core.sites import Site, conditions, placeholders

_AFTER_THE_STEP = frozenset({"check", "compensate", "restore"})
"""Fields whose expressions see the output of their own step."""
_WORKFLOW = record("workflow", {"id": TEXT, "tenant": TEXT, "definition": TEXT, "started_at_ms": WHOLE})


class Subject:
    """One well-formed definition under inspection."""

    def __init__(self, definition: d.Definition) -> None:
        self.definition = definition
        self.steps: Mapping[str, d.Step] = definition.steps
        self._trees: dict[str, Tree | ExpressionError] = {}
        self._reads: dict[str, list[Read]] = {}
        self._verdicts: dict[tuple[str, str], Verdict] = {}
        self._environments: dict[str, TypedEnvironment] = {}

    # The graph.

    @cached_property
    def targets(self) -> list[tuple[Path, str]]:
        """Every place that names a step to go on with, and the name: `start`, exits, and where scopes begin."""
        found: list[tuple[Path, str]] = [(("start",), self.definition.start)]
        for name, step in self.steps.items():
            exits: list[Exit] = [*graph.exits(step), *(entry for _, entry in graph.entries(step))]
            found += ((("steps", name, *exit_.path), exit_.target) for exit_ in exits)
        return found

    @cached_property
    def leads_somewhere(self) -> bool:
        """True if every step that is named exists: before that, nobody can say which steps are reached."""
        return all(target in self.steps for _, target in self.targets)

    @cached_property
    def scopes(self) -> list[ScopeNode]:
        """Every scope, outer ones first."""
        return list(graph.scopes(self.definition))

    @cached_property
    def homes(self) -> Mapping[str, list[ScopeNode]]:
        """The scopes that each step belongs to: one, in a sound definition."""
        return {name: [scope for scope in self.scopes if name in scope.steps] for name in self.steps}

    @cached_property
    def edges(self) -> Mapping[str, set[str]]:
        """The steps that each step leads to within its scope."""
        return graph.edges(self.definition)

    @cached_property
    def certainty(self) -> Certainty | None:
        """What has happened before each step; None if the graph has mistakes that have to be corrected first."""
        sound = self.leads_somewhere and all(len(homes) < 2 for homes in self.homes.values())
        return Certainty(self.definition, self._facts_if) if sound else None

    def _facts_if(self, source: str, outcome: bool) -> Facts:
        tree = self._tree(source)
        return NOTHING if isinstance(tree, ExpressionError) else facts_if(tree, outcome)

    def row_of(self, step: str) -> str:
        """The row whose variables a step sees: that of the map step whose items it belongs to; empty at the top."""
        scope = next(iter(self.homes[step]), None)
        while scope is not None and not scope.own_row:
            scope = scope.around
        return scope.opened_by if scope is not None else ""

    # Expressions.

    @cached_property
    def sites(self) -> list[Site]:
        """Every expression of the definition."""
        return [*conditions(self.definition), *placeholders(self.definition)]

    @cached_property
    def sites_of(self) -> Mapping[str, list[Site]]:
        """The expressions by step."""
        found: dict[str, list[Site]] = {}
        for site in self.sites:
            found.setdefault(site.step, []).append(site)
        return found

    @cached_property
    def compiling_sites(self) -> list[Site]:
        """The expressions that compile."""
        return [site for site in self.sites if not isinstance(self._tree(site.source), ExpressionError)]

    def compile_error(self, site: Site) -> str:
        """Why an expression does not compile; empty if it does."""
        tree = self._tree(site.source)
        return str(tree) if isinstance(tree, ExpressionError) else ""

    def reads(self, site: Site) -> list[Read]:
        """What an expression that compiles reads."""
        if site.source not in self._reads:
            tree = self._tree(site.source)
            self._reads[site.source] = [] if isinstance(tree, ExpressionError) else reads(tree)
        return self._reads[site.source]

    def known_at(self, site: Site) -> Facts | None:
        """What is certainly there where an expression is evaluated; None if nobody can say, or nothing leads there."""
        before = self.certainty.before.get(site.step) if self.certainty is not None else None
        if before is None:
            return None
        return before | {("steps", site.step)} if site.field in _AFTER_THE_STEP else before

    def verdict(self, site: Site) -> Verdict:
        """What the type checker says about an expression that compiles."""
        row = self.row_of(site.step)
        key = row, site.source
        if key not in self._verdicts:
            self._verdicts[key] = self.environment(row).check(site.source)
        return self._verdicts[key]

    def environment(self, row: str) -> TypedEnvironment:
        """The variables that the steps of a row see."""
        if row not in self._environments:
            self._environments[row] = TypedEnvironment(
                {
                    "input": self._item(row) if row else shape_of(self.definition.input, "input"),
                    "steps": self._steps_shape,
                    "vars": self._variables(row),
                    "workflow": _WORKFLOW,
                }
            )
        return self._environments[row]

    def _tree(self, source: str) -> Tree | ExpressionError:
        if source not in self._trees:
            try:
                self._trees[source] = tree_of(source)
            except ExpressionError as exc:
                self._trees[source] = exc
        return self._trees[source]

    @cached_property
    def _steps_shape(self) -> Shape:
        shapes = {name: record(f"steps.{name}", {"output": output_shape(self.definition, name)}) for name in self.steps}
        return Shape(
            kind=Kind.OBJECT, label="steps", fields={name: Field(shape=shape) for name, shape in shapes.items()}
        )

    def _item(self, row: str) -> Shape:
        step = self.steps[row]
        assert isinstance(step, d.MapStep)
        shared = record("input.shared", dict.fromkeys(step.shared, ANY)) if isinstance(step.shared, dict) else ANY
        return record("input", {"item": ANY, "index": WHOLE, "shared": shared})

    def _variables(self, row: str) -> Shape:
        names = {
            variable
            for name, step in self.steps.items()
            if isinstance(step, d.AssignStep) and self.row_of(name) == row
            for variable in step.set
        }
        return record("vars", dict.fromkeys(sorted(names), ANY))
