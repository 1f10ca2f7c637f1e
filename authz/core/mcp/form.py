"""Which rule of form a refused body breaks, and where: for the person who has to mend the client.

Rules of this file:

* It is asked after the refusal and decides nothing. `message` refuses; here the same rules stand once more as a list, with
  words, and the first one that is broken is named. A body for which none is found gets no explanation.
* The texts are fixed. A place is a JSON pointer (RFC 6901) that is made of member names of the protocol only. So neither
  holds anything that a caller sent.
* Only a body of a moderate size is explained, because it is read a second time.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from authz.core.mcp.envelope import ENVELOPE, has_one_outcome, load_body, read_id
from authz.core.mcp.message import INNER, META, META_CAPABILITIES, META_VERSION, PARAMS
from authz.core.mcp.methods import METHODS, Method, is_modern
from authz.core.mcp.routing_headers import decode_header_value
from authz.core.reasons import Reason
from authz.core.request import HttpRequest, Limits
from authz.core.wire.confusables import OverBudgetError, imitates
from authz.core.wire.raw_json import UnfitError, open_object
from authz.core.wire.strict_json import StrictJSONError

_MAX_BYTES = 65_536


class BrokenRule(msgspec.Struct, frozen=True):
    """A rule of form that a body breaks.

    Attributes:
        text: what must hold.
        pointer: where it does not, empty for the whole message.
    """

    text: str
    pointer: str = ""


def broken_rule(request: HttpRequest, reason: Reason, limits: Limits) -> BrokenRule | None:
    """Return the rule that a body broke which was refused for this reason; None if that is not known."""
    find = _FINDERS.get(reason)
    if find is None or len(request.body) > _MAX_BYTES:
        return None
    try:
        return find(request, limits)
    except (StrictJSONError, OverBudgetError):  # it is refused in any case, only without an explanation
        return None


# Bodies that are no strict JSON.


def _of_json(request: HttpRequest, limits: Limits) -> BrokenRule | None:
    try:
        load_body(request.body, limits)
    except StrictJSONError as error:
        return BrokenRule(str(error), _place(request.body, limits))
    return None


_INSIDE: Mapping[str, frozenset[str]] = {"": ENVELOPE, "/params": PARAMS, "/params/_meta": META}
"""Places whose members have names of the protocol."""


def _place(body: bytes | msgspec.Raw, limits: Limits) -> str:
    """Return the innermost place that is known by name and holds all that is wrong."""
    pointer = ""
    while (known := _INSIDE.get(pointer)) is not None:
        try:
            members = open_object(body, known)
        except (UnfitError, msgspec.DecodeError, UnicodeError, RecursionError):
            return pointer
        bad = [name for name in members if not _is_strict(members[name], limits)]
        if len(bad) != 1 or bad[0] not in known:
            return pointer
        pointer, body = f"{pointer}/{_escaped(bad[0])}", members[bad[0]]
    return pointer


def _is_strict(raw: msgspec.Raw, limits: Limits) -> bool:
    try:
        load_body(bytes(raw), limits)
    except StrictJSONError:
        return False
    return True


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


# Bodies that are JSON, but no message.

_Flaws = Iterator[tuple[bool, str, str]]
"""Whether a rule holds, its words and its place, in the order in which the reader of messages asks."""

_LOOKALIKE = "no key may look like a key of the protocol without being it"


def _of_message(request: HttpRequest, limits: Limits) -> BrokenRule | None:
    value = load_body(request.body, limits)
    if not isinstance(value, dict):
        return BrokenRule("must be an object")
    version = request.headers.get("mcp-protocol-version", "")
    for holds, text, pointer in _rules(value, version, limits):
        if not holds:
            return BrokenRule(text, pointer)
    return None


def _rules(value: Mapping[str, Any], version: str, limits: Limits) -> _Flaws:
    method = value.get("method", "")
    yield value.get("jsonrpc") == "2.0", 'must be "2.0"', "/jsonrpc"
    yield not imitates(value, ENVELOPE), _LOOKALIKE, ""
    yield isinstance(method, str), "must be a string", "/method"
    yield len(method) <= limits.name, "is too long", "/method"
    yield read_id(value, limits)[1], "must be a string of moderate length or an integer", "/id"
    if "method" not in value:
        yield from _rules_of_response(value)
        return
    yield bool(method), "must not be empty", "/method"
    yield "result" not in value and "error" not in value, "a request has no result and no error", ""
    params = {} if value.get("params") is None else value["params"]
    yield isinstance(params, dict), "must be an object", "/params"
    yield not imitates(params, PARAMS), _LOOKALIKE, "/params"
    yield from _rules_of_meta(params, version, is_request="id" in value)
    yield from _rules_of_params(value, params, METHODS.get(method), limits)


def _rules_of_response(value: Mapping[str, Any]) -> _Flaws:
    yield has_one_outcome(value), "a message has a method, or a result, or an error", ""
    yield "id" in value, "a response needs the id of its request", "/id"
    yield value.get("params") is None, "a response has no params", "/params"
    yield False, "a client of 2026-07-28 sends no responses", ""


def _rules_of_meta(params: Mapping[str, Any], version: str, *, is_request: bool) -> _Flaws:
    meta = {} if params.get("_meta") is None else params["_meta"]
    yield isinstance(meta, dict), "must be an object", "/params/_meta"
    yield not imitates(meta, META), _LOOKALIKE, "/params/_meta"
    if not is_request or not (is_modern(version) or META_VERSION in meta):
        return
    for key, kind, text in ((META_VERSION, str, "a string"), (META_CAPABILITIES, dict, "an object")):
        held = isinstance(meta.get(key), kind)
        yield held, f"2026-07-28 needs {text} here", f"/params/_meta/{_escaped(key)}"


def _rules_of_params(
    value: Mapping[str, Any], params: Mapping[str, Any], row: Method | None, limits: Limits
) -> _Flaws:
    if row is not None:
        yield not (row.notification and "id" in value), "a notification has no id", "/id"
        yield row.notification or "id" in value, "a request needs an id", "/id"
        yield from _rules_of_items(params, value["method"], row, limits)
    arguments = params.get("arguments")
    yield arguments is None or isinstance(arguments, dict), "must be an object", "/params/arguments"
    for name in ("ref", "notifications"):
        part = params.get(name)
        yield not (isinstance(part, dict) and imitates(part, INNER)), _LOOKALIKE, f"/params/{name}"


def _rules_of_items(params: Mapping[str, Any], method: str, row: Method, limits: Limits) -> _Flaws:
    if row.extract_items is None:
        return
    items = row.extract_items(params, limits)
    pointer = f"/params/{_NAMING.get(method) or row.mirror or 'uri'}"
    yield items is not None, "must be there and name what the method is about, unambiguously", pointer
    yield len(items or ()) <= limits.items, "names too many things", pointer
    yield all(len(item.name) <= limits.name for item in items or ()), "is too long", pointer


_NAMING = {"completion/complete": "ref", "subscriptions/listen": "notifications", "tasks/result": "taskId"}
"""Where a method names what it is about, if no header repeats it and it is no `uri`."""


# Headers that do not repeat the body.


def _of_headers(request: HttpRequest, limits: Limits) -> BrokenRule | None:
    value: Any = load_body(request.body, limits)
    method, params = value.get("method"), value.get("params") or {}
    meta = (params.get("_meta") or {}) if isinstance(params, dict) else {}
    sent = request.headers.get
    if meta.get(META_VERSION) not in (None, sent("mcp-protocol-version", "")):
        pointer = f"/params/_meta/{_escaped(META_VERSION)}"
        return BrokenRule("the header MCP-Protocol-Version must repeat this", pointer)
    if sent("mcp-method") != method:
        return BrokenRule("the header Mcp-Method must repeat this", "/method")
    row = METHODS.get(method)
    if (
        row is None
        or row.mirror is None
        or decode_header_value(sent("mcp-name", "")) == params.get(row.mirror)
    ):
        return None
    return BrokenRule("the header Mcp-Name must repeat this", f"/params/{row.mirror}")


_FINDERS: Mapping[Reason, Callable[[HttpRequest, Limits], BrokenRule | None]] = {
    Reason.BAD_JSON: _of_json,
    Reason.BAD_MESSAGE: _of_message,
    Reason.HEADER_MISMATCH: _of_headers,
}
