"""AdamW: trajectories, state and errors."""

from optim.stored import Value, optimiser_tests

OPTIMISER = "AdamW"
RUNS = {
    "default": {},
    "betas and eps": {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-3},
    "decay": {"lr": 0.02, "weight_decay": 0.1},
    "amsgrad": {"lr": 0.02, "betas": (0.5, 0.6), "amsgrad": True},
    "maximize": {"maximize": True},
    "foreach": {"foreach": True},
    "lr a tensor": {"lr": Value(0.05, "float64")},
}
ERRORS = [
    ({"lr": -1.0}, ValueError, "Invalid learning rate: -1.0"),
    ({"lr": Value(-0.5)}, ValueError, "Invalid learning rate"),
    ({"lr": Value([0.1, 0.2])}, ValueError, "Tensor lr must be 1-element"),
    (
        {"lr": Value(0.1), "foreach": True},
        ValueError,
        "lr as a Tensor is not supported for capturable=False and foreach=True",
    ),
    ({"betas": (0.9, Value(0.99))}, ValueError, "betas must be either both floats or both Tensors"),
    (
        {"betas": (Value(0.9), Value(0.99)), "foreach": True},
        ValueError,
        "as a Tensor is not supported",
    ),
    ({"betas": (1.0, 0.9)}, ValueError, "Invalid beta parameter at index 0: 1.0"),
    ({"betas": (0.9, -0.1)}, ValueError, "Invalid beta parameter at index 1: -0.1"),
    ({"eps": -1.0}, ValueError, "Invalid epsilon value: -1.0"),
    ({"weight_decay": -0.1}, ValueError, "Invalid weight_decay value: -0.1"),
    (
        {"fused": True, "differentiable": True},
        RuntimeError,
        "`fused` does not support `differentiable`",
    ),
    (
        {"fused": True, "foreach": True},
        RuntimeError,
        "`fused` and `foreach` cannot be `True` together",
    ),
]
test_trajectory, test_structure, test_continues_from_stored_state, test_errors = optimiser_tests(
    OPTIMISER, RUNS, ERRORS
)
