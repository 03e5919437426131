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
