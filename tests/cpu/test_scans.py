"""Scans, compiled, against the interpreter."""

import pytest
from cpu.both import both

import facula as torch

DTYPES = [torch.float32, torch.float64, torch.int64, torch.int32]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(1,), (300,), (20, 70), (5, 1, 9), (3, 40, 50)], ids=str)
def test_scans(shape, dtype):
    def build():
        t = (torch.randn(shape) * 3).to(dtype)
        u = (t / 9 + 1) if dtype.is_floating_point else t
        torch.synchronize()
        out = []
        for d in range(t.dim()):
            out += [t.cumsum(d, dtype=dtype), t.cummax(d)[1], t.cummin(d)[0]]
            out += [u.cumprod(d, dtype=dtype), u.transpose(0, -1)[..., ::2].cumsum(d, dtype=dtype)]
        return out

    both(build, tolerance=1e-3 if dtype == torch.float32 else 1e-9)


def test_missing_values():
    def build():
        nan, inf = float("nan"), float("inf")
        t = torch.tensor([[1.0, 3, 3, 1, nan, 5, nan, 2], [-inf, -inf, inf, 2, inf, -inf, 0, 0]])
        torch.synchronize()
        return [f(d)[k] for f in (t.cummax, t.cummin) for d in (0, 1) for k in (0, 1)]

    both(build)


def test_gradients():
    def build():
        t = torch.randn(6, 9, requires_grad=True)
        torch.synchronize()
        (t.cumsum(1) * t.cumprod(0) + t.prod(1, keepdim=True)).sum().backward()
        return (t.grad,)

    both(build)


def test_rows_of_any_number():
    """Lines that lie apart are gone along a few at a time, and what is left over too."""

    def build():
        ts = [torch.randn(n, 50)[:, :37] for n in (1, 3, 4, 6, 16, 23, 40)]
        torch.synchronize()
        return [t.cumsum(1) for t in ts] + [t.cummax(1)[1] for t in ts]

    both(build, tolerance=1e-4)
