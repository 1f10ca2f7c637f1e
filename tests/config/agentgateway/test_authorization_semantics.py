"""What a set of rules decides in agentgateway holds in every form that can say it.

The facts are those that agentgateway's own tests of its authorization state (crates/agentgateway/src/http/authorization.rs
and mcp/rbac.rs, August 2026). Each case is asked of Kubernetes documents, of a standalone file, and of the native file that
`import` writes from the documents.
"""

import json
from functools import cache

import pytest

from authz.core.identity.principal import Caller
from authz.core.mcp.item import Item, Kind
from authz.core.policy.context import EvaluationContext
from authz.core.reasons import Reason
from authz.core.request import HttpRequest
from authz.tools.agentgateway_import.writer import ImportChoices, native_text
from tests.config.agentgateway.test_documents import backend
from tests.config.agentgateway.test_standalone import JWT, simple
from tests.support.policy_files import POLICY, principal, settings

INCREMENT = 'mcp.tool.name == "increment"'
ADMIN = 'jwt.role == "admin"'
TEN, TEN_ONE = (f'cidr("{net}").containsIP(source.address)' for net in ("10.0.0.0/8", "10.1.0.0/16"))
IDENTITY = f"{INCREMENT} && !has(mcp.tool.arguments) && !has(mcp.tool.result) && !has(mcp.tool.error)"

CASES = [
    # rules, claims, the tool that is called, the name of the target, whether it is allowed
    ([("Allow", f'{INCREMENT} && jwt.user == "admin"')], {}, "increment", "server", False),
    ([("Allow", f'{INCREMENT} && jwt.sub == "123"')], {"sub": "123"}, "increment", "server", True),
    ([("Allow", f'{INCREMENT} && mcp.tool.target == "server"')], {}, "increment", "server", True),
    ([("Allow", f'{INCREMENT} && mcp.tool.target == "server"')], {}, "increment", "not-server", False),
    ([("Allow", f'{INCREMENT} && jwt.groups == "admin"')], {"groups": "admin"}, "increment", "server", True),
    (
        [("Allow", f'{INCREMENT} && jwt.user.role == "admin"')],
        {"user": {"role": "admin"}},
        "increment",
        "server",
        True,
    ),
    (
        [("Allow", f'{INCREMENT} && jwt.user.role == "admin"')],
        {"user": {"role": "viewer"}},
        "increment",
        "server",
        False,
    ),
    (
        [("Allow", f'{INCREMENT} && jwt.teams.contains("admin")')],
        {"teams": ["user", "admin"]},
        "increment",
        "server",
        True,
    ),
    ([("Allow", f'{INCREMENT} && jwt.absent == "123"')], {}, "increment", "server", False),
    ([("Deny", INCREMENT)], {}, "decrement", "server", True),
    ([("Deny", INCREMENT)], {}, "increment", "server", False),
    ([("Allow", TEN)], {}, "increment", "server", True),
    ([("Allow", TEN), ("Deny", TEN_ONE)], {}, "increment", "server", False),
    ([("Deny", INCREMENT), ("Deny", 'mcp.tool.name == "decrement"')], {}, "increment", "server", False),
    ([("Deny", INCREMENT), ("Deny", 'mcp.tool.name == "decrement"')], {}, "decrement", "server", False),
    ([("Deny", INCREMENT), ("Deny", 'mcp.tool.name == "decrement"')], {}, "echo", "server", True),
    ([("Allow", INCREMENT), ("Deny", 'mcp.tool.name == "banned"')], {}, "increment", "server", True),
    ([("Allow", INCREMENT), ("Deny", 'mcp.tool.name == "banned"')], {}, "banned", "server", False),
    ([("Allow", INCREMENT), ("Deny", 'mcp.tool.name == "banned"')], {}, "other", "server", False),
    ([("Allow", IDENTITY)], {}, "increment", "server", True),
    ([("Allow", "has(mcp.tool.arguments)")], {}, "increment", "server", False),
    ([("Require", INCREMENT)], {}, "increment", "server", True),
    ([("Require", INCREMENT)], {}, "decrement", "server", False),
    ([("Require", INCREMENT), ("Require", ADMIN)], {"role": "admin"}, "increment", "server", True),
    ([("Require", INCREMENT), ("Require", ADMIN)], {"role": "user"}, "increment", "server", False),
    ([("Require", INCREMENT), ("Allow", ADMIN)], {"role": "user"}, "increment", "server", False),
    ([("Require", INCREMENT), ("Allow", ADMIN)], {"role": "admin"}, "increment", "server", True),
    ([], {}, "increment", "server", True),
    ([("Deny", "true"), ("Allow", "true")], {}, "increment", "server", False),
    ([("Allow", "true"), ("Deny", "true")], {}, "increment", "server", False),
    ([("Deny", "true")], {}, "increment", "server", False),
    ([("Allow", "true"), ("Require", "jwt.absent")], {}, "increment", "server", False),
]


def documents(rules, target):
    """Give Kubernetes documents: one policy with the terms, and one for each rule."""
    terms, _, _ = POLICY.partition("  backend:")
    text = terms
    for number, (action, expression) in enumerate(rules):
        head = "---\napiVersion: agentgateway.dev/v1alpha1\nkind: AgentgatewayPolicy\n"
        text += f"{head}metadata: {{name: p{number}}}\nspec:\n  targetRefs: [{{kind: AgentgatewayBackend, name: b}}]\n"
        text += f"  backend: {{mcp: {{authorization: {{action: {action}, policy: {{matchExpressions: [{json.dumps(expression)}]}}}}}}}}\n"
    return text + backend("b", target)


def standalone(rules, target):
    listed = "".join(f"    - {action.lower()}: {json.dumps(expression)}\n" for action, expression in rules)
    policies = JWT + (f"mcpAuthorization:\n  rules:\n{listed}" if rules else "")
    return simple(policies, f"{{name: {target}, mcp: {{host: http://10.0.0.1/mcp}}}}")


def native(rules, target):
    choices = ImportChoices(resource="https://mcp.example/mcp")
    return native_text(documents(rules, target), "FILE", choices, {}).text


@cache
def given(form, rules, target):
    return settings(form(list(rules), target))


@pytest.mark.parametrize("form", [documents, standalone, native], ids=["documents", "standalone", "native"])
@pytest.mark.parametrize(("rules", "claims", "called", "target", "expected"), CASES)
def test_the_decision_is_agentgateway_s_in_every_form(form, rules, claims, called, target, expected):
    (server,) = given(form, tuple(rules), target).directory.servers
    request = HttpRequest(method="POST", host="mcp.example", path="/mcp", headers={}, source="10.1.2.3")
    asked = EvaluationContext(Caller.of(principal(**claims), server.name), request, "tools/call", {})

    assert expected == (server.policy.judge(asked, Item(Kind.TOOL, called)).reason is Reason.ALLOWED)
