"""Functions of lists of tensors."""

from __future__ import annotations

import pytest

import facula as torch
from facula.ops import later


def lists(seed=0):
    torch.manual_seed(seed)
    return [torch.rand(3) + 0.1, torch.rand(2, 2, dtype=torch.float64) + 0.1]


def same(found, expected):
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, equal_nan=True)


def both(name, one, *args, **kwargs):
    """The new lists and those written to are what `one` gives tensor by tensor."""
    before = lists()
    expected = [one(t, i) for i, t in enumerate(before)]
    found = getattr(torch, f"_foreach_{name}")(before, *args, **kwargs)
    same(found, expected)
    same(before, lists())
    assert getattr(torch, f"_foreach_{name}_")(before, *args, **kwargs) is before
    same(before, expected)


@pytest.mark.parametrize("name", later.FOREACH_UNARY.split())
def test_one_operand(name):
    if name == "zero":
        before = lists()
        torch._foreach_zero_(before)
        same(before, [torch.zeros_like(t) for t in before])
        assert not hasattr(torch, "_foreach_zero")
    else:
        both(name, lambda t, i: getattr(torch, name)(t))


@pytest.mark.parametrize("name", [*later.FOREACH_BINARY.split(), "maximum", "clamp_max"])
def test_two_operands(name):
    one = {"clamp_max": "clamp_max", "maximum": "clamp_min"}.get(name, name)
    f = getattr(torch.Tensor, one)
    other = lists(1)
    both(name, lambda t, i: f(t, other[i]), other)
    both(name, lambda t, i: f(t, 0.4), 0.4)
    both(name, lambda t, i: f(t, [0.3, 0.7][i]), [0.3, 0.7])


def test_factors_and_weights():
    a, b = lists(1), lists(2)
    both("add", lambda t, i: t + 3 * a[i], a, alpha=3)
    both("mul", lambda t, i: t * 2, torch.tensor(2.0))
    for name in ("addcmul", "addcdiv"):
        f = getattr(torch, name)
        both(name, lambda t, i, f=f: f(t, a[i], b[i]), a, b)
        both(name, lambda t, i, f=f: f(t, a[i], b[i], value=0.5), a, b, 0.5)
        both(name, lambda t, i, f=f: f(t, a[i], b[i], value=0.5), a, b, value=0.5)
        both(name, lambda t, i, f=f: f(t, a[i], b[i], value=[2.0, 3.0][i]), a, b, [2.0, 3.0])
        factors = torch.tensor([2.0, 3.0])
        both(name, lambda t, i, f=f: f(t, a[i], b[i], value=[2.0, 3.0][i]), a, b, factors)
    both("lerp", lambda t, i: torch.lerp(t, a[i], 0.25), a, 0.25)
    both("lerp", lambda t, i: torch.lerp(t, a[i], b[i]), a, b)


def test_norms_largest_elements_and_copies():
    a, b = lists(1), lists(2)
    same(torch._foreach_norm(a), [t.norm() for t in a])
    same(torch._foreach_norm(a, 1), [t.abs().sum() for t in a])
    same(torch._foreach_max(a), [t.max() for t in a])
    torch._foreach_copy_(a, b)
    same(a, b)


def test_gradients_go_through():
    w = torch.ones(2, requires_grad=True)
    out = torch._foreach_mul([w, w], [2.0, 3.0])
    (out[0] * out[1]).sum().backward()
    assert w.grad.tolist() == [12, 12]


def test_lists_that_do_not_fit():
    a = lists()
    with pytest.raises(RuntimeError, match="at least one tensor"):
        torch._foreach_add([], 1)
    with pytest.raises(RuntimeError, match="same number of tensors, got 2 and 1"):
        torch._foreach_add(a, a[:1])
    with pytest.raises(TypeError, match="a list of tensors, got Tensor"):
        torch._foreach_exp(a[0])
