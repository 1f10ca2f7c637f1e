"""The one value of a call's metadata that handlers read."""

import pytest

from authz.edge.grpc.metadata import MetadataReader

AGENT, PARENT = ("user-agent", "envoy"), ("traceparent", "wanted")


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ([AGENT, PARENT], "wanted"),
        ([PARENT], "wanted"),
        ([AGENT], None),
        ([("traceparent-bin", "x")], None),
        ([], None),
    ],
)
def test_the_value_of_the_name_is_read_wherever_it_stands(metadata, expected):
    assert expected == MetadataReader("traceparent").read(metadata)


def test_each_call_is_read_anew_wherever_the_last_one_had_it():
    read = MetadataReader("traceparent").read
    other = ("traceparent", "another")

    assert ["wanted", "another", None, None, "wanted", None] == [
        read(each) for each in ([AGENT, AGENT, PARENT], [other], [], [AGENT], [AGENT, PARENT], [AGENT, AGENT])
    ]
