"""Copies that exchange dimensions, against NumPy's."""

import numpy as np
import pytest

import facula as torch
from facula.compiler.timing import Timeline
from facula.cpu.turning import exchanged
from facula.interpreter import program


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)


CASES = [
    # shape, permutation
    *(((r, c), (1, 0)) for r, c in ((8, 8), (15, 31), (16, 200), (17, 16), (100, 33))),
    *(((3, 16, 5, 12), (0, 2, 3, 1)), ((2, 9, 24), (2, 0, 1)), ((2, 9, 24), (0, 2, 1))),
    *(
        ((4, 17, 3, 40), (0, 3, 2, 1)),
        ((4, 10, 3, 40), (3, 2, 1, 0)),
        ((1, 300, 1, 70), (3, 2, 1, 0)),
    ),
]


@pytest.mark.parametrize(
    ("shape", "order", "dtype"),
    [
        *((*case, "float32") for case in CASES),
        *(
            (*CASES[k], t)
            for k in (1, 2, 4, 7)
            for t in ("float64", "int32", "int64", "int16", "uint8", "bool")
        ),
    ],
)
def test_permuted_copies(shape, order, dtype, rng):
    a = rng.integers(-100, 100, shape).astype(dtype)
    t = torch.tensor(a)
    want = a.transpose(order)
    got = t.permute(order).contiguous()
    assert got.is_contiguous()
    np.testing.assert_array_equal(got.numpy(), want)
    np.testing.assert_array_equal(t.permute(order).reshape(-1).numpy(), want.reshape(-1))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_permuted_copies_of_short_floats(dtype, rng):
    t = torch.tensor(rng.standard_normal((33, 50)).astype(np.float32)).to(dtype)
    want = t.float().numpy().T
    np.testing.assert_array_equal(t.t().contiguous().float().numpy(), want)


def test_parts_and_turned_parts(rng):
    a = rng.standard_normal((50, 70, 20)).astype(np.float32)
    t = torch.tensor(a)
    np.testing.assert_array_equal(
        t[3:40, 1:, 2:19].permute(2, 1, 0).contiguous().numpy(), a[3:40, 1:, 2:19].T
    )
    np.testing.assert_array_equal(t[:, ::2, 5].t().contiguous().numpy(), a[:, ::2, 5].T)
    np.testing.assert_array_equal(t[0].t().contiguous().add(1).numpy(), a[0].T + 1)


def test_computed_values_and_gradients(rng):
    a = rng.standard_normal((33, 47)).astype(np.float32)
    t = torch.tensor(a, requires_grad=True)
    y = (t * 2).t().contiguous()
    (y * y).sum().backward()
    np.testing.assert_allclose(y.detach().numpy(), 2 * a.T)
    np.testing.assert_allclose(t.grad.numpy(), 8 * a, 1e-6)


def test_which_copies_are_done_by_squares():
    assert exchanged((100, 100), (1, 100))
    assert exchanged((4, 64, 16), (1024, 1, 64))
    assert not exchanged((100, 100), (100, 1))
    assert not exchanged((4, 8, 64, 16), (8192, 16, 128, 1))  # rows stay whole
    assert not exchanged((100, 3), (1, 100))
    assert not exchanged((100, 100), (0, 0))


def test_results_do_not_depend_on_threads():
    from facula.cpu.runtime import get_num_threads, set_num_threads

    before = get_num_threads()
    x = torch.randn(300, 500)
    try:
        for n in (1, 2):
            set_num_threads(n)
            with Timeline() as timeline:
                y = x.t().contiguous()
                torch.synchronize()
            assert timeline.events[0].kernel.units > 1
            np.testing.assert_array_equal(y.numpy(), x.numpy().T)
    finally:
        set_num_threads(before)
