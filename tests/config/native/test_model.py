from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from authz.config.native.define import with_lists
from authz.config.native.model import PolicyFile, schema
from authz.config.settings import Drain, IssuerKeys
from authz.config.validation import validate
from authz.config.yaml_document import read_documents
from authz.core.policy.rule import DenialStyle
from authz.core.request import Limits
from authz.core.response.streams import StreamShares
from tests.support.policy_files import NATIVE, problems, settings, warnings

EVERYTHING = """\
listen: {grpc: "unix:/run/authz.sock", http: "[::1]:9002", tls: {cert_file: a.crt, key_file: a.key, client_ca_file: /ca.crt}}
insecure_hosts: [Keys.Internal]
workers: 3
drain: {grace_seconds: 0.5, limit_seconds: 7.0}
limits:
  body_bytes: 2048
  depth: 32
  name_chars: 100
  items: 5
  args_bytes: 4096
  nodes: 1000
  keys: 500
  normalised_chars: 100
  list_bytes: 70000
  list_items: 300
  list_values: 4000
  held_bytes: 200000
  check_ms: 200
  tokens: 32
  calls: 64
  quiet_seconds: 9
keys:
  min_age_seconds: 30
  max_age_seconds: 300
  default_age_seconds: 60
  cooldown_seconds: 5
  unknown_for_seconds: 10
  unknown_names: 7
  retry_seconds: 2
  stale_for_seconds: 3600
  timeout_seconds: 4
  document_bytes: 65536
streams: {grace_seconds: 7, every_answer: true, per_caller: 3, per_server: 9}
tests:
  personas: {a: {sub: x}}
  cases:
    - {name: t, persona: a, server: files, tool: t, args: {}, headers: {}, expect: allow}
    - {name: p, claims: {}, prompt: p, expect: deny}
    - {name: r, claims: {}, resource: r, expect: deny}
    - {name: c, claims: {}, template: "r{x}", expect: deny}
    - {name: k, claims: {}, task: k, expect: deny}
    - {name: l, claims: {}, kind: tool, catalogue: [a], visible: [a]}
issuers:
  main:
    issuer: http://keys.internal/
    audiences: [one, two]
    jwks_uri: http://keys.internal:8080/jwks.json
    algorithms: [RS256, ES256]
    refuse_id_tokens: true
    scope_prefix: api://files/
    claims: {scopes: scp, permissions: [more], roles: groups, client: cid, groups: [a, b], subject: sub, audience: aud}
    leeway_seconds: 5
    required_claims: {tenant: acme, level: 3, staff: true, email: null}
    max_token_age_seconds: 900
    allowed_clients: [cli]
    subject: optional
servers:
  files:
    resource: https://mcp.example:8443/mcp
    upstream: http://10.0.0.1:8080/mcp
    hosts: ["Other.Example", "*"]
    issuers: [main]
    authorization_servers: [main]
    audiences: [two]
    origins: ["HTTP://Localhost:6274"]
    cors: {allow_headers: [X-Tenant, "x-acme-*"], expose_headers: [X-Quota], max_age: 5}
    rules:
      - name: readers
        allow: {tools: [list_*, echo], prompts: [hello], resources: ["file:///*"], tasks: ["*"]}
        scopes: [files:read]
        any_scopes: [a, b]
        roles: [admin]
        groups: [/platform/sre, /ops/*]
        issuers: [main]
        when: client == "cli"
        arguments:
          n: int
          "m": "string?"
          s: {type: string, optional: true, enum: [a], pattern: a, minLength: 1, maxLength: 2, description: d}
          i: {type: int, optional: true, minimum: 1, maximum: 2, exclusiveMinimum: 0, exclusiveMaximum: 3}
          l: {type: array, optional: true, items: int, minItems: 0, maxItems: 1}
          o: {type: object, optional: true, properties: {a: int}, required: [a], additionalProperties: false}
        extra: deny
        args: args.n == 1
        shadow: true
        denial: http
        hide: true
      - deny: {tools: hidden}
    methods: {vendor/x: allow}
    token: forward
    denial: jsonrpc
    hide: true
    lists: reachable
    rewriter: optional
    rewrite: {answers: sessions}
    scopes: [files:read]
    resource_name: Files
    resource_documentation: https://docs.example/files
define: {hidden: [secret]}
audit: {claims: [groups, [realm_access, roles]], format: ocsf, file: audit.jsonl}
observability: {otlp: "http://collector:4318", percent: 0.5, queue: 99, agent_authorization: true}
"""
BESIDE = """\
ca_file: ca.pem
candidate: next.yaml
sessions: {key: a, key_file: a, previous_key: b, previous_key_file: b}
"""
HIDDEN = ("file: audit.jsonl}", "otlp: http://collector, subject_key_file: audit.key}")
"""Keys that name other files, and one that excludes another, which have tests of their own."""
OFFLINE = """\
  offline:
    issuer: offline
    audiences: [x]
    jwks_file: keys.json
    introspection:
      endpoint: https://offline.example/introspect
      client_id: mcp
      private_key_jwt: key.pem
      key_id: k
      cache_seconds: 9
      negative_seconds: 8
      timeout_seconds: 7
      concurrent: 6
      waiting: 5
      signed: true
  secret:
    issuer: secret
    audiences: [x]
    introspection: {endpoint: https://secret.example/introspect, client_id: mcp, client_secret_file: secret}
"""
LOCKED = """\
  locked:
    resource: https://mcp.example/locked
    issuers: [offline]
    lock: {file: tools.lock, changed: hide, unlisted: hide, keep_seconds: 60}
    arguments: locked
    extra: deny
    rules:
      - allow: {tools: {readOnly: true, destructive: false, idempotent: true, openWorld: false}}
"""


def models(
    model: type[BaseModel], found: dict[str, type[BaseModel]] | None = None
) -> dict[str, type[BaseModel]]:
    """Give every model of the file by its class's name."""
    found = {} if found is None else found
    if model.__name__ in found:  # a schema can hold schemas
        return found
    found[model.__name__] = model
    for field in model.model_fields.values():
        for inner in inner_models(field.annotation):
            models(inner, found)
    return found


def inner_models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in inner_models(part)]


def written(value: Any, found: dict[str, set[str]]) -> dict[str, set[str]]:
    """Give the keys that were written, by the class of the model they belong to."""
    if isinstance(value, BaseModel):
        found.setdefault(type(value).__name__, set()).update(value.model_fields_set)
        value = [getattr(value, name) for name in value.model_fields_set]
    elif isinstance(value, dict):
        value = list(value.values())
    for part in value if isinstance(value, list) else []:
        written(part, found)
    return found


def test_the_example_writes_every_key_there_is():
    text = EVERYTHING.replace("servers:\n", OFFLINE + "servers:\n" + LOCKED) + BESIDE
    text = text.replace(*HIDDEN)
    (document,) = read_documents(text, "FILE", {})
    found = written(validate(PolicyFile, with_lists(document)[0]), {})
    found["AuditModel"].add("file")  # HIDDEN took its place with what excludes it; EVERYTHING has it

    assert {name: set(model.model_fields) for name, model in models(PolicyFile).items()} == found


def test_every_key_reaches_the_settings():
    given = settings(EVERYTHING)
    (server,) = given.directory.servers

    assert ("unix:/run/authz.sock", "[::1]:9002") == (given.grpc, given.http)
    assert ("a.crt", "a.key", "/ca.crt") == (
        Path(given.tls.cert_file).name,
        Path(given.tls.key_file).name,
        given.tls.client_ca_file,
    )
    assert Path(given.tls.cert_file).is_absolute()
    assert (2048, 70000, 0.2, 32) == (given.max_body, given.max_list, given.check_seconds, given.tokens)
    assert (300, 4000, 200_000) == (given.list_items, given.list_values, given.held)
    assert (64, 9) == (given.calls, given.quiet)
    assert not server.needs_rewriter
    assert (3, Drain(grace=0.5, limit=7.0)) == (given.workers, given.drain)
    assert (
        Limits(depth=32, name=100, items=5, args=4096, nodes=1000, keys=500, normalised=100) == given.limits
    )
    assert (7, True) == (given.stream_grace, given.every_answer)
    assert StreamShares(per_caller=3, per_server=9) == given.stream_shares
    assert frozenset({"keys.internal"}) == given.insecure_hosts
    assert {
        "http://keys.internal/": IssuerKeys(
            issuer="http://keys.internal/", jwks_uri="http://keys.internal:8080/jwks.json"
        )
    } == given.keys
    assert {"files": "http://10.0.0.1:8080/mcp"} == given.upstreams
    assert {"files": frozenset({"echo", "list_*", "secret"})} == given.tools
    assert ("files", "/mcp", "https://mcp.example:8443/mcp") == (server.name, server.path, server.resource)
    assert {"mcp.example:8443", "other.example", "*"} == server.hosts
    assert {"http://localhost:6274"} == server.origins
    assert (frozenset({"vendor/x"}), True, DenialStyle.JSONRPC, True) == (
        server.methods,
        server.forward_token,
        server.denial,
        server.hide,
    )
    assert (("files:read",), "Files", "https://docs.example/files") == (
        server.scopes,
        server.title,
        server.documentation,
    )


MISSPELT = [
    ((), "server", "did you mean servers?"),
    (("listen",), "grcp", "did you mean grpc?"),
    (("limits",), "body_byte", "did you mean body_bytes?"),
    (("issuers", "main"), "audience", "did you mean audiences?"),
    (("issuers", "main", "claims"), "scope", "did you mean scopes?"),
    (("servers", "files"), "reules", "did you mean rules?"),
    (("servers", "files", "rules", 0), "scope", "did you mean scopes?"),
    (("servers", "files", "rules", 0, "allow"), "tool", "did you mean tools?"),
    (("servers", "files", "rules", 1, "deny"), "prompt", "did you mean prompts?"),
    (("listen",), "zzz", "known here: grpc, http, tls"),
]


@pytest.mark.parametrize(("path", "key", "cure"), MISSPELT)
def test_an_unknown_key_is_an_error_at_every_level_with_its_line_and_the_closest_known_key(path, key, cure):
    tree = yaml.safe_load(EVERYTHING)
    place = tree
    for part in path:
        place = place[part]
    place[key] = {"nested": ["value"]}
    text = yaml.safe_dump(tree, sort_keys=False)
    (line,) = [number for number, row in enumerate(text.splitlines(), 1) if row.strip() == f"{key}:"]
    dotted = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in (*path, key))

    assert [f"FILE:{line}: {dotted.removeprefix('.')}: unknown key ({cure})"] == problems(text)


@pytest.mark.parametrize("name", sorted(models(PolicyFile)))
def test_no_model_takes_a_key_it_does_not_know_or_a_value_of_another_type(name):
    config = models(PolicyFile)[name].model_config

    assert ("forbid", True, True) == (config.get("extra"), config.get("strict"), config.get("frozen"))


def keys(model):
    return {field.alias or name for name, field in model.model_fields.items()}


def test_the_json_schema_knows_every_key_and_no_other():
    document = schema()
    described = {"PolicyFile": document, **document["$defs"]}

    assert {name: keys(model) for name, model in models(PolicyFile).items()} == {
        name: set(part["properties"]) for name, part in described.items()
    }
    assert all(part["additionalProperties"] is False for part in described.values())


RULE = "      - allow: {tools: [echo]}\n"
ISSUER = "    issuer: https://issuer.example/\n"
RESOURCE = "    resource: https://mcp.example/mcp\n"
SECOND = NATIVE.split("servers:\n")[1].replace("files:", "again:")
HTTP = (
    "keys fetched over plain http can be replaced on the way (use https, or list the host in insecure_hosts)"
)

GOLDEN = {
    "wrong types": (
        NATIVE.replace("[main]", "main") + "limits: {depth: '5', items: 5.5, tokens: true}\nlisten: []\n",
        [
            "FILE:12: listen: a mapping is needed",
            "FILE:11: limits.depth: a whole number is needed",
            "FILE:11: limits.items: a whole number is needed",
            "FILE:11: limits.tokens: a whole number is needed",
            "FILE:8: servers.files.issuers: a list is needed",
        ],
    ),
    "out of bounds": (
        NATIVE + "limits: {depth: 1, check_ms: 100000}\n",
        [
            "FILE:11: limits.depth: Input should be greater than or equal to 8",
            "FILE:11: limits.check_ms: Input should be less than or equal to 60000",
        ],
    ),
    "a list": ("- a\n", ["FILE:1: a mapping is needed"]),
    "a word": ("word\n", ["FILE:1: a mapping is needed"]),
    "missing at the top": (
        "listen: {}\n",
        ["FILE:1: issuers: this key is required", "FILE:1: servers: this key is required"],
    ),
    "missing below": (
        "issuers:\n  main:\n    leeway_seconds: 5\nservers:\n  files:\n    hide: true\n",
        [
            "FILE:2: issuers.main.issuer: this key is required",
            "FILE:2: issuers.main.audiences: this key is required",
            "FILE:5: servers.files.resource: this key is required",
            "FILE:5: servers.files.issuers: this key is required",
        ],
    ),
    "nothing in it": (
        NATIVE.replace("[https://mcp.example/mcp]", "[]").replace("[main]", "[]").replace("[echo]", "['']"),
        [
            "FILE:4: issuers.main.audiences: must not be empty",
            "FILE:8: servers.files.issuers: must not be empty",
            "FILE:10: servers.files.rules[0].allow.tools[0]: must not be empty",
        ],
    ),
    "no issuers, no servers": (
        "issuers: {}\nservers: {}\n",
        ["FILE:1: issuers: must not be empty", "FILE:2: servers: must not be empty"],
    ),
    "neither allow nor deny": (
        NATIVE + "      - scopes: [a]\n",
        ["FILE:11: servers.files.rules[1]: a rule has exactly one of allow and deny"],
    ),
    "allow and deny": (
        NATIVE + "      - allow: {tools: [a]}\n        deny: {tools: [a]}\n",
        ["FILE:11: servers.files.rules[1]: a rule has exactly one of allow and deny"],
    ),
    "selects nothing": (
        NATIVE.replace("{tools: [echo]}", "{}"),
        ["FILE:10: servers.files.rules[0].allow: selects nothing: name tools, prompts, resources or tasks"],
    ),
    "two scopes in one word": (
        NATIVE + "        scopes: [ok, 'a b']\n",
        [
            (
                "FILE:11: servers.files.rules[0].scopes[1]: "
                "a scope is one word of visible ASCII characters without quotes and backslashes;"
                " write each as an item: [a, b]"
            )
        ],
    ),
    "a symmetric algorithm": (
        NATIVE.replace(ISSUER, ISSUER + "    algorithms: [HS256]\n"),
        [
            (
                "FILE:4: issuers.main.algorithms[0]: Input should be 'RS256', 'RS384', 'RS512', 'PS256', 'PS384',"
                " 'PS512', 'ES256', 'ES384', 'ES512' or 'EdDSA'"
            )
        ],
    ),
    "no algorithm": (
        NATIVE.replace(ISSUER, ISSUER + "    algorithms: [none]\n"),
        [
            (
                "FILE:4: issuers.main.algorithms[0]: Input should be 'RS256', 'RS384', 'RS512', 'PS256', 'PS384',"
                " 'PS512', 'ES256', 'ES384', 'ES512' or 'EdDSA'"
            )
        ],
    ),
    "a server's odd name": (
        NATIVE.replace("files:", "'my files':"),
        ["FILE:6: servers.my files: not of the form ^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"],
    ),
    "unknown issuer": (
        NATIVE.replace("[main]", "[main, mian]"),
        ["FILE:8: servers.files.issuers[1]: there is no issuer mian (known: main)"],
    ),
    "an issuer twice": (
        NATIVE.replace(
            "servers:", "  other:\n    issuer: https://issuer.example/\n    audiences: [x]\nservers:"
        ),
        ["FILE:6: issuers.other.issuer: issuers main and other are the same (merge them)"],
    ),
    "a name twice": (
        NATIVE + "        name: same\n      - deny: {tools: [a]}\n        name: same\n",
        ["FILE:13: servers.files.rules[1].name: two rules are named same (rename one)"],
    ),
    "a default name taken": (
        NATIVE.replace(RULE, "      - allow: {tools: [a]}\n        name: rule-2\n" + RULE),
        ["FILE:12: servers.files.rules[1].name: two rules are named rule-2 (rename one)"],
    ),
    "two servers at one place": (
        NATIVE + SECOND,
        [
            (
                "FILE:5: servers: servers files and again both answer at mcp.example/mcp"
                " (give them different resources)"
            )
        ],
    ),
    "two servers at one place, different ports": (
        NATIVE + SECOND.replace("mcp.example/mcp", "mcp.example:8443/mcp"),
        [
            (
                "FILE:5: servers: servers files and again both answer at mcp.example/mcp"
                " (give them different resources)"
            )
        ],
    ),
    "an address without port": (
        NATIVE + "listen: {grpc: localhost, http: 'unix:/x'}\n",
        [
            "FILE:11: listen.grpc: an address is host:port or unix:/path, as in 127.0.0.1:9001",
            "FILE:11: listen.http: a port is needed here, as in 127.0.0.1:9002",
        ],
    ),
    "a relative resource": (
        NATIVE.replace(RESOURCE, "    resource: /mcp\n"),
        ["FILE:7: servers.files.resource: an absolute URL is needed, as in https://example.com/mcp"],
    ),
    "a resource that a proxy rewrites": (
        NATIVE.replace(RESOURCE, "    resource: https://mcp.example/a/../mcp\n"),
        ["FILE:7: servers.files.resource: a plain absolute path is needed, as in /mcp"],
    ),
    "hosts that are URLs": (
        NATIVE + "    hosts: [https://mcp.example]\n",
        [
            (
                "FILE:11: servers.files.hosts[0]: "
                "a host with or without a port is needed, as in mcp.example:8443, or * for any"
            )
        ],
    ),
    "an unset variable": (
        NATIVE.replace("https://issuer.example/", "https://${TENANT}/"),
        [
            "FILE:3: issuers.main.issuer: the environment variable TENANT is not set (set it, for example: export TENANT=…)"
        ],
    ),
    "an unset variable and a key twice": (
        NATIVE + "servers: ${WHERE}\n",
        [
            "FILE:11: servers: this key occurs twice (keep one of the two)",
            "FILE:11: servers: the environment variable WHERE is not set (set it, for example: export WHERE=…)",
        ],
    ),
    "plain http": (
        NATIVE.replace(ISSUER, "    issuer: http://issuer.example/\n    jwks_uri: http://keys.example/\n"),
        [f"FILE:3: issuers.main.issuer: {HTTP}", f"FILE:4: issuers.main.jwks_uri: {HTTP}"],
    ),
    "plain http, another host listed": (
        NATIVE.replace(ISSUER, "    issuer: http://issuer.example/\n") + "insecure_hosts: [example]\n",
        [f"FILE:3: issuers.main.issuer: {HTTP}"],
    ),
    "an insecure host that is a URL": (
        NATIVE + "insecure_hosts: ['http://a']\n",
        ["FILE:11: insecure_hosts[0]: a host without a port is needed, as in keys.internal"],
    ),
    "an audience that no issuer lists": (
        NATIVE + "    audiences: [https://mcp.example/mcp, other]\n",
        ["FILE:11: servers.files.audiences[1]: no issuer of this server lists this audience (add it there)"],
    ),
    "audiences that shut an issuer out": (
        NATIVE.replace(
            "servers:", "  other:\n    issuer: https://other.example/\n    audiences: [x]\nservers:"
        ).replace("[main]", "[main, other]")
        + "    audiences: [https://mcp.example/mcp]\n",
        [
            (
                "FILE:14: servers.files.audiences: names no audience of issuer https://other.example/, so none of its"
                " tokens is accepted (name one of each issuer, or remove the issuer)"
            )
        ],
    ),
    "an expression with an unknown name": (
        NATIVE + "        when: clinet == 'x'\n",
        [
            (
                "FILE:11: servers.files.rules[0].when: undeclared reference to 'clinet'"
                " (line 1, column 1 of the expression)"
            )
        ],
    ),
    "an expression in a block": (
        NATIVE + "        when: |\n          client == 'x' &&\n            rolse == []\n",
        [
            (
                "FILE:13: servers.files.rules[0].when: undeclared reference to 'rolse'"
                " (line 2, column 3 of the expression)"
            )
        ],
    ),
    "an expression in a folded block": (
        NATIVE + "        when: >-\n          client == 'x' &&\n          rolse == []\n",
        [
            (
                "FILE:12: servers.files.rules[0].when: undeclared reference to 'rolse'"
                " (line 1, column 18 of the expression)"
            )
        ],
    ),
    "when reads args": (
        NATIVE + "        when: args.n == 1\n        args: args.n == 1\n",
        [
            (
                "FILE:11: servers.files.rules[0].when: reads args, which only `args` may"
                " (line 1, column 1 of the expression)"
            )
        ],
    ),
    "a number for a condition": (
        NATIVE + "        args: args.n + 1\n        when: size(roles)\n",
        [
            (
                "FILE:12: servers.files.rules[0].when: is of type int, a condition must be true or false"
                " (line 1, column 1 of the expression)"
            ),
            (
                "FILE:11: servers.files.rules[0].args: is of type int, a condition must be true or false"
                " (line 1, column 1 of the expression)"
            ),
        ],
    ),
    "several mistakes": (
        NATIVE.replace("[main]", "[nobody]") + "        when: foo\n        args: bar\n",
        [
            "FILE:11: servers.files.rules[0].when: undeclared reference to 'foo' (line 1, column 1 of the expression)",
            "FILE:12: servers.files.rules[0].args: undeclared reference to 'bar' (line 1, column 1 of the expression)",
            "FILE:8: servers.files.issuers[0]: there is no issuer nobody (known: main)",
        ],
    ),
    "a claim of the wrong type": (
        NATIVE.replace(ISSUER, ISSUER + "    required_claims: {tenant: [acme]}\n"),
        [
            "FILE:4: issuers.main.required_claims.tenant: a string, a whole number, true, false or null is needed"
        ],
    ),
}


@pytest.mark.parametrize(("text", "expected"), GOLDEN.values(), ids=GOLDEN)
def test_each_mistake_is_named_with_line_key_and_cure(text, expected):
    assert expected == problems(text)


def test_several_documents_and_none_are_refused():
    assert ["FILE: holds several documents (keep one, or use Kubernetes documents)"] == problems(
        NATIVE + "---\n" + NATIVE
    )
    assert ["FILE: empty (start from k8s/ or the README's example)"] == problems("# nothing\n")


def test_a_good_file_has_no_warnings():
    assert [] == warnings(NATIVE)
    assert [] == warnings(EVERYTHING)
