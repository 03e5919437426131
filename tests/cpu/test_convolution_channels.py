"""Convolutions with channels in the lanes against the interpreter."""

import math
import random

import pytest

import facula as torch
import facula.nn.functional as F
from facula.compiler import lower
from facula.cpu import convolution_plan
from facula.cpu.convolution_channels import ChannelKernel

from .both import both
from .test_convolution import laid_out


def run(seed):
    rng = random.Random(seed)
    n = rng.choice([1, 2, 2, 2])
    groups = rng.choice([1, 1, 1, 2])
    ci, co = rng.choice([1, 2, 5, 9, 20, 70]), rng.choice([9, 16, 20, 32, 48, 70])
    if n == 2 and rng.random() < 0.2:
        ci = 150
    kernel = [rng.choice([1, 2, 3, 3, 5, 7]) for _ in range(n)]
    stride = [rng.choice([1, 1, 1, 2, 3]) for _ in range(n)]
    dilation = [rng.choice([1, 1, 1, 2]) for _ in range(n)]
    padding = [rng.choice([0, k // 2, k]) for k in kernel]
    grid = [rng.choice([16, 37, 90])] if n == 1 else rng.choice([[4, 4], [1, 30], [14, 14], [7, 9]])
    size = [
        max(1, (g - 1) * s + d * (k - 1) + 1 - 2 * p)
        for g, s, d, k, p in zip(grid, stride, dilation, kernel, padding)
    ]
    dtype = rng.choice([torch.float32, torch.float32, torch.float64])
    x = laid_out(torch.randn(rng.choice([1, 2, 3, 7, 9]), groups * ci, *size, dtype=dtype), rng)
    w = torch.randn(groups * co, ci, *kernel, dtype=dtype) / (ci * math.prod(kernel)) ** 0.5
    bias = torch.randn(groups * co, dtype=dtype) if rng.random() < 0.5 else None
    x, w = x.detach().requires_grad_(), w.requires_grad_()
    torch.synchronize()
    y = getattr(F, f"conv{n}d")(x, w, bias, stride, padding, dilation, groups)
    if rng.random() < 0.5:
        y = y.relu()
    g = torch.randn(y.shape, dtype=y.dtype)
    return y, *torch.autograd.grad(y, (x, w), g)


@pytest.fixture
def chosen(monkeypatch):
    """These kernels wherever they can be had; how many of them were written."""
    written = []
    build = ChannelKernel.build

    def counted(self, width):
        written.append(self.plan)
        build(self, width)

    monkeypatch.setattr(convolution_plan.Plan, "cost", lambda self: math.inf)
    monkeypatch.setattr(ChannelKernel, "build", counted)
    lower._written.clear()
    yield written
    lower._written.clear()


@pytest.mark.parametrize("seed", range(40))
def test_random_settings_give_the_results_of_the_interpreter(seed, chosen):
    both(lambda: run(seed), tolerance=5e-5)
    assert chosen
