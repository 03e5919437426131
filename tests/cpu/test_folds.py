"""Reductions of all kinds, compiled, against the interpreter."""

import math

import numpy as np
import pytest
from cpu.both import both

import facula as torch

SHAPES = [(70000,), (3, 1), (2, 50000), (3000, 5), (2, 16, 90, 9)]
DTYPES = [torch.float64, torch.int64, torch.uint8]
CASES = [*[(s, torch.float32) for s in SHAPES], *[((33, 20), d) for d in DTYPES]]


def reductions(t):
    """Every reduction over every choice of dimensions."""
    rank = t.dim()
    some = [[d for d in range(rank) if m >> d & 1] for m in range(1, 1 << rank)]
    out = []
    for dims in some[:: 1 + len(some) // 5]:
        out += [t.sum(dims), t.amax(dims, keepdim=True)]
    for d in range(rank):
        out += [t.prod(d), t.argmax(d), t.argmin(d, keepdim=True)]
        out += [(t > 1).any(d), (t > 1).all(d), (t > 0).sum(d)]
    return [*out, (t > 9).any(), t.argmax(), t.amin(), (t >= 0).all()]


@pytest.mark.parametrize(("shape", "dtype"), CASES, ids=str)
def test_reductions(shape, dtype):
    def build():
        t = torch.randn(shape)
        t = (t * 9).abs().to(dtype) if dtype in (torch.int64, torch.uint8) else t.to(dtype)
        t = t / math.sqrt(t.numel()) if dtype.is_floating_point else t
        torch.synchronize()
        return reductions(t)

    both(build, tolerance=1e-4 if dtype == torch.float32 else 1e-9)


def test_views_and_what_follows():
    def build():
        t = torch.randn(6, 40, 10, 30)[:, ::2].permute(0, 3, 1, 2)
        weight = torch.randn(20)
        torch.synchronize()
        mean = t.mean((0, 1, 3))
        var = ((t - mean[:, None]) ** 2).mean((0, 1, 3))
        scale = weight / (var + 1e-5).sqrt()
        positions = t.argmax(2) * 2 + 1
        return mean, var, scale, -mean * scale, positions, t.amax((1, 3)) - 1, t[0].sum((0, 2))

    both(build)


def test_missing_values_and_ties():
    def build():
        nan, inf = float("nan"), float("inf")
        t = torch.tensor([[1.0, 3, 3, 1] * 9, [nan, 2, nan, 5] * 9, [-inf] * 36, [inf, -inf] * 18])
        torch.synchronize()
        out = [t.argmax(1), t.argmin(1), t.argmax(0), t.argmin(0), t.t().contiguous().argmax(0)]
        return [*out, t.amax((0, 1)), t.amin(0), t.amax(1), t.prod(1), t.t().contiguous().amin(1)]

    both(build)


@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_one_thread_and_two_give_the_same_bits(layout, monkeypatch):
    from facula.cpu.runtime import get_num_threads, set_num_threads
    from facula.interpreter import program

    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    torch.manual_seed(0)
    t = torch.randn(8, 16, 30, 40)
    t = t if layout == "rows" else t.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    before, results = get_num_threads(), []
    try:
        for n in (1, 2):
            set_num_threads(n)
            results.append((t.sum((0, 2, 3)).tolist(), t.prod(1).tolist(), t.argmax().item()))
    finally:
        set_num_threads(before)
    assert results[0] == results[1]


def test_a_position_beyond_32_bits():
    """Pages that nothing was written to take no memory."""
    elements = np.zeros(2**31 + 5, np.uint8)
    elements[-2] = 3

    both(lambda: [torch.from_numpy(elements).argmax()], tolerance=0)
