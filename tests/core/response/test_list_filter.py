import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.core.mcp.item import Item, Kind, Template
from authz.core.response.filter_result import Cause, Count, ListRejected, Trimmed, Untouched, Withheld
from authz.core.response.item_reader import read_items
from authz.core.response.list_filter import FilterBounds, filter_in_slices, trim
from authz.core.response.list_items import LISTS, cut
from authz.core.wire.slices import whole


def all_but(*hidden):
    return lambda item: item.name not in hidden


def message(result):
    return b'{"jsonrpc":"2.0","id":1,"result":' + result + b"}"


def trimmed(document, *hidden, ttl_ms=None):
    verdict = trim(document, all_but(*hidden), ttl_ms=ttl_ms)
    assert isinstance(verdict, Trimmed), verdict
    return verdict


NAMED_BY = [
    ("tools", Kind.TOOL, "name"),
    ("prompts", Kind.PROMPT, "name"),
    ("resources", Kind.RESOURCE, "uri"),
    ("resourceTemplates", Kind.RESOURCE, "uriTemplate"),
    ("tasks", Kind.TASK, "taskId"),
    ("skills", Kind.RESOURCE, "uri"),
]


def test_the_rows_below_name_every_list():
    assert set(LISTS) == {member for member, _, _ in NAMED_BY}


@pytest.mark.parametrize(("member", "kind", "name"), NAMED_BY)
@pytest.mark.requirement("protocol.lists-are-trimmed")
def test_a_list_loses_the_items_its_reader_may_not_see(member, kind, name):
    asked = []

    def visible(item):
        asked.append(item)
        return item.name == "shown"

    verdict = trim(
        b'{"id":7,"result":{"%b":[{"%b":"shown"},{"%b":"hidden"}]}}'
        % (member.encode(), *[name.encode()] * 2),
        visible,
        ttl_ms=None,
    )

    assert (
        Trimmed(
            document=b'{"id":7,"result":{"%b":[{"%b":"shown"}]}}' % (member.encode(), name.encode()),
            counts=(Count(kind=kind, kept=1, trimmed=1),),
        )
        == verdict
    )
    assert [Item(kind, "shown"), Item(kind, "hidden")] == asked


@pytest.mark.requirement("protocol.kept-bytes")
def test_kept_items_and_other_members_stand_byte_for_byte_and_in_order():
    document = (
        b'{ "result" : {"nextCursor":"", "x" : [1.10, 1E2, 99999999999999999999], "tools" : [ '
        b'{"title":"caf\\u00e9", "name":"a", "n": 1.10 }, {"name":"b"}, {"name" : "c"} ], "_meta":{"b":1,"a":2}},'
        b' "jsonrpc" : "2.0", "id" : "\\u0031"}'
    )

    assert (
        b'{"result":{"nextCursor":"","x":[1.10, 1E2, 99999999999999999999],"tools":['
        b'{"title":"caf\\u00e9", "name":"a", "n": 1.10 },{"name" : "c"}],"_meta":{"b":1,"a":2}},'
        b'"jsonrpc":"2.0","id":"\\u0031"}'
    ) == trimmed(document, "b").document


@pytest.mark.parametrize(
    "result", [b'{"tools":[]}', b'{ "tools" : [ {"name" : "a"} ], "cacheScope": "private", "ttlMs" : 5 }']
)
def test_a_list_that_needs_no_change_is_the_very_bytes(result):
    document = message(result)

    assert document is trimmed(document, ttl_ms=5).document


def test_a_name_is_compared_after_its_escapes():
    assert message(b'{"tools":[]}') == trimmed(message(b'{"tools":[{"name":"\\u0061"}]}'), "a").document


def test_every_list_of_one_result_is_trimmed():
    verdict = trimmed(message(b'{"tools":[{"name":"a"},{"name":"b"}],"prompts":[{"name":"a"}]}'), "a")

    assert message(b'{"tools":[{"name":"b"}],"prompts":[]}') == verdict.document
    assert (
        Count(kind=Kind.TOOL, kept=1, trimmed=1),
        Count(kind=Kind.PROMPT, kept=0, trimmed=1),
    ) == verdict.counts


@pytest.mark.parametrize(
    ("given_members", "sent_members"),
    [
        (b',"cacheScope":"public"', b',"cacheScope":"private"'),
        (b',"resultType":"complete"', b',"resultType":"complete","cacheScope":"private"'),
        (b',"ttlMs":5', b',"ttlMs":5,"cacheScope":"private"'),
        (b',"cacheScope":["public"]', b',"cacheScope":"private"'),
        (b"", b""),
    ],
)
@pytest.mark.requirement("protocol.lists-are-private")
def test_a_list_of_the_modern_era_is_private_even_when_nothing_is_cut(given_members, sent_members):
    assert (
        message(b'{"tools":[]' + sent_members + b"}")
        == trimmed(message(b'{"tools":[]' + given_members + b"}")).document
    )


@pytest.mark.parametrize(
    "result", [b'{"contents":[],"cacheScope":"public","ttlMs":5}', b'{"cacheScope":"public"}']
)
def test_a_result_without_a_list_keeps_what_it_says_of_caching(result):
    assert Untouched() == trim(message(result), all_but(), ttl_ms=1)


@pytest.mark.parametrize(
    ("theirs", "ours", "sent"),
    [
        (b"60000", 500, b"500"),
        (b"500", 60000, b"500"),
        (b"60000", None, b"60000"),
        (b"0", 0, b"0"),
        (b"1e400", 500, b"500"),
        (b"99999999999999999999999", 500, b"500"),
        (b'"60000"', 500, b"500"),
        (b"true", 500, b"500"),
        (b"60000", -3, b"0"),
    ],
)
@pytest.mark.requirement("protocol.lists-die-with-the-token")
def test_a_list_is_kept_no_longer_than_we_allow(theirs, ours, sent):
    document = message(b'{"tools":[],"cacheScope":"private","ttlMs":' + theirs + b"}")

    assert (
        message(b'{"tools":[],"cacheScope":"private","ttlMs":' + sent + b"}")
        == trimmed(document, ttl_ms=ours).document
    )


@pytest.mark.parametrize(
    ("meta", "sent"),
    [
        (b'{"ui":{"resourceUri":"ui://x","csp":1},"k":1}', b'{"ui":{"csp":1},"k":1}'),
        (b'{"ui/resourceUri":"ui://x","k":1}', b'{"k":1}'),
        (b'{"openai/outputTemplate":"ui://x","k":1}', b'{"k":1}'),
        (b'{"ui":{"resourceUri":"ui://x"},"openai/outputTemplate":"ui://x"}', b'{"ui":{}}'),
        (b'{"openai/outputTemplate":"ui:\\/\\/x","k":1}', b'{"k":1}'),
        (b'{"vendor/template":"ui://x","k":"text"}', b'{"k":"text"}'),
        (b'{"vendor/template":"\\u0075i://x","k":"text"}', b'{"k":"text"}'),
        (b'{"openai/outputTemplate":"ui://y", "k":1}', b'{"openai/outputTemplate":"ui://y", "k":1}'),
        (b'{"openai/outputTemplate":null, "k":1}', b'{"openai/outputTemplate":null, "k":1}'),
        (
            b'{"openai/widgetAccessible":true, "k":["ui://x"]}',
            b'{"openai/widgetAccessible":true, "k":["ui://x"]}',
        ),
        (b'{"ui":{"resourceUri":"ui://y"}, "k":1}', b'{"ui":{"resourceUri":"ui://y"}, "k":1}'),
        (b'{"k":1}', b'{"k":1}'),
        (b"null", b"null"),
        (b'{"ui":null, "k":1}', b'{"ui":null, "k":1}'),
        (b'{"ui":{"resourceUri":null}, "k":1}', b'{"ui":{"resourceUri":null}, "k":1}'),
    ],
)
@pytest.mark.requirement("protocol.hidden-references")
def test_a_kept_tool_does_not_point_to_a_hidden_interface(meta, sent):
    before = message(b'{"tools":[{"name":"a","_meta":' + meta + b',"z":1}]}')
    after = message(b'{"tools":[{"name":"a","_meta":' + sent + b',"z":1}]}')

    assert after == trimmed(before, "ui://x").document


SKILL = b'{"uri":"skill://a/SKILL.md","frontmatter":{"name":"a"},"resources":[%b], "z":1.10}'
FILES = [b'{"uri":"skill://a/SKILL.md","digest":"sha256:0"}', b'{"uri":"hidden", "digest":"sha256:1"}']


@pytest.mark.parametrize("place", [b'{"skills":[%b]}', b'{"skill":%b}'])
@pytest.mark.requirement("protocol.hidden-references")
def test_a_kept_skill_does_not_name_files_that_may_not_be_read(place):
    before = message(place % (SKILL % b",".join(FILES)))
    verdict = trimmed(before, "hidden")

    assert message(place % SKILL.replace(b", ", b",") % FILES[0]) == verdict.document
    assert (Count(kind=Kind.RESOURCE, kept=1, trimmed=0),) == verdict.counts


@pytest.mark.parametrize("place", [b'{"skills":[%b]}', b'{"skill":%b}'])
@pytest.mark.parametrize(
    "skill", [SKILL % b", ".join(FILES), b'{"uri":"skill://a/SKILL.md", "frontmatter":{}}']
)
def test_a_skill_whose_files_may_all_be_read_is_the_very_bytes(place, skill):
    document = message(place % skill)

    assert document is trimmed(document).document


def test_the_entry_of_a_skill_is_private():
    entry = b'{"skill":' + SKILL % FILES[0] + b',"resultType":"complete"'

    assert message(entry + b',"cacheScope":"private"}') == trimmed(message(entry + b"}")).document


NOTICE = b'{"jsonrpc":"2.0","method":"notifications/%b","params":%b}'


@pytest.mark.parametrize(
    ("method", "params"),
    [
        (b"resources/updated", b'{"uri":"%b"}'),
        (b"tasks/status", b'{"taskId":"%b","status":"working"}'),
        (b"tasks", b'{"taskId":"%b","status":"completed","result":{"content":[]}}'),
        (b"resources/updated", b'{"_meta":{"io.modelcontextprotocol/subscriptionId":1},"uri":"%b"}'),
    ],
)
@pytest.mark.requirement("protocol.notifications")
def test_a_notification_about_one_thing_is_for_those_who_may_see_it(method, params):
    assert Untouched() == trim(NOTICE % (method, params % b"shown"), all_but("hidden"), ttl_ms=None)
    assert Withheld() == trim(NOTICE % (method, params % b"hidden"), all_but("hidden"), ttl_ms=None)


@pytest.mark.parametrize("error", [b',"error":null}', b', "error" : null }'])
def test_a_null_error_beside_a_list_is_none_and_the_list_is_trimmed(error):
    document = b'{"id":1,"result":{"tools":[{"name":"hidden"}]}' + error

    assert b'"tools":[]' in trimmed(document, "hidden").document


def test_a_null_result_beside_an_error_is_none():
    assert Untouched() == trim(b'{"id":1,"result":null,"error":{"code":1}}', all_but(), ttl_ms=None)


def test_a_null_subscription_that_is_acknowledged_names_nothing():
    document = NOTICE % (b"subscriptions/acknowledged", b'{"notifications":{"resourceSubscriptions":null}}')

    assert Untouched() == trim(document, all_but("hidden"), ttl_ms=None)


def test_such_a_notification_that_poses_as_a_request_is_withheld_too():
    document = NOTICE.replace(b'"jsonrpc"', b'"id":1,"jsonrpc"') % (b"resources/updated", b'{"uri":"hidden"}')

    assert Withheld() == trim(document, all_but("hidden"), ttl_ms=None)


SUBSCRIBED = b'{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["%b"],"taskIds":["%b"]}}'


@pytest.mark.parametrize(
    ("uri", "task", "verdict"),
    [(b"shown", b"t", Untouched), (b"hidden", b"t", ListRejected), (b"shown", b"hidden", ListRejected)],
)
@pytest.mark.requirement("protocol.notifications")
def test_an_acknowledgement_repeats_only_what_its_reader_may_subscribe_to(uri, task, verdict):
    document = NOTICE % (b"subscriptions/acknowledged", SUBSCRIBED % (uri, task))

    assert verdict is type(trim(document, all_but("hidden"), ttl_ms=None))


@pytest.mark.parametrize(
    "params",
    [
        b"{}",
        b"[]",
        b'{"uri":1}',
        b'{"uri":"shown","uri":"hidden"}',
        b'{"uri":"shown","URI":"hidden"}',
        b'{"uri":"shown","uri\\u0000":"hidden"}',
    ],
)
def test_a_notification_that_does_not_say_plainly_what_it_is_about_is_refused(params):
    document = NOTICE % (b"resources/updated", params)

    assert ListRejected is type(trim(document, all_but("hidden"), ttl_ms=None))


@pytest.mark.parametrize("method", [b"1", b"null", b'["notifications/resources/updated"]'])
def test_a_method_that_is_no_string_is_refused(method):
    assert ListRejected is type(trim(b'{"jsonrpc":"2.0","method":' + method + b"}", all_but(), ttl_ms=None))


UNTOUCHED = {
    "a notification": b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1}}',
    "a server's request": b'{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{"tools":[]}}',
    "another result": b'{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"tools"}]}}',
    "an empty result": b'{"jsonrpc":"2.0","id":1,"result":{}}',
    "a notification about nothing in particular": NOTICE % (b"tools/list_changed", b"{}"),
    "a notification in free text": NOTICE % (b"message", b'{"level":"info","data":"hidden"}'),
    "an acknowledgement of flags": NOTICE
    % (b"subscriptions/acknowledged", b'{"notifications":{"toolsListChanged":true}}'),
    "an error": b'{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"x","data":{"tools":[]}}}',
}


@pytest.mark.parametrize("document", UNTOUCHED.values(), ids=UNTOUCHED)
@pytest.mark.requirement("protocol.other-notifications")
def test_what_holds_no_list_is_untouched(document):
    assert Untouched() == trim(document, all_but(), ttl_ms=0)


LIST = b'{"tools":[{"name":"hidden"}]}'
REFUSED = {
    "nothing": b"",
    "not JSON": b"tools",
    "a cut document": message(LIST)[:-1],
    "trailing data": message(LIST) + b"{}",
    "NaN": message(b'{"x":NaN}'),
    "a byte order mark": b"\xef\xbb\xbf" + message(LIST),
    "UTF-16": message(LIST).decode().encode("utf-16-le"),
    "invalid UTF-8 in a string": message(b'{"tools":[],"x":"\xff"}'),
    "a raw surrogate": message(b'{"tools":[{"name":"\xed\xa0\x80"}]}'),
    "a lone surrogate as a name": message(b'{"tools":[{"name":"\\ud800"}]}'),
    "endless nesting": message(b"[" * 200_000 + b"]" * 200_000),
    "a batch": b"[" + message(LIST) + b"]",
    "a batch of notifications": b'[{"jsonrpc":"2.0","method":"x"}]',
    "a scalar": b'"tools"',
    "a result in a notification": b'{"jsonrpc":"2.0","method":"notifications/x","result":' + LIST + b"}",
    "an error in a request": b'{"id":1,"method":"ping","error":{}}',
    "a result beside an error": b'{"id":1,"result":' + LIST + b',"error":{}}',
    "a null result beside a null error": b'{"id":1,"result":null,"error":null}',
    "neither result nor error": b'{"id":1,"tools":[{"name":"hidden"}]}',
    "a result that is an array": message(b'[{"name":"hidden"}]'),
    "a result that is null": message(b"null"),
    "a list that is an object": message(b'{"tools":{"name":"hidden"}}'),
    "a list that is null": message(b'{"tools":null}'),
    "a list that is a string": message(b'{"tools":"hidden"}'),
    "an item that is a string": message(b'{"tools":["hidden"]}'),
    "an item without a name": message(b'{"tools":[{"title":"hidden"}]}'),
    "a name that is a number": message(b'{"tools":[{"name":1}]}'),
    "a name that is null": message(b'{"tools":[{"name":null}]}'),
    "two results": b'{"id":1,"result":' + LIST + b',"result":{}}',
    "two results, one escaped": b'{"id":1,"result":' + LIST + b',"\\u0072esult":{}}',
    "an error, twice": b'{"id":1,"error":{},"error":{}}',
    "two tools": message(b'{"tools":[{"name":"hidden"}],"tools":[]}'),
    "two of an unknown member": message(b'{"tools":[],"x":1,"x":2}'),
    "two names": message(b'{"tools":[{"name":"hidden","name":"shown"}]}'),
    "two names, spaced": message(b'{"tools":[{"name": "hidden", "name": "shown"}]}'),
    "Result": b'{"id":1,"Result":' + LIST + b',"result":{}}',
    "a long s in result": b'{"id":1,"result":{},"re\xc5\xbfult":' + LIST + b"}",
    "METHOD": b'{"id":1,"METHOD":"x","error":{}}',
    "Tools": message(b'{"Tools":[{"name":"hidden"}]}'),
    "a long s in tools": message(b'{"tool\xc5\xbf":[{"name":"hidden"}]}'),
    "a Kelvin sign in taskId": message(b'{"tasks":[{"taskId":"shown","tas\xe2\x84\xaaId":"hidden"}]}'),
    "CACHESCOPE": message(b'{"tools":[],"CACHESCOPE":"public"}'),
    "Name": message(b'{"tools":[{"name":"shown","Name":"hidden"}]}'),
    "U+0000 after tools": message(b'{"tools\\u0000":[{"name":"hidden"}]}'),
    "U+0000 after name": message(b'{"tools":[{"name":"shown","name\\u0000":"hidden"}]}'),
    "U+0000 after result": b'{"id":1,"result":{},"result\\u0000":' + LIST + b"}",
    "_meta that is no object": message(b'{"tools":[{"name":"shown","_meta":"x"}]}'),
    "two _meta.ui": message(b'{"tools":[{"name":"shown","_meta":{"ui":{},"ui":{"resourceUri":"hidden"}}}]}'),
    "a file without a name": message(b'{"skills":[{"uri":"shown","resources":[{"digest":"hidden"}]}]}'),
    "a file of two names": message(b'{"skills":[{"uri":"shown","resources":[{"uri":"a","uri":"hidden"}]}]}'),
    "a file that is a string": message(b'{"skill":{"uri":"shown","resources":["hidden"]}}'),
    "files that are an object": message(b'{"skills":[{"uri":"shown","resources":{"uri":"hidden"}}]}'),
    "Resources of a skill": message(b'{"skills":[{"uri":"shown","Resources":[{"uri":"hidden"}]}]}'),
    "a hidden skill as an entry": message(b'{"skill":{"uri":"hidden"}}'),
    "an entry that is a list": message(b'{"skill":[{"uri":"hidden"}]}'),
    "Skill": message(b'{"Skill":{"uri":"hidden"}}'),
    "a prototype of the message": b'{"id":1,"result":{},"__proto__":{"result":' + LIST + b"}}",
    "a prototype of a notification": b'{"method":"x","__proto__":{"result":' + LIST + b"}}",
    "a prototype of the result": message(b'{"__proto__":{"tools":[{"name":"hidden"}]}}'),
    "a prototype beside the list": message(b'{"tools":[{"name":"shown"}],"\\u005f_proto__":{"skill":{}}}'),
    "a prototype of an item": message(b'{"tools":[{"name":"shown","__proto__":{"_meta":{}}}]}'),
    "a prototype of _meta": message(b'{"tools":[{"name":"shown","_meta":{"__proto__":{"ui":{}}}}]}'),
    "a prototype of _meta.ui": message(b'{"tools":[{"name":"shown","_meta":{"ui":{"__proto__":{}}}}]}'),
    "a constructor": message(b'{"tools":[],"constructor":{"prototype":{"tools":[]}}}'),
    "resourceURI": message(b'{"tools":[{"name":"shown","_meta":{"ui":{"resourceURI":"hidden"}}}]}'),
}


@pytest.mark.parametrize("document", REFUSED.values(), ids=REFUSED)
def test_what_is_neither_surely_a_list_nor_surely_none_is_refused(document):
    assert ListRejected is type(trim(document, all_but("hidden"), ttl_ms=0))


def test_a_refusal_quotes_nothing_of_the_message():
    for document in REFUSED.values():
        verdict = trim(document, all_but("hidden"), ttl_ms=None)

        assert "hidden" not in verdict.why
        assert "\\" not in verdict.why


@pytest.mark.requirement("security.bounded-bytes")
def test_a_message_of_just_the_limit_is_read_and_one_byte_more_is_refused():
    document = message(LIST)

    assert Trimmed is type(trim(document, all_but(), ttl_ms=None, bounds=FilterBounds(bytes=len(document))))
    assert ListRejected("the message is too large", Cause.TOO_LARGE) == trim(
        document, all_but(), ttl_ms=None, bounds=FilterBounds(bytes=len(document) - 1)
    )


def test_what_the_question_of_visibility_raises_is_not_taken_for_a_verdict():
    def visible(_item):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        trim(message(LIST), visible, ttl_ms=None)


names = st.lists(st.text(max_size=5).filter(lambda text: text.isprintable() or not text), max_size=8)
styles = st.sampled_from([{}, {"separators": (",", ":")}, {"indent": 2}, {"ensure_ascii": False}])


@given(names, st.sets(st.text(max_size=5)), styles)
def test_a_trimmed_list_is_the_list_that_a_slow_filter_makes(listed, hidden, style):
    hidden |= set(listed[::2])
    result = {
        "a": 1,
        "tools": [{"name": name, "n": [1]} for name in listed],
        "ttlMs": 9,
        "cacheScope": "public",
    }
    document = json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}, **style).encode()

    sent = json.loads(trimmed(document, *hidden, ttl_ms=4).document)

    kept = [tool for tool in result["tools"] if tool["name"] not in hidden]
    assert {**result, "tools": kept, "ttlMs": 4, "cacheScope": "private"} == sent["result"]


PIECES = [
    *(b'{ } [ ] : , "result" "error" "method" "tools" "Tools" "name" "hidden" "id" 1 null \\ "'.split()),
    *(b'{"id":1,"result": {"tools": [{"name":"hidden"}] "tools":[] \xff \xef\xbb\xbf \x00 ""'.split()),
    *(b'{"method":"notifications/resources/updated" "params":{ "uri" "uri":"hidden" "URI" }}'.split()),
]


@given(st.binary(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=14).map(b"".join))
def test_whatever_the_bytes_there_is_a_verdict_and_no_list_with_the_hidden_item_passes(document):
    verdict = trim(document, all_but("hidden"), ttl_ms=None)

    if isinstance(verdict, ListRejected):
        return
    sent = json.loads(verdict.document if isinstance(verdict, Trimmed) else document)
    result = sent.get("result", {})
    if isinstance(verdict, Untouched) and sent.get("method") == "notifications/resources/updated":
        assert "hidden" != sent["params"]["uri"]
    assert not [tool for tool in result.get("tools", ()) if tool["name"] == "hidden"]


def test_a_template_is_judged_as_one_and_a_resource_of_the_same_text_is_not():
    asked = []
    trim(
        b'{"id":7,"result":{"resources":[{"uri":"a/{b}"}],"resourceTemplates":[{"uriTemplate":"a/{b}"}]}}',
        lambda item: asked.append(item) or True,
        ttl_ms=None,
    )

    assert [Item(Kind.RESOURCE, "a/{b}"), Template(Kind.RESOURCE, "a/{b}")] == asked


@pytest.mark.parametrize(
    ("meta", "sent"),
    [
        (b'{"ui/resourceUri":"file:///x","k":1}', b'{"k":1}'),
        (b'{"openai/outputTemplate":"file:///x","k":1}', b'{"k":1}'),
        (b'{"ui":{"resourceUri":"file:///x","a":1},"k":1}', b'{"ui":{"a":1},"k":1}'),
        (b'{"k":"file:///x"}', b'{"k":"file:///x"}'),
    ],
)
@pytest.mark.requirement("protocol.hidden-references")
def test_an_interface_is_judged_whatever_its_scheme_where_its_key_says_that_it_is_one(meta, sent):
    before, after = (message(b'{"tools":[{"name":"a","_meta":' + each + b"}]}") for each in (meta, sent))

    assert after == trimmed(before, "file:///x").document


def test_what_a_hidden_item_leads_to_is_not_looked_at():
    kept, cut_away = b'{"name":"a"}', b'{"name":"hidden","_meta":{"ui":1,"ui":2}}'
    verdict = trimmed(message(b'{"tools":[' + kept + b"," + cut_away + b"]}"), "hidden")

    assert message(b'{"tools":[' + kept + b"]}") == verdict.document
    assert isinstance(trim(message(b'{"tools":[' + cut_away + b"]}"), all_but(), ttl_ms=None), ListRejected)


@pytest.mark.parametrize(
    "file", [b'{"uri":"a","URI":"hidden"}', b'{"uri":"a","resources":[],"Resources":[]}']
)
def test_a_file_of_a_skill_with_a_key_that_imitates_another_is_refused(file):
    document = message(b'{"skills":[{"uri":"skill://a","resources":[' + file + b"]}]}")

    assert isinstance(trim(document, all_but("hidden"), ttl_ms=None), ListRejected)


@pytest.mark.parametrize(
    ("counts", "meta", "pauses"),
    [
        ([500], b"", 0),
        ([501], b"", 1),
        ([1001], b"", 2),
        ([10, 10], b"", 1),
        ([1001], b',"_meta":{}', 4),
        ([500], b',"_meta":{}', 0),
        ([10, None, 10], b"", 2),
        ([None, 10], b"", 1),
    ],
)
def test_the_thread_is_given_back_between_slices_of_items_and_between_groups(counts, meta, pauses):
    groups = (
        None
        if count is None
        else next(read_items("tools", b"[" + b",".join([b'{"name":"a"%b}' % meta] * count) + b"]", 20_000))
        for count in counts
    )

    assert pauses == len(list(cut("tools", groups, all_but(), {})))


@pytest.mark.parametrize(
    ("meta", "hidden", "sent"),
    [
        (b'{"k":"UI://x","z":1}', "UI://x", b'{"z":1}'),
        (b'{"k":"ui://y","z":1}', "ui://x", b'{"k":"ui://y","z":1}'),
    ],
)
@pytest.mark.requirement("protocol.hidden-references")
def test_the_uri_of_an_interface_is_known_under_any_key_and_judged_by_itself(meta, hidden, sent):
    before, after = (message(b'{"tools":[{"name":"a","_meta":' + each + b"}]}") for each in (meta, sent))

    assert after == trimmed(before, hidden).document


@pytest.mark.parametrize(
    "meta",
    [
        b'{"UI":{"resourceUri":"ui://x"}}',
        b'{"ui/ResourceUri":"a"}',
        b'{"openai/outputtemplate":"a"}',
        b'{"ui":{"ResourceUri":"a"}}',
        b"{" + b",".join(b'"%d":1' % key for key in range(20_001)) + b"}",
        b'{"ui":{' + b",".join(b'"%d":1' % key for key in range(20_001)) + b"}}",
    ],
)
def test_metadata_that_imitate_what_is_judged_or_are_too_wide_are_refused(meta):
    document = message(b'{"tools":[{"name":"a","_meta":' + meta + b"}]}")

    assert isinstance(trim(document, all_but(), ttl_ms=None), ListRejected)


def test_skills_with_the_same_metadata_are_judged_by_their_own_files():
    kept = b'{"uri":"skill://a","_meta":{"k":1},"resources":[{"uri":"a"}]}'
    cut_away = b'{"uri":"skill://b","_meta":{"k":1},"resources":[{"uri":"hidden"}]}'
    verdict = trimmed(message(b'{"skills":[' + kept + b"," + cut_away + b"]}"), "hidden")

    assert (
        message(b'{"skills":[' + kept + b"," + cut_away.replace(FILE_HIDDEN, b"[]") + b"]}")
        == verdict.document
    )


FILE_HIDDEN = b'[{"uri":"hidden"}]'


def test_a_skill_without_metadata_writes_them_as_null():
    document = message(b'{"skills":[{"uri":"skill://a","_meta":null,"resources":[{"uri":"a"}]}]}')

    assert document is trimmed(document).document


def test_only_a_skill_has_files():
    document = message(b'{"tools":[{"name":"a","_meta":{},"resources":[{"uri":"hidden"}]}]}')

    assert document is trimmed(document, "hidden").document


@pytest.mark.parametrize(("files", "judged"), [(2000, Trimmed), (2001, ListRejected)])
def test_a_skill_has_a_bounded_number_of_files(files, judged):
    listed = b",".join([b'{"uri":"a"}'] * files)
    document = message(b'{"skills":[{"uri":"skill://a","resources":[' + listed + b"]}]}")

    assert isinstance(trim(document, all_but(), ttl_ms=None), judged)


MEMBERS_OF_MESSAGES = [*(member for member, _, _ in NAMED_BY), "skill", "result", "method", "params"]


@pytest.mark.parametrize("member", MEMBERS_OF_MESSAGES)
def test_the_body_of_an_error_with_a_member_of_a_message_is_judged_as_one(member):
    document = json.dumps({member: []}).encode()

    assert isinstance(_of_an_error(document), ListRejected)
    assert isinstance(_of_an_error(document.upper().replace(b"[]", b"1")), ListRejected)
    assert Untouched() == _of_an_error(b'{"detail": {"%b": []}}' % member.encode())


def _of_an_error(document):
    return whole(filter_in_slices(document, all_but(), ttl_ms=None, error_status=True))


@pytest.mark.parametrize(
    ("visible", "usable", "passes"),
    [(True, False, False), (False, True, True), (False, None, False), (True, None, True)],
)
def test_a_notification_is_judged_by_what_is_usable_and_without_that_by_what_is_visible(
    visible, usable, passes
):
    document = b'{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a:b"}}'
    answer = None if usable is None else lambda _item: usable
    found = trim(document, lambda _item: visible, usable=answer, ttl_ms=None)

    assert (Untouched() if passes else Withheld()) == found


@pytest.mark.parametrize(("members", "cause"), [(5, Cause.TOO_MANY_ITEMS), (50, None)])
def test_the_one_entry_of_a_skill_has_no_more_members_than_a_list_items(members, cause):
    entry = {"uri": "a:b", **{f"key{n}": n for n in range(9)}}
    found = trim(
        message(json.dumps({"skill": entry}).encode()),
        all_but(),
        ttl_ms=None,
        bounds=FilterBounds(items=members),
    )

    assert cause is getattr(found, "cause", None)


@pytest.mark.parametrize(("values", "cause"), [(1_000_000, Cause.TOO_MANY_ITEMS), (4_000_000, None)])
def test_a_long_message_of_more_values_than_the_budget_is_refused(values, cause):
    document = message(
        b'{"tools":[{"name":"a","inputSchema":{"enum":[' + b",".join([b"1"] * 2_200_000) + b"]}}]}"
    )
    found = trim(document, all_but(), ttl_ms=None, bounds=FilterBounds(values=values))

    assert cause is getattr(found, "cause", None)
