"""Muon: trajectories, state and errors."""

from optim.stored import Value, optimiser_tests

OPTIMISER = "Muon"
RUNS = {
    "default": {},
    "lr": {"lr": 0.1, "weight_decay": 0.0},
    "heavy ball": {"lr": 0.1, "nesterov": False, "momentum": 0.5},
    "iteration": {"lr": 0.1, "ns_steps": 3, "ns_coefficients": (3.4, -4.7, 2.0)},
    "rms of AdamW": {"lr": 0.1, "adjust_lr_fn": "match_rms_adamw"},
    "original": {"lr": 0.1, "adjust_lr_fn": "original"},
    "lr a tensor": {"lr": Value(0.05, "float64")},
}
ERRORS = [
    ({"lr": -1.0}, ValueError, "Learning rate should be >= 0 but is: -1.0"),
    ({"lr": Value([0.1, 0.2])}, ValueError, "Tensor lr must be 1-element"),
    ({"momentum": -1.0}, ValueError, "momentum should be >= 0 but is: -1.0"),
    ({"weight_decay": -1.0}, ValueError, "weight decay should be >= 0 but is: -1.0"),
    ({"adjust_lr_fn": "x"}, ValueError, "Adjust learning rate function x is not supported"),
]
test_trajectory, test_structure, test_continues_from_stored_state, test_errors = optimiser_tests(
    OPTIMISER,
    RUNS,
    ERRORS,
    # The update is rounded to bfloat16: where float32 sums fall near a tie, one unit differs.
    tolerance={"float32": (1e-5, 2e-5)},
)
