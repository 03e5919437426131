"""CyclicLR and OneCycleLR: rates and momenta, state and errors."""

import pytest
from optim.stored import schedule_tests

import facula as torch

CYCLIC = {"name": "CyclicLR", "base_lr": 0.01, "max_lr": 0.3, "step_size_up": 4}
ONE = {"name": "OneCycleLR", "max_lr": 0.5, "total_steps": 40}
ADAM = ("Adam", {"betas": (0.9, 0.99)})
RMSPROP = ("RMSprop", {"momentum": 0.5})
EPOCHS = [0, 1, 2, 5, 7, 3, 0, None, None, 11, None]
RESUMED = {
    "initial_lr": 0.3,
    "max_lr": 0.8,
    "min_lr": 0.001,
    "max_momentum": 0.7,
    "base_momentum": 0.5,
}
CASES = {
    "CyclicLR": CYCLIC,
    "CyclicLR halved": {**CYCLIC, "mode": "triangular2", "step_size_down": 3},
    "CyclicLR exponential": {**CYCLIC, "mode": "exp_range", "gamma": 0.95},
    "CyclicLR by a function": {**CYCLIC, "scale_fn": lambda x: 1 / x, "scale_mode": "cycle"},
    "CyclicLR by a function of the step": {
        **CYCLIC,
        "scale_fn": lambda x: 0.98**x,
        "scale_mode": "iterations",
    },
    "CyclicLR with lists": {
        **CYCLIC,
        "base_lr": [0.01, 0.1],
        "max_lr": [0.2, 0.4],
        "base_momentum": [0.7, 0.6],
        "max_momentum": [0.95, 0.9],
    },
    "CyclicLR with beta1": {**CYCLIC, "_optimizer": ADAM},
    "CyclicLR of RMSprop": {**CYCLIC, "_optimizer": RMSPROP},
    "CyclicLR without momentum": {**CYCLIC, "cycle_momentum": False},
    "CyclicLR by epochs": {**CYCLIC, "_epochs": EPOCHS},
    "CyclicLR resumed": {**CYCLIC, "last_epoch": 5, "_group": RESUMED},
    "CyclicLR of a tensor": {**CYCLIC, "_tensor": True},
    "OneCycleLR": ONE,
    "OneCycleLR linear": {**ONE, "anneal_strategy": "linear", "pct_start": 0.4},
    "OneCycleLR in three phases": {**ONE, "three_phase": True, "final_div_factor": 50.0},
    "OneCycleLR by epochs and steps": {
        "name": "OneCycleLR",
        "max_lr": [0.5, 0.2],
        "epochs": 4,
        "steps_per_epoch": 9,
        "div_factor": 5.0,
        "base_momentum": [0.8, 0.7],
        "max_momentum": [0.9, 0.95],
    },
    "OneCycleLR with beta1": {**ONE, "_optimizer": ADAM},
    "OneCycleLR without momentum": {**ONE, "cycle_momentum": False},
    "OneCycleLR resumed": {**ONE, "last_epoch": 3, "_group": RESUMED},
    "OneCycleLR of a tensor": {**ONE, "_tensor": True},
}
test_rates, test_continues_from_stored_state = schedule_tests(CASES)


def optimizer(name="SGD", **options):
    return getattr(torch.optim, name)(
        [{"params": [torch.nn.Parameter(torch.ones(2))]} for _ in range(2)], lr=0.1, **options
    )


class Scale:
    def __init__(self):
        self.n = 1

    def __call__(self, x):
        return 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base_lr": 0.1, "max_lr": 0.2, "mode": "x"}, "mode is invalid and scale_fn is None"),
        ({"base_lr": [0.1], "max_lr": 0.2}, "base_lr must have the same length as .* 1 values"),
        ({"base_lr": 0.1, "max_lr": [0.2] * 3}, "max_lr must have the same length as"),
        (
            {"base_lr": 0.1, "max_lr": 0.2, "base_momentum": [0.1]},
            "base_momentum must have the same length as",
        ),
        (
            {"base_lr": 0.1, "max_lr": 0.2, "max_momentum": [0.1]},
            "max_momentum must have the same length as",
        ),
    ],
)
def test_errors_of_cyclic(options, message):
    with pytest.raises(ValueError, match=message):
        torch.optim.lr_scheduler.CyclicLR(optimizer(), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "You must define either total_steps OR"),
        ({"epochs": 3}, "You must define either total_steps OR"),
        ({"total_steps": -1}, "Expected positive integer total_steps, but got -1"),
        ({"total_steps": 1.5}, "Expected positive integer total_steps, but got 1.5"),
        ({"epochs": 0, "steps_per_epoch": 3}, "Expected positive integer epochs, but got 0"),
        (
            {"epochs": 3, "steps_per_epoch": 0},
            "Expected positive integer steps_per_epoch, but got 0",
        ),
        ({"total_steps": 9, "pct_start": 1.5}, "Expected float between 0 and 1 pct_start"),
        ({"total_steps": 9, "pct_start": 1}, "Expected float between 0 and 1 pct_start"),
        ({"total_steps": 9, "anneal_strategy": "x"}, "anneal_strategy must be one of 'cos'"),
        ({"total_steps": 9, "max_lr": [0.1]}, "max_lr must have the same length as"),
        ({"total_steps": 9, "base_momentum": [0.1]}, "base_momentum must have the same length"),
    ],
)
def test_errors_of_one_cycle(options, message):
    with pytest.raises(ValueError, match=message):
        torch.optim.lr_scheduler.OneCycleLR(optimizer(), **{"max_lr": 0.1, **options})


@pytest.mark.parametrize("name", ["CyclicLR", "OneCycleLR"])
def test_needs_momentum(name):
    arguments = (0.1, 0.2) if name == "CyclicLR" else (0.1, 9)
    cls = getattr(torch.optim.lr_scheduler, name)
    with pytest.raises(ValueError, match=r"must support momentum or beta1.*Adagrad has neither"):
        cls(optimizer("Adagrad"), *arguments)
    cls(optimizer("Adagrad"), *arguments, cycle_momentum=False)


def test_too_many_steps():
    opt = optimizer(momentum=0.9)
    schedule = torch.optim.lr_scheduler.OneCycleLR(opt, 0.1, total_steps=3)
    for _ in range(3):
        opt.step()
        schedule.step()
    with pytest.raises(ValueError, match=r"Tried to step 4 times.* total steps is 3"):
        schedule.step()


def test_state_of_a_scale_object():
    first = torch.optim.lr_scheduler.CyclicLR(optimizer(), 0.1, 0.2, scale_fn=Scale())
    saved = first.state_dict()
    assert saved["_scale_fn_custom"] == {"n": 1}
    saved["_scale_fn_custom"]["n"] = 5
    assert first._scale_fn_custom.n == 1
    second = torch.optim.lr_scheduler.CyclicLR(optimizer(), 0.1, 0.2, scale_fn=Scale())
    second.load_state_dict(saved)
    assert second._scale_fn_custom.n == 5
