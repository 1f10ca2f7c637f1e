"""Reads audit records as the service writes them: one line of JSON a decision (protos/decision.proto), or one event of OCSF.

Both may stand in one file, because the format can be changed while the service runs.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from authz.config.problems import mistake
from authz.core.reasons import TABLE, Group, Reason
from authz.proto import decision_pb2
from authz.tools.ocsf_reader import is_event, read_event

_pb: Any = decision_pb2

Record = Any
"""A `DecisionRecord`; its fields are documented in the proto file."""

_CURE = "keep only the lines that mcp-authz serve wrote to its audit log"


def read_records(file: str) -> Iterator[Record]:
    """Read a file of records one at a time, `-` for stdin.

    Raises:
        ConfigError: the file cannot be read, or a line is not a record.
    """
    try:
        if file == "-":
            yield from _records(sys.stdin.buffer, file)
            return
        with Path(file).open("rb") as lines:
            yield from _records(lines, file)
    except OSError as error:
        raise mistake(file, f"cannot be read: {error.strerror}") from None


def _records(lines: Any, file: str) -> Iterator[Record]:
    for number, line in enumerate(lines, 1):
        if line.strip() and not _is_response(line):
            record = _record(line, file, number)
            if record is not None:
                yield record


def _is_response(line: bytes) -> bool:
    """Return whether a line is the record of a response: the decision behind it is on another line."""
    if b'"response"' not in line:
        return False
    try:
        return bool(json_format.Parse(line, _pb.ResponseRecord()).response)
    except (json_format.ParseError, RecursionError):
        return False


def _record(line: bytes, file: str, number: int) -> Record | None:
    """Return the record on a line, None for the event of a response.

    Raises:
        ConfigError: there is none.
    """
    try:
        if is_event(line):
            event = read_event(line)
            if event is None:
                return None
            record = json_format.ParseDict(event, _pb.DecisionRecord(), ignore_unknown_fields=True)
        else:
            record = json_format.Parse(line, _pb.DecisionRecord(), ignore_unknown_fields=True)
        known = record.decision in {"allow", "deny"} and Reason(record.reason) is not None
    except (json_format.ParseError, ValueError, RecursionError):
        known = False
    if not known:
        raise mistake(file, "not a decision record", _CURE, line=number)
    return record


def group_of(record: Record) -> Group:
    """Return what a record's reason is about; rules are behind the decisions of `Group.POLICY` only."""
    return TABLE[Reason(record.reason)].group
