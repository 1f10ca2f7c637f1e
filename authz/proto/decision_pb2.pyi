from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DecisionRecord(_message.Message):
    __slots__ = ("time", "decision_id", "decision", "reason", "rule", "server", "method", "tool", "prompt", "resource", "task", "sub", "client", "issuer", "version", "policy", "rewrite", "status", "duration_us", "shadows", "source", "claims", "detail", "unverified")
    class UnverifiedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TIME_FIELD_NUMBER: _ClassVar[int]
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    SUB_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    REWRITE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    DURATION_US_FIELD_NUMBER: _ClassVar[int]
    SHADOWS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    CLAIMS_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    UNVERIFIED_FIELD_NUMBER: _ClassVar[int]
    time: str
    decision_id: str
    decision: str
    reason: str
    rule: str
    server: str
    method: str
    tool: str
    prompt: str
    resource: str
    task: str
    sub: str
    client: str
    issuer: str
    version: str
    policy: str
    rewrite: bool
    status: int
    duration_us: int
    shadows: _containers.RepeatedScalarFieldContainer[str]
    source: str
    claims: _struct_pb2.Struct
    detail: str
    unverified: _containers.ScalarMap[str, str]
    def __init__(self, time: _Optional[str] = ..., decision_id: _Optional[str] = ..., decision: _Optional[str] = ..., reason: _Optional[str] = ..., rule: _Optional[str] = ..., server: _Optional[str] = ..., method: _Optional[str] = ..., tool: _Optional[str] = ..., prompt: _Optional[str] = ..., resource: _Optional[str] = ..., task: _Optional[str] = ..., sub: _Optional[str] = ..., client: _Optional[str] = ..., issuer: _Optional[str] = ..., version: _Optional[str] = ..., policy: _Optional[str] = ..., rewrite: _Optional[bool] = ..., status: _Optional[int] = ..., duration_us: _Optional[int] = ..., shadows: _Optional[_Iterable[str]] = ..., source: _Optional[str] = ..., claims: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., detail: _Optional[str] = ..., unverified: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ResponseRecord(_message.Message):
    __slots__ = ("time", "decision_id", "response", "cause", "server", "method", "upstream_status", "status")
    TIME_FIELD_NUMBER: _ClassVar[int]
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_STATUS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    time: str
    decision_id: str
    response: str
    cause: str
    server: str
    method: str
    upstream_status: int
    status: int
    def __init__(self, time: _Optional[str] = ..., decision_id: _Optional[str] = ..., response: _Optional[str] = ..., cause: _Optional[str] = ..., server: _Optional[str] = ..., method: _Optional[str] = ..., upstream_status: _Optional[int] = ..., status: _Optional[int] = ...) -> None: ...
