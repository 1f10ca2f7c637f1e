"""Sends requests to a collector by OTLP over HTTP, in protobuf, from a thread that may wait.

Rules of this module:

* A collector that is away or overloaded is asked again, later and later, or when it says: that are the statuses 429, 502, 503
  and 504 and whatever goes wrong with the connection. Any other status is final.
* It is asked again for as long as a request may take; the caller may then try for longer. One that waits is woken when the
  sender is closed.
* Redirects are not followed: a header may hold a credential. A proxy of the environment is used for https alone.
* Of an answer no more is read than says how many records were not taken.
"""

import gzip
import ssl
import threading
import time
from collections.abc import Mapping

import httpx
from google.protobuf.message import DecodeError

from authz import __version__
from authz.edge.otlp.variables import Signal, read_variables, without_secrets
from authz.proto.otlp_pb2 import Answer

_RETRY = frozenset({429, 502, 503, 504})
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 30.0
"""Seconds before the collector is asked again, which double each time."""
_SHORTEST_WAIT = 0.2
"""The same if it says less: nobody may be asked in a loop."""
_MAX_ANSWER = 65_536


class OtlpError(Exception):
    """A request was not taken; the text says why, and holds nothing secret."""


class OtlpAwayError(OtlpError):
    """It was not taken, and may be later."""

    def __init__(self, problem: str, after: float | None = None) -> None:
        super().__init__(problem)
        self.after = after


class OtlpSender:
    """Sends one signal to one collector; used by one thread, and closed by any."""

    def __init__(self, url: str, signal: Signal, environment: Mapping[str, str]) -> None:
        """Prepare; nothing is connected yet.

        Args:
            url: takes the signal.
            signal: what is sent.
            environment: OpenTelemetry's variables.

        Raises:
            OSError: a certificate cannot be read.
        """
        said = read_variables(signal, environment)
        self.where, self.problems, self._seconds = without_secrets(url), said.problems, said.seconds
        self._url, self._compress = url, said.compress
        self._headers = {
            **said.headers,
            "content-type": "application/x-protobuf",
            "user-agent": f"mcp-authz/{__version__}",
        }
        if said.compress:
            self._headers["content-encoding"] = "gzip"
        context = ssl.create_default_context(cafile=said.certificate or None)
        if said.client_certificate:
            context.load_cert_chain(said.client_certificate, said.client_key or None)
        self._client = httpx.Client(
            verify=context,
            follow_redirects=False,
            timeout=said.seconds,
            mounts={"http://": httpx.HTTPTransport(verify=context)},
        )
        self._closed = threading.Event()

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is sent."""
        return self._closed.is_set()

    def send(self, request: bytes) -> int:
        """Send a request, within the time that the variables give, and return how many of its records were not taken.

        Raises:
            OtlpAwayError: it was not taken, and may be later.
            OtlpError: it was not taken.
        """
        body = gzip.compress(request, 1) if self._compress else request
        began, wait = time.monotonic(), _FIRST_WAIT
        while not self.is_closed:
            try:
                return self._post(body)
            except OtlpAwayError as problem:
                pause = wait if problem.after is None else problem.after
                if time.monotonic() - began + pause > self._seconds or self._closed.wait(pause):
                    raise
                wait = min(wait * 2, _LONGEST_WAIT)
        text = "closed"
        raise OtlpAwayError(text)

    def pause(self) -> None:
        """Wait before the next request to a collector that is away; not if the sender is closed."""
        self._closed.wait(_FIRST_WAIT)

    def close(self) -> None:
        """Abandon what is under way, and ask nobody again."""
        self._closed.set()
        self._client.close()

    def _post(self, body: bytes) -> int:
        try:
            with self._client.stream("POST", self._url, content=body, headers=self._headers) as response:
                problem = f"status {response.status_code}"
                if response.status_code in _RETRY:
                    raise OtlpAwayError(problem, _after(response))
                if not response.is_success:
                    raise OtlpError(problem)
                return _rejected(response)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise OtlpAwayError(type(error).__name__) from None


def _after(response: httpx.Response) -> float | None:
    """Return the seconds of `retry-after`; None if it says none, or a date."""
    said = response.headers.get("retry-after", "")
    return (
        min(max(float(said), _SHORTEST_WAIT), _LONGEST_WAIT) if said.isdecimal() and len(said) < 10 else None
    )


def _rejected(response: httpx.Response) -> int:
    """Return how many records a collector that took the request did not take."""
    if response.headers.get("content-type", "").partition(";")[0] != "application/x-protobuf":
        return 0
    answer = b""
    for chunk in response.iter_bytes():
        answer += chunk
        if len(answer) > _MAX_ANSWER:
            return 0
    try:
        return max(0, Answer.FromString(answer).partial_success.count)
    except DecodeError:
        return 0
