"""The variables by which OpenTelemetry's exporters are configured, as its specification has them.

Each may be given for one signal (OTEL_EXPORTER_OTLP_TRACES_HEADERS) or for all (OTEL_EXPORTER_OTLP_HEADERS); the one for the
signal has the last word. What cannot be used is left out and named: a variable that a cluster gives to every container must
not end a service.
"""

from collections.abc import Mapping
from enum import StrEnum
from urllib.parse import unquote, urlsplit, urlunsplit

import msgspec

CURE = "see whether the collector takes OTLP over HTTP there, for which the usual port is 4318"
"""What to do about a collector that takes nothing."""
_PREFIX = "OTEL_EXPORTER_OTLP_"
_TIMEOUT = 10.0


class Signal(StrEnum):
    """What is sent; the end of the path that takes it, `/v1/traces` or `/v1/logs`."""

    TRACES = "traces"
    LOGS = "logs"


class OtlpVariables(msgspec.Struct, frozen=True, kw_only=True):
    """How a signal is sent.

    Attributes:
        headers: to send with each request.
        seconds: that one request may take.
        compress: whether requests are compressed with gzip.
        certificate: file of the authorities that are trusted, empty for the usual ones.
        client_certificate: file of the certificate that this service shows, empty for none.
        client_key: file of its key; empty if the certificate's file holds it.
        problems: the variables that could not be used, each with the cure.
    """

    headers: Mapping[str, str]
    seconds: float
    compress: bool
    certificate: str
    client_certificate: str
    client_key: str
    problems: tuple[str, ...]


def whole_url(base: str, signal: Signal) -> str:
    """Return the URL that takes a signal, of a base URL or of one that is whole already."""
    path = f"/v1/{signal}"
    return base if base.endswith(path) else base.rstrip("/") + path


def endpoint(signal: Signal, environment: Mapping[str, str]) -> str:
    """Return the URL that the variables name for a signal, empty if they name none."""
    exact, base = (
        environment.get(f"{_PREFIX}{signal.upper()}_ENDPOINT", ""),
        environment.get(f"{_PREFIX}ENDPOINT", ""),
    )
    return exact or (whole_url(base, signal) if base else "")


def without_secrets(url: str) -> str:
    """Return a URL for the log: neither a password nor a query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def read_variables(signal: Signal, environment: Mapping[str, str]) -> OtlpVariables:
    """Return what the variables say of a signal."""
    problems: list[str] = []

    def value(name: str) -> str:
        return environment.get(f"{_PREFIX}{signal.upper()}_{name}") or environment.get(f"{_PREFIX}{name}", "")

    return OtlpVariables(
        headers=_headers(value("HEADERS"), problems),
        seconds=_seconds(value("TIMEOUT"), problems),
        compress=_compress(value("COMPRESSION"), problems),
        certificate=value("CERTIFICATE"),
        client_certificate=value("CLIENT_CERTIFICATE"),
        client_key=value("CLIENT_KEY"),
        problems=tuple(problems),
    )


def _headers(text: str, problems: list[str]) -> dict[str, str]:
    """Read `name=value` pairs, with commas between, values percent-encoded."""
    found: dict[str, str] = {}
    for pair in filter(None, map(str.strip, text.split(","))):
        name, equals, value = pair.partition("=")
        name, value = name.strip().lower(), unquote(value.strip())
        if (
            equals
            and name.isascii()
            and name.replace("-", "").replace("_", "").isalnum()
            and _is_plain(value)
        ):
            found[name] = value
        else:  # neither name nor value is told: one of them is probably a secret
            problems.append(
                f"{_PREFIX}HEADERS has a pair that is no header: write name=value, with commas between"
            )
    return found


def _is_plain(value: str) -> bool:
    return value.isascii() and value.isprintable()


def _seconds(text: str, problems: list[str]) -> float:
    if not text:
        return _TIMEOUT
    if text.isdecimal() and int(text) > 0:
        return int(text) / 1000
    problems.append(f"{_PREFIX}TIMEOUT is no number of milliseconds: write one, as in 10000")
    return _TIMEOUT


def _compress(text: str, problems: list[str]) -> bool:
    if text not in {"", "none", "gzip"}:
        problems.append(f"{_PREFIX}COMPRESSION is neither gzip nor none: write one of them")
    return text == "gzip"
