"""Schedules by factors: rates, state and errors."""

import pytest
from optim.stored import schedule_tests

import facula as torch


class Decay:
    """A callable object, whose attributes are state."""

    def __init__(self, rate):
        self.rate = rate
        self.calls = 0

    def __call__(self, epoch):
        self.calls += 1
        return self.rate**epoch


RESUMED = {"initial_lr": 0.3}
EPOCHS = [0, 1, 2, 5, 7, 3, 0, None, None, 11, None]
CASES = {
    "LambdaLR": {"name": "LambdaLR", "lr_lambda": lambda e: 0.95**e},
    "LambdaLR of two": {"name": "LambdaLR", "lr_lambda": [lambda e: 1 / (1 + e), lambda e: 0.5]},
    "LambdaLR by epochs": {"name": "LambdaLR", "lr_lambda": lambda e: 0.9**e, "_epochs": EPOCHS},
    "LambdaLR resumed": {
        "name": "LambdaLR",
        "lr_lambda": lambda e: 0.9**e,
        "last_epoch": 4,
        "_group": RESUMED,
    },
    "LambdaLR of a tensor": {"name": "LambdaLR", "lr_lambda": lambda e: 0.9**e, "_tensor": True},
    "MultiplicativeLR": {"name": "MultiplicativeLR", "lr_lambda": lambda e: 1 - 1 / (e + 3)},
    "MultiplicativeLR resumed": {
        "name": "MultiplicativeLR",
        "lr_lambda": lambda e: 0.99**e,
        "last_epoch": 3,
        "_group": RESUMED,
    },
    "StepLR": {"name": "StepLR", "step_size": 4},
    "StepLR by epochs": {"name": "StepLR", "step_size": 3, "gamma": 0.5, "_epochs": EPOCHS},
    "StepLR resumed": {"name": "StepLR", "step_size": 3, "last_epoch": 5, "_group": RESUMED},
    "StepLR of a tensor": {"name": "StepLR", "step_size": 3, "gamma": 0.5, "_tensor": True},
    "MultiStepLR": {"name": "MultiStepLR", "milestones": [5, 2, 2, 30], "gamma": 0.3},
    "MultiStepLR by epochs": {"name": "MultiStepLR", "milestones": [2, 2, 5], "_epochs": EPOCHS},
    "MultiStepLR resumed": {
        "name": "MultiStepLR",
        "milestones": [2, 4, 6],
        "last_epoch": 3,
        "_group": RESUMED,
    },
    "ConstantLR": {"name": "ConstantLR"},
    "ConstantLR by epochs": {"name": "ConstantLR", "factor": 0.2, "_epochs": EPOCHS},
    "ConstantLR resumed": {"name": "ConstantLR", "last_epoch": 4, "_group": RESUMED},
    "LinearLR": {"name": "LinearLR", "total_iters": 9},
    "LinearLR down": {
        "name": "LinearLR",
        "start_factor": 1.0,
        "end_factor": 0.1,
        "total_iters": 20,
    },
    "LinearLR by epochs": {"name": "LinearLR", "_epochs": EPOCHS},
    "LinearLR resumed": {"name": "LinearLR", "last_epoch": 1, "_group": RESUMED},
    "ExponentialLR": {"name": "ExponentialLR", "gamma": 0.9},
    "ExponentialLR by epochs": {"name": "ExponentialLR", "gamma": 0.9, "_epochs": EPOCHS},
    "ExponentialLR resumed": {
        "name": "ExponentialLR",
        "gamma": 0.9,
        "last_epoch": 4,
        "_group": RESUMED,
    },
    "ExponentialLR of a tensor": {"name": "ExponentialLR", "gamma": 0.9, "_tensor": True},
    "PolynomialLR": {"name": "PolynomialLR", "total_iters": 20, "power": 1.7},
    "PolynomialLR by epochs": {"name": "PolynomialLR", "_epochs": EPOCHS},
    "PolynomialLR resumed": {"name": "PolynomialLR", "last_epoch": 2, "_group": RESUMED},
}
test_rates, test_continues_from_stored_state = schedule_tests(CASES)


def optimizer(groups=2):
    return torch.optim.SGD(
        [{"params": [torch.nn.Parameter(torch.ones(2))]} for _ in range(groups)], lr=0.1
    )


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("LambdaLR", {"lr_lambda": [abs]}, "Expected 2 lr_lambdas, but got 1"),
        ("MultiplicativeLR", {"lr_lambda": [abs] * 3}, "Expected 2 lr_lambdas, but got 3"),
        ("ConstantLR", {"factor": 1.5}, "factor expected to be between 0 and 1.*1.5"),
        ("ConstantLR", {"factor": -1}, "factor expected to be between 0 and 1"),
        ("LinearLR", {"start_factor": 0}, "Starting multiplicative factor expected"),
        ("LinearLR", {"start_factor": 1.1}, "Starting multiplicative factor expected"),
        ("LinearLR", {"end_factor": -0.1}, "Ending multiplicative factor expected"),
        ("LinearLR", {"end_factor": 1.2}, "Ending multiplicative factor expected"),
    ],
)
def test_errors(name, options, message):
    with pytest.raises(ValueError, match=message):
        getattr(torch.optim.lr_scheduler, name)(optimizer(), **options)


@pytest.mark.parametrize("name", ["LambdaLR", "MultiplicativeLR"])
def test_objects_are_saved_and_functions_are_not(name):
    cls = getattr(torch.optim.lr_scheduler, name)
    opt = optimizer()
    first = cls(opt, [Decay(0.5), lambda e: 0.5])
    opt.step()
    first.step()
    saved = first.state_dict()
    calls = first.lr_lambdas[0].calls
    assert saved["lr_lambdas"] == [{"rate": 0.5, "calls": calls}, None]
    second = cls(optimizer(), [Decay(0.1), lambda e: 0.7])
    second.load_state_dict(saved)
    assert second.last_epoch == 1
    assert vars(second.lr_lambdas[0]) == {"rate": 0.5, "calls": calls}
    assert second.lr_lambdas[1](0) == 0.7
    assert "lr_lambdas" in saved  # loading leaves the dict as it was
