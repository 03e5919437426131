"""ChainedScheduler and SequentialLR: rates, state and errors."""

import pytest
from optim.stored import schedule_tests

import facula as torch

CONSTANT = {"name": "ConstantLR", "total_iters": 2}
EXPONENTIAL = {"name": "ExponentialLR", "gamma": 0.9}
RESTARTS = {"name": "CosineAnnealingWarmRestarts", "T_0": 3}
STEP = {"name": "StepLR", "step_size": 2}


def chained(*parts):
    return {"name": "ChainedScheduler", "schedulers": list(parts)}


def sequential(*parts, at, **options):
    return {"name": "SequentialLR", "schedulers": list(parts), "milestones": at, **options}


CASES = {
    "chained": chained(STEP, EXPONENTIAL),
    "chained of one": chained(CONSTANT),
    "chained of chained": chained(chained(CONSTANT, EXPONENTIAL), EXPONENTIAL),
    "chained with sequential": chained(
        sequential(CONSTANT, EXPONENTIAL, at=[3]),
        EXPONENTIAL,
    ),
    "sequential": sequential(
        {"name": "LinearLR", "start_factor": 0.1, "total_iters": 5}, EXPONENTIAL, at=[5]
    ),
    "sequential of three": sequential(
        CONSTANT, {"name": "CosineAnnealingLR", "T_max": 8}, STEP, at=[3, 12]
    ),
    "sequential to restarts": sequential(CONSTANT, RESTARTS, at=[4]),
    "sequential from restarts": sequential(RESTARTS, CONSTANT, at=[4]),
    "sequential to one cycle": sequential(
        EXPONENTIAL, {"name": "OneCycleLR", "max_lr": 0.5, "total_steps": 50}, at=[3]
    ),
    "sequential from one cycle": sequential(
        {"name": "OneCycleLR", "max_lr": 0.5, "total_steps": 50}, EXPONENTIAL, at=[13]
    ),
    "sequential to cycles": sequential(
        EXPONENTIAL,
        {"name": "CyclicLR", "base_lr": 0.01, "max_lr": 0.5, "step_size_up": 3},
        at=[3],
    ),
    "sequential to lambdas": sequential(
        EXPONENTIAL, {"name": "LambdaLR", "lr_lambda": lambda e: 0.9**e}, at=[6]
    ),
    "sequential to factors": sequential(
        EXPONENTIAL, {"name": "MultiplicativeLR", "lr_lambda": lambda e: 0.5}, at=[6]
    ),
    "sequential to SWALR": sequential(EXPONENTIAL, {"name": "SWALR", "swa_lr": 0.05}, at=[6]),
    "sequential from sequential": sequential(
        sequential(CONSTANT, EXPONENTIAL, at=[2]), RESTARTS, at=[4], _warns=True
    ),
    "sequential from chained": sequential(
        chained(CONSTANT, EXPONENTIAL), RESTARTS, at=[4], _warns=True
    ),
    "sequential with a doubled milestone": sequential(EXPONENTIAL, STEP, CONSTANT, at=[3, 3]),
    "sequential from the second": sequential(EXPONENTIAL, STEP, at=[0]),
    "sequential resumed": sequential(EXPONENTIAL, STEP, at=[5], last_epoch=2),
    "sequential of a tensor": sequential(CONSTANT, EXPONENTIAL, at=[4], _tensor=True),
}
test_rates, test_continues_from_stored_state = schedule_tests(CASES)


def optimizer():
    return torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=0.1)


def steps(opt, n):
    return [torch.optim.lr_scheduler.StepLR(opt, 2) for _ in range(n)]


def test_chained_needs_schedules_of_one_optimizer():
    cls = torch.optim.lr_scheduler.ChainedScheduler
    with pytest.raises(ValueError, match="expects at least one scheduler to be chained"):
        cls([])
    with pytest.raises(ValueError, match="same optimizer, but got scheduler StepLR at index 1"):
        cls([*steps(optimizer(), 1), *steps(optimizer(), 1)])
    with pytest.raises(ValueError, match="same optimizer, but got scheduler StepLR at index 0"):
        cls(steps(optimizer(), 2), optimizer=optimizer())
    opt = optimizer()
    with pytest.raises(ValueError, match=r"does not support `ReduceLROnPlateau`.*index 1"):
        cls([*steps(opt, 1), torch.optim.lr_scheduler.ReduceLROnPlateau(opt)])
    with pytest.raises(TypeError, match="at index 1 should have `optimizer`"):
        cls([*steps(opt, 1), object()])


def test_sequential_needs_schedules_of_one_optimizer():
    cls = torch.optim.lr_scheduler.SequentialLR
    opt = optimizer()
    with pytest.raises(ValueError, match="SequentialLR expects at least one scheduler"):
        cls(opt, [], [])
    with pytest.raises(ValueError, match=r"one more than the number of milestone points.* 2 .* 2"):
        cls(opt, steps(opt, 2), [1, 2])
    with pytest.raises(ValueError, match="same optimizer, but got scheduler StepLR at index 0"):
        cls(opt, steps(optimizer(), 2), [1])
    with pytest.raises(TypeError, match="at index 0 should have `optimizer` as its attribute"):
        cls(opt, [object()], [])
    with pytest.raises(ValueError, match=r"does not support `ReduceLROnPlateau`.*index 1"):
        cls(opt, [*steps(opt, 1), torch.optim.lr_scheduler.ReduceLROnPlateau(opt)], [3])


@pytest.mark.parametrize("kind", ["ChainedScheduler", "SequentialLR"])
def test_composed_schedules_can_not_follow(kind):
    # PyTorch has no rates at step 0 for them either.
    opt = optimizer()
    if kind == "ChainedScheduler":
        second = torch.optim.lr_scheduler.ChainedScheduler(steps(opt, 2))
    else:
        second = torch.optim.lr_scheduler.SequentialLR(opt, steps(opt, 2), [3])
    schedule = torch.optim.lr_scheduler.SequentialLR(opt, [*steps(opt, 1), second], [1])
    opt.step()
    with pytest.raises(NotImplementedError, match=f"{kind} has no get_lr"):
        schedule.step()
