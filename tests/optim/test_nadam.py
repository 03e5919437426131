"""NAdam: trajectories, state and errors."""

import pytest
from optim.stored import Value, optimiser_tests

import facula as torch

OPTIMISER = "NAdam"
RUNS = {
    "default": {},
    "betas and eps": {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-3},
    "decay": {"lr": 0.02, "weight_decay": 0.1},
    "momentum decay": {"lr": 0.02, "momentum_decay": 0.3},
    "decoupled": {"weight_decay": 0.1, "decoupled_weight_decay": True},
    "maximize": {"maximize": True},
    "foreach": {"foreach": True},
    "lr a tensor": {"lr": Value(0.05, "float64")},
}
ERRORS = [
    ({"lr": -1.0}, ValueError, "Invalid learning rate: -1.0"),
    ({"lr": Value(-0.5)}, ValueError, "Invalid learning rate"),
    ({"lr": Value([0.1, 0.2])}, ValueError, "Tensor lr must be 1-element"),
    ({"betas": (1.0, 0.9)}, ValueError, "Invalid beta parameter at index 0: 1.0"),
    ({"betas": (0.9, -0.1)}, ValueError, "Invalid beta parameter at index 1: -0.1"),
    ({"eps": -1.0}, ValueError, "Invalid epsilon value: -1.0"),
    ({"weight_decay": -0.1}, ValueError, "Invalid weight_decay value: -0.1"),
    ({"momentum_decay": -1.0}, ValueError, "Invalid momentum_decay value: -1.0"),
]
test_trajectory, test_structure, test_continues_from_stored_state, test_errors = optimiser_tests(
    OPTIMISER, RUNS, ERRORS
)


def test_differentiable_in_the_product_of_momenta():
    """The step's derivative with respect to `mu_product`, against differences."""

    def after(product):
        p = torch.tensor([0.3, -0.2], dtype=torch.float64, requires_grad=True).clone()
        p.grad = torch.tensor([0.5, 1.5], dtype=torch.float64)
        optimizer = torch.optim.NAdam([p], lr=0.1, differentiable=True)
        optimizer.state[p].update(
            step=torch.tensor(10.0),
            mu_product=product.clone(),
            exp_avg=torch.tensor([0.1, 0.4], dtype=torch.float64),
            exp_avg_sq=torch.tensor([0.6, 0.2], dtype=torch.float64),
        )
        optimizer.step()
        return p.sum()

    product = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    (derivative,) = torch.autograd.grad(after(product), product)
    h = 1e-6
    difference = (after(product + h).item() - after(product - h).item()) / (2 * h)
    assert derivative.item() == pytest.approx(difference, rel=1e-6)
