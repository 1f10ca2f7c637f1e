"""`mcp-authz init`: the first policy for a server, from what it offers."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from authz.cli.options import ServerToken, bearer_token
from authz.cli.policy_file import checked
from authz.config.addresses import check_endpoint, check_http_url
from authz.config.files import read_text, write_text
from authz.config.problems import mistake
from authz.core.mcp.item import NAMED_BY, ListName
from authz.render.yaml_writer import emit
from authz.tools.catalogue import catalogues
from authz.tools.conversation import CatalogueError
from authz.tools.draft import DraftTerms, draft
from authz.tools.terminal import say

_SERVER, _CATALOGUE, _OUT, _RESOURCE = "--server", "--catalogue", "--out", "--resource"
_NOT_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")


def init(  # noqa: PLR0913, PLR0917 - a command's options are its parameters
    server: Annotated[str, typer.Option("--server", metavar="URL", help="The MCP server's endpoint.")] = "",
    catalogue: Annotated[
        str,
        typer.Option(
            "--catalogue", metavar="FILE", help="Instead of a live server: the JSON of a tools/list result."
        ),
    ] = "",
    out: Annotated[str, typer.Option("-o", "--out", metavar="FILE", help="The policy file.")] = "policy.yaml",
    name: Annotated[
        str,
        typer.Option("--name", metavar="NAME", help="What the policy calls the server. Default: its host."),
    ] = "",
    resource: Annotated[
        str, typer.Option("--resource", metavar="URL", help="The public URL, at which Envoy will listen.")
    ] = "http://localhost:10000/mcp",
    issuer: Annotated[
        str, typer.Option("--issuer", metavar="URL", help="Who issues the tokens.")
    ] = "https://YOUR_TENANT.us.auth0.com/",
    audience: Annotated[
        str,
        typer.Option(
            "--audience", metavar="AUDIENCE", help="Default: --resource, which MCP clients ask for."
        ),
    ] = "",
    token: ServerToken = "",
    force: Annotated[bool, typer.Option("--force", help="Replace the policy file if it exists.")] = False,
) -> None:
    """Write the first policy for a server: one rule a tool, by what the tool says of itself.

    A tool that only reads is open to a scope, one that may destroy asks for a role too. The file has a case for each tool and
    persona, so `mcp-authz test` passes at once. Then read every rule: annotations are claims of the server.
    Exit status: 0 written, 2 no answer, or a file or an option is unusable.

    Example: mcp-authz init --server http://127.0.0.1:8080/mcp
    """
    if bool(server) == bool(catalogue):
        raise mistake(
            _SERVER, "either a server or a catalogue is needed", "give --server URL, or --catalogue FILE"
        )
    if Path(out).exists() and not force:
        raise mistake(_OUT, f"{out} exists", "name another file, or pass --force")
    checked(_RESOURCE, resource, check_endpoint, "")
    offered = _from_file(catalogue) if catalogue else _from_server(server, token)
    terms = DraftTerms(
        name=name or _name(server),
        resource=resource,
        upstream=server,
        issuer=issuer,
        audience=audience or resource,
    )
    made = draft(offered, terms)
    write_text(out, emit(made.tree, made.comments))
    for left_out in made.left_out:
        say(f"note: no rule can name {json.dumps(left_out)}; it stays denied", err=True)
    _say_next(out, made.tree["servers"][terms.name]["rules"], server)


def _name(server: str) -> str:
    host = urlsplit(server).hostname or "server"
    return _NOT_A_NAME.sub("-", host).strip("-._")[:63] or "server"


def _from_server(server: str, token: str) -> Mapping[ListName, Sequence[Mapping[str, Any]]]:
    checked(_SERVER, server, check_http_url, "give the URL of the MCP server")
    try:
        return catalogues(server, bearer_token(token))[-1].items
    except CatalogueError as error:
        say(str(error), err=True)
        raise typer.Exit(2) from None


def _from_file(path: str) -> Mapping[ListName, Sequence[Mapping[str, Any]]]:
    cure = "save the JSON that the server answers tools/list with"
    try:
        value = json.loads(read_text(path))
    except (ValueError, RecursionError):
        raise mistake(path, "not JSON", cure) from None
    held = value.get("result", value) if isinstance(value, dict) else {}
    found = {section: held[section] for section in ListName if isinstance(held, dict) and section in held}
    for section, items in found.items():
        named = isinstance(items, list) and all(
            isinstance(item, dict) and isinstance(item.get(NAMED_BY[section]), str) for item in items
        )
        if not named:
            raise mistake(path, f"{section} is no list of items with {NAMED_BY[section]}", cure)
    if not found:
        raise mistake(path, "holds no list of tools, prompts or resources", cure)
    return found


def _say_next(out: str, rules: Sequence[Mapping[str, Any]], server: str) -> None:
    lock = f"mcp-authz lock --server {server}" if server else "mcp-authz lock --server URL"
    say(
        f"{out}: {len(rules)} rules\n"
        "Next:\n"
        f"  read it, and set the issuer:    issuers.main in {out}\n"
        f"  check it:                       mcp-authz check {out} --strict\n"
        f"  try what each persona may do:   mcp-authz test {out}\n"
        f"  keep what you reviewed:         {lock}\n"
        f"  make Envoy's configuration:     mcp-authz envoy -c {out} -o envoy.yaml\n"
        f"  serve:                          mcp-authz serve -c {out}",
        whole=True,
    )
