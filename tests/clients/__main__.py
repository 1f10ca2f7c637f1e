"""Drives real clients and agent frameworks through Envoy and the service: `python -m tests.clients [CLIENT …]`.

The table says for each what its user sees: null members, an unknown method, denials, a step-up, a lost session, and
what the server behind does. Exit status 0 when every cell is as expected, 1 when not. A client that cannot be had here
is skipped, and what is missing is said.
"""

import argparse
import json
import sys

from authz.demo.stack import Stack
from tests.clients.place import Place, start
from tests.clients.rows import ROWS
from tests.clients.table import Played, as_json, details, play, table
from tests.support.installed import NotInstalledError


def main() -> int:
    """Run and report; gives the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.clients", description=__doc__.partition("\n")[0])
    parser.add_argument("clients", nargs="*", metavar="CLIENT", help=f"default: {' '.join(ROWS)}")
    parser.add_argument("--show", action="store_true", help="what the user sees in every cell")
    parser.add_argument("--json", action="store_true", help="the same for programs, and nothing else")
    options = parser.parse_args()
    if unknown := {*options.clients}.difference(ROWS):
        parser.error(f"no such client: {', '.join(sorted(unknown))}")
    with Stack(forms=("native",)) as stack:
        place = start(stack)
        played = {name: _play(name, place) for name in options.clients or ROWS}
    if options.json:
        sys.stdout.write(json.dumps(as_json(played), indent=1) + "\n")
    else:
        shown = [details(name, client, everything=options.show) for name, client in played.items()]
        sys.stdout.write("\n".join([*filter(None, shown), "", table(played), ""]))
    return 0 if all(client.right for client in played.values()) else 1


def _play(name: str, place: Place) -> Played:
    _progress(f"{name} … ")
    try:
        command = ROWS[name].command()
    except NotInstalledError as reason:
        _progress(f"skipped, {reason}\n")
        return Played(missing=str(reason))
    played = play(ROWS[name], command, place)
    _progress(f"{played.summary}\n")
    return played


def _progress(words: str) -> None:
    sys.stderr.write(words)
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
