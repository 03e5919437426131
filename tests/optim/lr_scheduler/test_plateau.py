"""ReduceLROnPlateau: rates, state and errors."""

import pytest
from optim.stored import schedule_tests

import facula as torch

NAME = "ReduceLROnPlateau"
FALLING = [1.0, 0.9, 0.9, 0.91, 0.9, 0.8, 0.85, 0.83, 0.8, 0.81, 0.799, 0.8, 0.8, 0.8, 0.79]
NEGATIVE = [-1.0, -1.2, -1.2005, -1.1, -1.3, -1.3, -1.2, -1.3001]
CASES = {
    "plateau": {"name": NAME, "patience": 2, "_metrics": FALLING},
    "plateau with a threshold": {
        "name": NAME,
        "patience": 1,
        "factor": 0.5,
        "threshold": 0.05,
        "_metrics": FALLING,
    },
    "plateau with an absolute threshold": {
        "name": NAME,
        "patience": 1,
        "factor": 0.5,
        "threshold": 0.02,
        "threshold_mode": "abs",
        "_metrics": FALLING,
    },
    "plateau of a maximum": {
        "name": NAME,
        "mode": "max",
        "patience": 2,
        "factor": 0.3,
        "_metrics": [-x for x in FALLING],
    },
    "plateau of an absolute maximum": {
        "name": NAME,
        "mode": "max",
        "threshold_mode": "abs",
        "threshold": 0.1,
        "patience": 2,
        "factor": 0.3,
        "_metrics": FALLING[::-1],
    },
    "plateau below zero": {"name": NAME, "patience": 1, "factor": 0.7, "_metrics": NEGATIVE},
    "plateau with a cooldown": {
        "name": NAME,
        "patience": 0,
        "cooldown": 4,
        "factor": 0.5,
        "_metrics": [1.0],
    },
    "plateau with least rates": {
        "name": NAME,
        "patience": 1,
        "min_lr": [0.1, 0.001],
        "_metrics": [1.0],
    },
    "plateau with eps": {"name": NAME, "patience": 1, "eps": 0.01, "_metrics": [1.0]},
    "plateau without numbers": {"name": NAME, "patience": 1, "_metrics": [float("nan"), 1.0]},
}
test_rates, test_continues_from_stored_state = schedule_tests(CASES)


def optimizer():
    return torch.optim.SGD(
        [{"params": [torch.nn.Parameter(torch.ones(2))]} for _ in range(2)], lr=0.1
    )


def make(**options):
    return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer(), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factor": 1.0}, "Factor should be < 1.0"),
        ({"mode": "x"}, "mode x is unknown!"),
        ({"threshold_mode": "x"}, "threshold mode x is unknown!"),
        ({"min_lr": [0.1]}, "expected 2 min_lrs, got 1"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_needs_an_optimizer():
    with pytest.raises(TypeError, match="int is not an Optimizer"):
        torch.optim.lr_scheduler.ReduceLROnPlateau(3)


def test_takes_a_tensor_and_changes_a_tensor():
    opt = torch.optim.Adam([torch.nn.Parameter(torch.ones(2))], lr=torch.tensor(0.5))
    rate = opt.param_groups[0]["lr"]
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(opt, patience=0, factor=0.5)
    schedule.step(torch.tensor(1.0))
    schedule.step(torch.tensor(1.0))
    assert opt.param_groups[0]["lr"] is rate
    assert rate.item() == 0.25
    assert schedule.get_last_lr()[0].item() == 0.25


def test_a_new_group():
    for schedule in (make(patience=0, min_lr=0.02), make(patience=0, min_lr=[0.1, 0.2])):
        group = {"params": [torch.nn.Parameter(torch.ones(1))], "lr": 0.1}
        schedule.optimizer.add_param_group(group)
        schedule.step(1.0)
        if schedule.default_min_lr is None:
            with pytest.raises(RuntimeError, match=r"param groups .*\(3\) differs .*\(2\)"):
                schedule.step(1.0)
        else:
            schedule.step(1.0)
            assert schedule.min_lrs == [0.02] * 3
            assert schedule.get_last_lr() == [0.02] * 3


def test_epochs_are_deprecated():
    schedule = make()
    with pytest.warns(UserWarning, match="The epoch parameter in `scheduler.step\\(\\)` was not"):
        schedule.step(1.0, epoch=7)
    assert schedule.last_epoch == 7


def test_reset():
    schedule = make(mode="max")
    schedule.step(3.0)
    schedule.step(2.0)
    assert (schedule.best, schedule.num_bad_epochs) == (3.0, 1)
    schedule._reset()
    assert (schedule.best, schedule.num_bad_epochs) == (-float("inf"), 0)
