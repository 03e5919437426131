"""LRScheduler: the order of steps, subclasses, and the state all schedules share."""

import copy
import pickle
import warnings

import pytest

import facula as torch

lr_scheduler = torch.optim.lr_scheduler


def optimizer(lr=0.1):
    return torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=lr)


class Halving(lr_scheduler.LRScheduler):
    """A schedule of a user, with a formula."""

    def get_lr(self):
        if not self._get_lr_called_within_step:
            raise AssertionError("called by step() only")
        return [group["lr"] * 0.5 for group in self.optimizer.param_groups]

    def _get_closed_form_lr(self):
        return [base * 0.5 ** (1 + self.last_epoch) for base in self.base_lrs]


def test_subclass():
    opt = optimizer(0.8)
    schedule = Halving(opt)
    assert opt.param_groups[0]["lr"] == 0.4
    assert schedule.base_lrs == [0.8]
    opt.step()
    schedule.step()
    assert schedule.get_last_lr() == [0.2]
    with pytest.warns(UserWarning, match="The epoch parameter"):
        schedule.step(4)
    assert schedule.get_last_lr() == [0.8 / 32]
    assert (schedule.last_epoch, schedule._step_count) == (4, 3)


def test_subclass_must_have_rates():
    with pytest.raises(NotImplementedError, match="LRScheduler has no get_lr"):
        lr_scheduler.LRScheduler(optimizer())


def test_old_name():
    assert issubclass(lr_scheduler._LRScheduler, lr_scheduler.LRScheduler)
    assert not isinstance(lr_scheduler.StepLR(optimizer(), 2), lr_scheduler._LRScheduler)


def test_unknown_name():
    with pytest.raises(AttributeError, match=r"lr_scheduler\.NoSuchLR is not in Facula"):
        lr_scheduler.NoSuchLR


@pytest.mark.parametrize("name", ["StepLR", "CyclicLR", "OneCycleLR", "CosineAnnealingLR"])
def test_needs_an_optimizer(name):
    with pytest.raises(TypeError, match="str is not an Optimizer"):
        getattr(lr_scheduler, name)("x", 2, 3)


def test_resuming_needs_initial_rates():
    with pytest.raises(KeyError, match=r"'initial_lr' is not specified in param_groups\[0\]"):
        lr_scheduler.StepLR(optimizer(), 2, last_epoch=3)


def test_warns_before_the_first_step_of_the_optimizer():
    schedule = lr_scheduler.StepLR(optimizer(), 2)
    with pytest.warns(UserWarning, match=r"Detected call of `lr_scheduler.step\(\)` before"):
        schedule.step()
    schedule.step()  # once is enough


def test_no_warning_for_a_second_schedule():
    opt = optimizer()
    opt.step()
    lr_scheduler.StepLR(opt, 2).step()


def test_warns_when_step_was_replaced():
    opt = optimizer()
    schedule = lr_scheduler.StepLR(opt, 2)
    opt.step = lambda: None
    with pytest.warns(UserWarning, match=r"`optimizer.step\(\)` has been overridden"):
        schedule.step()


def test_step_of_a_users_optimizer_is_seen():
    class Mine(torch.optim.Optimizer):
        def step(self, closure=None):
            return None

    opt = Mine([torch.nn.Parameter(torch.ones(2))], {"lr": 0.1})
    schedule = lr_scheduler.StepLR(opt, 1)
    opt.step()
    schedule.step()
    assert schedule.get_last_lr() == [pytest.approx(0.01)]


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("LambdaLR", (lambda e: 1.0,), 0.1),
        ("StepLR", (3,), 0.1),
        ("ExponentialLR", (0.5,), 0.05),
        ("CosineAnnealingWarmRestarts", (3,), 0.1),
    ],
)
def test_get_lr_warns_outside_of_step(name, arguments, expected):
    schedule = getattr(lr_scheduler, name)(optimizer(), *arguments)
    with pytest.warns(UserWarning, match=r"please use `get_last_lr\(\)`") as caught:
        assert schedule.get_lr() == [pytest.approx(expected)]
    assert caught[0].filename == __file__


def test_tensor_rates_keep_their_identity():
    rate = torch.tensor(0.5)
    opt = torch.optim.Adam([torch.nn.Parameter(torch.ones(2))], lr=rate)
    schedule = lr_scheduler.ExponentialLR(opt, 0.5)
    opt.step()
    schedule.step()
    assert opt.param_groups[0]["lr"] is rate
    assert rate.item() == 0.25
    last = schedule.get_last_lr()[0]
    schedule.step()
    assert last.item() == 0.25  # what was returned does not change
    assert opt.param_groups[0]["initial_lr"].item() == 0.5
    assert schedule.base_lrs[0].item() == 0.5


def test_state_has_no_optimizer():
    schedule = lr_scheduler.StepLR(optimizer(), 2)
    assert list(schedule.state_dict()) == [
        "step_size",
        "gamma",
        "base_lrs",
        "last_epoch",
        "_step_count",
        "_is_initial",
        "_get_lr_called_within_step",
        "_last_lr",
    ]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies(copied):
    opt = optimizer(0.8)
    schedule = lr_scheduler.ExponentialLR(opt, 0.5)
    opt.step()
    schedule.step()
    other = copied(schedule)
    assert other.optimizer is not opt
    other.step()
    assert other.optimizer.param_groups[0]["lr"] == pytest.approx(0.2)
    assert opt.param_groups[0]["lr"] == pytest.approx(0.4)


def test_several_schedules_act_on_one_rate():
    opt = optimizer(0.8)
    first = lr_scheduler.ExponentialLR(opt, 0.5)
    second = lr_scheduler.StepLR(opt, 1, gamma=0.5)
    opt.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first.step()
        second.step()
    assert opt.param_groups[0]["lr"] == pytest.approx(0.2)


def test_the_warning_of_an_epoch_has_a_name():
    scheduler = lr_scheduler.StepLR(optimizer(), 2)
    with pytest.warns(UserWarning) as seen:
        scheduler.step(1)
    assert lr_scheduler.EPOCH_DEPRECATION_WARNING in [str(w.message) for w in seen]
