"""What the user of each client must see, cell by cell: one pattern for each line that a driver tells.

The tables after `EVERYWHERE` say where a client differs, and why. A line that starts with `on` shows that it goes on:
`on` with the connection that it had, `on, connected again` with a new one.
"""

from collections.abc import Mapping

Expected = tuple[str, ...]

ON, AGAIN = "on", "on, connected again"
_LISTED = r"result: (?=.*\bdelete_file\b)(?=.*\blist_files\b).*\becho\b.*"
_ARGUMENTS = r"access denied: these arguments are not allowed\b.*"
_SCOPE = r"access denied: .*\bscope\b.*\bfiles:read\b.*"
_NOT_THE_SERVERS = r"(?!.*(elsewhere|\b30\d\b|\b401\b|Unauthorized))"
"""Nothing of a redirect or a challenge behind the gateway, neither its address nor its status."""

EVERYWHERE: Mapping[str, Expected] = {
    "null members": (_LISTED, "result: hello", ON),
    "unknown method": ("raised: .*method not found.*", ON),
    "denied": (f"refused: {_ARGUMENTS}", ON),
    "denied beside": (f"refused: {_ARGUMENTS}", "result: hello", ON),
    "step-up": (r"raised: .*\bscope\b.*", ON),
    "step-up as result": (f"refused: {_SCOPE}", ON),
    "step-up, signed in": ("result: .*inbox.*", "result: deleted .*", ON),
    "session lost": ("raised: .*session.*", "ended: .*session.*", AGAIN),
    "redirect behind": (f"raised: {_NOT_THE_SERVERS}.*", ON),
    "challenge behind": (f"raised: {_NOT_THE_SERVERS}.*", ON),
    "compressed list": (_LISTED, ON),
}

_NO_SESSION: Expected = ("result: not lost", ON)

MODERN: Mapping[str, Expected] = {"session lost": _NO_SESSION}
"""There are no sessions in 2026-07-28."""

PYTHON_1: Mapping[str, Expected] = {
    # Any HTTP status from 400 on, except a 404 in a session, ends the client's whole connection. So a step-up is no 403.
    "step-up": EVERYWHERE["step-up as result"],
    "redirect behind": ("ended: .*502.*", AGAIN),
    "challenge behind": ("ended: .*502.*", AGAIN),
    "session lost": ("raised: .*Session terminated.*", "ended: .*Session terminated.*", AGAIN),
}

JAVA: Mapping[str, Expected] = {
    # Its transport keeps the challenge in the exception, and says nothing of it in the text.
    "step-up": ("raised: McpHttpClientTransportAuthorizationException: .*", ON),
    # It makes a new session by itself.
    "session lost": ("raised: .*session.*", ON),
}

_READS = "model reads: "

AGENT: Mapping[str, Expected] = {
    "null members": (_LISTED, f"{_READS}.*hello.*", ON),
    "denied": (f"{_READS}.*{_ARGUMENTS}", ON),
    "denied beside": (f"{_READS}.*{_ARGUMENTS}", f"{_READS}.*hello.*", ON),
    "step-up as result": (f"{_READS}.*{_SCOPE}", ON),
}
"""What an agent's model reads of a denial is the reason, and the call beside it stands."""

LANGGRAPH: Mapping[str, Expected] = {
    # On mcp 1.x, which gets no 403; and a session for each call, so that a lost one takes nothing along. What is no
    # tool result aborts the agent's run.
    "step-up": AGENT["step-up as result"],
    "session lost": ("raised: .*Session terminated.*", ON),
    "redirect behind": ("raised: .*502.*", ON),
    "challenge behind": ("raised: .*502.*", ON),
}

_TRY_AGAIN: Expected = (f"{_READS}An error occurred while running the tool. Please try again.", ON)

OPENAI_AGENTS: Mapping[str, Expected] = {
    # Its model hears the same of every exception, also of a step-up: `denial: result` tells it what is missing.
    "unknown method": _TRY_AGAIN,
    "step-up": _TRY_AGAIN,
    "session lost": (f"{_READS}.*not lost.*", ON),
    "redirect behind": _TRY_AGAIN,
    "challenge behind": _TRY_AGAIN,
}

PYDANTIC_AI: Mapping[str, Expected] = {
    "unknown method": (f"{_READS}.*method not found.*", ON),
    "step-up": (rf"{_READS}.*\bscope\b.*", ON),
    "session lost": (f"{_READS}not lost", ON),
    "redirect behind": (f"{_READS}{_NOT_THE_SERVERS}.*error.*", ON),
    "challenge behind": (f"{_READS}{_NOT_THE_SERVERS}.*error.*", ON),
}

GOOGLE_ADK: Mapping[str, Expected] = {
    # On mcp 1.x, which gets no 403; it makes new sessions by itself.
    "unknown method": (f"{_READS}.*method not found.*", ON),
    "step-up": AGENT["step-up as result"],
    "session lost": (f"{_READS}.*Session terminated.*", ON),
    "redirect behind": (f"{_READS}.*502.*", ON),
    "challenge behind": (f"{_READS}.*502.*", ON),
}
