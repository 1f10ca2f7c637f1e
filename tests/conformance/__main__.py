"""Shows that Envoy and the service change nothing: `python -m tests.conformance [REVISION …]`.

The official conformance suite is run against an MCP server that has everything, directly and through the gateway with
a policy that allows everything. Exit status 0 when the server passes and every check went the same way both times,
1 when not, 2 when the suite cannot be had here.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from authz.demo.stack import Stack
from tests.conformance.guarded import Ways, start
from tests.conformance.suite import REQUIREMENTS, Found, differences, run_suite, table
from tests.support.installed import NotInstalledError
from tests.support.node import Node, find_node


def main() -> int:
    """Run and report; gives the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("revisions", nargs="*", metavar="REVISION", help=f"default: {' '.join(REQUIREMENTS)}")
    revisions = parser.parse_args().revisions or REQUIREMENTS
    if unknown := {*revisions}.difference(REQUIREMENTS):
        parser.error(f"no such requirement set: {', '.join(sorted(unknown))}")
    try:
        node = find_node()
    except NotInstalledError as reason:
        sys.stderr.write(f"the conformance suite is not installed: {reason}\n")
        return 2
    with Stack(forms=()) as stack, tempfile.TemporaryDirectory() as results:
        ways = start(stack)
        same = [_compare(node, ways, revision, Path(results)) for revision in revisions]
    return 0 if all(same) else 1


def _compare(node: Node, ways: Ways, revision: str, results: Path) -> bool:
    urls = {"direct": ways.direct, "through Envoy": ways.guarded}
    found = {
        way: run_suite(node, url, results / revision / way, "--requirements", revision)
        for way, url in urls.items()
    }
    for way, outcome in found.items():
        sys.stdout.write(f"{revision}  {way.ljust(13)}  {_summary(outcome)}\n")
    changed = differences(*found.values())
    sys.stdout.write(f"{revision}  {'difference'.ljust(13)}  {len(changed)} checks\n")
    if changed:
        sys.stdout.write(f"\n{table(changed)}\n\n")
    return not changed and all(outcome.status == 0 for outcome in found.values())


def _summary(found: Found) -> str:
    verdict = "all scored scenarios passed" if found.status == 0 else "a scored scenario failed"
    counts = f"{found.count('SUCCESS')} passed, {found.count('FAILURE')} failed"
    return f"{len(found.scenarios)} scenarios, {counts}; {verdict}"


if __name__ == "__main__":
    sys.exit(main())
