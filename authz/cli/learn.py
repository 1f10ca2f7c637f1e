"""`mcp-authz learn`: the smallest rules that allow what was recorded."""

from pathlib import Path
from typing import Annotated

import typer

from authz.cli.options import File
from authz.cli.policy_file import read_settings
from authz.config.files import read_text, write_out
from authz.config.problems import mistake
from authz.config.yaml_document import is_kubernetes, read_documents
from authz.render.yaml_writer import emit
from authz.tools.audit_reader import read_records
from authz.tools.learn import learn as learn_rules
from authz.tools.terminal import say

_OUT = "--out"


def learn(
    config: File,
    records: Annotated[
        str, typer.Argument(metavar="RECORDS", help="Audit records, one JSON object per line; - reads stdin.")
    ],
    out: Annotated[str, typer.Option("-o", _OUT, metavar="FILE", help="Write here, not to stdout.")] = "",
) -> None:
    """Write the smallest policy that allows what was recorded, and nothing else.

    Each rule of the policy keeps the names that were used through it; rules that ask for the same become one; what was never
    used is named on stderr. `mcp-authz replay` of the same records then shows every allow again, as far as it knows the callers' claims. Record long enough: what
    happens once a month is denied by a policy that was learned in a week.
    Exit status: 0 written, 2 a file is unusable.

    Example: mcp-authz learn -c policy.yaml audit.jsonl -o smaller.yaml
    """
    if out and Path(out).exists() and Path(config).exists() and Path(out).samefile(config):
        cure = "name another file: this one has the comments, and rules that were not used yet"
        raise mistake(_OUT, f"{out} is the policy itself", cure)
    read_settings(config, "", None)
    documents = read_documents(read_text(config), config, None)
    if len(documents) != 1 or is_kubernetes(documents[0]):
        raise mistake(config, "not a native policy file", "make one with `mcp-authz import`")
    learned = learn_rules(documents[0].value, read_records(records))
    if not learned.allows:
        raise mistake(records, "holds no allow of a tool, prompt, resource or task", "record some use first")
    write_out(out, emit(learned.tree, {}))
    for server, rule in learned.unused:
        say(f"never used: {server}, rule {rule}", err=True)
    for server, rule, name in learned.unused_names:
        say(f"never used: {server}, rule {rule}: {name}", err=True)
    for server, rule in learned.uncovered:
        say(f"not explained by this policy: {server or '-'}, rule {rule or '-'}", err=True)
    say(f"{learned.allows} allows read; next: mcp-authz replay -c {out or 'FILE'} {records}", err=True)
