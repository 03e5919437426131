"""Activations where their definitions leave room: the slope that PyTorch gives them at NaN."""

import math

import pytest
from nn.stored import agrees, raised

import facula as torch
from facula.nn import functional as F

SLOPES = {  # of PyTorch 2.13 on the CPU, at NaN, 1, -1 and 0
    "relu": (F.relu, [1, 1, 0, 0]),
    "relu6": (F.relu6, [1, 1, 0, 0]),
    "hardswish": (F.hardswish, [1, 5 / 6, 1 / 6, 0.5]),
    "hardtanh": (F.hardtanh, [1, 0, 0, 1]),
    "leaky_relu": (F.leaky_relu, [0.01, 1, 0.01, 0.01]),
    "abs": (torch.abs, [0, 1, -1, 0]),
    "elu": (F.elu, [1, 1, math.exp(-1), 1]),
    "threshold": (lambda x: F.threshold(x, 0.0, 0.0), [1, 1, 0, 0]),
    "softshrink": (F.softshrink, [1, 1, 1, 0]),
    "hardshrink": (F.hardshrink, [1, 1, 1, 0]),
    "clamp": (lambda x: x.clamp(-1, 1), [0, 1, 1, 1]),
    "hardsigmoid": (F.hardsigmoid, [0, 1 / 6, 1 / 6, 1 / 6]),
    "softplus": (F.softplus, [math.nan, 0.731058579, 0.268941421, 0.5]),
    "logsigmoid": (F.logsigmoid, [math.nan, 0.268941421, 0.731058579, 0.5]),
    "logit": (torch.logit, [math.nan, math.inf, math.nan, math.inf]),
}


@pytest.mark.parametrize("name", SLOPES)
def test_slope_at_nan(name, tier):
    f, slopes = SLOPES[name]
    x = torch.tensor([math.nan, 1.0, -1.0, 0.0], requires_grad=True)
    for _ in range(2):
        x.grad = None
        f(x).sum().backward()
        assert x.grad.tolist() == pytest.approx(slopes, nan_ok=True)


INFINITE = {  # PyTorch's gradients at these where an infinite one arrives
    "silu": (F.silu, {-100.0: -math.inf, -1.18: math.inf, 2.0: math.inf}),
    "mish": (F.mish, {-3.0: -math.inf, -1.18: math.inf, 2.0: math.inf}),
    "hardswish": (F.hardswish, {-4.0: 0.0, -3.0: 0.0, -2.0: -math.inf, 1.0: math.inf}),
    "elu": (F.elu, {-100.0: math.inf, 2.0: math.inf}),
    "celu": (lambda x: F.celu(x, 2.0), {-100.0: math.inf, 2.0: math.inf}),
    "selu": (F.selu, {-100.0: math.inf, 2.0: math.inf}),
    "logsigmoid": (F.logsigmoid, {-3.0: math.inf, 3.0: math.inf}),
    "softshrink": (F.softshrink, {-0.5: 0.0, 0.1: 0.0, 2.0: math.inf}),
    "sinc": (torch.sinc, {0.0: 0.0, 0.3: -math.inf}),
}


@pytest.mark.parametrize("name", INFINITE)
def test_infinite_gradient(name, tier):
    """No terms of a derivative cancel to NaN, and none passes where the slope is 0."""
    f, slopes = INFINITE[name]
    x = torch.tensor(list(slopes), dtype=torch.float64, requires_grad=True)
    for _ in range(2):
        x.grad = None
        f(x).backward(torch.full_like(x, math.inf))
        assert x.grad.tolist() == list(slopes.values())


def test_slopes_of_hardswish_at_its_bends_and_ends(tier):
    """PyTorch's; the product of the definition would give -0.5 and 1.5 at the bends."""
    ends = [-math.inf, -4.0, -3.0, 3.0, 4.0, math.inf]
    x = torch.tensor(ends, requires_grad=True)
    for _ in range(2):
        x.grad = None
        y = F.hardswish(x)
        y.sum().backward()
        assert x.grad.tolist() == [0, 0, 0, 1, 1, 1]
        assert y[1:].tolist() == [0, 0, 3, 4, math.inf] and y[0].isnan()


@agrees
def test_slopes_are_drawn_for_what_is_not_positive(torch):
    x = torch.tensor([[-1.0, 1.0, -1.0], [0.0, -2.0, 3.0]])
    out = [torch.nn.functional.rrelu(x, training=True), torch.rand(2)]
    w = x.clone().requires_grad_()
    torch.nn.functional.rrelu(w, 0.1, 0.9, training=True).sum().backward()
    return [*out, w.grad, torch.nn.RReLU()(x.double())]


@agrees
def test_what_activations_in_place_keep(torch):
    """Some tell the slope by their result: it may not be written to, nor may the slope be below 0
    (which the backward pass says). Others keep what they were given."""
    f, out = torch.nn.functional, []
    forms = {
        "leaky_relu": [(), (0.0,), (-0.1,)],
        "elu": [(), (-1.0,)],
        "selu": [()],
        "celu": [(), (-1.0,)],
        "rrelu": [(), (-0.3, -0.1), (0.2, 0.2, True)],
        "threshold": [(0.1, 3.0)],
        **{n: [()] for n in ("hardtanh", "silu", "mish", "hardswish", "hardsigmoid", "relu")},
    }
    for name, args in [(n, args) for n, settings in forms.items() for args in settings]:
        for written in (False, True):
            x = torch.tensor([-1.5, 0.5, 2.0, -7.0], requires_grad=True)
            y = x * 1
            z = getattr(f, name)(y, *args, inplace=True)
            out.append([name, z is y, z.detach().clone(), y._version])
            if written:
                z.mul_(2)
            out += [raised(z.sum().backward), x.grad]
        with torch.no_grad():
            out.append(getattr(f, name)(x.detach().clone(), *args, inplace=True))
    return out
