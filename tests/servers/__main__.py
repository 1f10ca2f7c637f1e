"""Shows that MCP servers are the same behind Envoy: `python -m tests.servers [SERVER …]`.

Each server of the table is asked for everything that it lists, directly and through Envoy and the service, in each era
that it speaks. Under a policy that allows everything, every result, notification and progress must be the same. Under one
that allows half of it, that half must be the same, the rest must be refused, and nothing of it may reach the server.
Exit status 0 when there is no difference that is not known, 1 when there is. A server that cannot be had here is
skipped, and what is missing is said.
"""

import argparse
import asyncio
import json
import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from authz.demo.stack import Stack
from tests.servers.asked import Heard, Offer, connected, everything, lists
from tests.servers.compare import KNOWN, Comparison, Difference, Rules, forbidden, results
from tests.servers.place import EVERYTHING, Place, start
from tests.servers.servers import SERVERS, Server
from tests.support.installed import NotInstalledError

# Every feature is asked for on purpose, deprecated ones too.
warnings.simplefilter("ignore")


@dataclass(frozen=True)
class Compared:
    """One server in one era under one policy."""

    version: str
    policy: str
    asked: int
    results: int
    refused: int
    differences: tuple[Difference, ...] = ()
    arrived: tuple[str, ...] = ()

    @property
    def right(self) -> bool:
        """Whether nothing differs and nothing forbidden arrived."""
        return not self.differences and not self.arrived

    def numbers(self) -> tuple[int, ...]:
        """Give the numbers of its line in the table."""
        return self.asked, self.results, self.refused, len(self.differences), len(self.arrived)


def main() -> int:
    """Run and report; gives the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.servers", description=__doc__.partition("\n")[0])
    parser.add_argument("servers", nargs="*", metavar="SERVER", help=f"default: {' '.join(SERVERS)}")
    parser.add_argument("--json", action="store_true", help="the same for programs, and nothing else")
    options = parser.parse_args()
    if unknown := {*options.servers}.difference(SERVERS):
        parser.error(f"no such server: {', '.join(sorted(unknown))}")
    found: dict[str, list[Compared]] = {}
    missing: dict[str, str] = {}
    with Stack(forms=()) as stack:
        for name in options.servers or SERVERS:
            try:
                found[name] = list(_compare(stack, name))
            except NotInstalledError as reason:
                missing[name] = str(reason)
                _progress(f"{name}: skipped, {reason}")
    if options.json:
        rows = {name: [asdict(row) for row in rows] for name, rows in found.items()}
        sys.stdout.write(json.dumps({"compared": rows, "missing": missing}, indent=1) + "\n")
    else:
        sys.stdout.write(_report(found, missing))
    return 0 if all(row.right for rows in found.values() for row in rows) else 1


def _compare(stack: Stack, name: str) -> Iterator[Compared]:
    server = SERVERS[name]
    _progress(f"{name}: {server.what}")
    place, comparison, token = (
        start(stack, name, server),
        Comparison(server.differs, server.unsteady),
        stack.token(),
    )
    transparent = place.guarded(EVERYTHING)
    for version in server.speaks:
        _progress(f"{name}: {version}")
        offer, direct = asyncio.run(_ask(place.direct, token, version, server))
        _, guarded = asyncio.run(_ask(transparent, token, version, server, offer, len(direct.besides)))
        found = tuple(comparison.transparent(direct, guarded))
        yield Compared(version, "allows all", len(direct.answers), results(guarded), 0, found)
        yield _restricted(place, comparison, version, server, offer, direct)


def _restricted(
    place: Place, comparison: Comparison, version: str, server: Server, offer: Offer, direct: Heard
) -> Compared:
    rules = Rules.halved(offer)
    url, before = place.guarded(*rules.written()), len(place.arrived())
    _, guarded = asyncio.run(_ask(url, place.stack.token(), version, server, offer))
    return Compared(
        version,
        "allows half",
        len(direct.answers),
        results(guarded),
        sum(not rules.allows(question) for question in direct.answers),
        tuple(comparison.restricted(direct, guarded, rules)),
        tuple(forbidden(place.arrived()[before:], direct, rules)),
    )


async def _ask(
    url: str, token: str, version: str, server: Server, offer: Offer | None = None, besides: int = 0
) -> tuple[Offer, Heard]:
    async with connected(url, token, version) as run:
        listed = await lists(run)
        await everything(run, offer or listed, server.arguments, tuple(server.skipped))
        await run.settle(besides)
        speaks = run.client.protocol_version
    if speaks != version:
        sys.exit(f"{server.what} speaks {speaks} and not {version}: mend the table")
    return listed, run.heard


def _report(found: dict[str, list[Compared]], missing: dict[str, str]) -> str:
    rows = [("server", "version", "policy", "asked", "results", "refused", "differ", "forbidden")]
    for name, compared in found.items():
        rows += [
            (
                name,
                row.version,
                row.policy,
                *map(str, row.numbers()),
            )
            for row in compared
        ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    details = [line for name, compared in found.items() for row in compared for line in _details(name, row)]
    notes = [f"{name}: skipped, {reason}" for name, reason in missing.items()]
    notes += [f"known: {why}" for why in KNOWN]
    for name in found:
        server = SERVERS[name]
        notes += [f"known: {name}: {why}" for why in (*server.differs.values(), *server.unsteady.values())]
        notes += [f"not asked: {name}, {tool}: {why}" for tool, why in server.skipped.items()]
    return "\n".join([*details, *(["", *lines] if found else []), "", *notes, ""])


def _details(name: str, row: Compared) -> Iterator[str]:
    where = f"{name} {row.version}, {row.policy}"
    for difference in row.differences:
        yield f"{where}: {difference.label}\n  direct {difference.direct}\n  through Envoy {difference.guarded}"
    for item in row.arrived:
        yield f"{where}: {item} reached the server"


def _progress(words: str) -> None:
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
