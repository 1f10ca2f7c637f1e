"""Options: what is read, and what is refused because it contradicts itself."""

import pytest

from authz.render.address import Address
from authz.render.options import Certificate, MutualTls, Rate, RenderOptions, Tracing, WatchedSecret

OWN = Certificate(cert="a.crt", key="a.key")


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("20/second", Rate(calls=20, seconds=1)),
        ("600/minute", Rate(calls=600, seconds=60)),
        ("1/hour", Rate(calls=1, seconds=3600)),
    ],
)
def test_a_rate_is_read(text, rate):
    assert rate == Rate.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "20",
        "/second",
        "0/second",
        "-1/second",
        "1.5/second",
        "20/day",
        "20 / second",
        "20/second\n",
        "9" * 10 + "/hour",
    ],
)
def test_what_is_no_rate_is_refused(text):
    with pytest.raises(ValueError, match="expected N/second, N/minute or N/hour"):
        Rate.parse(text)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Certificate(cert="a.crt", key=""),
        lambda: Certificate(cert="", key="a.key"),
        lambda: Certificate(cert="a\n.crt", key="a.key"),
        lambda: WatchedSecret(file=""),
        lambda: MutualTls(ca="", own=OWN),
        lambda: Tracing(collector=Address(port=1), percent=100.1),
        lambda: Tracing(collector=Address(port=1), percent=float("nan")),
        lambda: RenderOptions(upstream_ca=""),
        lambda: RenderOptions(max_connections=0),
        lambda: RenderOptions(shadow=True, native_filter=True),
        lambda: RenderOptions(shadow=True, rate=Rate(calls=1, seconds=1)),
    ],
)
def test_half_an_option_and_contradictions_are_refused(build):
    with pytest.raises(ValueError, match=r"certificate|percent|max_connections|shadow"):
        build()


def test_by_default_nothing_is_added_but_a_bound_on_connections():
    plain = RenderOptions()

    assert (None, None, None, None) == (plain.clients, plain.service, plain.tracing, plain.rate)
    assert (False, False, 10_000) == (plain.native_filter, plain.shadow, plain.max_connections)


@pytest.mark.parametrize("path", ["healthz", "/", "/a?b", "/../a", "/a b", "/a\n", "/%2e"])
def test_what_is_no_plain_path_is_refused_for_health(path):
    with pytest.raises(ValueError, match="--health-path: not a path"):
        RenderOptions(health_path=path)
