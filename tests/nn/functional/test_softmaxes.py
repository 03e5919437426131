"""Softmax and its kin. Expected values are PyTorch's."""

from __future__ import annotations

import pytest

import facula as torch
from facula.nn import functional as F


@pytest.mark.parametrize("name", ["softmax", "softmin", "log_softmax"])
@pytest.mark.parametrize(("rank", "dim"), [(0, 0), (1, 0), (2, 1), (3, 0), (4, 1)])
def test_the_dimension_that_is_not_given(name, rank, dim):
    f = getattr(F, name)
    x = torch.arange(float(2**rank)).reshape([2] * rank)
    with pytest.warns(UserWarning, match=f"Implicit dimension choice for {name} has been") as told:
        found = f(x)
    assert told[0].filename == __file__
    assert torch.equal(found, f(x, dim))


def test_samples_and_the_gradient_of_hard_ones():
    torch.manual_seed(0)
    x = torch.tensor([[1.0, 2.0, 3.0], [0.0, -1.0, 4.0]], requires_grad=True)
    soft = [[0.0005441947, 0.0326934978, 0.9667623043], [0.0001279977, 0.0001037856, 0.9997681975]]
    torch.testing.assert_close(F.gumbel_softmax(x, tau=0.5).detach(), torch.tensor(soft))
    hard = F.gumbel_softmax(x, hard=True, dim=0)
    assert hard.tolist() == [[1, 1, 0], [0, 0, 1]]
    (hard * torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])).sum().backward()
    slope = [0.4341312945, 0.0998560488, 0.2105649561]
    torch.testing.assert_close(x.grad, torch.tensor([[-g for g in slope], slope]))


def test_eps_has_no_effect():
    with pytest.warns(UserWarning, match="`eps` parameter is deprecated"):
        F.gumbel_softmax(torch.ones(2), eps=1e-3)
