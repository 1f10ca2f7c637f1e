{{- define "mcp-authz.image" -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag }}{{ end }}
{{- end }}

{{- define "mcp-authz.policy" -}}
{{- $text := .Values.policy | default (.Files.Get "files/policy.yaml") -}}
{{- if .Values.issuers -}}
{{- $policy := fromYaml $text -}}
{{- if not (hasKey $policy "issuers") -}}
{{- fail "issuers: the policy has no `issuers` that they could stand in place of; give them with service.args" -}}
{{- end -}}
{{- set $policy "issuers" .Values.issuers | toYaml -}}
{{- else -}}
{{- $text -}}
{{- end -}}
{{- end }}

{{- define "mcp-authz.envoy" -}}
{{- $here := eq .Values.tls.end "envoy" -}}
{{- if and .Values.policy (not .Values.envoy) -}}
{{- fail "envoy: a policy of yours needs Envoy's configuration for it; values.yaml has the command that renders it" -}}
{{- end -}}
{{- $text := .Values.envoy | default (.Files.Get (ternary "files/envoy-tls.yaml" "files/envoy.yaml" $here)) -}}
{{- if not (contains "/run/mcp-authz/authz.sock" $text) -}}
{{- fail "envoy: it does not ask the service at unix:/run/mcp-authz/authz.sock; values.yaml has the command that renders it" -}}
{{- end -}}
{{- if not (contains "port_value: 10000" $text) -}}
{{- fail "envoy: it does not listen on port 10000; values.yaml has the command that renders it" -}}
{{- end -}}
{{- if and $here (not (contains "/etc/envoy/tls.yaml" $text)) -}}
{{- fail "envoy: tls.end is envoy, but it has no TLS; render it with --tls-secret /etc/envoy/tls.yaml" -}}
{{- end -}}
{{- if and (not $here) (contains "DownstreamTlsContext" $text) -}}
{{- fail "tls.end: Envoy's configuration serves TLS; set tls.end=envoy" -}}
{{- end -}}
{{- $text -}}
{{- end }}

{{- define "mcp-authz.policyName" -}}
mcp-policy-{{ include "mcp-authz.policy" . | sha256sum | trunc 10 }}
{{- end }}

{{- define "mcp-authz.envoyName" -}}
mcp-envoy-{{ include "mcp-authz.envoy" . | sha256sum | trunc 10 }}
{{- end }}

{{- define "mcp-authz.secretName" -}}
{{- if .Values.session.secret -}}
{{ .Values.session.secret }}
{{- else -}}
mcp-session-key-{{ required "session: set session.secret to a Secret of yours, or session.key; there is no default" .Values.session.key | sha256sum | trunc 10 }}
{{- end -}}
{{- end }}
