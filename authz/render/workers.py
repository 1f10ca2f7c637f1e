"""What Envoy needs to know of a service that has several endpoints: that one may be gone while the others serve.

A dead endpoint has no request under way, so a balancer that looks for the least busy one would choose it again and again
until the next health check. So a request that failed is put to another endpoint, and an endpoint that cannot be connected to
is left out at once, until its health check succeeds.
"""

from datetime import timedelta

from envoy_data_plane.envoy.config.cluster.v3 import Cluster, OutlierDetection
from envoy_data_plane.envoy.config.core.v3 import RetryPolicy, RetryPolicyRetryHostPredicate
from envoy_data_plane.envoy.extensions.retry.host.previous_hosts.v3 import PreviousHostsPredicate

from authz.render.tree import any_of

_TRIES = 3
"""How often a balancer is asked for an endpoint that was not tried yet."""


def leaves_out_the_dead(cluster: Cluster) -> None:
    """Let a cluster of several endpoints leave out one that cannot be connected to; never all of them."""
    cluster.outlier_detection = OutlierDetection(
        split_external_local_origin_errors=True,
        consecutive_local_origin_failure=1,
        enforcing_consecutive_local_origin_failure=100,
        enforcing_consecutive_5xx=0,
        enforcing_consecutive_gateway_failure=0,
        enforcing_success_rate=0,
        enforcing_local_origin_success_rate=0,
        interval=timedelta(seconds=1),
        base_ejection_time=timedelta(seconds=2),
        max_ejection_percent=50,
    )


def asks_another(policy: RetryPolicy) -> None:
    """Let a second try go to another endpoint than the first."""
    policy.retry_host_predicate = [
        RetryPolicyRetryHostPredicate(
            name="envoy.retry_host_predicates.previous_hosts", typed_config=any_of(PreviousHostsPredicate())
        )
    ]
    policy.host_selection_retry_max_attempts = _TRIES
