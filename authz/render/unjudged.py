"""The filter that lets no answer pass that the rewriter was asked to judge and has not.

Without its rewriter an Envoy sends every answer as the server gave it, and no part of it fails. So the rewriter says of each
answer that it has judged it, in metadata that neither a client nor a server can set, and this filter, which is another one,
refuses what it did not say it of. It comes before the rewriter in the configuration, so an answer comes to it afterwards.
So if the rewriter is taken out of the configuration, or off a route, every list is refused.

Only the answers to allowed requests: a refusal is the service's own.
"""

from envoy_data_plane.envoy.extensions.filters.http.custom_response.v3 import CustomResponse
from envoy_data_plane.envoy.extensions.http.custom_response.local_response_policy.v3 import (
    LocalResponsePolicy,
)
from envoy_data_plane.xds.core.v3 import TypedExtensionConfig as XdsExtension
from envoy_data_plane.xds.type.matcher.v3 import (
    Matcher,
    MatcherMatcherList,
    MatcherMatcherListFieldMatcher,
    MatcherMatcherListPredicate,
    MatcherOnMatch,
)

from authz.render.decided import all_of, allowed, asked, judged
from authz.render.serialize import any_of

_UNAVAILABLE = 503


def without_the_unjudged() -> CustomResponse:
    """Return the filter; what it answers gets its body from the connection manager's local replies."""
    refusal = LocalResponsePolicy(status_code=_UNAVAILABLE)
    action = XdsExtension(name="unjudged", typed_config=any_of(refusal))
    unjudged = all_of(allowed(), asked(), MatcherMatcherListPredicate(not_matcher=judged()))
    rule = MatcherMatcherListFieldMatcher(predicate=unjudged, on_match=MatcherOnMatch(action=action))
    return CustomResponse(custom_response_matcher=Matcher(matcher_list=MatcherMatcherList(matchers=[rule])))
