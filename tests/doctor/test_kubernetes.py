"""Kubernetes documents that change Envoy: what they say about the guards is found, and nothing that they leave open is."""

import json
import re

import pytest
import yaml

from authz.doctor.diagnosis import diagnose
from authz.doctor.fix import fix
from authz.doctor.report import looked_at
from authz.doctor.source import read_text
from tests.support.commands import command
from tests.support.tracked import ROOT

OVERLAYS = ROOT / "k8s" / "overlays"
ISTIO = (OVERLAYS / "istio" / "filter.yaml").read_text("utf-8")
POLICIES = (OVERLAYS / "envoy-gateway" / "policies.yaml").read_text("utf-8")
PATCH = (OVERLAYS / "envoy-gateway" / "patch.yaml").read_text("utf-8")
GATEWAY = f"{POLICIES}---\n{PATCH}"


def found(text):
    return diagnose(read_text(text, "f")).findings


def ids(text):
    return sorted({each.check.id for each in found(text)} - {"not-seen"})


def changed(text, old, new):
    assert re.search(old, text)
    return re.sub(old, new, text, count=1)


@pytest.mark.parametrize("text", [ISTIO, GATEWAY, PATCH], ids=["istio", "envoy gateway", "patch alone"])
def test_on_the_documents_that_are_kept_nothing_is_found_but_that_they_are_not_all(text):
    assert [] == ids(text)
    assert ["not-seen"] == [each.check.id for each in found(text)]


def test_what_was_looked_at_is_said():
    assert ["documents: 0 route(s), 3 filter(s), with ext_authz", "0 cluster(s)"] == looked_at(
        diagnose(read_text(ISTIO, "f")).inventory
    )


LUA = """
  - applyTo: HTTP_FILTER
    match: {listener: {filterChain: {filter: {subFilter: {name: envoy.filters.http.%s}}}}}
    patch:
      operation: %s
      value:
        name: own
        typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua}
"""
EXEMPT = """
  - applyTo: HTTP_ROUTE
    patch:
      operation: MERGE
      value:
        typed_per_filter_config:
          envoy.filters.http.ext_authz:
            "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute
            disabled: true
"""
FIELD = """
  - type: type.googleapis.com/envoy.config.listener.v3.Listener
    operation:
      op: add
      jsonPath: "$..http_filters[?(@.name=='envoy.filters.http.ext_authz/securitypolicy/mcp/mcp')]"
      path: /typed_config/failure_mode_allow
      value: true
"""
OIDC = "  oidc: {provider: {issuer: https://login.example}, clientID: a}\n  extAuth:"
CASES = {
    "istio: ext_authz fails open": (
        changed(ISTIO, "validate_mutations: true", "failure_mode_allow: true"),
        ["authz-fail-open"],
    ),
    "istio: bodies as text": (
        changed(ISTIO, "pack_as_bytes: true", "pack_as_bytes: false"),
        ["authz-body-text"],
    ),
    "istio: the rewriter fails open": (
        changed(ISTIO, "failure_mode_allow: false", "failure_mode_allow: true"),
        ["rewriter-fail-open"],
    ),
    "istio: the rewriter asks for another key": (
        changed(ISTIO, r"(?s)(name: mcp-rewrite\b.*?)key: rewrite", r"\1key: list"),
        ["rewriter-matcher"],
    ),
    "istio: paths": (changed(ISTIO, "normalize_path: true", "normalize_path: false"), ["path-normalisation"]),
    "istio: lua behind": (ISTIO + LUA % ("router", "INSERT_BEFORE"), ["order-changed-after"]),
    "istio: lua right behind": (ISTIO + LUA % ("ext_authz", "INSERT_AFTER"), ["order-changed-after"]),
    "istio: lua in front": (ISTIO + LUA % ("ext_authz", "INSERT_BEFORE"), ["front-may-change"]),
    "istio: a route is exempt": (ISTIO + EXEMPT, ["documents-exempt"]),
    "gateway: the policy fails open": (
        changed(GATEWAY, "failOpen: false", "failOpen: true"),
        ["authz-fail-open"],
    ),
    "gateway: the patch fails open": (
        changed(GATEWAY, "failure_mode_allow: false", "failure_mode_allow: true"),
        ["authz-fail-open"],
    ),
    "gateway: one field is patched": (GATEWAY + FIELD, ["authz-fail-open"]),
    "gateway: routes are chosen again": (
        changed(GATEWAY, "recomputeRoute: false", "recomputeRoute: true"),
        ["authz-clears-route"],
    ),
    "gateway: headers are no list": (
        changed(GATEWAY, "recomputeRoute: false", "headersToExtAuth: true"),
        ["authz-headers-hidden"],
    ),
    "gateway: headers are chosen": (
        changed(GATEWAY, "recomputeRoute: false", "headersToExtAuth: [Authorization]"),
        ["authz-headers-hidden"],
    ),
    "gateway: lists in another mode": (
        changed(GATEWAY, "body: FullDuplexStreamed", "body: Buffered"),
        ["rewriter-mode"],
    ),
    "gateway: lists fail open": (
        changed(GATEWAY.replace("failOpen: false", "failOpen: no", 1), "failOpen: false", "failOpen: true"),
        ["rewriter-fail-open"],
    ),
    "gateway: lua in the policy": (
        changed(GATEWAY, "  extProc:\n", "  lua: [{type: Inline, inline: x}]\n  extProc:\n"),
        ["order-changed-after"],
    ),
    "gateway: oidc": (changed(GATEWAY, "  extAuth:", OIDC), ["front-login-page"]),
    "gateway: the policy without its patch": (POLICIES, ["authz-body-text"]),
    "gateway: no body": (changed(POLICIES, r"    bodyToExtAuth: .*\n", ""), ["authz-no-body"]),
}


@pytest.mark.parametrize(("text", "finds"), CASES.values(), ids=CASES)
def test_what_a_document_says_is_found(text, finds):
    assert finds == ids(text)


def test_a_finding_has_its_line_in_the_document():
    text = changed(GATEWAY, "failure_mode_allow: false", "failure_mode_allow: true")
    source = read_text(text, "f")
    (line,) = [source.line(each.hit.node.path) for each in found(text) if each.check.id == "authz-fail-open"]

    assert "failure_mode_allow: true" in text.splitlines()[line - 1]


def test_a_list_and_json_are_read_as_the_documents_in_it():
    items = list(yaml.safe_load_all(changed(GATEWAY, "failOpen: false", "failOpen: true")))
    listed = {"apiVersion": "v1", "kind": "List", "items": items}

    assert ["authz-fail-open"] == ids(yaml.safe_dump(listed)) == ids(json.dumps(listed))


def test_documents_are_not_corrected(tmp_path):
    text = changed(ISTIO, "normalize_path: true", "normalize_path: false")
    source = read_text(text, "f")
    file = tmp_path / "filter.yaml"
    file.write_text(text)
    ended = command("doctor", file, "--fix")

    assert ([], text) == (fix(source)[0], fix(source)[1].source.text)
    assert (2, "") == (ended.status, ended.out)
    assert "Kubernetes documents are not corrected" in ended.err


def test_documents_that_say_nothing_about_envoy_are_refused(tmp_path):
    file = tmp_path / "routes.yaml"
    file.write_text((OVERLAYS / "envoy-gateway" / "routes.yaml").read_text("utf-8"))
    ended = command("doctor", file)

    assert (2, "") == (ended.status, ended.out)
    assert "not an Envoy configuration" in ended.err
