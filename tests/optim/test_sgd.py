"""SGD: trajectories, state and errors."""

from optim.stored import Value, optimiser_tests

OPTIMISER = "SGD"
RUNS = {
    "default": {},
    "lr": {"lr": 0.1},
    "decay": {"lr": 0.1, "weight_decay": 0.1},
    "momentum": {"lr": 0.05, "momentum": 0.9},
    "dampening": {"lr": 0.05, "momentum": 0.9, "dampening": 0.3},
    "nesterov": {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    "maximize": {"lr": 0.05, "momentum": 0.5, "maximize": True, "weight_decay": 0.1},
    "foreach": {"momentum": 0.5, "foreach": True},
    "fused": {"momentum": 0.5, "fused": True},
    "lr a tensor": {"lr": Value(0.05, "float64"), "momentum": 0.5},
    "lr of shape (1,)": {"lr": Value([0.05], "float64")},
}
ERRORS = [
    ({"lr": -1.0}, ValueError, "Invalid learning rate: -1.0"),
    ({"lr": Value(-0.5)}, ValueError, "Invalid learning rate"),
    ({"lr": Value([0.1, 0.2])}, ValueError, "Tensor lr must be 1-element"),
    ({"weight_decay": -0.1}, ValueError, "Invalid weight_decay value: -0.1"),
    ({"momentum": -0.5}, ValueError, "Invalid momentum value: -0.5"),
    ({"nesterov": True}, ValueError, "Nesterov momentum requires a momentum and zero dampening"),
    ({"nesterov": True, "momentum": 0.9, "dampening": 0.1}, ValueError, "zero dampening"),
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
