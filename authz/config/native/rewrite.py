"""The section `rewrite` of a server: which answers are read, and what is warned of when some are not."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from authz.config.native.sessions import StreamsModel
from authz.config.validation import Section
from authz.config.yaml_document import Path


class RewriteModel(Section):
    """Which answers of a server are read before its clients get them."""

    answers: Literal["sessions", "lists"] = Field(
        "sessions",
        description="lists: in a legacy session read only the answers to lists, initialize and streams; a caller may "
        "then make some servers send him a list whole, as the answer to a call",
    )


def rewrite_findings(rewrite: RewriteModel, streams: StreamsModel) -> Iterator[tuple[Path, str, str]]:
    """Yield what is given up, or that nothing is gained.

    Args:
        rewrite: the section.
        streams: what the file says of all servers' streams.

    Yields:
        The key below the section, the finding, and the cure.
    """
    if rewrite.answers == "sessions":
        return
    if streams.every_answer:
        message = "lists has no effect, because streams.every_answer has every answer read"
        yield ("answers",), message, "remove one of the two"
        return
    message = (
        "answers to calls in a session are not read: a caller may make some servers send him a list whole, as the answer "
        "to a call, and a call's events go on after his token has expired"
    )
    yield ("answers",), message, "write sessions, unless every caller may see every name"
