"""Kernels that take their sizes as arguments: the tests of the others, and how many texts."""

import numpy as np
import pytest
from cpu import test_maps, test_product
from cpu.both import both

import facula as torch
from facula.compiler import lower
from facula.cpu.loose import LooseProduct
from facula.interpreter import program
from facula.trace.recorder import TLS, Recorder


@pytest.fixture(autouse=True)
def loose(monkeypatch):
    """Programs have loose kernels from the first on; those for given sizes are not looked at."""
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    monkeypatch.setattr(program, "FEW", 0)
    monkeypatch.setattr(lower, "_written", {})
    monkeypatch.setattr(TLS, "r", Recorder())  # no program of other tests is met again


@pytest.fixture
def built(monkeypatch):
    """The texts of the products and of the maps that are written."""
    texts = {"product": [], "map": []}
    write = lower.Lowered._write

    def spy(self, c, loose):
        assert loose
        calls = write(self, c, loose)
        texts["map" if c.core is None else "product"] += [k.text for k in calls]
        return calls

    monkeypatch.setattr(lower.Lowered, "_write", spy)
    return texts


@pytest.mark.parametrize("seed", range(60))
def test_products_of_any_shape_and_layout_are_exact_on_whole_numbers(seed):
    test_product.test_products_of_any_shape_and_layout_are_exact_on_whole_numbers(seed)


@pytest.mark.parametrize(
    "shape", [(5, 7, 3), (40, 20, 37), (64, 400, 10), (130, 50, 1), (1, 9, 45)]
)
@pytest.mark.parametrize("what", list(test_product.follow(torch.zeros(1, 1), None, None)))
def test_what_follows_a_product_is_computed_with_it(shape, what):
    test_product.test_what_follows_a_product_is_computed_with_it(shape, what)


@pytest.mark.parametrize("shape", [(64, 1000, 100), (300, 700, 90), (3, 5000, 40), (200, 40, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sums_are_accurate(shape, dtype):
    test_product.test_sums_are_accurate(shape, dtype)


@pytest.mark.parametrize("columns", [*range(1, 20), 40, 137])
def test_rows_of_all_widths(columns, rng):
    test_maps.test_rows_of_all_widths(columns, rng)


def test_one_text_is_the_product_of_many_sizes(built):
    torch.manual_seed(0)
    for m in range(9, 49):
        a, b = torch.randint(-8, 9, (m, 24)).float(), torch.randint(-8, 9, (24, 40)).float()
        want = a.numpy().astype(np.float64) @ b.numpy()
        np.testing.assert_array_equal((a @ b).numpy(), want)
    assert len(built["product"]) == 40
    assert len(set(built["product"])) == 1


def test_a_panel_that_is_too_deep_for_the_stack_has_a_kernel_of_its_size(monkeypatch):
    made = []
    build = LooseProduct.build

    def spy(self, width):
        build(self, width)
        made.append(self)

    monkeypatch.setattr(LooseProduct, "build", spy)
    torch.manual_seed(0)
    for k, how_many in ((100, 1), (10_000, 1)):
        a, b = torch.randint(-8, 9, (16, k)).float(), torch.randint(-8, 9, (33, k)).float()
        want = a.numpy().astype(np.float64) @ b.numpy().T
        np.testing.assert_array_equal((a @ b.t()).numpy(), want)
        assert len(made) == how_many


def norm(rows, columns=40):
    """A layer norm and its gradients: rows, columns, and partial results of them."""
    x = torch.randn(3, rows, columns).transpose(0, 1).requires_grad_()
    w, b = torch.randn(columns, requires_grad=True), torch.randn(columns, requires_grad=True)
    torch.synchronize()
    y = torch.nn.functional.layer_norm(x, (columns,), w, b)
    (y * y.exp()).sum().backward()
    return [y, x.grad, w.grad, b.grad]


def test_one_text_is_the_map_of_many_rows(built):
    for rows in (7, 12, 50, 400):
        before = len(set(built["map"]))
        both(lambda rows=rows: norm(rows), tolerance=1e-4)
        assert before == 0 or len(set(built["map"])) == before
    both(lambda: norm(12, 41), tolerance=1e-4)
    assert len(set(built["map"])) > before


def test_a_row_alone_has_any_length(built):
    def build(n):
        a, b = torch.randn(n), torch.randn(n)
        torch.synchronize()
        return [(a.sigmoid() * b).sum(), (a + b).tanh()]

    for n in (33, 64, 1000, 100_001):
        both(lambda n=n: build(n), tolerance=1e-4)
    assert len(set(built["map"])) <= 3  # the sum may be added up of one part


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_update_in_place_follows_its_product(dtype):
    def build():
        x, g = torch.randn(37, 21, dtype=dtype), torch.randn(37, 50, dtype=dtype)
        w, m = torch.randn(21, 50, dtype=dtype), torch.zeros(21, 50, dtype=dtype)
        torch.synchronize()
        for _ in range(3):
            m.mul_(0.9).add_(x.t() @ g)
            w -= 0.1 * m
            torch.synchronize()
        return [w, m]

    both(build, tolerance=1e-4 if dtype is torch.float32 else 1e-12)
