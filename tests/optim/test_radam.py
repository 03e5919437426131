"""RAdam: trajectories, state and errors."""

from optim.stored import Value, optimiser_tests

OPTIMISER = "RAdam"
RUNS = {
    "default": {},
    "betas and eps": {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-3},
    "decay": {"lr": 0.02, "weight_decay": 0.1},
    "never rectified": {"lr": 0.02, "betas": (0.9, 0.5)},
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
]
test_trajectory, test_structure, test_continues_from_stored_state, test_errors = optimiser_tests(
    OPTIMISER, RUNS, ERRORS
)
