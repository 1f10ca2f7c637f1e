"""The Helm chart: it renders the objects that Kustomize builds, and its values do what they are named after.

The first part needs only Python; the second needs Helm, and what Kustomize builds.
"""

import json
import re
import subprocess
import sys
from base64 import b64decode

import jsonschema
import pytest
import yaml

from authz.config.load import load
from tests.support.commands import command
from tests.support.helm import CHART, KUBERNETES, helm, rendered, template
from tests.support.manifests import K8S, built, container, copied, named, of_kind, walk
from tests.support.waiting import DEADLINE
from tests.support.yaml_text import read_yaml

TEMPLATES = {file.name: file.read_text("utf-8") for file in sorted((CHART / "templates").iterdir())}
VALUES = read_yaml((CHART / "values.yaml").read_text("utf-8"))
SCHEMA = json.loads((CHART / "values.schema.json").read_text("utf-8"))


def test_the_files_are_those_that_the_script_writes():
    compared = subprocess.run(
        [sys.executable, K8S / "helm.py", "--check"],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )

    assert (0, "") == (compared.returncode, compared.stdout), f"run `make k8s`: {compared.stderr}"


def _leaves(values, path=""):
    """Paths of values down to what a template takes as a whole."""
    for key, value in values.items():
        yield from _leaves(value, f"{path}.{key}") if isinstance(value, dict) and value else [f"{path}.{key}"]


def test_each_value_is_used_by_a_template_and_each_that_a_template_uses_is_there():
    used = set(re.findall(r"\.Values((?:\.\w+)+)", " ".join(TEMPLATES.values())))
    there = {path for path, _ in walk(VALUES)}

    assert set() == used - there
    assert [] == [
        leaf for leaf in _leaves(VALUES) if not any(f"{leaf}.".startswith(f"{path}.") for path in used)
    ]


@pytest.mark.parametrize("name", TEMPLATES)
def test_each_action_of_a_template_is_closed(name):
    actions = re.findall(r"\{\{-?\s*(.*?)\s*-?\}\}", TEMPLATES[name], re.DOTALL)
    opened = [action for action in actions if re.match(r"(if|with|range|define|block)\b", action)]

    assert TEMPLATES[name].count("{{") == len(actions)
    assert len(opened) == actions.count("end")


def test_the_schema_takes_the_values_and_no_key_that_is_none_of_them():
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.validate(VALUES, SCHEMA)

    closed = [
        part
        for _, part in walk(SCHEMA)
        if isinstance(part, dict) and isinstance(part.get("properties"), dict)
    ]
    assert {False} == {part["additionalProperties"] for part in closed}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(
            VALUES | {"replicas": {"min": 2, "max": 3, "cpuPercent": 50, "minimum": 1}}, SCHEMA
        )


def test_a_base_that_changes_under_a_value_ends_the_build():
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import helm; helm._changed('replicas: 3', {'minReplicas: 2': 'x'}, 'base/scaling.yaml')",
        ],
        cwd=K8S,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )

    assert (1, True) == (done.returncode, "base/scaling.yaml no longer has" in done.stderr)


# --- with Helm ---


@pytest.fixture
def key():
    """What every installation must give: the session key."""
    return ["--set-file", f"session.key={copied() / 'policy/session.key'}"]


def _comparable(one):
    """An object without what may differ: the hash in names, Helm's own annotation, how base64 is wrapped."""
    text = re.sub(r"\b(mcp-(?:policy|envoy|session-key))-[a-z0-9]{10}\b", r"\1", json.dumps(one))
    held = json.loads(text)
    annotations = held["metadata"].get("annotations", {})
    annotations.pop("helm.sh/resource-policy", None)
    if not annotations:
        held["metadata"].pop("annotations", None)
    if held["kind"] == "Secret":
        held["data"] = {name: b64decode(value).decode() for name, value in held["data"].items()}
    return held


def _by_name(objects):
    return {(one["kind"], one["metadata"]["name"]): one for one in map(_comparable, objects)}


SAME = {
    "base": [],
    "overlays/monitoring": ["--set", "monitoring.enabled=true"],
    "overlays/tls-envoy": ["--set", "tls.end=envoy"],
    "overlays/tls-gateway": ["--set", "tls.end=gateway,tls.gatewayClass=YOUR_CLASS"],
}


@pytest.mark.parametrize("name", SAME)
def test_the_chart_renders_what_kustomize_builds(name, key):
    expected = _by_name(built(name))

    assert expected == _by_name(rendered(*key, *SAME[name], "--set", "namespace.create=true"))
    del expected["Namespace", "mcp"]  # Helm cannot own the namespace that holds the release
    assert expected == _by_name(rendered(*key, *SAME[name]))


def test_helm_lints_the_chart_without_a_warning():
    done = helm("lint", "--strict", "--kube-version", KUBERNETES, CHART)

    assert 0 == done.returncode, done.stdout
    assert not re.search(r"\[(WARNING|ERROR)\]", done.stdout)


@pytest.fixture
def own(tmp_path):
    """A policy of somebody's, and options with it and the configuration that the command in values.yaml renders."""
    policy = tmp_path / "policy.yaml"
    shipped = (copied() / "policy/policy.yaml").read_text("utf-8")
    policy.write_text(shipped.replace("/mcp\n", "/tools\n"), encoding="utf-8")
    (tmp_path / "session.key").write_bytes((copied() / "policy/session.key").read_bytes())
    [said] = re.findall(
        r"^#   mcp-authz (envoy .*)$", (CHART / "values.yaml").read_text("utf-8"), re.MULTILINE
    )

    def options(*more):
        words = said.replace("policy.yaml", str(policy)).replace("envoy.yaml", str(tmp_path / "envoy.yaml"))
        ended = command(*words.split(), *more)
        assert 0 == ended.status, ended.err
        return ["--set-file", f"policy={policy}", "--set-file", f"envoy={tmp_path / 'envoy.yaml'}"]

    return options


def test_a_policy_of_ones_own_is_mounted_as_it_is_and_gives_new_names(own, key, tmp_path):
    objects = rendered(*key, *own())

    policy = named(objects, "ConfigMap", "mcp-policy")
    assert (tmp_path / "policy.yaml").read_text("utf-8") == policy["data"]["policy.yaml"]
    envoy = named(objects, "ConfigMap", "mcp-envoy")
    assert (tmp_path / "envoy.yaml").read_text("utf-8") == envoy["data"]["envoy.yaml"]
    before = {one["metadata"]["name"] for one in of_kind(rendered(*key), "ConfigMap")}
    assert not before & {policy["metadata"]["name"], envoy["metadata"]["name"]}


def test_issuers_stand_in_place_of_the_policys_own(key, tmp_path):
    values = tmp_path / "values.yaml"
    ours = {"prod": {"issuer": "https://login.example/", "audiences": ["api"]}}
    values.write_text(yaml.safe_dump({"issuers": ours}), encoding="utf-8")

    policy = named(rendered(*key, "--values", values), "ConfigMap", "mcp-policy")["data"]["policy.yaml"]

    shipped = read_yaml((K8S / "policy/policy.yaml").read_text("utf-8"))
    assert shipped | {"issuers": ours} == read_yaml(policy)


def test_a_policy_with_other_issuers_keeps_its_large_numbers(own, key, tmp_path):
    options = own()
    text = (tmp_path / "policy.yaml").read_text("utf-8").replace("issuers: [auth0]", "issuers: [prod]")
    (tmp_path / "policy.yaml").write_text(f"{text}limits: {{body_bytes: 12345678}}\n", encoding="utf-8")
    values = tmp_path / "values.yaml"
    values.write_text(
        "issuers: {prod: {issuer: 'https://login.example/', audiences: [api]}}", encoding="utf-8"
    )

    objects = rendered(*key, *options, "--values", values)

    (tmp_path / "policy.yaml").write_text(named(objects, "ConfigMap", "mcp-policy")["data"]["policy.yaml"])
    assert 12_345_678 == load(str(tmp_path / "policy.yaml"), environment={}).max_body


VALUES_OF_A_POD = """\
replicas: {min: 3, max: 30, cpuPercent: 50}
resources: {service: {limits: {memory: 1Gi}}}
images:
  service: {repository: registry.example/mcp-authz, digest: "sha256:%s"}
service: {args: [--json-logs], envFrom: [{secretRef: {name: tenant}}]}
pod: {nodeSelector: {zone: a}, imagePullSecrets: [{name: pull}]}
network:
  prometheus: observability
  servers: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}], ports: [{protocol: TCP, port: 8443}]}]
"""


def test_values_of_the_pod_are_where_they_belong(key, tmp_path):
    values = tmp_path / "values.yaml"
    values.write_text(VALUES_OF_A_POD % ("a" * 64), encoding="utf-8")

    objects = rendered(*key, "--values", values)

    [scaler] = of_kind(objects, "HorizontalPodAutoscaler")
    [gateway] = of_kind(objects, "Deployment")
    service, pod = container(objects, "mcp-gateway", "mcp-authz"), gateway["spec"]["template"]["spec"]
    network = json.dumps(named(objects, "NetworkPolicy", "mcp-gateway"))
    assert (3, 30) == (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"])
    assert {"requests": {"cpu": "250m", "memory": "192Mi"}, "limits": {"memory": "1Gi"}} == service[
        "resources"
    ]
    assert f"registry.example/mcp-authz@sha256:{'a' * 64}" == service["image"]
    assert ("--json-logs", [{"secretRef": {"name": "tenant"}}]) == (service["args"][-1], service["envFrom"])
    assert ({"zone": "a"}, [{"name": "pull"}]) == (pod["nodeSelector"], pod["imagePullSecrets"])
    assert ("observability" in network, "10.0.0.0/8" in network, "mcp-server" in network) == (
        True,
        True,
        False,
    )


def test_a_secret_of_ones_own_is_mounted_and_none_is_made():
    objects = rendered("--set", "session.secret=mine")

    assert [] == of_kind(objects, "Secret")
    assert '{"secret": {"name": "mine"}}' in json.dumps(of_kind(objects, "Deployment"))


def test_a_certificate_of_ones_own_is_mounted_and_none_is_asked_for(key):
    objects = rendered(*key, "--set", "tls.end=envoy,tls.secret=mine")

    assert [] == of_kind(objects, "Certificate")
    assert '"secretName": "mine"' in json.dumps(of_kind(objects, "Deployment"))


REFUSED = {
    "no session key": ([], "set session.secret to a Secret of yours, or session.key; there is no default"),
    "a misspelt value": (["--set", "replicas.minimum=3"], "minimum"),
    "a policy without its Envoy": (["--set", "session.secret=a,policy=x"], "envoy: a policy of yours needs"),
    "an Envoy that asks elsewhere": (
        ["--set", "session.secret=a,envoy=x"],
        "it does not ask the service at unix:",
    ),
    "a Gateway without a class": (
        ["--set", "tls.end=gateway,session.secret=a"],
        "tls.gatewayClass: the GatewayClass",
    ),
    "issuers for a policy without": (
        ["--set", "session.secret=a,policy=x: 1,envoy=x,issuers.a.issuer=b"],
        "issuers: the policy has no `issuers`",
    ),
}


@pytest.mark.parametrize(("options", "expected"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_work_is_refused_with_what_to_do(options, expected):
    done = template(*options)

    assert (1, True) == (done.returncode, expected in done.stderr), done.stderr


@pytest.mark.parametrize(
    ("flags", "end", "expected"),
    [
        ([], "envoy", "render it with --tls-secret /etc/envoy/tls.yaml"),
        (["--tls-secret", "/etc/envoy/tls.yaml"], "outside", "set tls.end=envoy"),
    ],
)
def test_an_envoy_that_ends_tls_elsewhere_than_the_values_say_is_refused(own, key, flags, end, expected):
    done = template(*key, *own(*flags), "--set", f"tls.end={end}")

    assert (1, True) == (done.returncode, expected in done.stderr), done.stderr
