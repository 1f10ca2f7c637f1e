"""Checks of the connection manager: what happens to a request before the first filter sees it."""

import re
from collections.abc import Iterator, Mapping

from authz.doctor import expected
from authz.doctor.field_checks import is_local
from authz.doctor.model import CheckCase, Find, Hit, Insert

_METADATA = f"DYNAMIC_METADATA({expected.DECISIONS})"


def _identity(case: CheckCase) -> Iterator[Hit]:
    for chain in case.inventory.guarded:
        early = chain.manager.at("early_header_mutation_extensions")
        removed = {node.text.lower() for node in early.walk() if node.key == "remove"}
        missing = [name for name in expected.IDENTITY_HEADERS if name not in removed]
        if chain.manager.present and missing:
            mutations = [{"remove": name} for name in missing]
            config = {**expected.STRIP["typed_config"], "mutations": mutations}
            at = len(early.value) if isinstance(early.value, list) else 0
            edit = Insert(early.path, at, {**expected.STRIP, "typed_config": config})
            yield Hit(early, f"{', '.join(missing)} not removed", (edit,))


def _claims_logged(case: CheckCase) -> Iterator[Hit]:
    for chain in case.inventory.guarded:
        for log in (chain.manager.at("access_log"), chain.listener.at("access_log")):
            yield from (Hit(node) for node in log.walk() if _METADATA in node.text)


_HEADER = re.compile(r"%REQ(?:_WITHOUT_QUERY)?\(([^)]*)\)", re.IGNORECASE)
_TOKEN = "authorization"
_NAMED = frozenset({"request_headers_to_log", "additional_request_headers_to_log"})


def _token_logged(case: CheckCase) -> Iterator[Hit]:
    for chain in case.inventory.guarded:
        logs = [chain.manager.at("access_log"), chain.listener.at("access_log")]
        logs += [each.config.at("upstream_log") for each in chain.of("router")]
        for node in (node for log in logs for node in log.walk()):
            texts = [each.text for each in node.items()] if node.key in _NAMED else _headers(node.text)
            if any(text.lower() == _TOKEN for text in texts):
                yield Hit(node)
        for node in chain.manager.at("tracing").walk():
            if (node.key == "request_header" and node.at("name").text.lower() == _TOKEN) or any(
                text.lower() == _TOKEN for text in _headers(node.text)
            ):
                yield Hit(node, "a tag of spans")


def _headers(text: str) -> list[str]:
    """Return the names of the request headers that a format writes: each command has one, or two with "?" between."""
    return [name for found in _HEADER.findall(text) for name in found.partition(":")[0].split("?")]


def _plain_http(case: CheckCase) -> Iterator[Hit]:
    for chain in case.inventory.guarded:
        address = chain.listener.at("address", "socket_address", "address").text
        secure = any(node.key == "transport_socket" for node in chain.listener.walk())
        if address and not is_local(address) and not secure:
            yield Hit(chain.listener.at("address"), f"{chain.name} at {address}")


CHECKS: Mapping[str, Find] = {
    "identity-headers": _identity,
    "log-claims": _claims_logged,
    "log-token": _token_logged,
    "plain-http": _plain_http,
}
