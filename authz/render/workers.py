"""What Envoy needs to know of a service that has several endpoints: that one may be gone while the others serve.

A dead endpoint has no request under way, so a balancer that looks for the least busy one would choose it again and again
until the next health check. So whatever could not be put to one endpoint is put to another. `unavailable` alone would not
do: it is about answers, and a connection that was refused or lost gives none.

An endpoint is not ejected for it (outlier detection): one that is back would still be left out, and when the other one died
meanwhile, the dead one would be all that is left.
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
"""Second tries under way at once in each cluster: as many as may wait for a connection."""
CHECK_AGAIN = "unavailable,connect-failure,refused-stream,reset"
"""A Check changes nothing, so it may be asked again whenever no answer came."""
STREAM_AGAIN = "connect-failure,refused-stream"
"""A stream begins anew only where the other side has seen nothing of it."""
_CHOICES = 64
"""How often a balancer may choose until it is an endpoint that was not tried yet: it chooses the idle one, which the dead is,
in three of four times where there are two."""


def asks_another(retry_on: str, longest: float) -> RetryPolicy:
    """Give a policy by which a second try goes to another endpoint than the first.

    Args:
        retry_on: after what, as Envoy names it.
        longest: seconds that Envoy may wait before the second try, which is also what it gives the first one.
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
        host_selection_retry_max_attempts=_CHOICES,
    )
