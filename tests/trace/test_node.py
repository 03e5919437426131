import numpy as np

import facula as torch
from facula.trace.node import Node, entry, strided


def test_a_look_at_nothing_may_begin_behind_the_end():
    a = np.arange(4.0)
    assert strided(a, (1, 0, 2), (32, 8, 8), 64).shape == (1, 0, 2)


def test_a_look_shares_the_memory():
    a = np.arange(6.0)
    view = strided(a, (2, 2), (8, 16), 8)
    np.testing.assert_array_equal(view, [[1, 3], [2, 4]])
    view[0, 1] = 9
    assert a[3] == 9


def test_an_entry_has_all_that_a_node_has():
    made = entry("op", (2,), torch.float32, None, 0, (), (), (), ())
    plain = Node("op", (2,), torch.float32)
    for name in Node.__slots__:
        assert getattr(made, name) == getattr(plain, name), name
