"""The decision alone, by pytest-benchmark: `core.engine.check` without gRPC, token, metrics and record.

`python -m pytest bench/test_decisions.py`; `--benchmark-only`, `--benchmark-compare` and the like are pytest-benchmark's. It
asserts no goal: `python -m bench` compares those side by side.
"""

import itertools
from typing import Any

import pytest

from authz.core.engine import check
from authz.core.policy.policy import Policy
from authz.core.request import NEVER
from bench.core import calls_of, exact_rules, pattern_rules, snapshot_of


@pytest.mark.parametrize("size", [10, 1_000, 10_000])
@pytest.mark.parametrize("make", [exact_rules, pattern_rules])
def test_a_call_is_decided(benchmark: Any, make: Any, size: int) -> None:
    """Time one allowed tools/call; names vary from call to call."""
    decider = snapshot_of(Policy(make(size)))
    # More names than a policy caches, so that those not called before are new each time around.
    requests = itertools.cycle(list(itertools.islice(calls_of(size, unseen=make is pattern_rules), 20_000)))

    assert benchmark(lambda: check(next(requests), decider, 0.0, NEVER)).allowed
