"""Results that are no list, told at a glance; the property that this is judged alike is in tests/property/test_lists.py."""

import pytest

from authz.core.response.filter_result import Untouched
from authz.core.response.list_filter import trim
from authz.core.response.plain_result import is_plain_result

LIMIT = 256
TEXT = '{"type":"text","text":"done"}'
PLAIN = [
    f'{{"jsonrpc":"2.0","id":1,"result":{{"content":[{TEXT}]}}}}',
    f'{{"result":{{"isError":true,"content":[{TEXT}]}},"id":"a","jsonrpc":"2.0"}}',
    '{"jsonrpc":"2.0","id":1,"result":{}}',
    '{"jsonrpc":"2.0","id":1,"result":{"content":[],"structuredContent":{"tools":[{"name":"b"}]}}}',
    '{"jsonrpc":"2.0","id":1,"result":{"contents":[{"uri":"file:///ä","text":"grün"}]}}',
    '{"jsonrpc":"2.0","id":1,"result":{"description":"d","messages":[]}}',
]
OTHERS = {
    "a list": '{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}',
    "a list beside content": '{"jsonrpc":"2.0","id":1,"result":{"content":[],"tools":[]}}',
    "a list under an escaped key": '{"jsonrpc":"2.0","id":1,"result":{"\\u0074ools":[]}}',
    "a key that imitates": '{"jsonrpc":"2.0","id":1,"result":{"Tools":[]}}',
    "an unknown member": '{"jsonrpc":"2.0","id":1,"result":{"x":[]}}',
    "two results": '{"jsonrpc":"2.0","id":1,"result":{"tools":[]},"result":{}}',
    "two contents": '{"jsonrpc":"2.0","id":1,"result":{"content":[],"content":[]}}',
    "a second result behind an escape": '{"jsonrpc":"2.0","id":1,"result":{},"resul\\u0074":{"tools":[]}}',
    "a method": '{"jsonrpc":"2.0","id":1,"method":"x","result":{}}',
    "no id": '{"jsonrpc":"2.0","result":{}}',
    "an error": '{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m"}}',
    "null": '{"jsonrpc":"2.0","id":1,"result":null}',
    "white space, which may hide an equal key": '{"jsonrpc": "2.0","id":1,"result":{}}',
    "a batch": '[{"jsonrpc":"2.0","id":1,"result":{}}]',
    "no JSON": '{"jsonrpc":"2.0","id":1,"result":{"content":[}}',
    "a second document": '{"jsonrpc":"2.0","id":1,"result":{}}{}',
    "more commas than members are allowed": '{"jsonrpc":"2.0","id":1,"result":{"content":['
    + "1," * 300
    + "1]}}",
    "no UTF-8": b'{"jsonrpc":"2.0","id":1,"result":{"content":["\xff"]}}',
    "deeper than is read": '{"jsonrpc":"2.0","id":1,"result":{"content":' + "[" * 5000 + "]" * 5000 + "}}",
    "longer than a glance": '{"jsonrpc":"2.0","id":1,"result":{"content":["' + "a" * 70_000 + '"]}}',
}


def nobody(_item):
    pytest.fail("something was judged")


def encoded(document):
    return document if isinstance(document, bytes) else document.encode()


@pytest.mark.parametrize("document", PLAIN)
def test_an_answer_to_a_call_is_plain_and_passes_untouched(document):
    assert is_plain_result(encoded(document), LIMIT)
    assert isinstance(trim(encoded(document), nobody, ttl_ms=None), Untouched)


@pytest.mark.parametrize("document", OTHERS.values(), ids=OTHERS)
def test_everything_else_is_left_to_the_filter(document):
    assert not is_plain_result(encoded(document), LIMIT)
