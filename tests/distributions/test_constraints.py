"""What constraints take; their checks are in the tables of test_distributions.py."""

import pytest

from facula.distributions import constraints


def test_bounds_have_names():
    by_name = constraints.interval(upper_bound=2.0, lower_bound=1.0)
    assert (by_name.lower_bound, by_name.upper_bound) == (1.0, 2.0)
    assert repr(constraints.interval(1.0, upper_bound=2.0)) == repr(by_name)
    assert constraints.greater_than(lower_bound=0.5).lower_bound == 0.5


@pytest.mark.parametrize(
    "make",
    [
        lambda: constraints.interval(1.0),
        lambda: constraints.interval(1.0, 2.0, 3.0),
        lambda: constraints.greater_than(upper_bound=1.0),
        lambda: constraints.greater_than(1.0, lower_bound=1.0),
    ],
)
def test_wrong_bounds_are_refused(make):
    with pytest.raises(TypeError, match="lower_bound"):
        make()
