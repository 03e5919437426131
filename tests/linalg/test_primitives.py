"""Packed primitives and the factorisations that are written out here."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import facula as torch
from facula.linalg import primitives as pm


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5), (2, 0, 3), (2, 3, 0), (0, 3, 3)])
@pytest.mark.parametrize("pivot", [True, False])
def test_lu_multiplies_back(rng, shape, pivot):
    a = torch.tensor(rng.normal(size=shape))
    packed, pivots, info = pm.LU(a, pivot)
    low, up = pm.split_lu(packed)
    p = pm.permutation(pivots, shape[-2])
    np.testing.assert_allclose((p @ low @ up).numpy(), a.numpy(), atol=1e-9)
    assert not info.any().item()


def test_lu_pivots_by_the_largest_and_names_the_first_zero():
    _, pivots, info = pm.LU(torch.tensor([[1.0, 2.0], [3.0, 6.0]]), True)
    assert (pivots.tolist(), info.item()) == ([2, 2], 2)


def test_solving_a_singular_system_gives_infinities_and_no_error():
    a = torch.tensor([[[1.0, 1.0], [1.0, 1.0]], [[2.0, 0.0], [0.0, 4.0]]])
    x = pm.solve(a, torch.ones(2, 1))
    assert not x[0].isfinite().all().item()
    assert x[1].tolist() == [[0.5], [0.25]]


@pytest.mark.parametrize("apart", [0.0, 1e-9, 1.0])
def test_cofactors_of_matrices_singular_or_not(apart, rng):
    a = rng.normal(size=(3, 3))
    a[2] = a[0] + apart * rng.normal(size=3)
    want = np.array(
        [
            [(-1) ** (i + j) * np.linalg.det(np.delete(np.delete(a, i, 0), j, 1)) for j in range(3)]
            for i in range(3)
        ]
    )
    t = torch.tensor(a, requires_grad=True)
    torch.linalg.det(t).backward()
    np.testing.assert_allclose(t.grad.numpy(), want, atol=1e-12)


def test_the_error_has_the_name_of_pytorchs():
    error = torch.linalg.LinAlgError
    assert error.__name__ == "_LinAlgError" and issubclass(error, RuntimeError)
    copied = pickle.loads(pickle.dumps(error("singular")))
    assert type(copied) is error and copied.args == ("singular",)


@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize("name", ["eigh", "eigvalsh", "svd", "svdvals", "pinv", "matrix_rank"])
def test_what_does_not_converge_raises_a_runtime_error(name, batch):
    """Of PyTorch's type: NumPy's is a ValueError."""
    a = (torch.ones(3, 3) + torch.eye(3)).repeat(*batch, 1, 1)
    a[..., 2, 2] = float("nan")

    def read():
        made = getattr(torch.linalg, name)(a)
        return [t.tolist() for t in (made if isinstance(made, tuple) else (made,))]

    with pytest.raises(torch.linalg.LinAlgError, match="not finite"):
        read()


INCOMPLETE = [
    ((0, 0), 1), ((1, 1), 2), ((2, 2), 3), ((2, 0), 3), ((2, 1), 3), ((0, 2), 0),
]  # fmt: skip


@pytest.mark.parametrize("place, info", INCOMPLETE)
@pytest.mark.parametrize("n", [3, 250])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_no_factor_of_what_has_no_number(place, info, n, dtype):
    a = torch.eye(n, dtype=getattr(torch, dtype))
    a[place] = float("nan")
    factor, found = torch.linalg.cholesky_ex(torch.stack([a, torch.eye(n, dtype=a.dtype)]))
    assert found.tolist() == [info, 0]
    assert factor[1].equal(torch.eye(n, dtype=a.dtype))
    if info:
        with pytest.raises(torch.linalg.LinAlgError, match=f"leading minor of order {info}"):
            torch.linalg.cholesky(a)


_UNIT = [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize(
    ("name", "grad"),
    [
        ("eigh", [[1.2309698, 0.2309698], [0.2309698, 0.7690301]]),
        ("eigvalsh", _UNIT),
        ("svdvals", _UNIT),
        ("cholesky", [[0.2435920, 0.2199228], [0.2199228, 0.2672612]]),
        ("qr", [[0.6260985, -1.3416404], [-3.4882660, 0.4472136]]),
    ],
)
def test_an_operand_may_be_modified_before_the_backward_pass_and_a_result_not(name, grad):
    def computed(change):
        a = torch.tensor([[2.0, 1.0], [1.0, 4.0]], requires_grad=True)
        x = a * 1
        got = getattr(torch.linalg, name)(x)
        parts = (got,) if isinstance(got, torch.Tensor) else tuple(got)
        change(x, parts[0])
        sum([t.sum() for t in parts]).backward()
        return a.grad

    want = torch.tensor(grad)
    torch.testing.assert_close(computed(lambda x, part: None), want, atol=1e-5, rtol=0)
    torch.testing.assert_close(computed(lambda x, part: x.mul_(2)), want, atol=1e-5, rtol=0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        computed(lambda x, part: part.mul_(2))


def test_a_view_of_what_requires_a_gradient_by_now_is_an_operand():
    base, a = torch.zeros(2, 2), torch.tensor([[2.0, 1.0], [1.0, 4.0]], requires_grad=True)
    view = base[:]
    base.add_(a)
    values = torch.linalg.svdvals(view)
    view.mul_(2)
    values.sum().backward()
    torch.testing.assert_close(a.grad, torch.tensor(_UNIT), atol=1e-5, rtol=0)
