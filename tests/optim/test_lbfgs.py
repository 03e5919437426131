"""LBFGS: iterates, state and errors."""

import importlib

import numpy as np
import pytest
from optim import stored

import facula as torch

# Options, function, calls of step(), dtype.
MINIMA = {
    "plain": ({"lr": 0.5, "max_iter": 4}, "quartic", 4, "float64"),
    "plain in float32": ({"lr": 0.5, "max_iter": 4}, "quartic", 2, "float32"),
    "short history": ({"lr": 0.3, "max_iter": 7, "history_size": 2}, "quartic", 3, "float64"),
    "search": ({"line_search_fn": "strong_wolfe"}, "rosenbrock", 2, "float64"),
    "search with long steps": (
        {"lr": 30.0, "line_search_fn": "strong_wolfe", "max_iter": 6},
        "quartic",
        2,
        "float64",
    ),
    "search with short steps": (
        {"lr": 1e-3, "line_search_fn": "strong_wolfe", "max_iter": 4},
        "quartic",
        2,
        "float64",
    ),
    "few evaluations": ({"lr": 0.2, "max_iter": 20, "max_eval": 5}, "quartic", 2, "float64"),
    "loose tolerance": ({"lr": 0.5, "tolerance_grad": 0.5}, "quartic", 3, "float64"),
    "large least change": ({"lr": 0.5, "tolerance_change": 0.1}, "quartic", 3, "float64"),
}


def minimise(torch, options, function, calls, dtype):
    """Parameters, loss and counts after every call of step()."""
    start = [np.linspace(-1.5, 1.0, 6).reshape(2, 3), np.array([0.7, -0.2])]
    params = [torch.nn.Parameter(stored.as_tensor(torch, x, dtype)) for x in start]
    optimizer = torch.optim.LBFGS(params, **options)

    def closure():
        optimizer.zero_grad()
        x = torch.cat([p.reshape(-1) for p in params])
        if function == "rosenbrock":
            loss = (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()
        else:
            scale = stored.as_tensor(torch, np.linspace(0.5, 4.0, 8), dtype)
            loss = (scale * (x - 0.3) ** 2).sum() + (x**4).sum() + x[0] * x[-1]
        loss.backward()
        return loss

    rows = []
    for _ in range(calls):
        loss = float(optimizer.step(closure))
        state = optimizer.state[params[0]]
        values = np.concatenate([stored.as_array(p, torch).reshape(-1) for p in params])
        rows.append([*map(float, values), loss, state["n_iter"], state["func_evals"]])
    return rows


@pytest.mark.parametrize("label", MINIMA)
def test_iterates(label):
    case = MINIMA[label]
    got = minimise(importlib.import_module("facula"), *case)
    tolerance = (1e-10, 1e-12) if case[3] == "float64" else (1e-5, 1e-6)
    if case[1] == "rosenbrock":
        tolerance = (1e-7, 1e-9)  # twenty iterations in a bent valley amplify the last bits
    np.testing.assert_allclose(got, stored.plain()["minima"][label], *tolerance)


def quadratic(p, optimizer):
    def closure():
        optimizer.zero_grad()
        loss = ((p - 1) ** 2 * torch.tensor([1.0, 5.0])).sum()
        loss.backward()
        return loss

    return closure


def test_state_resumes():
    def make():
        p = torch.nn.Parameter(torch.zeros(2))
        return p, torch.optim.LBFGS([p], lr=0.2, max_iter=2)

    p, first = make()
    first.step(quadratic(p, first))
    q, second = make()
    with torch.no_grad():
        q.copy_(p)
    second.load_state_dict(first.state_dict())
    first.step(quadratic(p, first))
    second.step(quadratic(q, second))
    assert q.tolist() == p.tolist()
    assert p.tolist() != [0.0, 0.0]


def test_state_of_pytorch_is_taken():
    # There, products are 0-d tensors, and `al` is memory of the two-loop recursion.
    p = torch.nn.Parameter(torch.zeros(2))
    q = torch.nn.Parameter(torch.zeros(2))
    first, second = [torch.optim.LBFGS([x], lr=0.2, max_iter=2) for x in (p, q)]
    first.step(quadratic(p, first))
    saved = first.state_dict()
    entry = dict(saved["state"][0])
    entry["ro"] = [torch.tensor(r) for r in entry["ro"]]
    entry["H_diag"] = torch.tensor(entry["H_diag"])
    entry["al"] = [None] * 100
    with torch.no_grad():
        q.copy_(p)
    second.load_state_dict({"state": {0: entry}, "param_groups": saved["param_groups"]})
    first.step(quadratic(p, first))
    second.step(quadratic(q, second))
    np.testing.assert_allclose(q.tolist(), p.tolist(), 1e-6)


def test_parameters_without_gradient_stay():
    p = torch.nn.Parameter(torch.zeros(2))
    unused = torch.nn.Parameter(torch.full((3,), 7.0))
    optimizer = torch.optim.LBFGS([unused, p], lr=0.5)
    optimizer.step(quadratic(p, optimizer))
    assert unused.tolist() == [7.0] * 3
    np.testing.assert_allclose(p.tolist(), [1.0, 1.0], 1e-2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -1.0}, "Invalid learning rate: -1.0"),
        ({"lr": torch.ones(2)}, "Tensor lr must be 1-element"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        torch.optim.LBFGS([torch.nn.Parameter(torch.ones(2))], **options)


def test_one_group_only():
    groups = [{"params": [torch.nn.Parameter(torch.ones(2))]} for _ in range(2)]
    with pytest.raises(ValueError, match="LBFGS doesn't support per-parameter options"):
        torch.optim.LBFGS(groups)


def test_other_line_search():
    p = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.LBFGS([p], line_search_fn="armijo")
    with pytest.raises(RuntimeError, match="only 'strong_wolfe' is supported"):
        optimizer.step(quadratic(p, optimizer))


def test_line_search_where_slopes_are_constant():
    """The cubic through two points has no bend there: PyTorch divides tensors by zero."""
    p = torch.tensor([-1.2, 1.0, 0.5, 2.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([p], line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = p.abs().sum()
        loss.backward()
        return loss

    losses = [float(optimizer.step(closure)) for _ in range(8)]
    assert losses[0] == 4.7 and losses[-1] < 0.1


def test_gradients_of_zero_that_are_no_reason_to_stop():
    """A tolerance below 0 goes on from a gradient of zeros: PyTorch divides tensors by zero."""
    p = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.LBFGS([p], 0.01, tolerance_grad=-float("inf"))
    assert optimizer.step(lambda: torch.tensor([10])).tolist() == [10]
    assert p.tolist() == [1, 1]
