import math

import pytest

from authz.edge.http.console.samples import quantile


@pytest.mark.parametrize(
    ("buckets", "part", "expected"),
    [
        ([], 0.5, None),
        ([(1.0, 0), (math.inf, 0)], 0.5, None),
        ([(1.0, 10), (math.inf, 10)], 0.5, 0.5),
        ([(1.0, 10), (2.0, 20), (math.inf, 20)], 0.75, 1.5),
        ([(1.0, 0), (2.0, 4), (math.inf, 4)], 0.5, 1.5),
        ([(1.0, 1), (2.0, 1), (math.inf, 100)], 0.99, 2.0),
        ([(math.inf, 3), (1.0, 3)], 1.0, 1.0),
    ],
)
def test_a_quantile_lies_on_a_line_through_its_bucket(buckets, part, expected):
    assert expected == quantile(buckets, part)
