"""Retries for a service with several endpoints, of which one may be down while the others serve.

A dead endpoint has no request in progress, so a balancer that prefers the least busy endpoint would choose it again and
again until the next health check. A request that fails at one endpoint is therefore retried at another. `unavailable`
alone is not enough: it covers answers, and a refused or lost connection gives none.

There is no outlier detection: an endpoint that is back would stay ejected, and if the other one died meanwhile, only the
ejected one would be left.
"""

from datetime import timedelta

from envoy_data_plane.envoy.config.core.v3 import (
    BackoffStrategy,
    RetryPolicy,
    RetryPolicyRetryHostPredicate,
)
from envoy_data_plane.envoy.extensions.retry.host.previous_hosts.v3 import PreviousHostsPredicate

from authz.render.serialize import any_of

RETRIES = 512
"""Concurrent retries in each cluster: as many as may wait for a connection."""
RETRY_CHECK_ON = "unavailable,connect-failure,refused-stream,reset"
"""A Check changes nothing, so it may be retried whenever no answer came."""
RETRY_STREAM_ON = "connect-failure,refused-stream"
"""A stream is retried only if the other side has seen nothing of it."""
_ATTEMPTS = 64
"""How often a balancer may choose until it finds an endpoint that was not tried yet. Of two endpoints, it chooses the idle
one, which is the dead one, three times out of four."""


def retry_elsewhere(retry_on: str, longest: float) -> RetryPolicy:
    """Return a policy by which a second try goes to another endpoint than the first.

    Args:
        retry_on: the conditions for a retry, as Envoy names them.
        longest: seconds that Envoy may wait before the second try, which is also the timeout of each try.
    """
    another = RetryPolicyRetryHostPredicate(
        name="envoy.retry_host_predicates.previous_hosts", typed_config=any_of(PreviousHostsPredicate())
    )
    return RetryPolicy(
        num_retries=1,
        retry_on=retry_on,
        retry_back_off=BackoffStrategy(
            base_interval=timedelta(milliseconds=10), max_interval=timedelta(seconds=longest)
        ),
        retry_host_predicate=[another],
        host_selection_retry_max_attempts=_ATTEMPTS,
    )
