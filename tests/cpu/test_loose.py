"""Products that take their sizes as arguments: the tests of the others, and how many texts."""

import numpy as np
import pytest
from cpu import test_maps, test_product
from cpu.both import both

import facula as torch
from facula.compiler import lower
from facula.cpu import loose as loose_module
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
    """The texts of the products that are written."""
    texts = []
    write = lower.Lowered._write

    def spy(self, c):
        calls = write(self, c)
        if c.core is not None and c.core.op.name == "matmul":
            texts.extend([k.text for k in calls])
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
    assert len(built) == 40
    assert len(set(built)) == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_few_rows_by_columns_in_one_piece_take_any_depth(dtype, built):
    """Lanes go along k: of a column, and of up to seven rows by a transposed matrix."""
    torch.manual_seed(0)
    for k in range(2, 70, 3):
        for m, n in ((256, 1), (3, 50), (1, 7)):
            a, b = torch.randint(-8, 9, (m, k)).to(dtype), torch.randint(-8, 9, (n, k)).to(dtype)
            c = torch.randint(-8, 9, (n,)).to(dtype)
            torch.synchronize()
            want = a.double().numpy() @ b.double().numpy().T + c.double().numpy()
            np.testing.assert_array_equal((a @ b.t() + c).double().numpy(), want)
    assert len(built) == 69
    assert len(set(built)) <= 4


def test_a_text_that_is_remembered_is_the_one_that_would_be_written(built, monkeypatch):
    """With other things after the product, numbers, layouts and stored values among them."""

    def results(m, k, n):
        torch.manual_seed(m)
        a, b = torch.randn(2, m, k), torch.randn(n, k).t()
        x, y = torch.randn(2, m, n), torch.randn(n)
        torch.synchronize()
        p = a @ b
        q = torch.relu(a[0] @ b + y) * 0.5
        return [p * x + y, p, (q - x[0]) / 3, (a @ b).pow(2), (b.t() @ a[1].t()).t() + y]

    for m, k, n in ((9, 20, 40), (10, 33, 50), (24, 64, 17), (9, 300, 64), (5, 7, 3)):
        both(lambda m=m, k=k, n=n: results(m, k, n), tolerance=1e-4)
    remembered = list(built)
    built.clear()
    monkeypatch.setattr(lower, "_written", {})
    monkeypatch.setattr(loose_module, "MAX_TEXTS", 0)  # nothing is remembered
    monkeypatch.setattr(TLS, "r", Recorder())
    for m, k, n in ((9, 20, 40), (10, 33, 50), (24, 64, 17), (9, 300, 64), (5, 7, 3)):
        monkeypatch.setattr(loose_module, "_texts", {})
        both(lambda m=m, k=k, n=n: results(m, k, n), tolerance=1e-4)
    assert set(remembered) == set(built)


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
