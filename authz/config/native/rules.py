"""The native file's rules: compiles expressions, separates names from patterns, reports what is likely not meant."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from authz.config.cel.compile import compile_expression
from authz.config.cel.typecheck import ExpressionError
from authz.config.lint.expressions import ExpressionWarning, expression_findings, placed, rule_warnings
from authz.config.lint.hiding import betrayals
from authz.config.lint.names import name_findings
from authz.config.lint.resources import resource_findings
from authz.config.native.arguments import arguments_of
from authz.config.native.define import Definitions
from authz.config.native.locks import ServerLock, compile_schemas
from authz.config.native.model import ServerModel
from authz.config.native.rule_model import RuleModel, Select, ToolHints
from authz.config.problems import Problem
from authz.config.yaml_document import Document, Path
from authz.core.mcp.item import Kind
from authz.core.policy.expression import Expression
from authz.core.policy.lock import LockedArguments
from authz.core.policy.rule import Arguments, DenialStyle, Effect, Groups, Rule, Selector

LOCKED = "locked"
_NO_LOCK, _LOCK_CURE = (
    "this server has no lock",
    "name its file, made by `mcp-authz lock`, as lock: {file: …}",
)
ARGUMENTS = frozenset({"args"})
"""What a `when` must not read: it also decides visibility in lists, where there are no arguments."""


@dataclass(frozen=True, slots=True)
class RulesReader:
    """Reads the rules of all servers of a file.

    An expression is linted right after it is compiled, while its tree is still at hand (`cel.tree.parse` keeps the last
    few): for ten thousand rules, parsing each text a second time is a third of the load.

    Attributes:
        document: the file.
        problems: receives findings that prevent use.
        warnings: receives what is likely not meant.
        definitions: the conditions that the file defines.
        compiled: one expression for each text and lock that it reads, so rules with equal conditions share its value.
        locked: the schemas of each lock that arguments must fit, by whether they may have more than is declared.
        findings: what is doubtful in each text, by the claims that hold scopes and whether its rule denies.
    """

    document: Document
    problems: list[Problem]
    warnings: list[Problem]
    definitions: Definitions = field(default_factory=Definitions)
    compiled: dict[tuple[str, frozenset[str], str], Expression] = field(default_factory=dict)
    locked: dict[tuple[str, bool], LockedArguments] = field(default_factory=dict)
    findings: dict[tuple[str, frozenset[str], bool], list[ExpressionWarning]] = field(default_factory=dict)

    def rules(
        self, model: ServerModel, path: Path, scope_claims: frozenset[str], lock: ServerLock | None
    ) -> tuple[Rule, ...]:
        """Return the rules of a server, and report what is wrong or likely not meant with their expressions.

        Args:
            model: the server.
            path: the server's key.
            scope_claims: claims that hold scopes.
            lock: what of the server was approved.
        """
        rules = [
            self._rule(index, rule, (*path, "rules", index), scope_claims, lock)
            for index, rule in enumerate(model.rules)
        ]
        self._check_names(rules, path)
        return tuple(rules)

    def lint(self, model: ServerModel, rules: Sequence[Rule], path: Path) -> None:
        """Report what is likely not meant by the rules of a server together.

        Args:
            model: the server.
            rules: the result of `rules`.
            path: the server's key.
        """
        self.warnings.extend(rule_warnings(self.document, (*path, "rules"), rules))
        self._report(self.warnings, name_findings(rules), path)
        self._report(self.warnings, resource_findings(rules), path)
        self._report(self.problems, betrayals(rules, server_hides=model.hide), path)

    def _report(self, to: list[Problem], found: Iterable[tuple[Path, str, str]], path: Path) -> None:
        for key, message, cure in found:
            to.append(self.document.problem((*path, "rules", *key), message, cure))

    def _rule(
        self,
        index: int,
        model: RuleModel,
        path: Path,
        scope_claims: frozenset[str],
        lock: ServerLock | None,
    ) -> Rule:
        denies = model.deny is not None and not model.shadow

        def expression(key: str, text: str | None, forbidden: frozenset[str]) -> Expression | None:
            compiled = self._expression(text, (*path, key), forbidden, lock)
            if compiled is not None:
                asked = compiled.text, scope_claims, denies
                if asked not in self.findings:
                    self.findings[asked] = expression_findings(compiled.text, scope_claims, denies=denies)
                self.warnings.extend(placed(self.document, (*path, key), self.findings[asked]))
                if "tool" in compiled.reads and lock is None:
                    message = f"{_NO_LOCK}, so every tool counts as the worst case"
                    self.warnings.append(self.document.problem((*path, key), message, _LOCK_CURE))
            return compiled

        self._check_lock(model, path, lock)
        effect = Effect.ALLOW if model.allow is not None else Effect.DENY
        select = model.allow or model.deny or Select()
        return Rule(
            name=model.name or f"rule-{index + 1}",
            effect=effect,
            selector=Selector.of(
                {
                    Kind.TOOL: ("*",) if isinstance(select.tools, ToolHints) else tuple(select.tools),
                    Kind.PROMPT: tuple(select.prompts),
                    Kind.RESOURCE: tuple(select.resources),
                    Kind.TASK: tuple(select.tasks),
                },
            ),
            scopes=frozenset(model.scopes),
            any_scopes=frozenset(model.any_scopes),
            roles=frozenset(model.roles),
            groups=Groups.of(model.groups) if model.groups else None,
            issuers=frozenset(model.issuers),
            when=self._with_hints(select, expression("when", model.when, ARGUMENTS), lock),
            args=expression("args", model.args, frozenset()),
            arguments=_arguments(model),
            locked=self._locked(model, path, lock),
            shadow=model.shadow,
            denial=DenialStyle(model.denial) if model.denial else None,
            hide=model.hide,
        )

    def _check_lock(self, model: RuleModel, path: Path, lock: ServerLock | None) -> None:
        """Refuse what reads a lock where there is none."""
        if lock is not None:
            return
        select = model.allow or model.deny or Select()
        effect = "allow" if model.allow is not None else "deny"
        needs = [
            (isinstance(select.tools, ToolHints), (effect, "tools")),
            (model.arguments == LOCKED, ("arguments",)),
        ]
        for needed, key in needs:
            if needed:
                self.problems.append(self.document.problem((*path, *key), _NO_LOCK, _LOCK_CURE))

    def _with_hints(
        self, select: Select, when: Expression | None, lock: ServerLock | None
    ) -> Expression | None:
        """Return the condition that also asks for the annotations that select tools."""
        if not isinstance(select.tools, ToolHints):
            return when
        asked = [f"tool.{name} == {str(value).lower()}" for name, value in select.tools.given.items()]
        given = [] if when is None else [f"({when.text})"]
        return self._expression(" && ".join((*given, *asked)), (), ARGUMENTS, lock)

    def _locked(self, model: RuleModel, path: Path, lock: ServerLock | None) -> LockedArguments | None:
        if model.arguments != LOCKED or lock is None:
            return None
        return self.locked_arguments(lock, (*path, "arguments"), extra=model.extra != "deny")

    def locked_arguments(self, lock: ServerLock, path: Path, *, extra: bool) -> LockedArguments:
        """Return the input schemas in a lock, compiled once for all that ask for them."""
        known = self.locked.get((lock.path, extra))
        if known is None:
            schemas = compile_schemas(lock, self.document, path, self.problems, extra=extra)
            known = self.locked[lock.path, extra] = LockedArguments(schemas)
        return known

    def _expression(
        self, text: str | None, path: Path, forbidden: frozenset[str], lock: ServerLock | None
    ) -> Expression | None:
        if text is None:
            return None
        try:
            text = self.definitions.expand(text)
            if (text, forbidden, "") not in self.compiled:
                self.compiled[text, forbidden, ""] = compile_expression(text, forbidden=forbidden)
            compiled = self.compiled[text, forbidden, ""]
            if lock is None or "tool" not in compiled.reads:
                return compiled
            key = text, forbidden, lock.path
            return self.compiled.setdefault(key, replace(compiled, hints=lock.hints))
        except ExpressionError as error:
            self.problems.append(expression_problem(self.document, path, error))
            return None

    def _check_names(self, rules: list[Rule], path: Path) -> None:
        seen: set[str] = set()
        for index, rule in enumerate(rules):
            if rule.name in seen:
                place, message = (*path, "rules", index, "name"), f"two rules are named {rule.name}"
                self.problems.append(self.document.problem(place, message, "rename one"))
            seen.add(rule.name)


def _arguments(model: RuleModel) -> Arguments | None:
    declared = model.arguments
    if declared is None or isinstance(declared, str):
        return None
    return arguments_of(declared, extra=model.extra != "deny")


def expression_problem(document: Document, path: Path, error: ExpressionError) -> Problem:
    """Return an expression's error as a problem at its line in the file."""
    message = f"{error} (line {error.line}, column {error.column} of the expression)"
    return document.problem(path, message, line_offset=document.place(path).offset(error.line))
