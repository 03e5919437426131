"""assert_close and make_tensor, with PyTorch's messages."""

from __future__ import annotations

import math

from nn.stored import agrees, message, submodule


@agrees
def test_assert_close(torch):
    close = submodule(torch, "testing").assert_close
    t = torch.tensor
    nan = float("nan")
    calls = [
        lambda: close(t([1.0, 2.0]), t([1.0, 2.0 + 1e-7])),
        lambda: close(t([1.0, 2.0]), t([1.0, 3.0])),
        lambda: close(t([[1.0, 2.0], [5.0, 6.0]]), t([[1.0, 3.0], [4.0, 6.0]])),
        lambda: close(1.0, 1.0 + 1e-8),
        lambda: close(1.0, 2.0),
        lambda: close(1, 2),
        lambda: close(True, False),
        lambda: close(1.0, 1),
        lambda: close(t(1.0), t(2.0)),
        lambda: close(t([1, 2]), t([1, 3])),
        lambda: close(t([True, False]), t([True, True])),
        lambda: close(t([1.0]), t([1.0], dtype=torch.float64)),
        lambda: close(t([1.0]), t([1.0], dtype=torch.float64), check_dtype=False),
        lambda: close(t([1.0]), t([[1.0]])),
        lambda: close(t([nan]), t([nan])),
        lambda: close(t([nan]), t([nan]), equal_nan=True),
        lambda: close(nan, nan, equal_nan=True),
        lambda: close([t([1.0]), 2], [t([1.0]), 2]),
        lambda: close([t([1.0]), 2], [t([1.0]), 3]),
        lambda: close({"a": t([1.0])}, {"a": t([2.0])}),
        lambda: close({"a": 1}, {"b": 1}),
        lambda: close([1], [1, 2]),
        lambda: close(t([1.0]), 1.0),
        lambda: close(t([1.0]), None),
        lambda: close("a", "a"),
        lambda: close("a", "b"),
        lambda: close(None, None),
        lambda: close(t([1.0, 2.0]), t([1.0, 2.5]), rtol=0.5, atol=0.0),
        lambda: close(t([1.0, 2.0]), t([1.0, 2.5]), rtol=0.1),
        lambda: close(t([1.0, 2.0]), t([1.0, 2.5]), atol=0.1, rtol=0.0),
        lambda: close(t([1.0]), t([2.0]), msg="mine"),
        lambda: close(t([1.0]), t([2.0]), msg=lambda m: "before: " + m.splitlines()[0]),
        lambda: close(t([1.0 + 1j]), t([1.0 + 2j])),
        lambda: close(t([1.0], dtype=torch.bfloat16), t([1.01], dtype=torch.bfloat16)),
        lambda: close(t([1.0], dtype=torch.bfloat16), t([1.1], dtype=torch.bfloat16)),
        lambda: close(t([float("inf"), 1.0]), t([float("inf"), 1.0])),
        lambda: close(t([float("inf")]), t([1.0])),
        lambda: close(t([1.0, 2.0]).expand(3, 2), t([1.0, 2.0]).expand(3, 2), check_stride=True),
        lambda: close(torch.ones(2, 3), torch.ones(3, 2).t(), check_stride=True),
        lambda: close(torch.ones(0), torch.ones(0)),
        lambda: close((1, 2.0), [1, 2.0]),
        lambda: close(t([1.0]), [1.0]),
    ]
    return [message(call) for call in calls]


@agrees
def test_arrays_and_subclasses(torch):
    import numpy as np

    close = submodule(torch, "testing").assert_close
    p = torch.nn.Parameter(torch.ones(2))
    return [
        message(close, np.ones(2), np.ones(2)),
        message(close, np.ones(2), np.zeros(2)),
        message(close, p, torch.ones(2)),
        message(close, p, torch.ones(2), allow_subclasses=False)[0],
    ]


@agrees
def test_make_tensor(torch):
    make = submodule(torch, "testing").make_tensor
    out = []
    for dtype in (torch.float32, torch.int64, torch.bool, torch.float64, torch.uint8):
        x = make((3, 4), dtype=dtype, device="cpu")
        out.append([list(x.shape), x.dtype, bool((x == x).all())])
    x = make(5, low=2, high=3, dtype=torch.float32, device="cpu", requires_grad=True)
    y = make((50,), dtype=torch.int64, device="cpu", low=0, high=2, exclude_zero=True)
    return [
        *out,
        bool(((x >= 2) & (x < 3)).all()),
        x.requires_grad,
        y.unique(),
        make((2, 3), dtype=torch.float32, device="cpu", noncontiguous=True).is_contiguous(),
        message(make, 3, dtype=torch.float32, device="cpu", low=2, high=1)[0],
        message(make, 3, dtype=torch.int64, device="cpu", requires_grad=True)[0],
    ]


@agrees
def test_make_tensor_of_all_that_a_dtype_holds(torch):
    make = torch.testing.make_tensor
    out = []
    for name in ("float16", "float32", "float64", "complex64", "complex128"):
        dtype = getattr(torch, name)
        most = torch.finfo(dtype).max
        for low, high in ((-most, most), (-1e9, 1e9), (-math.inf, math.inf), (0, most), (None, 2)):
            out.append(make((2, 3), dtype=dtype, device="cpu", low=low, high=high))
    return out
