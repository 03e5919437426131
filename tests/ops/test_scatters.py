"""Operations whose indices are tensors."""

from __future__ import annotations

import pytest
from nn.stored import agrees, raised
from ops.numeric import check_gradients

import facula as torch

INDEX = torch.tensor([0, 2, 2])


@pytest.mark.parametrize(
    ("kind", "own", "expected"),
    [
        ("sum", True, [11, 20, 35]),
        ("sum", False, [1, 20, 5]),
        ("prod", True, [10, 20, 180]),
        ("mean", True, [5, 20, 11]),
        ("mean", False, [1, 20, 2]),
        ("amax", True, [10, 20, 30]),
        ("amin", False, [1, 20, 2]),
    ],
)
def test_scatter_reduce(kind, own, expected):
    base, src = torch.tensor([10, 20, 30]), torch.tensor([1, 2, 3])
    assert base.scatter_reduce(0, INDEX, src, kind, include_self=own).tolist() == expected


@pytest.mark.parametrize("kind", ["sum", "prod", "mean", "amax", "amin"])
@pytest.mark.parametrize("own", [True, False])
def test_scatter_reduce_derivatives(kind, own):
    def f(x, y):
        return x.scatter_reduce(0, INDEX, y, kind, include_self=own)

    check_gradients(f, [1.5, 2.0, 4.0], [0.7, 3.0, 5.0])
    if kind == "prod":
        check_gradients(f, [1.5, 0.0, 4.0], [0.7, 0.0, 5.0], second=False)


def test_index_reduce_names_slices():
    x = torch.ones(2, 3).index_reduce(1, INDEX, torch.full((2, 3), 5.0), "prod")
    assert x.tolist() == [[5, 1, 25]] * 2


def test_flat_positions_count_from_either_end():
    x = torch.tensor([[1, 2], [3, 4]])
    assert x.take(torch.tensor([[-1], [0]])).tolist() == [[4], [1]]
    assert x.put(torch.tensor([-1, 0]), torch.tensor([9, 8])).tolist() == [[8, 2], [3, 9]]
    twice = torch.tensor([1, 1])
    assert x.put(twice, torch.tensor([10, 10]), accumulate=True).tolist() == [[1, 22], [3, 4]]
    with pytest.raises(IndexError, match="take"):
        x.take(torch.tensor([4]))


def test_empty_indices_keep_a_gradient():
    x = torch.ones(2, 3, requires_grad=True)
    x.gather(1, torch.empty(0, dtype=torch.int64)).sum().backward()
    assert x.grad.sum().item() == 0


def test_index_fill_counts_a_slice_once():
    value = torch.tensor(2.0, requires_grad=True)
    torch.zeros(3).index_fill(0, torch.tensor([1, 1, -1]), value).sum().backward()
    assert value.grad.item() == 2


@pytest.mark.parametrize(
    "call",
    [
        lambda: torch.ones(2).gather(0, torch.tensor([2])),
        lambda: torch.ones(2).gather(0, torch.tensor([0.0])),
        lambda: torch.ones(2, 2).gather(0, torch.tensor([0])),
        lambda: torch.ones(2).scatter(0, torch.tensor([0]), torch.ones(1, dtype=torch.float64)),
        lambda: torch.ones(2).masked_fill(torch.tensor([True, False]), 1j),
    ],
)
def test_what_does_not_fit(call):
    with pytest.raises(RuntimeError):
        call()


def test_index_add_of_integers_cuts_off_the_fraction_of_alpha():
    for alpha, want in ((0.5, [1, 2]), (2.5, [1, 10]), (-1.5, [1, -2])):
        t = torch.tensor([1, 2])
        t.index_add_(0, torch.tensor([1]), torch.tensor([4]), alpha=alpha)
        assert t.tolist() == want


def test_index_select_of_what_is_not_there():
    for shape, dim, error in (
        ((0, 2), 0, RuntimeError),
        ((2, 0), 0, RuntimeError),
        ((0,), 0, IndexError),
        ((3, 2), 0, IndexError),
        ((3, 2), 1, RuntimeError),  # of which PyTorch has a loop of its own
        ((3, 2, 2), 2, IndexError),
    ):
        with pytest.raises(error):
            torch.zeros(shape).index_select(dim, torch.tensor([1, 5]))


@agrees
def test_indices_and_sources_without_dimensions(torch):
    """Of a vector they count as vectors of one element."""
    out = []
    for shape in [(), (1,), (3,)]:
        for index in (torch.tensor(0), torch.tensor([0])):
            for source in (torch.tensor(2.0), torch.tensor([2.0])):
                x = torch.arange(3.0)[: max(1, sum(shape))].reshape(shape).clone() + 1
                x.requires_grad_()
                y = x.gather(0, index)
                results = [y, *torch.autograd.grad(y.sum(), x), x.scatter(0, index, 3.0)]
                if index.dim() == source.dim():
                    results += [x.scatter(0, index, source), x.scatter_add(0, index, source)]
                results += [x.scatter_reduce(0, index, source, kind) for kind in ("prod", "amax")]
                out.append([t.detach() for t in results])
    return out


def test_a_source_smaller_than_its_index():
    with pytest.raises(RuntimeError, match="no larger than src"):
        torch.ones(3).scatter(0, torch.tensor([0, 0]), torch.tensor(5.0))


def test_what_is_written_over_has_a_gradient_of_zero():
    x = torch.ones((), requires_grad=True)
    s = torch.tensor(3.0, requires_grad=True)
    x.index_copy(0, torch.tensor(0), s).backward()
    assert x.grad.tolist() == 0 and s.grad.tolist() == 1
    x, s = torch.ones(2, requires_grad=True), torch.ones(0, requires_grad=True)
    x.put(torch.tensor([], dtype=torch.int64), s).sum().backward()
    assert x.grad.tolist() == [1, 1] and s.grad.tolist() == []


@pytest.mark.parametrize("shape", [(0, 2), (2, 0)])
@pytest.mark.parametrize("name", ["scatter", "scatter_add", "scatter_reduce"])
def test_a_source_of_which_nothing_is_taken_has_a_history(name, shape):
    index = torch.zeros(shape, dtype=torch.int64)
    more = ("sum",) if name == "scatter_reduce" else ()
    source = torch.ones(2, 2, requires_grad=True)
    out = torch.ones(shape[0] or 1, 3)
    made = getattr(out, name)(1, index, source, *more)
    made.sum().backward()
    assert made.tolist() == out.tolist() and source.grad.tolist() == [[0, 0], [0, 0]]


@agrees
def test_sources_of_other_shapes_than_the_index(torch):
    out, shapes = [], [(2, 2), (2,), (), (1, 2), (4, 1), (1, 2, 1), (0,)]
    for name, args in (("scatter", ()), ("scatter_add", ()), ("scatter_reduce", ("sum",))):
        for index in shapes:
            for src in shapes:
                at = torch.zeros(index, dtype=torch.int64)
                f = getattr(torch.zeros(2, 2), name)
                out.append(raised(f, 0, at, torch.ones(src), *args))
    return out


def test_products_with_several_zeros_have_one_derivative():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    at = torch.tensor([0, 0, 1, 1])
    src = torch.tensor([0.0, 2.0, 0.0, 3.0], requires_grad=True)
    y = x.scatter_reduce(0, at, src, "prod")
    (g,) = torch.autograd.grad((y**2 + y).sum(), src, create_graph=True)
    assert torch.autograd.grad((g**2).sum(), src)[0].tolist() == [32, 4, 864, 24]
    src = torch.tensor([0.0, 0.0, 1.0, 3.0], requires_grad=True)
    y = x.scatter_reduce(0, at, src, "prod")
    (g,) = torch.autograd.grad((y**2 + y).sum(), src, create_graph=True)
    assert g.tolist() == [0, 0, 78, 26]
    with pytest.raises(RuntimeError, match="Double backward is unsupported for src when >1 zeros"):
        torch.autograd.grad((g**2).sum(), src)


def test_16_bit_sums_are_rounded_once(tier):
    """Where PyTorch's are: elements of `index_add` and of `x[index]` are added one by one."""
    index = torch.tensor([0, 1, 0, 1, 0, 0, 1, 0, 1, 0])
    src = ((torch.arange(20).remainder(7) - 2.3) * 1.37).reshape(10, 2).bfloat16()
    base = torch.tensor([[100.0, -3.1], [0.3, 55.5]]).bfloat16()
    at = index[:, None].expand(10, 2)

    def gradient(f):
        x = base.clone().requires_grad_(True)
        (f(x) * src).sum().backward()
        return x.grad.tolist()

    once = [[97.5, 2.671875], [8.25, 59.25]]
    assert base.scatter_add(0, at, src).tolist() == once
    assert base.index_add(0, index, src).tolist() == once
    assert base[:, 0].index_add(0, index, src[:, 0]).tolist() == [98.0, 8.1875]
    once = [[-2.46875, 5.75], [7.9375, 3.828125]]
    assert gradient(lambda x: x.index_select(0, index)) == once
    assert gradient(lambda x: x.gather(0, at)) == once
    assert gradient(lambda x: x[index]) == [[-2.484375, 5.75], [7.96875, 3.84375]]


@pytest.mark.parametrize(
    ("name", "reduce", "dtype"),
    [
        *[("scatter_reduce", kind, torch.complex64) for kind in ("amax", "amin")],
        ("scatter_reduce", "mean", torch.bool),
        *[("index_reduce", k, torch.complex64) for k in ("prod", "mean", "amax", "amin")],
        *[("index_reduce", k, torch.bool) for k in ("prod", "mean", "amax", "amin")],
    ],
)
def test_what_has_no_such_reduction(name, reduce, dtype):
    x = torch.ones(3, dtype=dtype)
    with pytest.raises(NotImplementedError, match=name):
        getattr(x, name)(0, torch.tensor([0, 1, 1]), x, reduce)
