"""What a merge changes for requests that have nothing to do with MCP, one row for each thing that somebody could notice."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from authz.doctor.filters import Filter
from authz.doctor.node import Node
from authz.doctor.routes import ChainRoute
from authz.merge.placing import Placed


@dataclass(frozen=True, slots=True)
class MergeEffect:
    """One change.

    Attributes:
        what: which requests, or which setting.
        before: what became of them.
        now: what becomes of them.
    """

    what: str
    before: str
    now: str


_SETTINGS = {
    "normalize_path": (
        "paths with . or .. in them",
        "routed and passed on as sent",
        "normalized first: /a/../b is /b",
    ),
    "merge_slashes": ("paths with //", "routed and passed on as sent", "slashes merged first: //b is /b"),
    "path_with_escaped_slashes_action": (r"paths with %2F or %5C", "routed and passed on as sent", "400"),
    "headers_with_underscores_action": ("header names with underscores", "refused or dropped", "passed on"),
    "use_remote_address": (
        "x-forwarded-* and x-envoy-* from clients",
        "believed and passed on",
        "x-forwarded-for ends in the connection's address, x-forwarded-proto is its scheme; x-envoy-* removed",
    ),
    "internal_address_config": (
        "clients in private networks",
        "internal: their x-envoy-* are believed",
        "external",
    ),
}


def of_settings(changed: Iterable[Node]) -> Iterator[MergeEffect]:
    """Yield what changed settings of the connection manager mean for all requests."""
    for node in changed:
        what, before, now = _SETTINGS[node.key]
        if node.present:
            before = f"{node.text or str(node.value).lower()}: {before}"
        yield MergeEffect(what, before, now)


def of_places(placed: Iterable[Placed], *, isolated: bool) -> Iterator[MergeEffect]:
    """Yield what became of the paths of servers and of their metadata."""
    for each in placed:
        path = each.server.path
        hosts = ", ".join(host.at("name").text or "?" for host in each.hosts) or ", ".join(each.new)
        now = f"MCP server {each.server.name}, {'by a listener of its own' if isolated else 'judged'}"
        yield MergeEffect(f"{path} at {hosts}", _taken(each.before), now)
        metadata = f"/.well-known/... of {path} at {hosts}"
        yield MergeEffect(metadata, "as other paths", "the service's metadata (RFC 9728), without a token")


def _taken(before: Iterable[ChainRoute]) -> str:
    names = [f"route {route.name}" for route in before]
    return ", ".join(names) or "404"


def of_filters(off: Iterable[Filter], on: Iterable[Filter]) -> Iterator[MergeEffect]:
    """Yield which filters of the file run for MCP; for other requests nothing changes."""
    for title, listed, now in (
        ("filters not for MCP", off, "off on MCP routes, else as before"),
        ("filters for MCP, too", on, "on for MCP routes, too"),
    ):
        names = ", ".join(each.name.removeprefix("envoy.filters.http.") for each in listed)
        if names:
            yield MergeEffect(title, "on", f"{names}: {now}")


def of_guarded(routes: Iterable[ChainRoute]) -> Iterator[MergeEffect]:
    """Yield what became of routes that led to an MCP server past the policy."""
    for route in routes:
        yield MergeEffect(
            f"route {route.name}",
            "to the MCP server, unjudged",
            "judged: 403 where no server of the policy is",
        )
