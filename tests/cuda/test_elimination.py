"""Systems of equations, inverses and determinants on the device are those of the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import facula as torch

CASES = {
    "solve": (lambda a, b: torch.linalg.solve(a, b), (2, 5, 5), (2, 5, 3)),
    "one_for_all": (lambda a, b: torch.linalg.solve(a, b), (5, 5), (3, 5, 2)),
    "transposed": (lambda a, b: torch.linalg.solve(a.mT, b.mT), (4, 4), (3, 4)),
    "inverse": (lambda a, b: torch.linalg.inv(a) * b, (3, 4, 4), (4,)),
    "many_rows": (lambda a, b: torch.linalg.inv(a) @ b, (40, 40), (40, 2)),
    "det": (lambda a, b: torch.linalg.det(a) * b, (3, 4, 4), (3,)),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(device: Any, rng: Any, name: str) -> None:
    f, *shapes = CASES[name]
    arrays = [rng.standard_normal(s) for s in shapes]
    found = []
    for where in ("cpu", "cuda"):
        made = [torch.from_numpy(a.copy()).to(where) for a in arrays]
        if name != "det":  # whose gradient takes singular values
            made = [m.requires_grad_() for m in made]
        y = f(*made)
        if name != "det":
            y.pow(2).sum().backward()
        found.append(
            [t.detach().cpu().numpy() for t in (y, *[m.grad for m in made if name != "det"])]
        )
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, 1e-8, 1e-8)


def test_a_singular_matrix_is_refused(device: Any) -> None:
    with pytest.raises(RuntimeError, match="singular"):
        torch.linalg.inv(torch.tensor([[1.0, 2.0], [2.0, 4.0]]).to("cuda")).cpu()
    assert torch.linalg.det(torch.ones(3, 3).to("cuda")).item() == 0.0


def test_a_matrix_without_elements_has_an_inverse(device: Any) -> None:
    assert torch.linalg.inv(torch.empty(2, 0, 0).to("cuda")).cpu().shape == (2, 0, 0)
