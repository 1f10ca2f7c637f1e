"""Resource URIs that two readers could take for two resources.

A rule for `file:///public/*` must not admit `file:///public/../secret`: the rule compares text, the server walks a path.
Which of the escaped spellings a server undoes is not known here, so all of them count.
"""

from urllib.parse import unquote

_MAX_ROUNDS = 8
"""Times that percent-encoding is undone; what is still encoded then is refused."""


def is_ambiguous(uri: str) -> bool:
    """Tell whether a URI holds a dot segment in any spelling, or a control character."""
    for _ in range(_MAX_ROUNDS):
        decoded = unquote(uri)
        if decoded == uri:
            return not uri.isprintable() or _has_dot_segment(uri)
        uri = decoded
    return True


def _has_dot_segment(text: str) -> bool:
    if "." not in text:
        return False
    segments = text.replace("\\", "/").replace("?", "/").replace("#", "/").replace(";", "/").split("/")
    return "." in segments or ".." in segments
