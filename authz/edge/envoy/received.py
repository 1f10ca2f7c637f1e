"""What is read of Envoy's messages to ext_proc (`envoy.service.ext_proc.v3.ProcessingRequest`).

Rules of this module:

* Envoy repeats the dynamic metadata in every message about a response, and to parse it costs five times what the rest
  does. So of a message that follows the headers only the body or the trailers are parsed (`_Part`); the rest stays bytes.
* Of the metadata and of the headers only what is wanted is looked at, since each look makes a new string.
"""

from collections.abc import Mapping
from typing import Any

from envoy.service.ext_proc.v3 import external_processor_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from authz.core.identity.session import HEADER as SESSION
from authz.core.response.caller_metadata import KEY, LISTENER, POOL, REQUEST_ID, SUBJECT
from authz.core.response.rewriter import ResponseHead

CHALLENGES = ("www-authenticate", "proxy-authenticate")
"""Headers by which a server or a proxy asks for credentials."""
VALIDATORS = ("etag", "content-digest", "digest")
"""Headers about the original bytes (RFC 9110 8.8.3, RFC 9530)."""
LENGTH = "content-length"

_WANTED = frozenset(
    {":status", "content-type", "content-encoding", LENGTH, SESSION, *CHALLENGES, *VALIDATORS}
)
_TEXTS = ("decision", "decision_id", "server", "policy", "method", REQUEST_ID, KEY, LISTENER, POOL, SUBJECT)
_read: Any = external_processor_pb2.ProcessingRequest.FromString


def _part_reader() -> Any:
    """Return the reader of a ProcessingRequest of which only the body and the trailers of a response are known."""
    field, whole = descriptor_pb2.FieldDescriptorProto, external_processor_pb2.ProcessingRequest.DESCRIPTOR
    file = descriptor_pb2.FileDescriptorProto(
        name="mcp_authz/part.proto", package="mcp_authz", syntax="proto3"
    )
    body = file.message_type.add(name="Body")
    body.field.add(name="body", number=1, type=field.TYPE_BYTES, label=field.LABEL_OPTIONAL)
    body.field.add(name="end_of_stream", number=2, type=field.TYPE_BOOL, label=field.LABEL_OPTIONAL)
    file.message_type.add(name="Trailers")
    part = file.message_type.add(name="Part")
    part.oneof_decl.add(name="request")
    for name, kind in (("response_body", "Body"), ("response_trailers", "Trailers")):
        part.field.add(
            name=name,
            number=whole.fields_by_name[name].number,
            type=field.TYPE_MESSAGE,
            type_name=f".mcp_authz.{kind}",
            label=field.LABEL_OPTIONAL,
            oneof_index=0,
        )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("mcp_authz.Part")).FromString


_read_part = _part_reader()


def read(message: bytes, *, begun: bool) -> tuple[str, Any, Any]:
    """Return what a message is about: the name and value of its part of the request or response, and all of the message.

    Once the response has begun, of a message about its body or its trailers nothing else is read.
    """
    whole = _read_part(message) if begun else _read(message)
    kind = whole.WhichOneof("request")
    if kind is None and begun:
        whole = _read(message)
        kind = whole.WhichOneof("request")
    return ("", None, whole) if kind is None else (kind, getattr(whole, kind), whole)


def field_values(headers: Any) -> dict[str, str]:
    """Return the header values that matter by lower-case name; those of a repeated header joined with ","."""
    values: dict[str, str] = {}
    for header in headers.headers:
        name = header.key.lower()
        if name in _WANTED:
            value = header.raw_value.decode("latin-1") or header.value
            values[name] = f"{values[name]},{value}" if name in values else value
    return values


def read_head(values: Mapping[str, str]) -> ResponseHead:
    """Return what the rewriter needs of a response's headers.

    Raises:
        KeyError: there is no status.
        ValueError: the status is not a number.
    """
    return ResponseHead(
        status=int(values[":status"]),
        content_type=values.get("content-type", ""),
        content_encoding=values.get("content-encoding", ""),
        challenged=CHALLENGES[0] in values or CHALLENGES[1] in values,
    )


def texts(metadata: Any) -> dict[str, str]:
    """Return the texts that matter of ext_authz's metadata, a `google.protobuf.Struct`."""
    value = metadata.fields.get
    return {name: text for name in _TEXTS if (found := value(name)) and (text := found.string_value)}
