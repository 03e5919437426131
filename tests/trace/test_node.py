import numpy as np

from facula.trace.node import strided


def test_a_look_at_nothing_may_begin_behind_the_end():
    a = np.arange(4.0)
    assert strided(a, (1, 0, 2), (32, 8, 8), 64).shape == (1, 0, 2)


def test_a_look_shares_the_memory():
    a = np.arange(6.0)
    view = strided(a, (2, 2), (8, 16), 8)
    np.testing.assert_array_equal(view, [[1, 3], [2, 4]])
    view[0, 1] = 9
    assert a[3] == 9
