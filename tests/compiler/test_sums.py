"""Sums of many terms: what is left of a program, and that its values are the interpreter's."""

import pytest
from compiler.kernels import kernels

import facula as torch
from facula.compiler.sums import Sums
from facula.ops import recurrence

STEPS = 6


def count(found, name):
    """How many entries of this name the kernels compute."""
    return sum([names.count(name) for names in found])


@pytest.mark.parametrize("make", [torch.nn.RNN, torch.nn.LSTM, torch.nn.GRU])
def test_the_gradients_of_an_unrolled_network_are_one_product_each(make, monkeypatch):
    monkeypatch.setattr(recurrence, "MOST", 0)  # an LSTM step by step too
    torch.manual_seed(0)
    net = make(40, 48, dtype=torch.float64)
    x = torch.randn(STEPS, 8, 40, dtype=torch.float64)

    def gradients():
        return torch.autograd.grad(net(x)[0].sin().sum(), list(net.parameters()))

    found = kernels(gradients, monkeypatch)
    # For each step one product forward and one back; for each weight one more, and the inputs'.
    assert count(found, "matmul") == STEPS + (STEPS - 1) + 3
    assert count(found, "sum") <= 2


@pytest.mark.parametrize("lengths", [(3, 3, 3, 3, 3), (1, 4, 2, 8, 5, 7)])
def test_products_of_several_lengths(lengths, monkeypatch):
    x = torch.randn(sum(lengths), 24, dtype=torch.float64)
    y = torch.randn(sum(lengths), 20, dtype=torch.float64)

    def total():
        pieces = zip(x.tanh().split(lengths), y.split(lengths), strict=True)
        products = [a.t() @ b for a, b in pieces]
        return [sum(products[1:], products[0]) * 2]

    assert count(kernels(total, monkeypatch), "matmul") == 1


def test_terms_of_other_kinds_stay_terms(monkeypatch):
    parts = [torch.randn(3, 16, dtype=torch.float64) for _ in range(5)]
    other = torch.randn(16, 16, dtype=torch.float64)

    def total():
        out = other.exp()
        for a in parts:
            out = out + a.t() @ a.cos()
        return [out, out.t() + 1]

    assert count(kernels(total, monkeypatch), "matmul") == 1


def test_a_term_that_is_seen_by_others_is_computed(monkeypatch):
    parts = [torch.randn(3, 16, dtype=torch.float64) for _ in range(5)]

    def total():
        products = [a.t() @ a for a in parts]
        between = products[0] + products[1]
        return [between, between + products[2] + products[3] + products[4], products[4]]

    assert count(kernels(total, monkeypatch), "matmul") == 5


def test_products_over_much_are_not_copied_together(monkeypatch):
    parts = [torch.randn(60, 16, dtype=torch.float64) for _ in range(5)]

    def total():
        products = [a.t() @ a for a in parts]
        return [sum(products[1:], products[0])]

    assert count(kernels(total, monkeypatch), "matmul") == 5


def test_a_sum_that_comes_before_the_whole(monkeypatch):
    """The whole is made of what is there by then, or of something that follows from the sum."""
    x = torch.randn(4, 5, 32, dtype=torch.float64)

    @torch.no_grad()
    def steps(last):
        rows = [x[k].sin() for k in range(4)]
        total = rows[0].sum(0)
        for r in rows[1:]:
            total = total + r.sum(0)
        if last:
            rows.append(rows[0] * total)
        return [total, torch.stack(rows).cos()]

    assert count(kernels(lambda: steps(False), monkeypatch), "sum") == 1
    assert count(kernels(lambda: steps(True), monkeypatch), "sum") == 4


def test_a_long_sum_is_taken_apart_once(monkeypatch):
    """Not again from each of its partial sums, which have no more terms than the whole."""
    met = []

    def terms(self, top):
        found = taken_apart(self, top)
        met.append(len(found[0]))
        return found

    taken_apart = Sums._terms
    monkeypatch.setattr(Sums, "_terms", terms)
    parts = [torch.randn(2, dtype=torch.float64) for _ in range(40)]
    kernels(lambda: [sum(parts[1:], parts[0] * 2)], monkeypatch)
    assert max(met) == len(parts)
    assert sum(met) <= 2 * met.count(len(parts)) * len(parts)
