"""Algebra before grouping: what is left of a program, and that its values are the interpreter's."""

import pytest
from compiler.kernels import kernels

import facula as torch
from facula.interpreter import program


@pytest.mark.parametrize(
    "shape", [((5, 7), (7, 3)), ((2, 5, 7), (2, 7, 3)), ((4, 1, 6, 2), (2, 8))]
)
def test_a_product_that_is_only_read_transposed(shape, monkeypatch):
    a, b, c = torch.randn(shape[0]), torch.randn(shape[1]), torch.randn(3)[0]
    found = kernels(lambda: [(a @ b).transpose(-1, -2).tanh() * c], monkeypatch)
    assert found == [["matmul", "tanh", "mul"], ["clone"]]  # where its tensor wants it


def test_a_product_that_is_read_both_ways(monkeypatch):
    a = torch.randn(6, 6)

    def both():
        p = a @ a
        return [p + p.t()]

    found = kernels(both, monkeypatch)
    assert sum(names.count("matmul") for names in found) == 1


def test_an_update_joins_the_product_that_makes_its_gradient(monkeypatch):
    def step():
        torch.manual_seed(0)
        layer = torch.nn.Linear(20, 30)
        optimizer = torch.optim.Adam(layer.parameters())
        torch.synchronize()
        layer(torch.ones(8, 20)).tanh().sum().backward()
        optimizer.step()
        return [p.detach() for p in layer.parameters()]

    found = kernels(step, monkeypatch)
    (update,) = [names for names in found if names[0] == "matmul" and "sqrt" in names]
    assert "div" in update


def test_a_product_over_many_rows_is_made_in_two_parts(monkeypatch):
    x, y = torch.randn(1024, 48), torch.randn(1024, 40)

    def gradient():
        return [x.tanh().t() @ y.exp()]

    found = kernels(gradient, monkeypatch)
    assert found == [["tanh"], ["exp"], ["matmul"], ["add"]]
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    threads, values = torch.get_num_threads(), []
    for n in (1, 2, 3):
        torch.set_num_threads(n)
        values.append(gradient()[0].numpy())
    torch.set_num_threads(threads)
    assert (values[0] == values[1]).all() and (values[0] == values[2]).all()


def test_a_product_in_parts_whose_views_an_earlier_pass_looked_at(monkeypatch):
    attention = torch.nn.MultiheadAttention(32, 4, batch_first=True)
    x = torch.randn(32, 17, 32)

    def gradient():
        attention.zero_grad()
        h = x.tanh()
        attention(h, h, h, need_weights=False)[0].square().sum().backward()
        return [attention.in_proj_weight.grad / 16]

    kernels(gradient, monkeypatch)


@pytest.mark.parametrize(
    "made",
    [
        lambda x, y: x.t() @ y,  # what the program only reads
        lambda x, y: x.tanh()[:1023].t() @ y[:1023],  # an odd number of rows
        lambda x, y: x[:64].tanh().t() @ y[:64],  # few
        lambda x, y: x.tanh().reshape(48, 1024) @ y,  # not turned
    ],
)
def test_other_products_are_made_in_one_piece(made, monkeypatch):
    x, y = torch.randn(1024, 48), torch.randn(1024, 40)
    found = kernels(lambda: [made(x, y)], monkeypatch)
    assert not any(["add" in names for names in found])


def test_a_copy_that_only_the_program_reads_is_not_made(monkeypatch):
    x = torch.randn(6, 5)

    def assigned():
        z = x.clone()
        z[2:4] = 0.5
        return [z]

    assert kernels(assigned, monkeypatch) == [["assemble"]]
    assert kernels(lambda: [x.clone() + x.expand(6, 5).clone()], monkeypatch) == [["add"]]


def test_what_is_written_into_a_copy_and_read_again(monkeypatch):
    column = torch.randn(1, 1, 2, 1)

    def written():
        z = torch.zeros(1, 1, 2, 2)
        z[...] = column
        z[:1, 0, 1, ..., -1] -= 1.5
        return [z]

    kernels(written, monkeypatch)


def test_a_copy_that_is_seen_is_made(monkeypatch):
    x = torch.randn(6, 5)

    def both():
        z = x.clone()
        return [z, z + 1, x.clone().reshape(5, 6)]

    found = kernels(both, monkeypatch)
    assert sum([names.count("clone") for names in found]) == 2
    z, _, _ = both()
    torch.synchronize()
    z.zero_()
    assert x.abs().sum().item() > 0


@pytest.mark.parametrize("amounts", [(1, 1, 1, 1), (2, 0, 1, 3), (0, 1), (1, 2, 0, 0, 3, 1)])
def test_joins_along_several_dimensions_are_one(amounts, monkeypatch):
    x = torch.randn(2, 3, 5, 4)
    pad = torch.nn.functional.pad
    assert kernels(lambda: [pad(x, amounts, value=0.5)], monkeypatch) == [["assemble"]]


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x.flip(1),
        lambda x: (x * 2).flip(0, 1),
        lambda x: x.flip(0).t().clone().flip(1),
    ],
)
def test_a_large_result_that_is_a_view_is_copied_by_a_kernel(f, monkeypatch):
    x = torch.randn(150, 130)
    found = kernels(lambda: [f(x)], monkeypatch)
    assert found[-1][-1] == "clone"


def test_a_large_gradient_that_is_spread_or_turned(monkeypatch):
    def gradients():
        torch.manual_seed(0)
        a = torch.randn(140, 150, requires_grad=True)
        b = torch.randn(150, 140, requires_grad=True)
        torch.synchronize()
        (a.sum() + (a.t() * b).sum() + a.flip(0).exp().sum()).backward()
        return [a.grad, b.grad]

    kernels(gradients, monkeypatch)
    a = torch.ones(150, 150, requires_grad=True)
    (a.sum() * 3).backward()
    assert (a.grad == 3).all() and a.grad.is_contiguous()


def test_what_padding_cuts_off_is_copied_once(monkeypatch):
    x, g = torch.randn(2, 3, 64, 80), torch.randn(2, 3, 66, 82)

    def step():
        t = x.clone().requires_grad_()
        torch.nn.functional.pad(t, (1, 1, 1, 1)).backward(g)
        return [t.grad]

    found = kernels(step, monkeypatch)
    assert found == [["clone"]]


def test_a_copy_of_long_rows_is_left_out_where_elements_are_walked_over(monkeypatch):
    x, w = torch.randn(30, 200), torch.randn(100, 20)
    found = kernels(lambda: [x[:, :100].clone().tanh() + 1], monkeypatch)
    assert found == [["tanh", "add_s"]]
    # Not where a product reads it, whose rows are copied as it likes, nor where rows are short.
    assert ["clone"] in kernels(lambda: [x[:, :100].clone() @ w], monkeypatch)
    found = kernels(lambda: [x[:, :20].clone().tanh()], monkeypatch)
    assert found == [["clone", "tanh"]]


@pytest.mark.parametrize("rows, steps, copies", [(16, 5, 1), (16, 3, 0), (300, 5, 0), (1, 5, 0)])
def test_a_transposed_matrix_that_many_products_read_is_copied_once(
    rows, steps, copies, monkeypatch
):
    """As a recurrent network's is: where few rows of each product would not repay copying it."""
    h, w = torch.randn(rows, 24), torch.randn(24, 24) / 5

    def unrolled():
        out = h
        for _ in range(steps):
            out = (out @ w.t()).tanh()
        return [out, w.t() + 1]

    found = kernels(unrolled, monkeypatch)
    assert sum([names.count("clone") for names in found]) == copies
    assert sum([names.count("matmul") for names in found]) == steps


def test_a_matrix_that_is_shown_transposed_or_made_on_the_way(monkeypatch):
    h, w = torch.randn(9, 16), torch.randn(16, 16) / 4

    def shown():
        turned = w.t()
        return [sum([(h * k) @ turned for k in range(5)]), turned]

    def made():
        weight = w * 2
        turned = weight.t().unsqueeze(0).expand(2, 16, 16)
        out = torch.stack([h, h + 1])
        for _ in range(4):
            out = (out @ turned).tanh()
        return [out, weight]

    kernels(shown, monkeypatch)
    kernels(made, monkeypatch)


@pytest.mark.parametrize("length, name", [(20000, "sum"), (200, "matmul")])
def test_a_product_of_two_long_vectors_is_a_sum(length, name, monkeypatch):
    a, b = torch.randn(length), torch.randn(length)
    a, b = a / 100, b / 100
    torch.synchronize()
    found = kernels(lambda: [a.dot(b) * 2, a[None] @ b[:, None]], monkeypatch)
    names = [x for kernel in found for x in kernel]
    assert name in names and {"sum", "matmul"} - {name} - set(names)


@pytest.mark.parametrize("shape, name", [((300, 64), "sum"), ((5, 64), "matmul")], ids=str)
def test_products_of_many_rows_each_with_its_column_are_sums(shape, name, monkeypatch):
    a, b = torch.randn(shape), torch.randn(shape)
    torch.synchronize()
    found = kernels(lambda: [torch.einsum("bi,bi->b", a, b)], monkeypatch)
    names = [x for kernel in found for x in kernel]
    assert name in names and {"sum", "matmul"} - {name} - set(names)
