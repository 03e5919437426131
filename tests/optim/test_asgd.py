"""ASGD: trajectories, state and errors."""

from optim.stored import Value, optimiser_tests

OPTIMISER = "ASGD"
RUNS = {
    "default": {},
    "average": {"lr": 0.1, "lambd": 0.02, "alpha": 0.6, "t0": 2},
    "decay": {"lr": 0.1, "t0": 0, "weight_decay": 0.2},
    "maximize": {"maximize": True},
    "lr a tensor": {"lr": Value(0.05, "float64")},
}
ERRORS = [
    ({"lr": -1.0}, ValueError, "Invalid learning rate: -1.0"),
    ({"lr": Value(-0.5)}, ValueError, "Invalid learning rate"),
    ({"lr": Value([0.1, 0.2])}, ValueError, "Tensor lr must be 1-element"),
    ({"weight_decay": -0.1}, ValueError, "Invalid weight_decay value: -0.1"),
]
test_trajectory, test_structure, test_continues_from_stored_state, test_errors = optimiser_tests(
    OPTIMISER, RUNS, ERRORS
)
