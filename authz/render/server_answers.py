"""Which answers say something of the server itself, and which of its headers no client gets.

Rules of this module:

* A redirect or a challenge leads a client past the gateway. The rewriter is asked about those, and about no other answer,
  whatever the request was: Envoy evaluates the matcher again when the answer's headers are there.
* Cookies, CORS and the caller's identity are the gateway's to speak of. Their headers are removed from the answer of an
  allowed request in every spelling, before the cors filter sets its own. A preflight's answer has no decision, so it keeps
  what the cors filter wrote.
"""

from betterproto2 import Message
from envoy_data_plane.envoy.config.common.mutation_rules.v3 import HeaderMutation as Mutation
from envoy_data_plane.envoy.config.common.mutation_rules.v3 import HeaderMutationRemoveOnMatch
from envoy_data_plane.envoy.extensions.filters.http.header_mutation.v3 import HeaderMutation, Mutations
from envoy_data_plane.envoy.type.matcher.v3 import (
    HttpResponseHeaderMatchInput,
    HttpResponseStatusCodeClassMatchInput,
    HttpResponseStatusCodeMatchInput,
)
from envoy_data_plane.envoy.type.matcher.v3 import RegexMatcher as EnvoyRegex
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher as EnvoyString
from envoy_data_plane.xds.core.v3 import TypedExtensionConfig as XdsExtension
from envoy_data_plane.xds.type.matcher.v3 import (
    MatcherMatcherListPredicate,
    MatcherMatcherListPredicateSinglePredicate,
    RegexMatcher,
    RegexMatcherGoogleRe2,
    StringMatcher,
)

from authz.render.decided import any_of_these
from authz.render.header_names import ANY, SEPARATOR
from authz.render.serialize import any_of

CHALLENGES = ("www-authenticate", "proxy-authenticate")
_STATUSES = ("401", "407")
_REMOVED = f"(set{SEPARATOR}cookie2?|access{SEPARATOR}control{SEPARATOR}{ANY}*|x{SEPARATOR}mcp{SEPARATOR}{ANY}*|alt{SEPARATOR}svc)"


def speaks_of_itself() -> MatcherMatcherListPredicate:
    """Return the condition that an answer is a redirect or a challenge."""
    anything = StringMatcher(safe_regex=RegexMatcher(google_re2=RegexMatcherGoogleRe2(), regex=".*"))
    answers = [
        _is(HttpResponseStatusCodeClassMatchInput(), StringMatcher(exact="3xx")),
        *(_is(HttpResponseStatusCodeMatchInput(), StringMatcher(exact=each)) for each in _STATUSES),
        *(_is(HttpResponseHeaderMatchInput(header_name=each), anything) for each in CHALLENGES),
    ]
    return any_of_these(*answers)


def _is(read: Message, value: StringMatcher) -> MatcherMatcherListPredicate:
    single = MatcherMatcherListPredicateSinglePredicate(
        input=XdsExtension(name="answer", typed_config=any_of(read)), value_match=value
    )
    return MatcherMatcherListPredicate(single_predicate=single)


def without_its_headers() -> HeaderMutation:
    """Return the filter that removes what only the gateway may say."""
    matcher = EnvoyString(safe_regex=EnvoyRegex(regex=_REMOVED))
    removed = Mutation(remove_on_match=HeaderMutationRemoveOnMatch(key_matcher=matcher))
    return HeaderMutation(mutations=Mutations(response_mutations=[removed]))
