"""Adagrad: trajectories, state and errors."""

from optim.stored import Value, optimiser_tests

OPTIMISER = "Adagrad"
RUNS = {
    "default": {},
    "lr decay": {"lr": 0.1, "lr_decay": 0.2},
    "start": {"lr": 0.1, "initial_accumulator_value": 0.5, "eps": 1e-3},
    "decay": {"lr": 0.1, "weight_decay": 0.2},
    "fused": {"fused": True},
    "maximize": {"maximize": True},
    "foreach": {"foreach": True},
    "lr a tensor": {"lr": Value(0.05, "float64")},
}
ERRORS = [
    ({"lr": -1.0}, ValueError, "Invalid learning rate: -1.0"),
    ({"lr": Value(-0.5)}, ValueError, "Invalid learning rate"),
    ({"lr": Value([0.1, 0.2])}, ValueError, "Tensor lr must be 1-element"),
    ({"eps": -1.0}, ValueError, "Invalid epsilon value: -1.0"),
    ({"weight_decay": -0.1}, ValueError, "Invalid weight_decay value: -0.1"),
    ({"lr_decay": -1.0}, ValueError, "Invalid lr_decay value: -1.0"),
    (
        {"initial_accumulator_value": -1.0},
        ValueError,
        "Invalid initial_accumulator_value value: -1.0",
    ),
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
