"""Checks of what a server says about itself: does the rewriter see it, and do its headers stay behind?"""

from collections.abc import Iterator, Mapping

from authz.doctor import expected
from authz.doctor.filters import Filter
from authz.doctor.inventory import FilterChain
from authz.doctor.model import CheckCase, Find, Hit, Insert
from authz.doctor.string_matcher import matches

_NEVER_FROM_A_SERVER = (
    "set-cookie",
    "set_cookie",
    "access-control-allow-origin",
    "access_control_allow_credentials",
    "x-mcp-subject",
    "x_mcp_subject",
    "alt-svc",
)
"""Headers that only the gateway may send, in spellings that a client or a proxy can take for them."""


def _removes(each: Filter, name: str) -> bool:
    """Return whether a header_mutation takes a header out of every answer to an allowed request."""
    mutations = each.config.at("mutations", "response_mutations").items()
    patterns = (node.at("remove_on_match", "key_matcher") for node in mutations)
    return each.runs_on_allow and any(matches(pattern, name) for pattern in patterns)


def _passing(chain: FilterChain) -> list[str]:
    """Return the headers that no filter after ext_authz removes."""
    after = [each for each in chain.of("header_mutation") if chain.authz and each.index > chain.authz.index]
    return [name for name in _NEVER_FROM_A_SERVER if not any(_removes(each, name) for each in after)]


def _headers(case: CheckCase) -> Iterator[Hit]:
    for chain in case.inventory.guarded:
        if not chain.authz or chain.unseen or chain.authz.config.at("shadow_mode").flag:
            continue
        if names := _passing(chain):
            behind = max(chain.authz.index, chain.rewriter.index if chain.rewriter else 0) + 1
            edit = Insert(chain.filter_list.path, behind, expected.HEADERS_FILTER)
            yield Hit(chain.filter_list, f"{', '.join(names)} in {chain.name}", (edit,))


def _unseen(case: CheckCase) -> Iterator[Hit]:
    for chain in case.inventory.guarded:
        each = chain.rewriter
        if each and not each.unseen and each.runs_on_decision and not each.sees_answers:
            listed = each.wrapper.at("xds_matcher", "matcher_list", "matchers")
            rule = expected.about_answers(each.typed.value)
            edits = (Insert(listed.path, len(list(listed.items())), rule),) if listed.present else ()
            yield Hit(each.wrapper, f"filter {each.name}", edits)


CHECKS: Mapping[str, Find] = {"rewriter-answers": _unseen, "server-headers": _headers}
