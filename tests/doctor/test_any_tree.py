"""Whatever a file says, the doctor answers; what it writes, it does not change again."""

import contextlib
import functools
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from authz.config.problems import ConfigError
from authz.doctor.diagnosis import diagnose
from authz.doctor.fix import fix
from authz.doctor.report import as_json, as_text
from authz.doctor.source import read_text
from tests.support.holes import ours
from tests.support.yaml_text import write_yaml

KEYS = st.sampled_from(
    [
        "@type",
        "type_url",
        "value",
        "name",
        "http_filters",
        "typed_config",
        "route_config",
        "virtual_hosts",
        "routes",
        "match",
        "route",
        "clusters",
        "static_resources",
        "listeners",
        "filter_chains",
        "configs",
        "admin",
        "typed_per_filter_config",
        "http_connection_manager",
        "disabled",
        "cluster",
    ]
)
TYPES = st.sampled_from(
    sorted(
        {
            "type.googleapis.com/xds.type.v3.TypedStruct",
            "type.googleapis.com/envoy.config.route.v3.FilterConfig",
            "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
            "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute",
            "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
            "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
            "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "envoy.filters.http.ext_authz",
            "",
        }
    )
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | TYPES
    | st.just("0s")
    | st.just("*")
)
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=25,
)
DOCUMENTS = st.dictionaries(KEYS, TREES, max_size=5)
KUBERNETES = {
    "EnvoyFilter": ("configPatches", {"applyTo": "HTTP_FILTER", "patch": {"operation": "MERGE"}}),
    "EnvoyPatchPolicy": ("jsonPatches", {"operation": {"path": "/typed_config", "jsonPath": "http_filters"}}),
    "SecurityPolicy": ("extAuth", {"grpc": {}}),
    "EnvoyExtensionPolicy": ("extProc", {"failOpen": True}),
}
PARTS = st.sampled_from(
    [
        "value",
        "patch",
        "operation",
        "path",
        "applyTo",
        "match",
        "typed_config",
        "failOpen",
        "processingMode",
        "bodyToExtAuth",
        "headersToExtAuth",
        "metadata",
        "timeout",
        "lua",
        "oidc",
        "response",
        "@type",
    ]
)
PLACES_OF_PARTS = st.sampled_from(
    ["HTTP_FILTER", "NETWORK_FILTER", "CLUSTER", "HTTP_ROUTE", "MERGE", "/typed_config"]
)
INSIDE = st.recursive(
    SCALARS | PLACES_OF_PARTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(PARTS | KEYS, inner, max_size=4),
    max_leaves=15,
)


@st.composite
def kubernetes(draw):
    """A document of a kind that is read, with anything in it."""
    kind = draw(st.sampled_from(sorted(KUBERNETES)))
    key, usual = KUBERNETES[kind]
    inside = draw(st.dictionaries(PARTS, INSIDE, max_size=4))
    value = {**usual, **inside}
    spec = draw(st.sampled_from([{key: value}, {key: [value]}, {key: draw(INSIDE)}, draw(INSIDE)]))
    return {"apiVersion": "v1", "kind": kind, "spec": spec}


def places(value, path=()):
    """Every path in a tree."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


@functools.cache
def places_of_ours():
    return sorted(places(ours()), key=str)


@st.composite
def broken(draw):
    """Ours, with anything put in the place of a few values, or values taken out."""
    tree = ours()
    for *around, last in draw(st.lists(st.sampled_from(places_of_ours()), min_size=1, max_size=4)):
        target = tree
        for step in around:
            known = isinstance(target, dict) and step in target
            known = known or (isinstance(target, list) and isinstance(step, int) and step < len(target))
            target = target[step] if known else None
        if isinstance(target, dict) and draw(st.booleans()):
            target.pop(last, None)
        elif isinstance(target, dict) or (
            isinstance(target, list) and isinstance(last, int) and last < len(target)
        ):
            target[last] = draw(TREES)
    return tree


def examined(text):
    """Diagnose, tell and fix; what was fixed must stay."""
    source = read_text(text, "f")
    diagnosis = diagnose(source)
    assert list(as_text(diagnosis))
    json.dumps(as_json(diagnosis))
    _, after = fix(source)
    closed, again = fix(after.source)
    assert ([], after.source.text) == (closed, again.source.text)


@given(DOCUMENTS)
@settings(max_examples=60)
def test_any_document_is_answered_in_yaml_and_in_json(tree):
    examined(write_yaml(tree, allow_unicode=True))
    examined(json.dumps(json.loads(json.dumps(tree).replace("NaN", "0").replace("Infinity", "0"))))


@given(st.lists(kubernetes(), min_size=1, max_size=2))
@settings(max_examples=80)
def test_any_kubernetes_document_is_answered_and_left_as_it_is(documents):
    examined("---\n".join(write_yaml(each) for each in documents))


@given(broken())
@settings(max_examples=30)  # each is the whole of our bootstrap, diagnosed and fixed twice
def test_ours_with_anything_in_any_place_is_answered_and_fixed_once_and_for_all(tree):
    examined(write_yaml(tree, allow_unicode=True))


@given(st.text(max_size=60) | st.text(alphabet="[]{}:-#&*!|>'\"\n a", max_size=40))
def test_any_text_is_read_or_refused_with_its_problems(text):
    with contextlib.suppress(ConfigError):
        examined(text)
