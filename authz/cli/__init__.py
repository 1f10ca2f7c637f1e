"""The command line; one module a command."""

import sys

import typer

from authz.cli import check, demo, diff, envoy, explain, importing, replay, schema, serve, test, token
from authz.config.problems import ConfigError

app = typer.Typer(
    name="mcp-authz",
    help="Per-tool authorization for MCP servers behind Envoy.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.command("serve")(serve.serve)
app.command("envoy")(envoy.envoy)
app.command("check")(check.check)
app.command("test")(test.run_cases)
app.command("explain")(explain.explain)
app.command("diff")(diff.diff)
app.command("replay")(replay.replay)
app.command("token")(token.token)
app.command("import")(importing.import_)
app.command("schema")(schema.schema)


def main() -> None:
    """Run; a user's mistake ends with its problems on stderr and status 2, never with a traceback."""
    try:
        app()
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
