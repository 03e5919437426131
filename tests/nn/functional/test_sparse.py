"""Embeddings: gradients of maxima."""

import pytest

import facula as torch
import facula.nn.functional as F


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("offsets", [[0, 2, 2], [0, 3]], ids=str)
def test_the_first_of_equal_maxima_gets_the_gradient(dtype, offsets):
    weight = torch.ones(4, 3, dtype=dtype, requires_grad=True)
    input = torch.tensor([2, 1, 3, 0])
    F.embedding_bag(input, weight, torch.tensor(offsets), mode="max").sum().backward()
    first = {2, 3} if offsets[1] == 2 else {2, 0}
    assert weight.grad.tolist() == [[float(i in first)] * 3 for i in range(4)]


def test_in_a_table_of_bags_too():
    weight = torch.ones(4, 3, requires_grad=True)
    F.embedding_bag(torch.tensor([[2, 1], [3, 0]]), weight, mode="max").sum().backward()
    assert weight.grad[:, 0].tolist() == [0, 0, 1, 1]


def test_a_row_that_never_learns_is_one_of_the_table():
    rows, index = torch.rand(3, 2), torch.tensor([[0, 1]])
    for wrong in (3, -4):
        with pytest.raises(RuntimeError, match="within the number of embeddings, -3 through 2"):
            F.embedding_bag(index, rows, padding_idx=wrong)
        with pytest.raises(AssertionError, match="within num_embeddings"):
            F.embedding(index, rows, padding_idx=wrong)


def test_the_order_of_old_programs_is_warned_of():
    weight, input = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[0, 1], [1, 1]])
    with pytest.warns(UserWarning, match="Argument order of nn.functional.embedding_bag was"):
        found = F.embedding_bag(weight, input, mode="sum")
    assert found.tolist() == [[4.0, 6.0], [6.0, 8.0]]
