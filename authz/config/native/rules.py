"""The native file's rules: compiles expressions, separates names from patterns, reports what is likely not meant."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from authz.config.cel.compile import compile_expression
from authz.config.cel.typecheck import ExpressionError
from authz.config.lint.expressions import ExpressionWarning, expression_findings, placed, rule_warnings
from authz.config.lint.hiding import betrayals
from authz.config.lint.names import name_findings
from authz.config.lint.resources import resource_findings
from authz.config.native.arguments import arguments_of
from authz.config.native.define import Definitions
from authz.config.native.model import RuleModel, Select, ServerModel
from authz.config.problems import Problem
from authz.config.yaml_document import Document, Path
from authz.core.mcp.item import Kind
from authz.core.policy.expression import Expression
from authz.core.policy.rule import Arguments, DenialStyle, Effect, Groups, Rule, Selector

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
        compiled: one expression for each text, so rules with equal conditions also share its value.
        findings: what is doubtful in each text, by the claims that hold scopes and whether its rule denies.
    """

    document: Document
    problems: list[Problem]
    warnings: list[Problem]
    definitions: Definitions = field(default_factory=Definitions)
    compiled: dict[tuple[str, frozenset[str]], Expression] = field(default_factory=dict)
    findings: dict[tuple[str, frozenset[str], bool], list[ExpressionWarning]] = field(default_factory=dict)

    def rules(self, model: ServerModel, path: Path, scope_claims: frozenset[str]) -> tuple[Rule, ...]:
        """Return the rules of a server, and report what is wrong or likely not meant with their expressions.

        Args:
            model: the server.
            path: the server's key.
            scope_claims: claims that hold scopes.
        """
        rules = [
            self._rule(index, rule, (*path, "rules", index), scope_claims)
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

    def _rule(self, index: int, model: RuleModel, path: Path, scope_claims: frozenset[str]) -> Rule:
        denies = model.deny is not None and not model.shadow

        def expression(key: str, text: str | None, forbidden: frozenset[str]) -> Expression | None:
            compiled = self._expression(text, (*path, key), forbidden)
            if compiled is not None:
                asked = compiled.text, scope_claims, denies
                if asked not in self.findings:
                    self.findings[asked] = expression_findings(compiled.text, scope_claims, denies=denies)
                self.warnings.extend(placed(self.document, (*path, key), self.findings[asked]))
            return compiled

        effect = Effect.ALLOW if model.allow is not None else Effect.DENY
        select = model.allow or model.deny or Select()
        return Rule(
            name=model.name or f"rule-{index + 1}",
            effect=effect,
            selector=Selector.of(
                {
                    Kind.TOOL: tuple(select.tools),
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
            when=expression("when", model.when, ARGUMENTS),
            args=expression("args", model.args, frozenset()),
            arguments=_arguments(model),
            shadow=model.shadow,
            denial=DenialStyle(model.denial) if model.denial else None,
            hide=model.hide,
        )

    def _expression(self, text: str | None, path: Path, forbidden: frozenset[str]) -> Expression | None:
        if text is None:
            return None
        try:
            text = self.definitions.expand(text)
            if (text, forbidden) not in self.compiled:
                self.compiled[text, forbidden] = compile_expression(text, forbidden=forbidden)
            return self.compiled[text, forbidden]
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
    return None if model.arguments is None else arguments_of(model.arguments, extra=model.extra != "deny")


def expression_problem(document: Document, path: Path, error: ExpressionError) -> Problem:
    """Return an expression's error as a problem at its line in the file."""
    message = f"{error} (line {error.line}, column {error.column} of the expression)"
    return document.problem(path, message, line_offset=document.place(path).offset(error.line))
