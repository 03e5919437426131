"""RMSprop: trajectories, state and errors."""

from optim.stored import Value, optimiser_tests

OPTIMISER = "RMSprop"
RUNS = {
    "default": {},
    "alpha and eps": {"alpha": 0.7, "eps": 1e-3},
    "momentum": {"momentum": 0.8},
    "centered": {"centered": True, "alpha": 0.8},
    "all": {"lr": 0.02, "momentum": 0.5, "centered": True, "weight_decay": 0.1},
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
    ({"momentum": -1.0}, ValueError, "Invalid momentum value: -1.0"),
    ({"alpha": -1.0}, ValueError, "Invalid alpha value: -1.0"),
]
test_trajectory, test_structure, test_continues_from_stored_state, test_errors = optimiser_tests(
    OPTIMISER, RUNS, ERRORS
)
