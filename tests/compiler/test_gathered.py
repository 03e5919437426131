"""Products of picked rows: how many are left, and that the values are the interpreter's."""

import numpy as np
import pytest
from compiler.kernels import kernels

import facula as torch
from facula import nn

ROWS, WIDTH, COLUMNS = 12, 80, 48


def made(dtype=torch.float64, columns=COLUMNS):
    """A table, indices that leave out two of its rows, and a matrix."""
    torch.manual_seed(0)
    table = (torch.randn(ROWS, WIDTH, dtype=dtype) / 16).requires_grad_()
    index = torch.randint(0, ROWS - 2, (7, 10))
    matrix = (torch.randn(columns, WIDTH, dtype=dtype) / 16).requires_grad_()
    return table, index, matrix


def gradients(table, index, matrix):
    """Those of a linear layer after an embedding, and its result."""
    y = nn.functional.linear(nn.functional.embedding(index, table), matrix)
    return [y.detach(), *torch.autograd.grad(y.sin().sum(), [table, matrix])]


def names(found):
    """The operations of all kernels, in order."""
    return [n for kernel in found for n in kernel]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_linear_layer_of_an_embedding(dtype, monkeypatch):
    given = made(dtype)
    found = names(kernels(lambda: gradients(*given), monkeypatch))
    assert found.count("matmul") == 3
    # The rows of the product are picked; what is given back is added up once, and the rows named.
    assert found.count("index") == 1
    assert found.count("index_put_accumulate") == 2


def test_products_have_as_few_rows_as_the_table(monkeypatch):
    from facula.compiler import lower

    shapes = []
    init = lower.Lowered.__init__

    def spy(self, *args):
        init(self, *args)
        shapes.extend(
            [
                (*n.shape, n.inputs[0].shape[-1])
                for c, _ in self.steps
                for n in c.nodes
                if n.op.name == "matmul"
            ]
        )

    monkeypatch.setattr(lower.Lowered, "__init__", spy)
    given = made(columns=56)
    kernels(lambda: gradients(*given), monkeypatch)
    want = {(ROWS, 56, WIDTH), (ROWS, WIDTH, 56), (56, WIDTH, ROWS)}
    assert set(shapes) == want


@pytest.mark.usefixtures("tier")
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_rows_that_no_index_names_take_no_part(bad):
    table, index, matrix = made()
    with torch.no_grad():
        table[ROWS - 1, 3] = bad
    for part in gradients(table, index, matrix):
        assert np.isfinite(part.numpy()).all()
    with torch.no_grad():
        matrix[0, 0] = bad
    of_table = gradients(table, index, matrix)[1].numpy()
    assert np.isnan(of_table[: ROWS - 2, 0]).all()
    assert (of_table[ROWS - 2 :] == 0).all()


def test_what_else_reads_the_rows_finds_them(monkeypatch):
    table, index, matrix = made()

    def results():
        rows = nn.functional.embedding(index, table)
        y = rows @ matrix.t()
        more = torch.autograd.grad(y.cos().sum() + rows.sin().sum(), [table, matrix])
        return [rows.detach(), y.detach(), *more]

    kernels(results, monkeypatch)


def test_two_matrices_of_the_same_rows(monkeypatch):
    table, index, matrix = made()
    other = torch.randn(COLUMNS, WIDTH, dtype=torch.float64)

    def results():
        rows = table.detach()[index]
        return [rows @ matrix.detach().t(), (rows @ other.t()).exp()]

    found = names(kernels(results, monkeypatch))
    assert found.count("index") == 2


def test_a_table_with_many_rows_is_picked_from_first(monkeypatch):
    table, index, matrix = made()
    few = index[:2]
    found = names(kernels(lambda: gradients(table, few, matrix), monkeypatch))
    assert found[0] == "index"
    assert found.count("index_put_accumulate") == 1


@pytest.mark.parametrize("make", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize("two", [False, True])
def test_a_recurrent_network_after_an_embedding(make, two, monkeypatch):
    torch.manual_seed(0)
    table, index, _ = made()
    net = make(WIDTH, 16, bidirectional=two, dtype=torch.float64)

    def results():
        y, _ = net(nn.functional.embedding(index, table))
        return torch.autograd.grad(y.sin().sum(), [table, *net.parameters()])

    kernels(results, monkeypatch)


def test_gradients_that_are_added_to_others(monkeypatch):
    table, index, matrix = made()

    def results():
        table.grad = torch.ones_like(table)
        y = nn.functional.linear(nn.functional.embedding(index, table), matrix.detach())
        y.cos().sum().backward()
        return [table.grad]

    kernels(results, monkeypatch)


@pytest.mark.usefixtures("tier")
def test_an_index_out_of_range():
    """One that the program computes is checked where the rows of the product are picked."""
    table, index, matrix = made()
    with pytest.raises(IndexError):
        (table.detach()[index + 5] @ matrix.detach().t()).numpy()
