"""Sums and extremes of picked rows as one operation: what is found, and the values."""

import pytest
from compiler.kernels import kernels
from cpu.both import both

import facula as torch

F = torch.nn.functional
ROWS = 40


def bags(width, dtype, mode, weighted=False, size=7, learn=False, index=torch.int64, turned=False):
    """The result of `embedding_bag`, and gradients if asked for."""
    w = torch.randn(width, ROWS).t() if turned else torch.randn(ROWS, width)
    w = w.to(dtype)
    i = torch.randint(0, ROWS, (9, size)).to(index)
    factors = torch.rand(9, size).to(dtype) if weighted else None
    given = [t.requires_grad_() for t in (w, factors) if t is not None and learn]
    torch.synchronize()
    out = F.embedding_bag(i, w, mode=mode, per_sample_weights=factors)
    if not learn:
        return (out * 2 + 1,)
    return (out.detach(), *torch.autograd.grad((out * out).sum(), given))


@pytest.mark.parametrize("learn", [False, True])
@pytest.mark.parametrize(
    "mode,weighted", [("sum", False), ("sum", True), ("mean", False), ("max", False)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_the_values_are_those_of_the_interpreter(dtype, mode, weighted, learn):
    for width in (8, 24, 33, 130):
        both(
            lambda width=width: bags(width, dtype, mode, weighted, learn=learn),
            1e-2 if dtype.itemsize == 2 else 1e-5,
        )


def test_other_layouts_and_indices():
    both(lambda: bags(24, torch.float32, "sum", turned=True))
    both(lambda: bags(24, torch.float32, "mean", size=1, index=torch.int32))

    def build():
        w, i = torch.randn(3, ROWS, 20)[1, ::2, 3:], torch.randint(0, 20, (4, 3, 5))
        torch.synchronize()
        return w[i].sum((1, 2)), w[i].sum(2), w[i].amin(2), w[i].sum(1), w[i].sum(-1)

    both(build)


@pytest.mark.parametrize("even", [True, False])
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags_of_other_sizes(mode, even):
    def build():
        w, i = torch.randn(ROWS, 24), torch.randint(0, ROWS, (12,))
        offsets = torch.tensor([0, 3, 6, 9] if even else [0, 0, 5, 12])
        torch.synchronize()
        return (F.embedding_bag(i, w, offsets, mode=mode),)

    both(build)


def test_what_is_one_operation(monkeypatch):
    w, i = torch.randn(ROWS, 24), torch.randint(0, ROWS, (9, 7))
    factors = torch.rand(9, 7)
    torch.synchronize()

    def names(build):
        return [n for kernel in kernels(build, monkeypatch) for n in kernel]

    assert "index" not in names(lambda: F.embedding_bag(i, w, mode="mean"))
    assert "index" not in names(
        lambda: F.embedding_bag(i, w, mode="sum", per_sample_weights=factors)
    )

    def shared():
        rows = w[i]
        return [rows, rows.sum(1)]

    assert "index" in names(shared)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("mode,weighted", [("sum", False), ("sum", True), ("mean", False)])
@pytest.mark.parametrize("padding", [None, 3])
def test_bags_of_any_size(mode, weighted, padding, dtype):
    def build(width):
        w = torch.randn(ROWS, width).to(dtype).requires_grad_()
        i = torch.randint(0, 6, (30,))
        factors = torch.rand(30).to(dtype).requires_grad_() if weighted else None
        offsets = torch.tensor([0, 0, 1, 12, 12, 29, 30])
        torch.synchronize()
        given = {"mode": mode, "per_sample_weights": factors, "padding_idx": padding}
        y = F.embedding_bag(i, w, offsets, **given)
        grads = torch.autograd.grad((y * y).sum(), [w, factors] if weighted else [w])
        return y.detach(), *grads

    for width in (8, 70):
        both(lambda width=width: build(width), 2e-2 if dtype.itemsize == 2 else 1e-5)


@pytest.mark.usefixtures("tier")
def test_second_derivatives_of_bags():
    torch.manual_seed(0)
    w = torch.randn(5, 9, dtype=torch.float64, requires_grad=True)
    factors = torch.rand(7, dtype=torch.float64, requires_grad=True)
    i, offsets = torch.tensor([0, 1, 1, 4, 2, 0, 3]), torch.tensor([0, 3, 3, 4])

    def f(w, factors):
        return F.embedding_bag(i, w, offsets, mode="sum", per_sample_weights=factors)

    assert torch.autograd.gradcheck(f, (w, factors))
    assert torch.autograd.gradgradcheck(f, (w, factors))
