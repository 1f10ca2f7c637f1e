"""Whatever an allowed call's arguments say to a rule, they say to a server in JavaScript, in Go and in Python."""

import json
import os
import shutil
import struct
import subprocess

import pytest

from authz.core.mcp.message import read_message
from authz.core.reasons import Reason
from tests.support.core import check, message, post, rule, server, snapshot

NUMBERS = [
    *("0", "-1", "1.5", "0.1", "1.50", "1E2", "1e23", "0.30000000000000004", "5e-324", "-0.0"),
    *("9007199254740991", "9007199254740992", "9007199254740993", "-9007199254740993", "9007199254740994"),
    *("9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616"),
    *("1152921504606846976", "1152921504606847000", "1" * 40, "1" * 400),
    *("9007199254740993.0", "0.30000000000000000001", "1e400", "1e-999", "4.9e-324", "9007199254740993e0"),
]
NAMES = [
    '{"path":"/a"}',
    '{"path":"/a","PATH":"/b"}',
    '{"Path":"/b","path":"/a"}',
    '{"path":"/a","\\u0070ath":"/b"}',
    '{"path":"/a","pat\\u0068s":"/b"}',
    '{"path":"/a","__proto__":{"path":"/b"}}',
    '{"__proto__":{"path":"/b"}}',
    '{"Path":"/b"}',
    '{"path":"/a","env":{"http_proxy":1,"HTTP_PROXY":1}}',
    '{"path":"/a","env":{"__proto__":{"x":1}}}',
    '{"path":"/a","n":18446744073709551616}',
]
UNREAD = [
    '{"path":"/a","env":{"http_proxy":1,"HTTP_PROXY":1}}',
    '{"path":"/a","env":{"__proto__":{"x":1}}}',
    '{"path":"/a","n":18446744073709551616}',
]
"""Those of the names that mean the same, however odd what no rule reads is."""

JAVASCRIPT = """
const bits = n => { const v = new DataView(new ArrayBuffer(8)); v.setFloat64(0, n); return v.getBigUint64(0).toString(16) };
const read = text => { try {
  const args = JSON.parse(text).params.arguments, merged = Object.assign({}, args);
  return [[args.n, merged.n].map(n => typeof n === "number" ? bits(n) : null), [args.path ?? null, merged.path ?? null]];
} catch { return null } };
const texts = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(texts.map(read)));
"""
GO = """
package main

import ("encoding/json"; "fmt"; "math"; "os")

type message struct { Params struct { Arguments struct {
    N json.RawMessage `json:"n"`
    Path *string `json:"path"`
} `json:"arguments"` } `json:"params"` }

func read(text string) any {
    var m message
    if json.Unmarshal([]byte(text), &m) != nil { return nil }
    seen := []any{}
    var float float64; var whole int64; var untyped any
    n := m.Params.Arguments.N
    if json.Unmarshal(n, &float) == nil { seen = append(seen, fmt.Sprintf("%x", math.Float64bits(float))) }
    if json.Unmarshal(n, &whole) == nil { seen = append(seen, fmt.Sprintf("%x", math.Float64bits(float64(whole)))) }
    if json.Unmarshal(n, &untyped) == nil {
        if f, ok := untyped.(float64); ok { seen = append(seen, fmt.Sprintf("%x", math.Float64bits(f))) }
    }
    return []any{seen, []any{m.Params.Arguments.Path}}
}

func main() {
    var texts []string
    if err := json.NewDecoder(os.Stdin).Decode(&texts); err != nil { panic(err) }
    all := []any{}
    for _, text := range texts { all = append(all, read(text)) }
    json.NewEncoder(os.Stdout).Encode(all)
}
"""


def bits(number):
    return f"{int.from_bytes(struct.pack('>d', float(number))):x}"


def bodies(arguments):
    call = json.dumps(message("tools/call", {"name": "echo", "arguments": "HERE"}))
    return [call.replace('"HERE"', text) for text in arguments]


def read_by_node(tmp_path, texts):
    return _run([_program("node", "Node's JSON.parse"), "-e", JAVASCRIPT], texts, tmp_path)


def read_by_go(tmp_path, texts):
    program = _program("go", "Go's encoding/json")
    (tmp_path / "main.go").write_text(GO)
    return _run([program, "run", "main.go"], texts, tmp_path)


def read_by_python(_tmp_path, texts):
    found = []
    for text in texts:
        arguments = json.loads(text)["params"]["arguments"]
        n = arguments.get("n")
        try:
            found.append([[] if n is None else [bits(n)], [arguments.get("path")]])
        except OverflowError:
            found.append(None)
    return found


READERS = [read_by_node, read_by_go, read_by_python]


def _program(name, why):
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}, for {why}")
    return found


def _run(command, texts, place):
    env = {**os.environ, "GO111MODULE": "off", "GOFLAGS": "", "GOTOOLCHAIN": "local"}
    done = subprocess.run(
        command,
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
        cwd=place,
        env=env,
    )
    return json.loads(done.stdout)


def allowed(text, condition):
    return check(post(text.encode()), snapshot(server(rule("allow", "echo", args=condition)))).allowed


@pytest.mark.parametrize("reader", READERS)
def test_a_number_that_a_rule_may_read_is_the_same_number_to_every_reader(reader, tmp_path):
    texts = bodies(f'{{"n":{literal}}}' for literal in NUMBERS)
    passed = {text: allowed(text, "args.n == args.n") for text in texts}
    seen = {text: read_message(post(text.encode())).arguments["n"] for text in texts if passed[text]}
    told = dict(zip(texts, reader(tmp_path, texts), strict=True))

    assert 14 == len(seen)
    assert {text: {bits(number)} for text, number in seen.items()} == {
        text: set(told[text][0]) for text in seen
    }


@pytest.mark.parametrize("reader", READERS)
def test_a_name_that_a_rule_may_read_has_the_same_value_to_every_reader(reader, tmp_path):
    texts = bodies(NAMES)
    passed = [text for text in texts if allowed(text, 'args.path == "/a"')]
    absent = [text for text in texts if allowed(text, "!has(args.path)")]
    told = dict(zip(texts, reader(tmp_path, texts), strict=True))

    assert bodies([NAMES[0], NAMES[4], *UNREAD]) == passed
    assert [] == absent
    assert [{"/a"}] * len(passed) == [set(told[text][1]) for text in passed]


def test_a_refusal_answers_with_the_id_whatever_the_numbers_beside_it_are():
    text = bodies(['{"n":18446744073709551616,"m":1e400}'])[0].replace(
        '"id": 1', '"id": 18446744073709551617'
    )
    refused = check(post(text.encode()), snapshot(server(rule("allow", "echo", args="args.n == 1"))))

    assert (Reason.ARGS_NOT_ALLOWED, 2**64 + 1) == (refused.reason, refused.request_id)
