"""Cosine annealing: rates, state and errors."""

import pytest
from optim.stored import schedule_tests

import facula as torch

RESUMED = {"initial_lr": 0.3}
EPOCHS = [0, 1, 2, 5, 7, 3, 0, None, None, 11, None]
FRACTIONS = [0, 0.5, 1.25, 2, 3.7, 17, None, None, 4.5, None]
RESTARTS = "CosineAnnealingWarmRestarts"
CASES = {
    "CosineAnnealingLR": {"name": "CosineAnnealingLR", "T_max": 35},
    "CosineAnnealingLR back and forth": {
        "name": "CosineAnnealingLR",
        "T_max": 6,
        "eta_min": 0.01,
    },
    "CosineAnnealingLR by epochs": {"name": "CosineAnnealingLR", "T_max": 6, "_epochs": EPOCHS},
    "CosineAnnealingLR resumed": {
        "name": "CosineAnnealingLR",
        "T_max": 5,
        "last_epoch": 4,
        "_group": RESUMED,
    },
    "CosineAnnealingLR of a tensor": {"name": "CosineAnnealingLR", "T_max": 6, "_tensor": True},
    RESTARTS: {"name": RESTARTS, "T_0": 7},
    "restarts that get longer": {"name": RESTARTS, "T_0": 3, "T_mult": 2, "eta_min": 0.02},
    "restarts by fractions": {"name": RESTARTS, "T_0": 3, "_epochs": FRACTIONS},
    "longer restarts by fractions": {
        "name": RESTARTS,
        "T_0": 2,
        "T_mult": 2,
        "_epochs": FRACTIONS,
    },
    "restarts resumed": {"name": RESTARTS, "T_0": 5, "last_epoch": 3, "_group": RESUMED},
    "restarts of a tensor": {"name": RESTARTS, "T_0": 5, "_tensor": True},
}
test_rates, test_continues_from_stored_state = schedule_tests(CASES)


def optimizer():
    return torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"T_0": 0}, "Expected positive integer T_0, but got 0"),
        ({"T_0": 1.5}, "Expected positive integer T_0, but got 1.5"),
        ({"T_0": 2, "T_mult": 0}, "Expected integer T_mult >= 1, but got 0"),
        ({"T_0": 2, "T_mult": 1.5}, "Expected integer T_mult >= 1, but got 1.5"),
        ({"T_0": 2, "eta_min": "0"}, "Expected float or int eta_min, but got 0 of type"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer(), **options)


def test_negative_epoch():
    schedule = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer(), 2)
    with pytest.raises(ValueError, match="Expected non-negative epoch, but got -1"):
        schedule.step(-1)
