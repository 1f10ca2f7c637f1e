"""The flags of `serve`.

argparse reads them and not typer, because a container that only serves does not install typer.
"""

import argparse
from collections.abc import Callable, Sequence

from authz.config.load import SESSION_KEY
from authz.config.native.process import MAX_WORKERS

_DESCRIPTION = """\
Decide for Envoy: gRPC (ext_authz, ext_proc, health) and HTTP (metadata, metrics, health, console).

One audit record a decision goes to stdout as a JSON line; the service's own log goes to stderr.
On SIGTERM health says NOT_SERVING, calls are answered for the grace, and what is under way is finished within a
limit; a second SIGTERM ends at once. SIGHUP reads the policy file again."""
_EXAMPLE = "Example: mcp-authz serve -c policy.yaml --grpc unix:/run/mcp-authz/authz.sock"


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the flags by name; print the help, or what is wrong with them, and exit."""
    parser = argparse.ArgumentParser(
        prog="mcp-authz serve",
        usage="mcp-authz serve [OPTIONS]",
        description=_DESCRIPTION,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_addresses_and_workers(parser.add_argument)
    _add_policy(parser.add_argument)
    return parser.parse_args(arguments)


def _add_addresses_and_workers(add: Callable[..., object]) -> None:
    add("--grpc", metavar="ADDR", default="", help="gRPC address: host:port or unix:/path.")
    add("--http", metavar="ADDR", default="", help="HTTP address: host:port.")
    add(
        "--workers",
        metavar="N",
        type=_between(int, 1, MAX_WORKERS),
        help="Processes that decide; default the file's, else one a core, and one behind a Unix socket.",
    )
    add(
        "--grace",
        metavar="SECONDS",
        type=_between(float, 0, 300),
        help="Seconds to answer on after SIGTERM; default the file's, else 3.",
    )


def _add_policy(add: Callable[..., object]) -> None:
    add(
        "-c",
        "--config",
        metavar="FILE",
        required=True,
        help="Policy file: native, or Kubernetes documents. Required.",
    )
    add(
        "--resource",
        metavar="URL",
        default="",
        help="Public URL of the server; Kubernetes documents only.",
    )
    add(
        "--jwks",
        metavar="ISSUER=URL",
        action="append",
        default=[],
        help="Fetch this issuer's keys here; Kubernetes documents only.",
    )
    add(
        "--allow-anonymous",
        action="store_true",
        help="Accept mode Optional or Permissive: callers without a valid token; Kubernetes documents only.",
    )
    add(
        SESSION_KEY,
        metavar="FILE",
        action="append",
        default=[],
        help="Key that binds session ids; given twice, the first signs and both verify. Kubernetes documents only.",
    )


def _between(kind: Callable[[str], float], least: float, most: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = kind(text)
        if not least <= value <= most:
            msg = f"{text} is not between {least} and {most}"
            raise argparse.ArgumentTypeError(msg)
        return value

    return number
