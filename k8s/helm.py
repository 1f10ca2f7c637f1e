"""The Helm chart, from the base and its components: `make k8s` writes it, and with `--check` names what is stale.

The manifests of the base are the one source. A template is their text with its comments, in which `CHANGES` puts a
value in place of what the base fixes; a text that is no longer there ends the build, so that a base which changes under
the table leaves no value without effect. Written by hand, and only what
Kustomize does elsewhere: `values.yaml`, its schema, and the templates `_texts.tpl`, `config.yaml` and `NOTES.txt`.
A test renders the chart with its default values and holds the objects against the built base.
"""

import json
import re
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHART = HERE / "chart"
_WRITTEN = "{{- /* Written by `make k8s` from %s; edit that, not this. */ -}}\n"
_KEPT = {"namespace: mcp": "namespace: {{ .Release.Namespace }}"}
_PART_OF = "app.kubernetes.io/part-of: mcp-authz"

Changes = Mapping[str, str]
"""Text of a manifest to what stands in its place."""


def _values(path: str, indent: int) -> str:
    return f"{{{{- toYaml .Values.{path} | nindent {indent} }}}}"


_GATEWAY: Changes = {
    "image: mcp-authz\n": 'image: {{ include "mcp-authz.image" .Values.images.service }}\n',
    "image: envoyproxy/envoy\n": 'image: {{ include "mcp-authz.image" .Values.images.envoy }}\n',
    "        - --http=0.0.0.0:9002\n": "        - --http=0.0.0.0:9002\n"
    "        {{- with .Values.service.args }}\n        {{- toYaml . | nindent 8 }}\n        {{- end }}\n"
    "        {{- with .Values.service.envFrom }}\n        envFrom:\n        {{- toYaml . | nindent 8 }}\n        {{- end }}\n",
    "        resources:\n"
    "          # Measured, see docs/operations.md: about 0.2 ms of CPU a call.\n"
    "          requests: {cpu: 250m, memory: 192Mi}\n"
    "          limits: {memory: 512Mi}\n": f"        resources:\n          {_values('resources.service', 10)}\n",
    "        resources:\n"
    "          requests: {cpu: 100m, memory: 96Mi}\n"
    "          limits: {memory: 256Mi}\n": f"        resources:\n          {_values('resources.envoy', 10)}\n",
    "      enableServiceLinks: false\n": "      enableServiceLinks: false\n"
    "      {{- with .Values.pod }}\n      {{- toYaml . | nindent 6 }}\n      {{- end }}\n",
    "  - {name: http, port: 10000, targetPort: http, appProtocol: http}\n": '  {{- if eq .Values.tls.end "envoy" }}\n'
    "  - {name: https, port: 443, targetPort: http, appProtocol: https}\n  {{- else }}\n"
    "  - {name: http, port: 10000, targetPort: http, appProtocol: http}\n  {{- end }}\n",
    "        - {name: admin, mountPath: /run/envoy}\n": "        - {name: admin, mountPath: /run/envoy}\n"
    '        {{- if eq .Values.tls.end "envoy" }}\n'
    "        - {name: tls, mountPath: /etc/envoy-tls, readOnly: true}\n        {{- end }}\n",
    "configMap: {name: mcp-policy}": 'configMap: {name: {{ include "mcp-authz.policyName" . }}}',
    "secret: {name: mcp-session-key}": 'secret: {name: {{ include "mcp-authz.secretName" . }}}',
    "        configMap: {name: mcp-envoy}\n": '        configMap: {name: {{ include "mcp-authz.envoyName" . }}}\n'
    '      {{- if eq .Values.tls.end "envoy" }}\n      - name: tls\n'
    '        secret: {secretName: {{ .Values.tls.secret | default "mcp-gateway-tls" }}, defaultMode: 0440}\n      {{- end }}\n',
}
_SCALING: Changes = {
    "minReplicas: 2": "minReplicas: {{ .Values.replicas.min }}",
    "maxReplicas: 10": "maxReplicas: {{ .Values.replicas.max }}",
    "averageUtilization: 70": "averageUtilization: {{ .Values.replicas.cpuPercent }}",
}
_NETWORK: Changes = {
    "kubernetes.io/metadata.name: monitoring": "kubernetes.io/metadata.name: {{ .Values.network.prometheus }}",
    "  - to:\n    - podSelector:\n        matchLabels: {app.kubernetes.io/name: mcp-server}\n"
    "    ports: [{protocol: TCP, port: 8080}]\n": f"  {_values('network.servers', 2)}\n",
    "  # The issuers' keys: a network policy cannot name hosts.\n"
    "  - ports: [{protocol: TCP, port: 443}]\n": "  # The issuers' keys: a network policy cannot name hosts.\n"
    f"  {_values('network.issuers', 2)}\n"
    "  {{- with .Values.network.collector }}\n  {{- toYaml . | nindent 2 }}\n  {{- end }}\n",
}
_CERTIFICATE: Changes = {
    **_KEPT,
    "dnsNames: [mcp.example.com]": "dnsNames: [{{ .Values.tls.host }}]",
    "kind: ClusterIssuer, name: letsencrypt": "kind: {{ .Values.tls.issuer.kind }}, name: {{ .Values.tls.issuer.name }}",
}
_FRONT: Changes = {
    "  namespace: mcp\n  annotations: {cert-manager.io/cluster-issuer: letsencrypt}\n": "  namespace: mcp\n"
    "  {{- if not .Values.tls.secret }}\n"
    '  annotations: {cert-manager.io/{{ ternary "issuer" "cluster-issuer" (eq .Values.tls.issuer.kind "Issuer") }}: '
    "{{ .Values.tls.issuer.name }}}\n  {{- end }}\n",
    "gatewayClassName: YOUR_CLASS": 'gatewayClassName: {{ required "tls.gatewayClass: the GatewayClass that your cluster has" .Values.tls.gatewayClass }}',
    "hostname: mcp.example.com": "hostname: {{ .Values.tls.host }}",
    "hostnames: [mcp.example.com]": "hostnames: [{{ .Values.tls.host }}]",
    "certificateRefs: [{name: mcp-gateway-tls}]": 'certificateRefs: [{name: {{ .Values.tls.secret | default "mcp-gateway-tls" }}}]',
}
_SCRAPE: Changes = {
    f"  labels: {{app.kubernetes.io/name: {name}}}\nspec:\n  selector:\n    matchLabels": "  labels:\n"
    f"    app.kubernetes.io/name: {name}\n"
    "    {{- with .Values.monitoring.labels }}\n    {{- toYaml . | nindent 4 }}\n    {{- end }}\n"
    "spec:\n  selector:\n    matchLabels"
    for name in ("mcp-authz-metrics", "mcp-envoy-metrics")
}
_TLS_HERE = 'and (eq .Values.tls.end "envoy") (not .Values.tls.secret)'


def _read(name: str) -> str:
    return (HERE / name).read_text("utf-8")


def _changed(text: str, changes: Changes, source: str) -> str:
    for old, new in changes.items():
        if old not in text:
            msg = f"k8s/{source} no longer has what k8s/helm.py puts a value in place of:\n{old}"
            raise SystemExit(msg)
        text = text.replace(old, new)
    return text


def _placed(text: str) -> str:
    """Give each object the release's namespace and the common label, as the base's Kustomization does."""
    text = re.sub(r"^metadata: \{name: (.*)\}$", r"metadata:\n  name: \1", text, flags=re.MULTILINE)
    text = re.sub(
        r"^(metadata:\n  name: .*\n)(?!  namespace)",
        r"\1  namespace: {{ .Release.Namespace }}\n",
        text,
        flags=re.MULTILINE,
    )
    labelled = re.sub(r"^  labels: \{(.*)\}$", rf"  labels: {{\1, {_PART_OF}}}", text, flags=re.MULTILINE)
    return re.sub(
        r"^(metadata:\n  name: .*\n  namespace: .*\n)(?!  labels)",
        rf"\1  labels: {{{_PART_OF}}}\n",
        labelled,
        flags=re.MULTILINE,
    )


def _template(source: str, changes: Changes, when: str = "", *, ours: bool = True) -> str:
    """Return a manifest as a template; `ours` marks those of the base, which get namespace and label."""
    text = _changed(_read(source), changes, source)
    text = (
        _placed(text) if ours else text.replace("namespace: mcp\n", "namespace: {{ .Release.Namespace }}\n")
    )
    text = f"{{{{- if {when} }}}}\n{text}{{{{- end }}}}\n" if when else text
    return _WRITTEN % f"k8s/{source}" + text


def _namespace() -> str:
    changes = {
        "  name: mcp\n  labels:\n": "  name: {{ .Release.Namespace }}\n  labels:\n    " + _PART_OF + "\n"
    }
    return _template("base/namespace.yaml", changes, ".Values.namespace.create", ours=False)


def _network() -> str:
    first, second = (
        "# What is not allowed here",
        "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: mcp-gateway}",
    )
    changes = {
        **_NETWORK,
        first: "{{- if .Values.network.defaultDeny }}\n" + first,
        second: "{{- end }}\n" + second,
    }
    return _template("base/network.yaml", changes)


def _chart() -> str:
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text("utf-8"))["project"]
    said = {
        "apiVersion": "v2",
        "name": "mcp-authz",
        "description": "Envoy with per-tool authorization for MCP servers",
        "type": "application",
        "version": project["version"],
        "appVersion": project["version"],
        "kubeVersion": ">=1.30.0-0",
    }
    lines = "".join(f"{key}: {json.dumps(value)}\n" for key, value in said.items())
    return "# Written by `make k8s`; edit k8s/helm.py or pyproject.toml, not this.\n" + lines


FILES: Mapping[str, Callable[[], str]] = {
    "Chart.yaml": _chart,
    "templates/gateway.yaml": lambda: _template("base/gateway.yaml", _GATEWAY),
    "templates/scaling.yaml": lambda: _template("base/scaling.yaml", _SCALING),
    "templates/network.yaml": _network,
    "templates/namespace.yaml": _namespace,
    "templates/certificate.yaml": lambda: _template(
        "components/tls-envoy/certificate.yaml", _CERTIFICATE, _TLS_HERE, ours=False
    ),
    "templates/front.yaml": lambda: _template(
        "components/tls-gateway/gateway.yaml", _FRONT, 'eq .Values.tls.end "gateway"', ours=False
    ),
    "templates/scrape.yaml": lambda: _template(
        "components/monitoring/scrape.yaml", _SCRAPE, ".Values.monitoring.enabled", ours=False
    ),
    "files/policy.yaml": lambda: _read("policy/policy.yaml"),
    "files/envoy.yaml": lambda: _read("base/envoy.yaml"),
    "files/envoy-tls.yaml": lambda: _read("components/tls-envoy/envoy.yaml"),
    "files/tls.yaml": lambda: _read("components/tls-envoy/tls.yaml"),
    "files/alerts.yaml": lambda: _read("components/monitoring/alerts.yaml"),
    "files/dashboard.json": lambda: _read("components/monitoring/dashboard.json"),
}
"""File, relative to the chart, to what stands in it."""


def main() -> int:
    """Write the files that differ; with --check only name them, and fail if there are any."""
    check = "--check" in sys.argv[1:]
    texts = {CHART / name: text() for name, text in FILES.items()}
    stale = [file for file, text in texts.items() if not (file.exists() and file.read_text("utf-8") == text)]
    for file in stale:
        sys.stdout.write(f"{file.relative_to(HERE.parent)}\n")
        if not check:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(texts[file], encoding="utf-8")
    return int(bool(stale) and check)


if __name__ == "__main__":
    sys.exit(main())
