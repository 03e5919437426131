"""Products of vectors and matrices."""

from __future__ import annotations

import numpy as np
import pytest

import facula as torch


def test_factors_of_integer_products_are_cut_to_integers():
    x, m, v = torch.tensor([10, 10]), torch.tensor([[1, 2], [3, 4]]), torch.tensor([1, 1])
    assert torch.addmv(x, m, v, beta=1.9, alpha=2.5).tolist() == [16, 24]
    flag = torch.tensor([True, False])
    assert torch.addr(flag, flag, flag, beta=0).tolist() == [[True, False], [False, False]]


def test_inner_products(rng):
    a, b = rng.normal(size=(2, 3, 4)), rng.normal(size=(5, 4))
    np.testing.assert_allclose(
        torch.inner(torch.tensor(a), torch.tensor(b)).numpy(), np.inner(a, b)
    )
    assert torch.vdot(torch.tensor([1j]), torch.tensor([1j])).item() == 1
    with pytest.raises(RuntimeError, match="last dimension"):
        torch.inner(torch.ones(2), torch.ones(3))
    assert torch.inner(torch.ones(2), torch.tensor(2)).tolist() == [2.0, 2.0]
    with pytest.raises(RuntimeError, match="same dtype"):
        torch.inner(torch.ones(2), torch.ones(2, dtype=torch.int64))


@pytest.mark.parametrize("n", [0, 3])
def test_bools_have_no_inner_product(n):
    a = torch.zeros(n, dtype=torch.bool)
    with pytest.raises(NotImplementedError, match="dot"):
        a @ a


def test_sums_with_products_by_the_names_of_their_arguments():
    m, v, b = torch.full((2, 2), 2.0), torch.ones(2), torch.ones(3, 2, 2)
    assert torch.addmm(m, mat1=m, mat2=m).tolist() == [[10, 10]] * 2
    assert v.addmv(mat=m, vec=v, beta=2).tolist() == [6, 6]
    assert m.addr(vec1=v, vec2=v, alpha=3).tolist() == [[5, 5]] * 2
    assert torch.baddbmm(m, batch1=b, batch2=b).tolist() == [[[4, 4]] * 2] * 3
    assert m.clone().addbmm_(batch1=b, batch2=b).tolist() == [[8, 8]] * 2
    assert torch.addbmm(m.byte(), b.byte(), b.byte()).dtype is torch.uint8


def test_sizes_of_batches_come_before_their_dtype():
    a = torch.ones(3, 2, 4, dtype=torch.bool)
    for b in (a, a[:2].mT, torch.ones(3, 5, 2, dtype=torch.bool)):
        with pytest.raises(RuntimeError, match=r"cannot be multiplied|must match") as raised:
            a @ b
        assert raised.type is RuntimeError
    with pytest.raises(NotImplementedError, match=r"batches of matrices of torch\.bool"):
        a @ a.mT


def test_a_chain_of_one_matrix_is_a_copy():
    x = torch.zeros(2, 2)
    torch.chain_matmul(x).fill_(1)
    assert x.sum().item() == 0


LOW = [torch.bfloat16, torch.float16]


def in_low(dtype, *shapes):
    torch.manual_seed(5)
    return [torch.randn(shape).to(dtype) for shape in shapes]


@pytest.mark.parametrize("dtype", LOW)
@pytest.mark.parametrize(
    "name, shapes",
    [
        ("addmm", [(9, 7), (9, 16), (16, 7)]),
        ("addmv", [(40,), (40, 16), (16,)]),
        ("baddbmm", [(2, 9, 7), (2, 9, 16), (2, 16, 7)]),
    ],
)
@pytest.mark.parametrize("beta, alpha", [(1, 1), (-4.75, 2.5), (0, 1.5)])
def test_sums_of_products_are_rounded_once(name, shapes, beta, alpha, dtype):
    c, a, b = in_low(dtype, *shapes)
    got = getattr(torch, name)(c, a, b, beta=beta, alpha=alpha)
    want = (beta * c.double() + alpha * (a.double() @ b.double())).to(dtype)
    off = (got.double() - want.double()).abs() > 0
    assert got.dtype is dtype and off.double().mean() < 0.02  # float32's own rounding: rarely


@pytest.mark.parametrize("dtype", LOW)
@pytest.mark.parametrize(
    "shape, rounded", [((24,), 1), ((9, 24), 1), ((3, 4, 24), 1), ((4, 3, 24), 2)]
)
def test_a_linear_layer_is_rounded_once(shape, rounded, dtype):
    """Where the rows do not lie as one matrix the product is rounded too, as in PyTorch."""
    x, w, b = in_low(dtype, shape, (32, 24), (32,))
    x = x.transpose(0, 1) if rounded == 2 else x
    product = x.double() @ w.double().t()
    want = [(product + b.double()).to(dtype), product.to(dtype) + b]
    got = torch.nn.functional.linear(x, w, b)
    off = [(got.double() - y.double()).abs().gt(0).double().mean().item() for y in want]
    assert off[rounded - 1] < 0.02 < off[2 - rounded]


@pytest.mark.parametrize("dtype", LOW)
def test_gradients_of_16_bit_products(dtype):
    x, w, b = [t.requires_grad_() for t in in_low(dtype, (6, 8), (5, 8), (5,))]
    (torch.nn.functional.linear(x, w, b).float() * torch.arange(30).reshape(6, 5)).sum().backward()
    g = torch.arange(30).reshape(6, 5).to(dtype).double()
    for t, want in ((x, g @ w.double()), (w, g.t() @ x.double()), (b, g.sum(0))):
        assert t.grad.dtype is dtype
        assert torch.allclose(t.grad.double(), want.detach(), rtol=1e-2, atol=0.5)


def test_outer_products_are_added_in_the_common_dtype():
    flags, m = torch.ones(2, dtype=torch.bool), torch.ones(2, 2)
    assert torch.addr(m.byte(), flags, flags).tolist() == [[2, 2], [2, 2]]  # not 1 | 1
    assert torch.addr(m, flags, flags).tolist() == [[2, 2], [2, 2]]


@pytest.mark.parametrize(
    ("dtype", "beta", "alpha", "match"),
    [
        (torch.float32, True, 1, "Boolean beta"),
        (torch.int64, 1, True, "Boolean alpha"),
        (torch.int64, 2.0, 1, "beta must not be a floating point"),
        (torch.bool, 1, 0.5, "alpha must not be a floating point"),
        (torch.float16, 1e6, 1, "without overflow"),
    ],
)
def test_factors_of_an_outer_product_are_of_its_kind(dtype, beta, alpha, match):
    m, v = torch.ones(2, 2, dtype=dtype), torch.ones(2, dtype=dtype)
    with pytest.raises(RuntimeError, match=match):
        torch.addr(m, v, v, beta=beta, alpha=alpha)


def test_factors_that_the_dtype_has_no_place_for():
    m = torch.ones(2, 2, dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="without overflow"):
        torch.addmm(m, m, m, beta=1e6)


def test_what_is_no_tensor_answers_itself():
    class Stranger:
        def __matmul__(self, other):
            return "left"

        def __rmatmul__(self, other):
            return "right"

    x = torch.ones(2, 2)
    assert (Stranger() @ x, x @ Stranger()) == ("left", "right")
    for wrong in (3, None, [1.0, 2.0]):
        with pytest.raises(TypeError):
            wrong @ x
        with pytest.raises(TypeError):
            x @ wrong
