"""An OpenID issuer for demos and tests only: it issues any token to anyone, and therefore listens on loopback only.

`authz.demo.issuer.tokens` makes the tokens, `authz.demo.issuer.authorization_code` has the OAuth flows, and
`authz.demo.issuer.pages` lists the paths. `IssuerServer` runs the issuer in a thread, and
`python -m authz.demo.issuer.app --port N` runs it in a process. Keys and secrets are created at start and never stored.
"""

import argparse
import contextlib
import socket
import sys
import threading
import time
from collections.abc import Sequence
from types import TracebackType

import uvicorn

from authz.demo.issuer.authorization_code import Flows
from authz.demo.issuer.pages import NOTICE, app
from authz.demo.issuer.shapes import SHAPES
from authz.demo.issuer.tokens import AUDIENCE, BAD_TOKENS, ROLES_CLAIM, TokenFields, TokenIssuer
from authz.demo.ports import loopback

__all__ = ["AUDIENCE", "BAD_TOKENS", "ROLES_CLAIM", "IssuerServer", "TokenFields", "TokenIssuer", "main"]

_START_SECONDS = 10.0
_STOP_SECONDS = 5.0


class IssuerServer:
    """Context manager that runs an issuer in a thread; entering it returns the `TokenIssuer`.

    Attributes:
        flows: the OAuth flows, once entered; tests read the clients there.

    Raises:
        ValueError: from the constructor, if the address is not loopback.
        OSError: on entering, if the port is taken.
        TimeoutError: on entering, if the server is not up within ten seconds.
    """

    flows: Flows

    def __init__(
        self, *, host: str = "127.0.0.1", port: int = 0, interval: float = 5.0, idp: str = "auth0"
    ) -> None:
        """Prepare to listen.

        Args:
            host: a loopback address.
            port: 0 for a free one.
            interval: seconds between polls of a device code.
            idp: the provider whose tokens are imitated.
        """
        self._address = (loopback(host), port, idp)
        self._interval = interval

    def __enter__(self) -> TokenIssuer:
        listening, issuer = _listen(*self._address)
        self.flows = Flows(issuer, interval=self._interval)
        self._server = _server(self.flows)
        self._thread = threading.Thread(
            target=self._server.run, args=([listening],), name="issuer", daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not self._server.started:
            if time.monotonic() > deadline:
                msg = "the issuer did not start"
                raise TimeoutError(msg)
            time.sleep(0.01)
        return issuer

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(_STOP_SECONDS)


def _listen(host: str, port: int, idp: str) -> tuple[socket.socket, TokenIssuer]:
    # Bound here and not by the server, because the issuer's identifier contains the port.
    listening = socket.create_server((host, port))
    return listening, TokenIssuer(f"http://{host}:{listening.getsockname()[1]}/", idp=idp)


def _server(flows: Flows) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app(flows),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=1,
        )
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run an issuer until it gets a signal to stop."""
    parser = argparse.ArgumentParser(prog="python -m authz.demo.issuer.app", description=NOTICE)
    parser.add_argument("--port", type=int, default=8090, help="0 for any free one (default: %(default)s)")
    parser.add_argument("--host", type=loopback, default="127.0.0.1", help="a loopback address of IPv4")
    parser.add_argument("--interval", type=float, default=5.0, help="seconds between polls of a device")
    parser.add_argument(
        "--idp",
        choices=tuple(SHAPES),
        default="auth0",
        help="whose tokens are imitated (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    try:
        listening, issuer = _listen(options.host, options.port, options.idp)
    except OSError as error:
        parser.error(f"{options.host}:{options.port}: {error.strerror}; choose another port with --port")
    flows = Flows(issuer, interval=options.interval)
    service = flows.clients.service
    sys.stderr.write(
        f"issuer {issuer.url} ({NOTICE})\n"
        f"client for the device flow: {flows.clients.native.id}\n"
        f"client for client credentials: {service.id}, secret {service.secret}\n"
    )
    with contextlib.suppress(KeyboardInterrupt):
        _server(flows).run([listening])


if __name__ == "__main__":
    main()
