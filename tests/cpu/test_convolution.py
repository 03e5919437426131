"""Native convolutions against the interpreter, on awkward sizes, settings and layouts."""

import random

import pytest

import facula as torch
import facula.nn.functional as F
from facula.interpreter import program

from .both import both


def laid_out(x, rng):
    """The same values in another layout."""
    kind = rng.randrange(5)
    if kind == 0:
        order = [0, *range(2, x.dim()), 1]
        back = [0, x.dim() - 1, *range(1, x.dim() - 1)]
        return x.permute(*order).contiguous().permute(*back)
    if kind == 1:
        return x.transpose(0, 1).contiguous().transpose(0, 1)
    if kind == 2:
        return torch.cat([x, x], -1)[..., : x.shape[-1]]
    return x


def case(seed):
    rng = random.Random(seed)
    n = rng.choice([1, 2, 2, 2, 2, 3])
    groups = rng.choice([1, 1, 1, 2, 3])
    ci = groups * rng.choice([1, 1, 2, 3, 5])
    co = groups * rng.choice([1, 1, 2, 3, 8, 11])
    if rng.random() < 0.1:
        ci = rng.choice([40, 70]) * groups
    kernel = [rng.choice([1, 2, 3, 3, 5, 7] if n < 3 else [1, 2, 3]) for _ in range(n)]
    if rng.random() < 0.5:
        kernel = kernel[:1] * n
    stride = [rng.choice([1, 1, 1, 2, 3]) for _ in range(n)]
    dilation = [rng.choice([1, 1, 1, 2]) for _ in range(n)]
    padding = [rng.randint(0, k) for k in kernel]
    if rng.random() < 0.3:
        padding = [0] * n
    most = {1: 90, 2: 40, 3: 8}[n]
    size = [
        max(1, d * (k - 1) + 1 - 2 * p) + rng.randint(0, rng.choice([3, most]))
        for k, d, p in zip(kernel, dilation, padding)
    ]
    dtype = rng.choice([torch.float32, torch.float32, torch.float64])
    x = laid_out(torch.randn(rng.choice([1, 2, 3, 5]), ci, *size, dtype=dtype), rng)
    w = laid_out(torch.randn(co, ci // groups, *kernel, dtype=dtype) / 4, rng)
    bias = torch.randn(co, dtype=dtype) if rng.random() < 0.5 else None
    return n, x, w, bias, (stride, padding, dilation, groups), rng


def run(seed):
    n, x, w, bias, settings, rng = case(seed)
    x, w = x.detach().requires_grad_(), w.detach().requires_grad_()
    torch.synchronize()
    y = getattr(F, f"conv{n}d")(x, w, bias, *settings)
    if rng.random() < 0.5:
        y = y.relu()
    g = torch.randn(y.shape, dtype=y.dtype)
    return y, *torch.autograd.grad(y, (x, w), g)


@pytest.mark.parametrize("seed", range(40))
def test_random_settings_give_the_results_of_the_interpreter(seed):
    both(lambda: run(seed), tolerance=5e-5, allowed=("cat",))


def test_a_result_is_not_written_over_what_it_adds(monkeypatch):
    """Blocks overlap where sizes do not divide: what is computed twice must be read unchanged."""
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    torch.manual_seed(0)
    x, w = torch.randn(3, 4, 9, 19), torch.randn(5, 4, 3, 3)
    a = torch.randn(3, 5, 9, 19)
    want = a.numpy() + F.conv2d(x, w, None, 1, 1).numpy()
    torch.synchronize()
    a += F.conv2d(x, w, None, 1, 1)
    assert abs(a.numpy() - want).max() < 1e-4


def test_what_follows_and_does_not_lie_like_the_result_gets_a_kernel_of_its_own():
    x, w, b = torch.randn(2, 1, 5, 5, 5), torch.randn(3, 1, 3, 3, 3), torch.randn(3)
    torch.synchronize()
    both(lambda: [F.conv3d(x, w, b, 1, 1, 2) * b])


def test_the_gradient_by_patches_of_few_channels_and_many_taps():
    """A plan of one channel at a time is the last one that there is."""
    torch.manual_seed(0)
    x, g = torch.randn(4, 3, 128, 128), torch.randn(4, 192, 8, 8)
    w = (torch.randn(192, 3, 16, 16) / 16).requires_grad_()
    both(lambda: [torch.autograd.grad(F.conv2d(x, w, stride=16), w, g)[0]], tolerance=5e-4)
