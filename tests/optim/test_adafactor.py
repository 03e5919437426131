"""Adafactor: trajectories, state and errors."""

from optim.stored import Value, optimiser_tests

OPTIMISER = "Adafactor"
RUNS = {
    "default": {},
    "clipped": {"lr": 0.5, "d": 1.2, "eps": (1e-3, 0.1)},
    "decay": {"lr": 0.05, "weight_decay": 0.2},
    "beta2": {"beta2_decay": -0.3},
    "maximize": {"maximize": True},
    "foreach": {"foreach": True},
    "lr a tensor": {"lr": Value(0.05, "float64")},
}
ERRORS = [
    ({"lr": -1.0}, ValueError, "Learning rate should be >= 0 but is: -1.0"),
    ({"lr": Value([0.1, 0.2])}, ValueError, "Tensor lr must be 1-element"),
    ({"beta2_decay": 0.1}, ValueError, "beta2_decay should be <= 0 but is: 0.1"),
    ({"eps": (-1.0, 1.0)}, ValueError, "epsilon1 should be >= 0 but is: -1.0"),
    ({"eps": (None, -1.0)}, ValueError, "epsilon2 should be >= 0 but is: -1.0"),
    ({"d": 0.5}, ValueError, "Clipping threshold d should be >= 1 but is: 0.5"),
    ({"weight_decay": -1.0}, ValueError, "weight_decay should be >= 0 but is: -1.0"),
]
test_trajectory, test_structure, test_continues_from_stored_state, test_errors = optimiser_tests(
    OPTIMISER, RUNS, ERRORS
)
