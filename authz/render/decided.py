"""Conditions on what ext_authz and the rewriter left in a request's dynamic metadata, which no client can set."""

from collections.abc import Sequence

from envoy_data_plane.envoy.extensions.matching.common_inputs.network.v3 import (
    DynamicMetadataInput,
    DynamicMetadataInputPathSegment,
)
from envoy_data_plane.envoy.extensions.matching.input_matchers.metadata.v3 import Metadata
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher, ValueMatcher
from envoy_data_plane.xds.core.v3 import TypedExtensionConfig
from envoy_data_plane.xds.type.matcher.v3 import (
    MatcherMatcherListPredicate,
    MatcherMatcherListPredicatePredicateList,
    MatcherMatcherListPredicateSinglePredicate,
)

from authz.core.response.commands import JUDGED, JUDGED_BY
from authz.render.serialize import any_of

EXT_AUTHZ = "envoy.filters.http.ext_authz"
"""The filter's name, and the namespace of the dynamic metadata that the service sets as ext_authz."""


def allowed() -> MatcherMatcherListPredicate:
    """Return the condition that ext_authz allowed the request."""
    return said("decision", ValueMatcher(string_match=StringMatcher(exact="allow")))


def asked() -> MatcherMatcherListPredicate:
    """Return the condition that ext_authz asked for the rewriter."""
    return said("rewrite", ValueMatcher(bool_match=True))


def judged() -> MatcherMatcherListPredicate:
    """Return the condition that the rewriter judged the answer."""
    return said(JUDGED, ValueMatcher(bool_match=True), by=JUDGED_BY)


def said(key: str, value: ValueMatcher, *, by: str = EXT_AUTHZ) -> MatcherMatcherListPredicate:
    """Return the condition that a namespace of metadata has this value."""
    read = DynamicMetadataInput(filter=by, path=[DynamicMetadataInputPathSegment(key=key)])
    return MatcherMatcherListPredicate(
        single_predicate=MatcherMatcherListPredicateSinglePredicate(
            input=TypedExtensionConfig(name="metadata", typed_config=any_of(read)),
            custom_match=TypedExtensionConfig(name="is_so", typed_config=any_of(Metadata(value=value))),
        )
    )


def all_of(*predicates: MatcherMatcherListPredicate) -> MatcherMatcherListPredicate:
    """Return the condition that several hold."""
    return MatcherMatcherListPredicate(and_matcher=_several(predicates))


def any_of_these(*predicates: MatcherMatcherListPredicate) -> MatcherMatcherListPredicate:
    """Return the condition that one of several holds."""
    return MatcherMatcherListPredicate(or_matcher=_several(predicates))


def _several(predicates: Sequence[MatcherMatcherListPredicate]) -> MatcherMatcherListPredicatePredicateList:
    return MatcherMatcherListPredicatePredicateList(predicate=list(predicates))
