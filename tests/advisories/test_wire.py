"""Published attacks on systems like this one, sent as bytes through a real Envoy.

Each refused request is good but for one thing: its token may use every tool, and its unchanged form is served (see
the first test). So what is refused is refused for that one thing, and the MCP server's own log shows that nothing of
it arrived.
"""

import gzip
import json
import re

import pytest

from tests.support.running import arrived
from tests.support.wire import ask, call, chunked, exchange, read_all, request

pytestmark = pytest.mark.envoy

BODY = call("system_status")
LIMIT = 1 << 20
EVIL = "mallory"


GOOD = {
    "as it is": {},
    "query": {"start": "POST /mcp?a=//b HTTP/1.1"},
    "charset": {"change": {"content-type": "Application/JSON; charset=UTF-8"}},
    "chunked": {"change": {"content-length": None, "transfer-encoding": "chunked"}, "sent": chunked(BODY, 9)},
    "expect": {"more": [("expect", "100-continue")]},
    "//mcp, which Envoy makes /mcp": {"start": "POST //mcp HTTP/1.1"},
    "dots, which Envoy resolves": {"start": "POST /x/../mcp HTTP/1.1"},
    "%6d, which Envoy decodes": {"start": "POST /%6dcp HTTP/1.1"},
}


@pytest.mark.parametrize("change", GOOD.values(), ids=GOOD.keys())
def test_a_good_request_arrives_once_at_the_endpoint_itself(stack, port, admin, change):
    seen = arrived(stack, lambda: ask(port, admin, BODY, **change))

    assert [("POST", "/mcp", "system_status")] == [(a.http_method, a.path, a.tool) for a in seen]


@pytest.mark.parametrize("change", GOOD.values(), ids=GOOD.keys())
def test_in_whatever_spelling_the_same_rules_decide(stack, port, change):
    """CVE-2026-26205 (opa-envoy-plugin): what is judged is what is routed."""
    answers = []

    assert [] == arrived(stack, lambda: answers.append(ask(port, stack.token(), BODY, **change)))
    assert "no_rule" == answers[0].reason


def _start(line: str) -> dict:
    return {"start": f"{line} HTTP/1.1"}


def _more(*lines: tuple[str, str]) -> dict:
    return {"more": lines}


def _body(body: bytes, **change: str | None) -> dict:
    return {"sent": body, "change": {"content-length": str(len(body)), **change}}


def _chunks(body: bytes, **change: str | None) -> dict:
    coded = chunked(body)
    return {"sent": coded, "change": {"content-length": None, "transfer-encoding": "chunked", **change}}


PAD = BODY[:-1] + b',"pad":"' + b"x" * (LIMIT + 1 - len(BODY) - 9) + b'"}'
ECHO = json.loads(BODY)
UTF16 = BODY.decode().encode("utf-16-le")


def _with(**members) -> bytes:
    return json.dumps({**ECHO, **members}).encode()


def _params(**members) -> bytes:
    return _with(params={**ECHO["params"], **members})


REFUSED = {
    # CVE-2021-32777, CVE-2021-32779, CVE-2026-26308 (Envoy): several values, several readers
    "Authorization twice": (401, _more(("authorization", "Bearer x"))),
    "Authorization with a comma": (401, {"change": {"authorization": "Bearer a,Bearer b"}}),
    "Mcp-Name twice": (400, _more(("mcp-name", "system_status"))),
    "Mcp-Method twice": (400, _more(("Mcp-Method", "tools/call"))),
    "MCP-Protocol-Version twice": (400, _more(("mcp-protocol-version", "2026-07-28"))),
    "Content-Type twice": (415, _more(("content-type", "application/json"))),
    "Host twice": (403, _more(("host", "evil.example"))),
    "Content-Length twice": (400, _more(("content-length", "1"))),
    # CVE-2026-26205 and its kin: paths that resemble the endpoint
    "fragment": (None, _start("POST /mcp#f")),
    "parameter": (403, _start("POST /mcp;a")),
    "below": (403, _start("POST /mcp/")),
    "capitals": (403, _start("POST /MCP")),
    "dots away": (403, _start("POST /mcp/../x")),
    "escaped slash": (400, _start("POST /x%2f..%2fmcp")),
    "escaped NUL": (400, _start("POST /mcp%00")),
    "backslash": (None, _start("POST /x/..\\mcp/.")),
    "another host in the request line": (403, _start("POST http://evil.example/mcp")),
    "asterisk": (None, _start("OPTIONS *")),
    # CVE-2025-66414, CVE-2025-66416, CVE-2026-59950 (MCP SDKs): DNS rebinding
    "Host of another name": (403, {"change": {"host": "evil.example"}}),
    "Host without port": (403, {"change": {"host": "localhost"}}),
    "no Host": (400, {"change": {"host": None}}),
    # GHSA-8qqm-fp2q-v734, CVE-2026-65838 (Skipper): a decision on a part of the body
    "over the limit": (413, _body(PAD)),
    "over the limit, chunked": (413, _chunks(PAD)),
    "gzip": (415, _body(gzip.compress(BODY), **{"content-encoding": "gzip"})),
    "gzip that is plain": (415, {"more": [("content-encoding", "gzip")]}),
    "gzip, identity": (415, {"more": [("content-encoding", "gzip, identity")]}),
    "cut short": (400, _body(BODY[:-1])),
    "nothing": (400, _body(b"")),
    "UTF-16": (415, _body(UTF16, **{"content-type": "application/json; charset=utf-16le"})),
    "UTF-16 called UTF-8": (400, _body(UTF16)),
    "byte order mark": (400, _body(b"\xef\xbb\xbf" + BODY)),
    "text/plain": (415, {"change": {"content-type": "text/plain"}}),
    "no Content-Type": (415, {"change": {"content-type": None}}),
    "form": (415, {"change": {"content-type": "application/x-www-form-urlencoded"}}),
    # RFC 9112 section 6.1: two lengths
    "chunked and length": (400, {"more": [("transfer-encoding", "chunked")]}),
    "chunked in other words": (
        None,
        {"more": [("transfer-encoding", "xchunked")], "change": {"content-length": None}},
    ),
    "broken chunk": (None, _chunks(BODY) | {"sent": b"zz\r\n" + BODY}),
    # stacklok/toolhive#5745: batches
    "batch": (400, _body(b"[" + BODY + b"]")),
    "batch after white space": (400, _body(b" \t\r\n[" + BODY + b"]")),
    # CVE-2026-27896, GHSA-q382-vc8q-7jhj (MCP Go SDK): folded keys
    "Method": (400, _body(_with(Method="ping"))),
    "METHOD alone": (400, _body(BODY.replace(b'"method"', b'"METHOD"'))),
    "NAME": (400, _body(_params(NAME="echo"))),
    "params with a long s": (
        400,
        _body(json.dumps({**ECHO, "param\u017f": {"name": "echo"}}, ensure_ascii=False).encode()),
    ),
    "name and NUL": (400, _body(_params(**{"name\0": "echo"}))),
    "key twice": (400, _body(BODY[:-1] + b',"method":"ping"}')),
    "key twice, escaped": (400, _body(BODY[:-1] + b',"m\\u0065thod":"ping"}')),
    "call and result": (400, _body(_with(result={}))),
    "second document": (400, _body(BODY + BODY)),
    "NaN": (400, _body(BODY[:-1] + b',"x":NaN}')),
    "deep": (400, _body(BODY[:-1] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}")),
    "half a character in the id": (400, _body(BODY.replace(b'"id": 1', b'"id": "\\ud800"'))),
    "half a character in the name": (400, _body(BODY.replace(b"system_", b"\\ud800"))),
    "id of a fraction": (400, _body(_with(id=1.5))),
    "no id": (400, _body(json.dumps({k: v for k, v in ECHO.items() if k != "id"}).encode())),
    # SEP-2243: headers that say something else
    "Mcp-Method of another": (400, {"change": {"mcp-method": "tools/list"}}),
    "Mcp-Name of another": (400, {"change": {"mcp-name": "echo"}}),
    "Mcp-Name in other letters": (400, {"change": {"mcp-name": "System_Status"}}),
    "no Mcp-Name": (400, {"change": {"mcp-name": None}}),
    "no Mcp-Method": (400, {"change": {"mcp-method": None}}),
    "Mcp-Name of bad base64": (400, {"change": {"mcp-name": "=?base64?%%?="}}),
    "version of the other era": (400, {"change": {"mcp-protocol-version": "2025-06-18"}}),
    "no version": (400, {"change": {"mcp-protocol-version": None}}),
    "Mcp-Name of other bytes": (400, {"change": {"mcp-name": "system_status\xff"}}),
    "path of other bytes": (None, _start("POST /mcp\xff")),
    "Authorization of other bytes": (401, {"change": {"authorization": "Bearer \xff\xfe"}}),
    # CVE-2023-27487, CVE-2024-45806, CVE-2025-64484: twins of trusted headers
    "underscore twin": (400, _more(("x_mcp_subject", EVIL))),
    "half a twin": (400, _more(("x-mcp_subject", EVIL))),
    "twin of two separators": (400, _more(("x~mcp_subject", EVIL))),
    "twin of the session": (400, _more(("mcp_session_id", EVIL))),
    "twin of Mcp-Name": (400, _more(("Mcp~Name", "echo"))),
    "twin of a length": (400, _more(("content_length", "1"))),
    "parameters that are one when folded": (400, _more(("mcp-param-a_b", "1"), ("mcp-param-a-b", "2"))),
    "session of other bytes": (400, _more(("mcp-session-id", "\xc3\xbcber"))),
    "parameter of other bytes": (400, _more(("mcp-param-city", "\xc3\xbcber"))),
    "Authorization in the trailer": (
        401,
        _chunks(BODY, authorization=None) | {"sent": chunked(BODY)[:-2] + b"authorization: Bearer x\r\n\r\n"},
    ),
    # methods
    "HEAD": (405, _start("HEAD /mcp") | _body(b"", **{"content-length": None})),
    "OPTIONS": (405, _start("OPTIONS /mcp") | _body(b"")),
    "PUT": (405, _start("PUT /mcp")),
    "PATCH": (405, _start("PATCH /mcp")),
    "TRACE": (None, _start("TRACE /mcp") | _body(b"", **{"content-length": None})),
    "CONNECT": (None, _start("CONNECT localhost:80")),
    "post": (None, _start("post /mcp")),
    "GET with a body": (400, _start("GET /mcp")),
    "method override": (405, _start("PUT /mcp") | _more(("x-http-method-override", "POST"))),
    # protocols
    "websocket": (
        403,
        _start("GET /mcp")
        | _body(b"", **{"content-length": None, "connection": "Upgrade", "upgrade": "websocket"}),
    ),
    "HTTP/1.0": (None, {"start": "POST /mcp HTTP/1.0"}),
    "HTTP/0.9": (None, {"start": "POST /mcp"}),
    "folded Mcp-Name": (400, {"change": {"mcp-name": "system_status\r\n x"}}),
    "NUL in a header": (400, _more(("x-a", "b\0c"))),
    "space before the colon": (400, _more(("content-type ", "application/json"))),
    # GHSA-8wjv-2p76-3863 (PyJWT), CVE-2025-53366: one bad message must not end the process
    "token of 20 kB": (401, {"change": {"authorization": "Bearer " + "a" * 20_000}}),
    "header of 80 kB": (431, _more(("x-a", "b" * 80_000))),
    "token of white space": (401, {"change": {"authorization": "Bearer a b"}}),
    "Basic": (401, {"change": {"authorization": "Basic YTpi"}}),
    "token in the query": (401, _start("POST /mcp?access_token=abc") | {"change": {"authorization": None}}),
    "token in a cookie": (401, {"change": {"authorization": None, "cookie": "access_token=abc"}}),
}


@pytest.mark.parametrize(("status", "change"), REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.requirement("security.exact-bytes")
def test_nothing_of_a_refused_request_arrives(stack, port, admin, status, change):
    """None stands for a refusal that is Envoy's own and may change its status from version to version."""
    answers = []

    assert [] == arrived(stack, lambda: answers.append(ask(port, admin, BODY, **change)))
    if status is None:
        assert not 200 <= answers[0].status < 300
    else:
        assert status == answers[0].status


def test_a_body_that_ends_before_its_length_never_arrives(stack, port, admin):
    data = request(port, admin, BODY, change={"content-length": str(len(BODY) + 5)})

    assert [] == arrived(stack, lambda: exchange(port, data, finish=True))


def test_requests_on_one_connection_are_judged_one_by_one(stack, port, admin):
    bad = request(port, stack.token(), BODY)
    good = request(port, admin, BODY, more=[("connection", "close")])
    answers = []
    seen = arrived(stack, lambda: answers.append(read_all(port, bad + good)))

    assert ["system_status"] == [a.tool for a in seen]
    assert [b"no_rule"] == re.findall(rb'"reason":"(\w+)"', answers[0])
    assert 2 == answers[0].count(b"HTTP/1.1 200 OK")


def test_what_follows_a_bodys_length_is_a_request_of_its_own(stack, port, admin):
    """A smuggled request has no token of the one before it."""
    smuggled = request(port, None, BODY, more=[("connection", "close")])
    answers = []
    seen = arrived(
        stack, lambda: answers.append(read_all(port, request(port, admin, call("list_files")) + smuggled))
    )

    assert ["list_files"] == [a.tool for a in seen]
    assert [b"200", b"401"] == re.findall(rb"HTTP/1.1 (\d+)", answers[0])
