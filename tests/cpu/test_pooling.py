"""Pooling's native kernels against the interpreter, on awkward sizes and layouts."""

import random

import numpy as np
import pytest

import facula as torch
import facula.nn.functional as F
from facula.compiler.readers import Readers
from facula.cpu.pooling_back import POOLING
from facula.interpreter import program


def laid_out(x, rng):
    """The same values in another layout."""
    kind = rng.randrange(4)
    if kind == 0 and x.dim() == 4:
        return x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    if kind == 1:
        return x.transpose(0, 1).contiguous().transpose(0, 1)
    if kind == 2:
        return torch.cat([x, x], -1)[..., : x.shape[-1]]
    return x


def case(seed):
    """One pooling operation, forward and backward, on random settings."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    n = rng.choice([1, 2, 2, 2, 3])
    kernel = [rng.randint(1, 4) for _ in range(n)]
    beside = rng.random() < 0.4  # windows side by side
    if beside:
        kernel[-1] = rng.choice([1, 2, 2])
    stride = kernel if beside else [rng.randint(1, 3) for _ in range(n)]
    dilation = [1 if beside else rng.randint(1, 2) for _ in range(n)]
    padding = (
        [0] * n
        if beside
        else [rng.randint(0, ((k - 1) * d + 1) // 2) for k, d in zip(kernel, dilation)]
    )
    most = 40 if n < 3 else 9
    size = [d * (k - 1) + 1 + rng.randint(0, most) for k, d in zip(kernel, dilation)]
    shape = [rng.randint(1, 3), rng.randint(1, 4), *size]
    dtype = rng.choice([torch.float32, torch.float32, torch.float64])
    x = torch.randn(shape, dtype=dtype)
    if rng.random() < 0.5:
        x = (x * 2).round()  # ties
    x = laid_out(x, rng)
    kind = seed % 5
    ceil = rng.random() < 0.5
    if kind == 0:
        return x, lambda x: getattr(F, f"max_pool{n}d")(x, kernel, stride, padding, dilation, ceil)
    if kind == 1:
        return x, lambda x: getattr(F, f"max_pool{n}d")(
            x, kernel, stride, padding, dilation, ceil, True
        )
    if kind == 2:
        padding = [min(p, k // 2) for p, k in zip(padding, kernel)]
        settings = [padding, ceil, rng.random() < 0.5]
        if n > 1 and rng.random() < 0.3:
            settings.append(3)
        return x, lambda x: getattr(F, f"avg_pool{n}d")(x, kernel, stride, *settings)
    out = [rng.randint(1, s + 2) for s in size]
    if kind == 3:
        return x, lambda x: getattr(F, f"adaptive_avg_pool{n}d")(x, out)
    return x, lambda x: getattr(F, f"adaptive_max_pool{n}d")(x, out, True)


def run(seed):
    x, f = case(seed)
    x = x.detach().requires_grad_()
    y = f(x.relu() if seed % 2 else x)
    y, extra = y if isinstance(y, tuple) else (y, None)
    w = (torch.arange(y.numel()) % 7 - 3).to(y.dtype).reshape(y.shape)
    # The history of gradients has values and indices taken along, forward and backward.
    (g,) = torch.autograd.grad((y * w).sum(), x, create_graph=True)
    out = [y, g] if extra is None else [y, g, extra]
    return [t.detach().numpy().copy() for t in out]


def both(f, monkeypatch):
    """The interpreter's results and those of native kernels, none of which is interpreted."""
    monkeypatch.setattr(program, "COMPILE_AFTER", 1 << 30)
    want = f()
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    interpreted = Readers.interpreted

    def native(self, n):
        assert n.op.name not in POOLING, f"{n.op.name} has no kernel here"
        return interpreted(self, n)

    monkeypatch.setattr(Readers, "interpreted", native)
    return want, f()


def agree(want, got, message=""):
    for a, b in zip(want, got, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype, message
        exact = a.dtype.kind == "i"
        tolerance = 0 if exact else 2e-5 if a.dtype == np.float32 else 1e-12
        np.testing.assert_allclose(b, a, rtol=tolerance, atol=tolerance, err_msg=message)


@pytest.mark.parametrize("seed", range(80))
def test_random_settings_give_the_results_of_the_interpreter(seed, monkeypatch):
    agree(*both(lambda: run(seed), monkeypatch), f"seed {seed}")


def test_nan_is_the_maximum_and_minus_infinity_has_a_place(monkeypatch):
    x = torch.randn(2, 3, 9, 21)
    x[0, 1, 4, 5] = x[0, 1, 4, 6] = x[0, 2, 0, 0] = float("nan")
    x[1] = torch.where(x[1] < 0.5, float("-inf"), x[1])

    def f():
        y, at = F.max_pool2d(x, 3, 2, 1, return_indices=True)
        z, where = F.adaptive_max_pool2d(x, (4, 5), True)
        return [t.numpy().copy() for t in (F.max_pool2d(x, 3, 2, 1), y, at, z, where)]

    want, got = both(f, monkeypatch)
    for a, b in zip(want, got, strict=True):
        np.testing.assert_array_equal(b, a)
    assert np.isnan(got[0]).sum() == 3 and (got[2] >= 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("size", [1, 3, (2, 7)])
def test_the_largest_of_wide_windows(dtype, size, monkeypatch):
    torch.manual_seed(0)
    x = torch.randn(2, 4, 11, 67).round().to(dtype)
    x[1, :2] = torch.where(x[1, :2] < 1, float("nan"), x[1, :2])
    x[1, 2] = float("-inf")

    def f():
        pairs = [F.adaptive_max_pool2d(t, size, True) for t in (x, x.transpose(2, 3))]
        return [t.float().numpy().copy() for pair in pairs for t in pair]

    for a, b in zip(*both(f, monkeypatch), strict=True):
        np.testing.assert_array_equal(b, a)


def test_of_equal_elements_the_first_counts(monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    _, at = F.max_pool2d(torch.ones(1, 1, 4, 40), 2, return_indices=True)
    assert at[0, 0, 1, :3].tolist() == [80, 82, 84]


def test_an_empty_batch(monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    assert (F.max_pool2d(torch.randn(0, 3, 8, 8), 2) + 1).shape == (0, 3, 4, 4)
    assert (F.avg_pool2d(torch.randn(0, 3, 8, 8), 2) + 1).shape == (0, 3, 4, 4)
