"""The flags of `serve`.

argparse reads them and not typer, because a container that only serves does not install typer.
"""

import argparse
from collections.abc import Callable, Sequence

from authz.cli.tracing_settings import OTLP
from authz.config.load import SESSION_KEY
from authz.config.settings import MAX_WORKERS, AuditFormat
from authz.edge.grpc.preload import ServerChoice

_DESCRIPTION = """\
Run the service that Envoy asks: gRPC (ext_authz, ext_proc, health) and HTTP
(metadata, metrics, health, console).

Each decision is written to stdout, or to where --audit says, as one line of
JSON; the service's own log goes to stderr. On SIGTERM the service reports
NOT_SERVING and keeps answering for a grace period; then calls in flight have
a limited time to finish. A second SIGTERM ends it at once. SIGHUP reloads the
policy file."""
_EXAMPLE = "Example: mcp-authz serve -c policy.yaml --grpc unix:/run/mcp-authz/authz.sock"


AUDIT = "--audit"


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
    _add_rewriter(parser.add_argument)
    return parser.parse_args(arguments)


def _add_addresses_and_workers(add: Callable[..., object]) -> None:
    add("--grpc", metavar="ADDR", default="", help="gRPC address: host:port or unix:/path.")
    add("--http", metavar="ADDR", default="", help="HTTP address: host:port.")
    add(
        AUDIT,
        metavar="FILE|URL",
        default="",
        help="Write audit records to this file, which may be renamed at any time to rotate it, or send them to this OpenTelemetry collector as logs, as in http://127.0.0.1:4318; default: as the policy file says, else stdout.",
    )
    add(
        "--audit-format",
        metavar="|".join(AuditFormat),
        choices=tuple(AuditFormat),
        default="",
        help="How audit records are written: json, or ocsf for API Activity of OCSF 1.8.0; default: the policy file's, else json.",
    )
    add(
        OTLP,
        metavar="URL",
        default="",
        help="Send spans to this OpenTelemetry collector by OTLP over HTTP, as in http://127.0.0.1:4318; default: the policy file's, else OTEL_EXPORTER_OTLP_ENDPOINT, else none.",
    )
    add(
        "--console",
        metavar="on|off",
        choices=("on", "off"),
        default="on",
        help="Whether / of the HTTP address shows the console, with the last denials; default: on.",
    )
    add(
        "--workers",
        metavar="N",
        type=_between(int, 1, MAX_WORKERS),
        help="Number of worker processes; default: the policy file's, else one per core, but one behind a Unix socket.",
    )
    add(
        "--grace",
        metavar="SECONDS",
        type=_between(float, 0, 300),
        help="How long to keep answering after SIGTERM; default: the policy file's, else 3.",
    )

    add(
        "--grpc-server",
        metavar="|".join(ServerChoice),
        type=_server,
        default=ServerChoice.AUTO,
        help="gRPC server: native is faster but uses private names of grpcio; aio uses its public API; auto takes native if it works.",
    )


def _add_rewriter(add: Callable[..., object]) -> None:
    add(
        "--rewriter",
        metavar="required|optional",
        choices=("required", "optional"),
        help="For all servers: whether lists are refused while Envoy has no rewriter to trim them; default: the policy file's.",
    )


def _add_policy(add: Callable[..., object]) -> None:
    add(
        "-c",
        "--config",
        metavar="FILE",
        required=True,
        help="Policy file: native, or of agentgateway. Required.",
    )
    add(
        "--resource",
        metavar="URL",
        default="",
        help="Public URL of the server; files of agentgateway only.",
    )
    add(
        "--jwks",
        metavar="ISSUER=URL",
        action="append",
        default=[],
        help="Fetch this issuer's keys from this URL; repeatable; files of agentgateway only.",
    )
    add(
        "--allow-anonymous",
        action="store_true",
        help="Accept the modes Optional and Permissive, which admit callers without a valid token; files of agentgateway only.",
    )
    add(
        SESSION_KEY,
        metavar="FILE",
        action="append",
        default=[],
        help="Key that binds session ids; given twice, the first signs and both verify. Files of agentgateway only.",
    )


def _server(text: str) -> ServerChoice:
    try:
        return ServerChoice(text)
    except ValueError:
        msg = f"{text!r} is not one of {', '.join(repr(str(each)) for each in ServerChoice)}"
        raise argparse.ArgumentTypeError(msg) from None


def _between(kind: Callable[[str], float], least: float, most: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = kind(text)
        if not least <= value <= most:
            msg = f"{text} is not between {least} and {most}"
            raise argparse.ArgumentTypeError(msg)
        return value

    return number
