"""A limit on calls of one tool by one caller, counted inside Envoy by the metadata of ext_authz.

Every combination of server, caller and tool has a token bucket of its own. A request without a tool has no
descriptor and is not counted; anonymous callers, if the policy admits them, share one bucket for each tool.
"""

from datetime import timedelta

from envoy_data_plane.envoy.config.core.v3 import RuntimeFractionalPercent
from envoy_data_plane.envoy.config.route.v3 import (
    RateLimit,
    RateLimitAction,
    RateLimitActionMetaData,
    RateLimitActionMetaDataSource,
)
from envoy_data_plane.envoy.extensions.common.ratelimit.v3 import (
    LocalRateLimitDescriptor,
    RateLimitDescriptorEntry,
)
from envoy_data_plane.envoy.extensions.filters.http.local_ratelimit.v3 import LocalRateLimit
from envoy_data_plane.envoy.type.metadata.v3 import MetadataKey, MetadataKeyPathSegment
from envoy_data_plane.envoy.type.v3 import FractionalPercent, FractionalPercentDenominatorType, TokenBucket

from authz.render.options import Rate

_KEYS = {"server": "", "sub": "-", "tool": ""}
"""Keys of the decision's metadata that select a bucket, with the value for a missing one; "" means no bucket."""
_BUCKETS = 10_000
"""Buckets kept, some hundred bytes each; beyond this number the least recently used one is reset."""


def local_rate_limit(rate: Rate, namespace: str) -> LocalRateLimit:
    """Return the filter; `namespace` is that of the decision's metadata."""
    bucket = TokenBucket(
        max_tokens=rate.calls, tokens_per_fill=rate.calls, fill_interval=timedelta(seconds=rate.seconds)
    )
    return LocalRateLimit(
        stat_prefix="mcp",
        filter_enabled=_always(),
        filter_enforced=_always(),
        rate_limits=[RateLimit(actions=[_descriptor(namespace, key) for key in _KEYS])],
        descriptors=[
            LocalRateLimitDescriptor(
                entries=[RateLimitDescriptorEntry(key=key) for key in _KEYS], token_bucket=bucket
            )
        ],
        max_dynamic_descriptors=_BUCKETS,
    )


def _always() -> RuntimeFractionalPercent:
    every = FractionalPercent(numerator=100, denominator=FractionalPercentDenominatorType.HUNDRED)
    return RuntimeFractionalPercent(default_value=every)


def _descriptor(namespace: str, key: str) -> RateLimitAction:
    where = MetadataKey(key=namespace, path=[MetadataKeyPathSegment(key=key)])
    return RateLimitAction(
        metadata=RateLimitActionMetaData(
            descriptor_key=key,
            metadata_key=where,
            default_value=_KEYS[key],
            source=RateLimitActionMetaDataSource.DYNAMIC,
        )
    )
