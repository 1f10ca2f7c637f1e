"""A limit on calls of one tool by one caller, counted inside Envoy by what ext_authz said about the request.

Every combination of server, caller and tool has a token bucket of its own. A request without a tool makes no
descriptor and is not counted; callers without a name, where the policy lets such in, share one bucket a tool.
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
"""Keys of the decision's metadata that make a bucket, each with what stands for a missing one; "" for no bucket."""
_BUCKETS = 10_000
"""Buckets that are kept, some hundred bytes each; beyond them the one unused for longest starts anew."""


def local_rate_limit(rate: Rate, namespace: str) -> LocalRateLimit:
    """The filter; `namespace` is where the decision's metadata stands."""
    bucket = TokenBucket(
        max_tokens=rate.calls, tokens_per_fill=rate.calls, fill_interval=timedelta(seconds=rate.seconds)
    )
    return LocalRateLimit(
        stat_prefix="mcp",
        filter_enabled=_always(),
        filter_enforced=_always(),
        rate_limits=[RateLimit(actions=[_said(namespace, key) for key in _KEYS])],
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


def _said(namespace: str, key: str) -> RateLimitAction:
    where = MetadataKey(key=namespace, path=[MetadataKeyPathSegment(key=key)])
    return RateLimitAction(
        metadata=RateLimitActionMetaData(
            descriptor_key=key,
            metadata_key=where,
            default_value=_KEYS[key],
            source=RateLimitActionMetaDataSource.DYNAMIC,
        )
    )
