"""A service of several workers, as Envoy is told of it."""

from dataclasses import replace

import pytest

from authz.config.addresses import worker_addresses
from authz.render.bootstrap import bootstrap
from authz.render.model import Address
from authz.render.plan import plan
from tests.support.chains import SIDECAR
from tests.support.policy_files import NATIVE, settings
from tests.support.real_envoy import validate
from tests.support.rendered import EXT_AUTHZ, ext_proc, filter_named, tree

TWO = replace(SIDECAR, more_services=(Address.parse("unix:/run/mcp-authz/authz-1.sock"),))
FILE = NATIVE + "    upstream: http://10.0.0.1:8080/mcp\n"


@pytest.mark.parametrize(
    ("address", "workers", "expected"),
    [
        ("unix:/run/authz.sock", 1, ["unix:/run/authz.sock"]),
        (
            "unix:/run/authz.sock",
            3,
            ["unix:/run/authz.sock", "unix:/run/authz-1.sock", "unix:/run/authz-2.sock"],
        ),
        ("unix:/run/a.b/authz", 2, ["unix:/run/a.b/authz", "unix:/run/a.b/authz-1"]),
        ("unix:/run/.authz", 2, ["unix:/run/.authz", "unix:/run/.authz-1"]),
        ("127.0.0.1:9001", 2, ["127.0.0.1:9001", "127.0.0.1:9001"]),
    ],
)
def test_workers_have_a_socket_each_or_share_a_port(address, workers, expected):
    assert expected == list(worker_addresses(address, workers))


def sockets(chain):
    """Give the service's sockets as the settings' chain names them."""
    return [chain.service.path, *(address.path for address in chain.more_services)]


@pytest.mark.parametrize(
    ("text", "flag", "expected"),
    [
        ("", None, 1),
        ("workers: 2\n", None, 2),
        ("workers: 2\n", 3, 3),
        ("", 2, 2),
    ],
)
def test_the_flag_wins_over_the_file_and_nobody_means_one(text, flag, expected):
    chain = plan(settings(text + FILE), listen=":1", service="unix:/s/a.sock", workers=flag)

    assert ["/s/a.sock", "/s/a-1.sock", "/s/a-2.sock"][:expected] == sockets(chain)


def test_a_shared_port_is_one_endpoint():
    assert () == plan(settings(FILE), listen=":1", service="127.0.0.1:9001", workers=4).more_services


def cluster(chain, name):
    return next(found for found in tree(chain)["static_resources"]["clusters"] if found["name"] == name)


@pytest.mark.parametrize("name", ["authz", "rewriter"])
def test_every_worker_is_an_endpoint_that_is_asked_for_its_health(name):
    rendered = cluster(TWO, name)
    (places,) = rendered["load_assignment"]["endpoints"]

    assert ["/run/mcp-authz/authz.sock", "/run/mcp-authz/authz-1.sock"] == [
        place["endpoint"]["address"]["pipe"]["path"] for place in places["lb_endpoints"]
    ]
    assert rendered["health_checks"]
    assert "outlier_detection" not in rendered


def test_a_second_try_goes_to_a_worker_that_was_not_tried():
    check = filter_named(TWO, EXT_AUTHZ)["grpc_service"]["retry_policy"]
    stream = ext_proc(TWO)["grpc_service"]["retry_policy"]

    for policy in (check, stream):
        assert ["envoy.retry_host_predicates.previous_hosts"] == [
            predicate["name"] for predicate in policy["retry_host_predicate"]
        ]
        assert 1 == policy["num_retries"]
    assert "unavailable,connect-failure,refused-stream,reset" == check["retry_on"]
    assert "connect-failure,refused-stream" == stream["retry_on"]


def test_envoy_takes_it(tmp_path):
    ended = validate(bootstrap(TWO), tmp_path)

    assert 0 == ended.returncode, ended.stderr
