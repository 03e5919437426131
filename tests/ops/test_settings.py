"""Settings of operations: what they are is looked at before anything is done."""

from __future__ import annotations

import pytest

import facula as torch

F = torch.nn.functional
X = torch.ones(3)
CALLS = {
    "alpha": lambda t: torch.add(X, X, alpha=t),
    "value": lambda t: torch.addcmul(X, X, X, value=t),
    "fill_value": lambda t: torch.full((2,), t),
    "beta": lambda t: torch.addmm(torch.eye(2), torch.eye(2), torch.eye(2), beta=t),
    "negative_slope": lambda t: F.leaky_relu(X, t),
    "p": lambda t: F.dropout(X, t),
    "threshold": lambda t: F.threshold(X, t, 1),
    "std": lambda t: X.clone().normal_(0, t),
}


@pytest.mark.parametrize("argument", CALLS)
def test_a_tensor_for_a_number_may_not_require_grad(argument):
    """Its gradient would be lost."""
    t = torch.tensor(0.5, requires_grad=True)
    with pytest.raises(TypeError, match=f"argument '{argument}' must be a number"):
        CALLS[argument](t)
    assert isinstance(CALLS[argument](t.detach()), torch.Tensor)
