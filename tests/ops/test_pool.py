"""The gradient of maxima over windows that don't meet is found the short way."""

import numpy as np
import pytest

from facula.ops.pool import _max_index, _max_put, _put_back
from facula.ops.windows import count

CASES = [  # size, kernel, stride, dilation
    ((8, 9), (2, 2), (2, 2), (1, 1)),
    ((9, 7), (2, 3), (2, 3), (1, 1)),
    ((11, 13), (2, 2), (3, 4), (2, 2)),
    ((9,), (3,), (4,), (1,)),
    ((5, 6, 7), (2, 2, 2), (2, 2, 3), (1, 1, 1)),
    ((6, 6), (1, 1), (1, 1), (1, 1)),
    ((8, 8), (2, 2), (2, 2), (2, 1)),  # these meet
]


@pytest.mark.parametrize("size, kernel, stride, dilation", CASES)
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("special", [0.0, np.nan, -np.inf])
@pytest.mark.parametrize("past", [0, 1])
def test_bits(size, kernel, stride, dilation, ties, special, past):
    rng = np.random.default_rng(0)
    out = tuple(map(count, size, kernel, stride, (0,) * len(size), dilation))
    out = (out[0] + past * (size[0] > out[0] * stride[0]), *out[1:])  # a window beyond the end
    p = (*kernel, *stride, *[0] * len(size), *dilation, *out)
    a = rng.standard_normal((2, 3, *size)).astype(np.float32)
    if ties:
        a = np.round(a)
    a[rng.random(a.shape) < 0.2] = special
    b = rng.standard_normal((2, 3, *out)).astype(np.float32)
    b[rng.random(b.shape) < 0.2] = -0.0
    found, want = _max_put(p, (), a, b), _put_back(size, (), _max_index(p, (), a), b)
    assert found.shape == want.shape and found.dtype == want.dtype
    assert found.tobytes() == want.tobytes()
