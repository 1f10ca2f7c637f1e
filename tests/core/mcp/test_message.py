"""A body and its headers are one MCP message that every reader reads alike, or they are refused with the reason."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authz.core.mcp.envelope import peek_id
from authz.core.mcp.item import Item, Kind
from authz.core.mcp.message import Message, MessageRejected, read_message
from authz.core.mcp.methods import METHODS, Era
from authz.core.reasons import Reason
from authz.core.request import Limits
from tests.support.core import LEGACY, META, MODERN, message, mirrored, modern, post
from tests.support.work import counted

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A machine that is busy with other tests is no failure."""

INVALID_PARAMS = -32602
VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities"

PARAMS = {
    "tools/call": {"name": "x"},
    "prompts/get": {"name": "x"},
    "resources/read": {"uri": "x"},
    "resources/subscribe": {"uri": "x"},
    "resources/unsubscribe": {"uri": "x"},
    "resources/directory/read": {"uri": "x"},
    "skills/get": {"uri": "x"},
    "tasks/get": {"taskId": "x"},
    "tasks/result": {"taskId": "x"},
    "tasks/update": {"taskId": "x"},
    "tasks/cancel": {"taskId": "x"},
    "completion/complete": {"ref": {"type": "ref/prompt", "name": "x"}},
    "subscriptions/listen": {"notifications": {"resourceSubscriptions": ["x"]}},
}


def body_of(method, era):
    params = dict(PARAMS.get(method, {}))
    identity = {"id": ...} if METHODS[method].notification else {}
    return (modern if era is Era.MODERN else message)(method, params, **identity)


def read(body, headers=None, **options):
    return read_message(post(body, headers), **options)


def refused(reason, body, headers=None, **options):
    """Assert a rejection and give it."""
    outcome = read(body, headers, **options)

    assert isinstance(outcome, MessageRejected), outcome
    assert reason is outcome.reason
    return outcome


def accepted(body, headers=None, **options):
    outcome = read(body, headers, **options)

    assert isinstance(outcome, Message), outcome
    return outcome


@pytest.mark.parametrize("era", [Era.LEGACY, Era.MODERN])
@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.requirement("reason.unknown_method")
def test_a_method_is_accepted_in_the_eras_that_know_it_and_unknown_in_the_other(method, era):
    name = "x" if METHODS[method].mirror else None
    headers = mirrored(method, name) if era is Era.MODERN else {"mcp-protocol-version": LEGACY}
    outcome = read(body_of(method, era), headers)

    if era in METHODS[method].eras:
        assert isinstance(outcome, Message)
        assert (method, ("x",) if method in PARAMS else ()) == (
            outcome.method,
            tuple(item.name for item in outcome.items),
        )
    else:
        assert isinstance(outcome, MessageRejected)
        assert (Reason.UNKNOWN_METHOD, method) == (outcome.reason, outcome.method)


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.requirement("protocol.ids")
def test_a_request_needs_an_id_and_a_notification_must_not_have_one(method):
    wrong = {"id": 1} if METHODS[method].notification else {"id": ...}
    era = Era.LEGACY if Era.LEGACY in METHODS[method].eras else Era.MODERN
    headers = {} if era is Era.LEGACY else mirrored(method)
    build = message if era is Era.LEGACY else modern

    refused(Reason.BAD_MESSAGE, build(method, PARAMS.get(method), **wrong), headers)


@pytest.mark.parametrize(
    ("given_id", "read_id"),
    [(0, 0), (-1, -1), (2**63 - 1, 2**63 - 1), ("", ""), ("a", "a"), ("x" * 2048, "x" * 2048)],
)
def test_an_id_is_a_string_or_an_integer(given_id, read_id):
    assert read_id == accepted(message("ping", id=given_id)).request_id


@pytest.mark.parametrize("bad", [None, True, False, 1.5, 1.0, [], {}, [1], "x" * 2049])
@pytest.mark.requirement("protocol.ids")
def test_any_other_id_is_refused_and_never_taken_for_a_notification(bad):
    assert refused(Reason.BAD_MESSAGE, message("ping", id=bad)).request_id is None
    assert refused(Reason.BAD_MESSAGE, message("notifications/initialized", id=bad)).request_id is None


def with_id(literal):
    return b'{"jsonrpc":"2.0","method":"ping","id":' + literal.encode() + b"}"


@pytest.mark.parametrize(
    "literal", ["9007199254740993", "-9007199254740993", "9223372036854775808", "1" + "0" * 2047]
)
@pytest.mark.requirement("protocol.ids")
def test_an_integer_id_of_any_size_is_kept_digit_for_digit(literal):
    assert literal == str(accepted(with_id(literal)).request_id)
    assert literal == str(peek_id(with_id(literal)))


@pytest.mark.parametrize(
    "literal", ["1e400", "9007199254740993.0", "1e23", "0.30000000000000000001", "1" * 2049, "1" * 70_000]
)
def test_an_id_that_is_no_integer_or_too_long_is_refused(literal):
    assert refused(Reason.BAD_MESSAGE, with_id(literal), limits=Limits(name=65_536)).request_id is None


def test_an_id_that_is_no_number_of_json_is_no_json():
    assert refused(Reason.BAD_JSON, with_id("NaN")).request_id is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xef\xbb\xbf{}",
        b"\xff",
        b'{"jsonrpc":"2.0","id":1,"method":"ping"} x',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","m\\u0065thod":"tools/list"}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\\ud800"}}',
    ],
)
def test_what_is_not_strict_json_is_refused_and_has_an_id_only_where_it_is_certain(body):
    certain = 1 if b'"a","name":"b"' in body else None

    assert certain == refused(Reason.BAD_JSON, body).request_id


@pytest.mark.parametrize(
    "body", [b"[]", b' \r\n\t[{"jsonrpc":"2.0","id":1,"method":"ping"}]', b"[[]]", b"[1]"]
)
@pytest.mark.parametrize("version", [..., "2025-03-26", LEGACY, MODERN])
@pytest.mark.requirement("protocol.batch", "reason.batch")
def test_a_batch_is_refused_in_every_version(body, version):
    refused(Reason.BATCH, body, {"mcp-protocol-version": version})


@pytest.mark.parametrize("body", [b"null", b"1", b'"ping"', b"true", b"{}"])
@pytest.mark.requirement("security.unknown-denies")
def test_a_value_that_is_no_message_is_refused(body):
    refused(Reason.BAD_MESSAGE, body)


@pytest.mark.parametrize("version", [..., "1.0", "2", 2, 2.0, None, ["2.0"], "2.0 "])
def test_json_rpc_is_version_two_exactly(version):
    refused(Reason.BAD_MESSAGE, message("ping", jsonrpc=version))


@pytest.mark.parametrize("method", ["", None, 1, ["ping"], {"ping": 1}, True, "x" * 2049])
def test_a_method_is_a_non_empty_string_of_bounded_length(method):
    refused(Reason.BAD_MESSAGE, message(method))


def test_a_method_may_be_as_long_as_a_name():
    refused(Reason.UNKNOWN_METHOD, message("x" * 2048))


@pytest.mark.requirement("protocol.one-kind-of-message")
@pytest.mark.parametrize(
    "extra", [{"result": {}}, {"error": {}}, {"result": None}, {"result": {}, "error": {}}]
)
@pytest.mark.requirement("protocol.ids")
def test_a_message_with_a_method_and_an_outcome_is_refused(extra):
    refused(Reason.BAD_MESSAGE, message("tools/list", **extra))


@pytest.mark.parametrize(
    "outcome",
    [
        {"result": {}},
        {"result": None},
        {"error": {"code": 1, "message": "no"}},
        {"result": {}, "error": None},
        {"result": None, "error": {"code": 1, "message": "no"}},
        {"result": {}, "params": None},
    ],
)
@pytest.mark.requirement("protocol.client-responses")
def test_a_clients_response_passes_in_the_legacy_era_and_names_nothing(outcome):
    response = accepted({"jsonrpc": "2.0", "id": 7, **outcome}, {"mcp-protocol-version": LEGACY})

    assert ("", 7, (), False) == (response.method, response.request_id, response.items, response.row.lists)


@pytest.mark.parametrize("version", [MODERN, "2099-01-01", "nonsense"])
@pytest.mark.requirement("protocol.client-responses")
def test_a_clients_response_is_refused_in_the_modern_era(version):
    refused(Reason.BAD_MESSAGE, {"jsonrpc": "2.0", "id": 7, "result": {}}, {"mcp-protocol-version": version})


@pytest.mark.parametrize(
    "changes",
    [
        {"id": ...},
        {"id": None},
        {"error": {}},
        {"result": None, "error": None},
        {"result": ...},
        {"params": {"name": "x"}},
        {"Method": "tools/call"},
        {"jsonrpc": ...},
    ],
)
def test_a_response_that_is_anything_besides_is_refused(changes):
    response = {"jsonrpc": "2.0", "id": 7, "result": {}, **changes}

    refused(Reason.BAD_MESSAGE, {key: value for key, value in response.items() if value is not ...})


LOOKALIKES = {
    "envelope": [
        "Method",
        "METHOD",
        "param\u017f",
        "Id",
        "\uff29d",
        "re\u017fult",
        "error\0",
        "JSONRPC",
        "\0",
    ],
    "params": [
        "Name",
        "NAME",
        "n\uff41me",
        "argument\u017f",
        "Arguments",
        "URI",
        "ur\u0131",
        "ta\u017f\u212a",
        "Ta\u017fkId",
        "_Meta",
        "name\0",
        "Ref",
        "Notifications",
        "InputResponses",
        "Cursor",
        "RequestState",
        "Argument",
        "Context",
        "Level",
        "ProtocolVersion",
        "Capabilities",
        "ClientInfo",
    ],
    "_meta": [
        VERSION_KEY.upper(),
        VERSION_KEY.lower(),
        f"{VERSION_KEY}\0",
        CAPABILITIES_KEY.upper(),
        "io.modelcontextprotocol/clientinfo",
        "io.modelcontextprotocol/loglevel",
        "ProgressToken",
    ],
    "ref": ["Type", "Name", "URI", "name\0", "type\0"],
    "notifications": ["ResourceSub\u017fcriptions", "resourcesubscriptions", "TaskIds", "ta\u017f\u212aIds"],
}


def nested(level, key, value="x"):
    """Give a sound message of a method that has this level, with one more key there."""
    if level == "envelope":
        return {**message("tools/call", {"name": "x"}), key: value}
    if level == "params":
        return message("tools/call", {"name": "x", key: value})
    if level == "_meta":
        return message("tools/call", {"name": "x", "_meta": {key: value}})
    if level == "ref":
        return message("completion/complete", {"ref": {"type": "ref/prompt", "name": "x", key: value}})
    return modern("subscriptions/listen", {"notifications": {"toolsListChanged": True, key: True}})


@pytest.mark.parametrize(
    ("level", "key"), [(level, key) for level, keys in LOOKALIKES.items() for key in keys]
)
def test_a_key_that_only_looks_like_a_known_one_is_refused_at_every_level(level, key):
    headers = mirrored("subscriptions/listen") if level == "notifications" else {}

    refused(Reason.BAD_MESSAGE, nested(level, key), headers)


KNOWN_KEYS = {
    "params": [
        *("cursor", "requestState", "argument", "context", "level", "protocolVersion", "capabilities"),
        *("clientInfo", "task", "inputResponses", "uri", "taskId"),
    ],
    "_meta": [
        *("io.modelcontextprotocol/clientInfo", "io.modelcontextprotocol/logLevel", CAPABILITIES_KEY),
        "progressToken",
    ],
    "ref": ["uri", "taskIds", "resourceSubscriptions"],
}


@pytest.mark.parametrize(
    ("level", "key"), [(level, key) for level, keys in KNOWN_KEYS.items() for key in keys]
)
def test_a_key_of_the_specification_is_accepted_where_it_has_no_say(level, key):
    accepted(nested(level, key))


@pytest.mark.parametrize("level", LOOKALIKES)
def test_a_key_that_looks_like_none_is_accepted_at_every_level(level):
    headers = mirrored("subscriptions/listen") if level == "notifications" else {}

    accepted(nested(level, "vendor"), headers)


@pytest.mark.parametrize(
    "arguments",
    [
        {"path": "/a", "Path": "/b"},
        {"path": "/a", "PATH": "/b"},
        {"pass": 1, "pas\u017f": 2},
        {"key": 1, "\u212aey": 2},
        {"\uff50ath": 1, "path": 2},
        {"path": "/a", "path\0": "/b"},
        {"path\0": "/b"},
        {"options": {"path": "/a", "Path": "/b"}},
        {"list": [[{"x": {"path": "/a", "PATH": "/b"}}]]},
        {"__proto__": {"path": "/b"}},
        {"n": [{"constructor": {"prototype": 1}}]},
    ],
)
def test_names_of_arguments_are_not_looked_at_before_a_rule_reads_them(arguments):
    outcome = accepted(message("tools/call", {"name": "x", "arguments": arguments}))

    assert arguments == outcome.arguments


@pytest.mark.parametrize("level", LOOKALIKES)
@pytest.mark.parametrize("key", ["__proto__", "constructor", "prototype"])
def test_a_key_that_can_stand_for_others_in_javascript_is_refused_at_every_level(level, key):
    headers = mirrored("subscriptions/listen") if level == "notifications" else {}

    refused(Reason.BAD_MESSAGE, nested(level, key, {"name": "y"}), headers)


FOREIGN = {"\ufdfa" * 40 + str(n): n for n in range(7000)}
"""Each character of these keys becomes eighteen when it is normalised."""


@pytest.mark.parametrize(
    "body",
    [
        {**message("ping"), **FOREIGN},
        message("ping", FOREIGN),
        message("ping", {"_meta": FOREIGN}),
        message("completion/complete", {"ref": {"type": "ref/prompt", "name": "x", **FOREIGN}}),
    ],
)
@pytest.mark.requirement("reason.too_complex")
def test_more_foreign_keys_than_are_looked_at_are_refused_with_the_id_and_in_few_steps(body):
    request = post(json.dumps(body, ensure_ascii=False).encode())
    outcome, steps = counted(lambda: read_message(request))

    assert isinstance(outcome, MessageRejected)
    assert (Reason.TOO_COMPLEX, 1) == (outcome.reason, outcome.request_id)
    assert 1000 > steps


@pytest.mark.parametrize("key", ["resourceSubscriptions", "taskIds"])
def test_what_a_subscription_names_is_counted_before_it_is_looked_at(key):
    names = {"notifications": {key: ["file:///%25" * 20] * 17_000}}
    request = post(modern("subscriptions/listen", names), mirrored("subscriptions/listen"))
    outcome, steps = counted(lambda: read_message(request))

    assert isinstance(outcome, MessageRejected)
    assert (Reason.BAD_MESSAGE, INVALID_PARAMS) == (outcome.reason, outcome.code)
    assert 150 > steps


@pytest.mark.parametrize("method", ["resources/read", "resources/subscribe", "skills/get"])
def test_the_length_of_a_uri_is_looked_at_before_the_uri_is(method):
    outcome, steps = counted(lambda: read_message(post(message(method, {"uri": "%" * 1_000_000}))))

    assert (Reason.BAD_MESSAGE, INVALID_PARAMS) == (outcome.reason, outcome.code)
    assert 150 > steps


@pytest.mark.parametrize("arguments", [{}, {"a": 1, "b": {"a": 1, "b": [1, {"a": None}]}}, {"Path": "/a"}])
def test_arguments_are_given_as_they_were_sent(arguments):
    assert arguments == accepted(message("tools/call", {"name": "x", "arguments": arguments})).arguments


@pytest.mark.parametrize("arguments", [[], "x", 1, True])
def test_arguments_of_another_type_are_refused(arguments):
    outcome = refused(Reason.BAD_MESSAGE, message("tools/call", {"name": "x", "arguments": arguments}))

    assert outcome.code == INVALID_PARAMS


ABSENT = {
    "params": {"method": "tools/list", "params": None},
    "meta": {"method": "tools/list", "params": {"_meta": None}},
    "arguments": {"method": "tools/call", "params": {"name": "x", "arguments": None, "_meta": None}},
    "the handshake's end": {"method": "notifications/initialized", "params": None, "id": ...},
}


@pytest.mark.parametrize("members", ABSENT.values(), ids=ABSENT)
@pytest.mark.requirement("protocol.null-is-absent")
def test_null_stands_for_what_may_be_left_out(members):
    body = {"jsonrpc": "2.0", "id": 1, **members}
    outcome = accepted({key: value for key, value in body.items() if value is not ...})

    assert (members["method"], {}) == (outcome.method, dict(outcome.arguments))


def test_a_null_subscription_names_nothing():
    wanted = {"resourceSubscriptions": None, "toolsListChanged": None}
    body = modern("subscriptions/listen", {"notifications": wanted})

    assert () == accepted(body, mirrored("subscriptions/listen")).items


@pytest.mark.parametrize("method", sorted(PARAMS))
def test_null_does_not_stand_for_a_name_that_a_method_needs(method):
    row = METHODS[method]
    era = Era.LEGACY if Era.LEGACY in row.eras else Era.MODERN
    params = dict.fromkeys(PARAMS[method])
    body = (modern if era is Era.MODERN else message)(method, params)
    headers = mirrored(method) if era is Era.MODERN and row.mirror is None else {}

    assert isinstance(read(body, headers), MessageRejected)


@pytest.mark.parametrize("params", [[], "x", 1, ["x"], False])
def test_params_of_another_type_are_refused(params):
    refused(Reason.BAD_MESSAGE, {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": params})


@pytest.mark.parametrize("meta", [[], "x", 1, False])
def test_meta_of_another_type_is_refused(meta):
    refused(Reason.BAD_MESSAGE, message("ping", {"_meta": meta}))


@pytest.mark.parametrize("method", sorted(set(PARAMS) - {"subscriptions/listen", "tasks/update"}))
def test_a_method_that_must_name_something_and_does_not_has_invalid_params(method):
    outcome = refused(Reason.BAD_MESSAGE, message(method, {}))

    assert (INVALID_PARAMS, 1, method) == (outcome.code, outcome.request_id, outcome.method)


AGREEING = mirrored("tools/call", "echo")
NEWER = {**META, VERSION_KEY: "2099-01-01"}


@pytest.mark.parametrize("headers", [AGREEING, {**AGREEING, "mcp-name": "=?base64?ZWNobw==?="}])
def test_a_modern_request_whose_headers_agree_is_accepted(headers):
    outcome = accepted(modern("tools/call", {"name": "echo"}), headers)

    assert (MODERN, (Item(Kind.TOOL, "echo"),)) == (outcome.version, outcome.items)


@pytest.mark.parametrize(
    "change",
    [
        {"mcp-method": ...},
        {"mcp-name": ...},
        {"mcp-protocol-version": ...},
        {"mcp-method": "tools/list"},
        {"mcp-method": "Tools/call"},
        {"mcp-name": "Echo"},
        {"mcp-name": "echo,echo"},
        {"mcp-name": "=?base64?ZWNobx==?="},
        {"mcp-name": "=?base64?ZWNobw?="},
        {"mcp-name": "=?base64?!?="},
        {"mcp-protocol-version": LEGACY},
        {"mcp-protocol-version": "2099-01-01"},
    ],
)
def test_a_modern_request_whose_headers_are_missing_or_differ_is_refused(change):
    outcome = refused(Reason.HEADER_MISMATCH, modern("tools/call", {"name": "echo"}), {**AGREEING, **change})

    assert (None, 1, "tools/call") == (outcome.code, outcome.request_id, outcome.method)


@pytest.mark.parametrize("version", [..., *sorted({"2024-11-05", "2025-03-26", LEGACY, "2025-11-25"})])
@pytest.mark.parametrize(
    ("headers", "agree"),
    [
        ({}, True),
        ({"mcp-method": "tools/call"}, True),
        ({"mcp-method": "tools/call", "mcp-name": "echo"}, True),
        ({"mcp-method": "tools/list"}, False),
        ({"mcp-name": "nope"}, False),
    ],
)
@pytest.mark.requirement("protocol.legacy-headers")
def test_a_legacy_request_needs_no_headers_and_those_it_sends_must_not_lie(version, headers, agree):
    outcome = read(message("tools/call", {"name": "echo"}), {"mcp-protocol-version": version, **headers})

    assert agree is isinstance(outcome, Message)
    assert agree or isinstance(outcome, MessageRejected)
    assert outcome.version == (
        "2025-03-26" if version is ... and agree else "" if version is ... else version
    )


@pytest.mark.parametrize("value", ["", None, 0, MODERN, LEGACY])
def test_a_body_that_names_its_version_is_held_to_the_modern_rules(value):
    meta = {VERSION_KEY: value, CAPABILITIES_KEY: {}}

    assert isinstance(read(message("tools/list", {"_meta": meta})), MessageRejected)


@pytest.mark.parametrize(
    ("meta", "headers", "method", "reason", "code"),
    [
        # _meta incomplete wins over a lying header and an unknown method
        ({}, mirrored("lie"), "vendor/x", Reason.BAD_MESSAGE, INVALID_PARAMS),
        ({VERSION_KEY: MODERN}, mirrored("lie"), "vendor/x", Reason.BAD_MESSAGE, INVALID_PARAMS),
        ({CAPABILITIES_KEY: {}}, mirrored("tools/list"), "tools/list", Reason.BAD_MESSAGE, INVALID_PARAMS),
        ({VERSION_KEY: 1, CAPABILITIES_KEY: {}}, {}, "tools/list", Reason.BAD_MESSAGE, INVALID_PARAMS),
        ({VERSION_KEY: MODERN, CAPABILITIES_KEY: []}, {}, "x", Reason.BAD_MESSAGE, INVALID_PARAMS),
        # a lying header wins over an unknown method
        (META, mirrored("lie"), "vendor/x", Reason.HEADER_MISMATCH, None),
        (META, mirrored("vendor/x", version=LEGACY), "vendor/x", Reason.HEADER_MISMATCH, None),
        # then the version, and the method comes last
        (NEWER, mirrored("lie", version="2099-01-01"), "tools/list", Reason.HEADER_MISMATCH, None),
        (NEWER, mirrored("tools/list", version="2099-01-01"), "tools/list", Reason.UNSUPPORTED_VERSION, None),
        (NEWER, mirrored("vendor/x", version="2099-01-01"), "vendor/x", Reason.UNSUPPORTED_VERSION, None),
        (META, mirrored("vendor/x"), "vendor/x", Reason.UNKNOWN_METHOD, None),
        (META, mirrored("initialize"), "initialize", Reason.UNKNOWN_METHOD, None),
    ],
)
@pytest.mark.requirement("protocol.modern-order")
def test_the_first_flaw_in_the_specifications_order_is_the_reason(meta, headers, method, reason, code):
    outcome = refused(reason, message(method, {"_meta": dict(meta)}), headers)

    assert (code, 1, method) == (outcome.code, outcome.request_id, outcome.method)


@pytest.mark.parametrize("version", ["2099-01-01", "1.0", "2026-07-28 ", "2025-11-26", "draft"])
@pytest.mark.parametrize("identity", [{"id": 1}, {"id": ...}])
@pytest.mark.requirement("protocol.unknown-version", "reason.unsupported_version")
def test_an_unknown_version_is_refused_whatever_carries_it(version, identity):
    """A later version may put a tool's name where this reader does not look."""
    opened = frozenset({"vendor/x"})
    meta = {**META, VERSION_KEY: version}
    for method in ("vendor/x", "notifications/cancelled", "tools/list"):
        body = message(method, {"_meta": meta}, **identity)

        refused(Reason.UNSUPPORTED_VERSION, body, mirrored(method, version=version), opened=opened)


def test_a_legacy_body_under_an_unknown_version_is_told_so():
    outcome = refused(
        Reason.UNSUPPORTED_VERSION, message("tools/list"), {"mcp-protocol-version": "1999-01-01"}
    )

    assert (None, 1) == (outcome.code, outcome.request_id)


def test_a_modern_notification_needs_neither_meta_nor_headers_to_be_told_unknown():
    body = message("notifications/initialized", id=...)

    refused(Reason.UNKNOWN_METHOD, body, {"mcp-protocol-version": MODERN})


@pytest.mark.parametrize(
    "method", ["tools/Call", "tools/call ", "tools", "rpc.discover", "notifications/x", "GET"]
)
@pytest.mark.requirement("protocol.unknown-method", "security.unknown-denies")
def test_a_method_outside_the_table_is_unknown_unless_configuration_opens_it(method):
    outcome = refused(Reason.UNKNOWN_METHOD, message(method))

    assert (1, method) == (outcome.request_id, outcome.method)
    assert method == accepted(message(method), opened=frozenset({method})).method


@pytest.mark.parametrize("identity", [{}, {"id": ...}])
def test_an_opened_method_may_be_a_request_or_a_notification(identity):
    assert () == accepted(message("vendor/x", **identity), opened=frozenset({"vendor/x"})).items


def test_opening_a_method_of_the_table_opens_nothing():
    opened = frozenset({"ping", "tools/call"})

    refused(Reason.UNKNOWN_METHOD, modern("ping"), mirrored("ping"), opened=opened)
    assert (Item(Kind.TOOL, "x"),) == accepted(message("tools/call", {"name": "x"}), opened=opened).items


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (message("tools/call", {"name": "x" * 9}), Reason.BAD_MESSAGE),
        (message("resources/read", {"uri": "x" * 9}), Reason.BAD_MESSAGE),
        (message("ping", id="x" * 9), Reason.BAD_MESSAGE),
        (message("x" * 9), Reason.BAD_MESSAGE),
        (message("ping", {"_meta": {"a": {"b": {"c": {}}}}}), Reason.BAD_JSON),
    ],
)
@pytest.mark.requirement("security.bounded-names")
def test_what_is_larger_than_the_limits_is_refused(body, reason):
    refused(reason, body, limits=Limits(name=8, depth=5))


@pytest.mark.parametrize(("count", "kind"), [(3, Message), (4, MessageRejected)])
@pytest.mark.requirement("security.bounded-items")
def test_one_message_may_name_only_so_many_things(count, kind):
    wanted = {"notifications": {"resourceSubscriptions": [f"u{number}" for number in range(count)]}}
    body = modern("subscriptions/listen", wanted)

    assert isinstance(read(body, mirrored("subscriptions/listen"), limits=Limits(items=3)), kind)


@pytest.mark.parametrize(
    ("body", "identity"),
    [
        (b'{"id":7,"x":1}', 7),
        (b'{"id":"a"}', "a"),
        (b'{"id":null}', None),
        (b'{"id":true}', None),
        (b'[{"id":7}]', None),
        (b'{"id":7', None),
        (b"", None),
        (b'{"id":7,"id":8}', None),
        (b'{"id":7,"i\\u0064":8}', None),
        (b'{"x":1,"x":2,"id":7}', None),
        (b'{"id":7,"ID":8}', None),
        (b'{"id":7,"ERROR":8}', None),
        (b'{"jsonrpc":"2.0"}', None),
        (b'{"id":7,' + b",".join(b'"%d":0' % each for each in range(15)) + b"}", 7),
        (b'{"id":7,' + b",".join(b'"%d":0' % each for each in range(16)) + b"}", None),
        (b'{"x":' * 100_000, None),
        (b'{"id":7,"\xff":8}', None),
    ],
    ids=range(17),
)
def test_the_id_of_a_refused_request_is_found_where_it_is_certain(body, identity):
    assert identity == peek_id(body)


def test_an_id_that_is_longer_than_the_limits_say_is_no_id():
    assert ["abc", None] == [peek_id(b'{"id":"abc"}', Limits(name=longest)) for longest in (3, 2)]


KEYS = st.sampled_from(
    ["jsonrpc", "id", "method", "params", "name", "arguments", "_meta", "Method", VERSION_KEY]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | VALUES,
        "id": st.integers() | VALUES,
        "method": st.sampled_from(sorted(METHODS)) | VALUES,
        "params": VALUES,
        "result": VALUES,
        "Method": st.sampled_from(sorted(METHODS)),
    },
)
HEADERS = st.dictionaries(
    st.sampled_from(["mcp-method", "mcp-name", "mcp-protocol-version"]),
    st.sampled_from([*METHODS, MODERN, LEGACY, "x", ""]) | st.text(max_size=8),
)


@UNHURRIED
@given(body=st.binary() | BODIES.map(json.dumps).map(str.encode), headers=HEADERS)
def test_every_body_is_a_message_or_a_rejection(body, headers):
    outcome = read(body, headers)

    assert isinstance(outcome, Message | MessageRejected)
    if isinstance(outcome, Message):
        assert outcome.method in METHODS or outcome.method == ""
        assert outcome.row.extract_items is None or outcome.items or outcome.method == "subscriptions/listen"


@UNHURRIED
@given(body=BODIES)
def test_what_is_accepted_says_the_same_to_a_reader_that_ignores_case(body):
    outcome = read(body)

    if isinstance(outcome, Message) and outcome.method:
        methods = {value for key, value in body.items() if key.casefold() == "method"}
        assert {outcome.method} == methods


def test_more_values_than_the_limits_are_too_complex_and_answered_with_the_id():
    outcome = refused(
        Reason.TOO_COMPLEX,
        message("ping", {"a": [1, 2, 3]}),
        {"mcp-protocol-version": LEGACY},
        limits=Limits(nodes=8),
    )

    assert (None, 1, "", LEGACY) == (outcome.code, outcome.request_id, outcome.method, outcome.version)


@pytest.mark.parametrize(
    ("body", "version"), [(b"[]", ""), (b"1", ""), (b"{", LEGACY), ({"jsonrpc": "2.0"}, LEGACY)]
)
def test_what_could_not_be_read_names_no_method(body, version):
    outcome = read(body, {"mcp-protocol-version": LEGACY})

    assert isinstance(outcome, MessageRejected)
    assert ("", version) == (outcome.method, outcome.version)


@pytest.mark.parametrize(
    ("method", "told"),
    [(..., ""), ([1], ""), (1, ""), ("x" * 2049, ""), ("x" * 2048, "x" * 2048), ("ping", "ping")],
)
def test_a_refusal_before_the_method_was_looked_at_tells_it_only_if_it_may_be_one(method, told):
    body = {**message(method), **FOREIGN}
    sent = {key: value for key, value in body.items() if value is not ...}

    assert told == refused(Reason.TOO_COMPLEX, json.dumps(sent, ensure_ascii=False).encode()).method


@pytest.mark.parametrize("version", ["", LEGACY])
def test_a_clients_response_mirrors_no_method_and_is_no_task(version):
    body = {"jsonrpc": "2.0", "id": 7, "result": {}}
    headers = {"mcp-protocol-version": version}
    response = accepted(body, headers)

    assert (version or "2025-03-26", False) == (response.version, response.task)
    outcome = refused(Reason.HEADER_MISMATCH, body, {**headers, "mcp-method": "tools/call"})
    assert version == outcome.version


@pytest.mark.parametrize("task", [{}, {"ttl": 1}, 0])
def test_a_call_that_asks_for_a_task_says_so(task):
    assert accepted(message("tools/call", {"name": "x", "task": task})).task
    assert not accepted(message("tools/call", {"name": "x", "task": None})).task
    assert not accepted(message("tools/call", {"name": "x"})).task


def test_what_only_looks_like_arguments_is_none_where_the_method_has_none():
    assert {} == accepted(message("resources/read", {"uri": "x", "arguments": {"a": 1}})).arguments


def test_a_name_that_is_no_uri_may_look_like_an_ambiguous_one():
    name = "db:///%73ecret"
    outcome = refused(Reason.AMBIGUOUS_URI, message("resources/read", {"uri": name}))

    assert (None, "resources/read") == (outcome.code, outcome.method)
    assert name == accepted(message("tools/call", {"name": name})).items[0].name


def test_metadata_of_an_unknown_version_are_incomplete_before_they_are_unsupported():
    meta = {VERSION_KEY: "2099-01-01"}
    outcome = refused(
        Reason.BAD_MESSAGE, message("tools/list", {"_meta": meta}), {"mcp-protocol-version": "2099-01-01"}
    )

    assert INVALID_PARAMS == outcome.code
