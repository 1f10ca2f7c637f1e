"""The sections `sessions` and `streams` of a native file, and the keys that `sessions` names (see `key_files`)."""

from dataclasses import replace
from pathlib import Path as FilePath

from pydantic import Field

from authz.config.files import Files
from authz.config.native.key_files import CURE, key_from_environment, read_key
from authz.config.problems import ConfigError, Problem, mistake
from authz.config.settings import Settings
from authz.config.validation import Section, Text
from authz.config.yaml_document import Document
from authz.core.response.streams import StreamShares

_KEY = "session key"


class SessionsModel(Section):
    """The keys that bind the ids of legacy sessions to their callers."""

    key: Text | None = Field(None, repr=False, description="the key, as ${NAME}; not beside key_file")
    key_file: Text | None = Field(None, description="file with the key, relative to this one")
    previous_key: Text | None = Field(
        None, repr=False, description="a second key, which verifies but does not sign, as ${NAME}"
    )
    previous_key_file: Text | None = Field(None, description="file with the second key, relative to this one")


_SHARES = StreamShares()


class StreamsModel(Section):
    """How many streams may be open, and for how long after their callers' tokens have expired."""

    grace_seconds: int = Field(
        60,
        ge=0,
        le=86_400,
        description="how long a stream may stay open once its token is no longer accepted",
    )
    per_caller: int = Field(
        _SHARES.per_caller, ge=1, le=1_000_000, description="streams of one caller in one worker"
    )
    per_server: int = Field(
        _SHARES.per_server, ge=1, le=1_000_000, description="streams at one server in one worker"
    )
    every_answer: bool = Field(
        default=False,
        description="also read the answers to 2026-07-28 calls, and end them in time; each costs a second hop",
    )


def with_sessions(
    settings: Settings, sessions: SessionsModel, streams: StreamsModel, document: Document, files: Files
) -> Settings:
    """Add both sections to the settings.

    Args:
        settings: the settings of the rest of the file.
        sessions: the section `sessions`.
        streams: the section `streams`.
        document: the file.
        files: reads the files with keys, and has read the policy file, which must contain no key.

    Raises:
        ConfigError: a key cannot be used.
    """
    _check_combination(sessions, document)
    keys: list[bytes] = []
    problems: list[Problem] = []
    for name in ("key", "previous_key"):
        given, file = getattr(sessions, name), getattr(sessions, f"{name}_file")
        try:
            if file:
                keys.append(read_key(str(FilePath(document.file).parent / file), files, _KEY))
            elif given:
                keys.append(key_from_environment(given, files.content[document.file]))
        except ValueError as error:
            place = ("sessions", f"{name}_file" if file else name)
            problems.append(document.problem(place, str(error), CURE))
    if problems:
        raise ConfigError(problems)
    return replace(
        settings,
        session_keys=tuple(keys),
        stream_grace=float(streams.grace_seconds),
        every_answer=streams.every_answer,
        stream_shares=StreamShares(per_caller=streams.per_caller, per_server=streams.per_server),
    )


def _check_combination(sessions: SessionsModel, document: Document) -> None:
    """Refuse keys that contradict each other."""
    second = (
        (sessions.previous_key_file and "previous_key_file")
        or (sessions.previous_key and "previous_key")
        or ""
    )
    flaws = (
        (sessions.key and sessions.key_file, "key_file", "key and key_file exclude each other"),
        (
            sessions.previous_key and sessions.previous_key_file,
            "previous_key_file",
            "previous_key and previous_key_file exclude each other",
        ),
        (second and not (sessions.key or sessions.key_file), second, f"{second} needs a key beside it"),
    )
    problems = [document.problem(("sessions", key), message) for wrong, key, message in flaws if wrong]
    if problems:
        raise ConfigError(problems)


def with_key_files(settings: Settings, flag: str, paths: tuple[str, ...], files: Files) -> Settings:
    """Add the keys in files that the command line names; the first signs.

    Raises:
        ConfigError: naming the flag.
    """
    try:
        keys = tuple(read_key(path, files, _KEY) for path in paths)
    except ValueError as error:
        raise mistake(flag, str(error), CURE) from None
    return replace(settings, session_keys=keys)
