"""Adadelta: trajectories, state and errors."""

from optim.stored import Value, optimiser_tests

OPTIMISER = "Adadelta"
RUNS = {
    "default": {},
    "rho": {"lr": 0.5, "rho": 0.6, "eps": 1e-3},
    "decay": {"weight_decay": 0.2},
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
    ({"rho": 1.5}, ValueError, "Invalid rho value: 1.5"),
]
test_trajectory, test_structure, test_continues_from_stored_state, test_errors = optimiser_tests(
    OPTIMISER, RUNS, ERRORS
)
