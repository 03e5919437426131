"""Random tensors: what is checked, and that gradients stop."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from nn.stored import agrees, raised

import facula as torch


@agrees
def test_gradients_of_parameters_are_zero(torch):
    m, s = torch.ones(3, requires_grad=True), torch.ones(2, 1, requires_grad=True)
    draws = [torch.normal(m, s), torch.normal(m, 1.0), torch.normal(0.0, s), torch.poisson(m)]
    return [torch.autograd.grad(x.sum(), [m, s], allow_unused=True) for x in draws]


def test_bernoulli_has_a_zero_gradient():
    p = torch.full((3,), 0.5, requires_grad=True)
    torch.bernoulli(p).sum().backward()
    assert p.grad.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("weights", "message"),
    [([[[1.0]]], "1 or 2 dim"), ([0.0, 0.0], "sum of prob"), ([1.0, -0.5], "either")],
)
def test_multinomial_checks_its_weights(weights, message):
    with pytest.raises(RuntimeError, match=message):
        torch.multinomial(torch.tensor(weights), 1)


def test_draws_follow_the_seed():
    torch.manual_seed(3)
    a = torch.rand(4)
    torch.manual_seed(3)
    assert a.tolist() == torch.rand(4).tolist()


@agrees
def test_fills_follow_the_memory(torch):
    """PyTorch visits elements as they lie, and draws normals otherwise where they have gaps."""
    out = {}
    x = torch.zeros(3, 4, 5)
    targets = {
        "transposed": lambda: torch.zeros(6, 4).t(),
        "small": lambda: torch.zeros(3, 2).t(),
        "permuted": lambda: torch.zeros(3, 4, 5).permute(2, 0, 1),
        "every other": lambda: torch.zeros(40)[::2],
        "column": lambda: torch.zeros(20, 3)[:, 1],
        "part": lambda: torch.zeros(6, 8)[1:, 2:5],
        "doubles": lambda: torch.zeros(5, 7, dtype=torch.float64).t(),
    }
    for name, make in targets.items():
        for fill in ("normal_", "uniform_", "exponential_", "bernoulli_"):
            torch.manual_seed(3)
            out[f"{name} {fill}"] = getattr(make(), fill)()
        torch.manual_seed(3)
        out[f"{name} random_"] = make().random_(0, 100)
    for f in (torch.rand_like, torch.randn_like, lambda t: torch.randint_like(t, 50)):
        torch.manual_seed(4)
        out[f"like {len(out)}"] = f(x.permute(2, 0, 1))
    torch.manual_seed(5)
    out["dropout"] = torch.nn.functional.dropout(torch.ones(4, 5).t(), 0.5)
    torch.manual_seed(5)
    out["bernoulli"] = torch.bernoulli(torch.full((4, 5), 0.5).t())
    return out


@agrees
def test_draws_of_every_size(torch):
    """Below 16 numbers, at 16, above, and above a million: of these the ends and sums."""
    out = {}
    for shape in ((15,), (16,), (17,), (3, 7), (1_000_003,)):
        draws = {
            "rand": lambda s=shape: torch.rand(s),
            "rand64": lambda s=shape: torch.rand(s, dtype=torch.float64),
            "randn": lambda s=shape: torch.randn(s),
            "randn64": lambda s=shape: torch.randn(s, dtype=torch.float64),
            "randint": lambda s=shape: torch.randint(-5, 1000, s),
            "randperm": lambda s=shape: torch.randperm(s[0]),
        }
        for name, draw in draws.items():
            torch.manual_seed(11)
            t = draw()
            last = torch.rand(2)  # where the stream stands afterwards
            out[f"{name} {shape}"] = [digest(t) if t.numel() > 100 else t, last]
    for sizes in ((3, 4), (4, 4), (784, 1300)):
        torch.manual_seed(12)
        layer = torch.nn.Linear(*sizes)
        for name, t in (("weight", layer.weight), ("bias", layer.bias)):
            out[f"Linear{sizes}.{name}"] = digest(t) if t.numel() > 100 else t
    return out


def digest(t):
    """A checksum of the bits (doubles go through the C library: their sum), some elements."""
    a = t.detach().numpy()
    whole = float(a.sum()) if a.dtype == "float64" else zlib.crc32(a.tobytes())
    return [whole, t.reshape(-1)[:8], t.reshape(-1)[-8:], t.reshape(-1)[::99_991]]


def test_large_weights_are_summed_by_a_kernel_to_the_same_bits(tier):
    """And draw what a row alone draws, whose sums NumPy makes."""
    torch.manual_seed(0)
    weights = torch.rand(70, 500)
    torch.synchronize()
    torch.manual_seed(1)
    found = torch.multinomial(weights, 6, True)
    torch.manual_seed(1)
    uniforms = torch.rand(70, 6, dtype=torch.float64).numpy()
    w = weights.numpy()
    sums = np.add.accumulate(w, axis=1, dtype=np.float32)
    sums /= sums[:, -1:].copy()
    sums[:, -1] = 1
    assert found.tolist() == [
        np.searchsorted(a, b).tolist() for a, b in zip(sums, uniforms, strict=True)
    ]


@agrees
def test_whole_numbers_like_a_tensor(torch):
    t = torch.ones(2, 3)
    return [
        torch.randint_like(t, high=5),
        torch.randint_like(t, 5, memory_format=torch.preserve_format),
        torch.randint_like(t, low=2, high=9, dtype=torch.int64),
        torch.randint_like(t, 3, requires_grad=True).requires_grad,
        raised(torch.randint_like, t),
    ]


def test_several_samples_are_dense():
    assert torch.ones(3, 10).multinomial(4).view(-1).shape == (12,)


@pytest.mark.parametrize("dtype", ["bool", "int8", "float64"])
def test_bernoulli_into_any_dtype(dtype):
    out = torch.zeros(2, dtype=getattr(torch, dtype))
    assert torch.bernoulli(torch.tensor([0.0, 1.0]), out=out) is out and out.tolist() == [0, 1]


@pytest.mark.parametrize("name", ["rand", "randn"])
def test_dimensions_have_no_names(name):
    with pytest.raises(TypeError, match="unexpected keyword argument 'names'"):
        getattr(torch, name)(2, 3, names=("N", "C"))
