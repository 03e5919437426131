"""Rprop: trajectories, state and errors."""

from optim.stored import Value, optimiser_tests

OPTIMISER = "Rprop"
RUNS = {
    "default": {},
    "etas": {"lr": 0.1, "etas": (0.3, 1.9)},
    "step sizes": {"lr": 0.1, "step_sizes": (0.05, 0.11)},
    "maximize": {"maximize": True},
    "foreach": {"foreach": True},
    "lr a tensor": {"lr": Value(0.05, "float64")},
}
ERRORS = [
    ({"lr": -1.0}, ValueError, "Invalid learning rate: -1.0"),
    ({"lr": Value(-0.5)}, ValueError, "Invalid learning rate"),
    ({"lr": Value([0.1, 0.2])}, ValueError, "Tensor lr must be 1-element"),
    ({"etas": (1.0, 1.2)}, ValueError, "Invalid eta values: 1.0, 1.2"),
    ({"etas": (0.5, 0.9)}, ValueError, "Invalid eta values: 0.5, 0.9"),
]
test_trajectory, test_structure, test_continues_from_stored_state, test_errors = optimiser_tests(
    OPTIMISER, RUNS, ERRORS
)
