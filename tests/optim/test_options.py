"""The shared checks of options."""

import pytest

import facula as torch
from facula.optim import _options


@pytest.mark.parametrize("lr", [0, 0.0, 1, 1e3, torch.tensor(0.1), torch.tensor([0.1])])
def test_rates_taken(lr):
    _options.check_lr(lr)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1,), "Invalid learning rate: -1"),
        ((float("nan"),), "Invalid learning rate: nan"),
        ((torch.tensor(-1.0),), "Invalid learning rate"),
        ((torch.ones(2),), r"Tensor lr must be 1-element, but has shape \(2,\)"),
        ((torch.tensor(0.1), True, False), "lr as a Tensor is not supported"),
    ],
)
def test_rates_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        _options.check_lr(*arguments)


def test_numbers_at_least_0():
    _options.check_at_least_0(eps=0, momentum=1e-8)
    with pytest.raises(ValueError, match="Invalid epsilon value: -1"):
        _options.check_at_least_0(momentum=0, eps=-1)
    with pytest.raises(ValueError, match="Invalid momentum value: nan"):
        _options.check_at_least_0(momentum=float("nan"))


def test_betas():
    _options.check_betas((0.0, 0.999))
    with pytest.raises(ValueError, match=r"Invalid beta parameter at index 1: 1\.0"):
        _options.check_betas((0.5, 1.0))


def test_switches():
    _options.check_switches(True, False, True)
    _options.check_switches(None, True, False)
    with pytest.raises(RuntimeError, match="`fused` does not support `differentiable`"):
        _options.check_switches(None, True, True)
    with pytest.raises(RuntimeError, match="cannot be `True` together"):
        _options.check_switches(True, True, False)


def test_factors():
    assert _options.is_on(torch.tensor(0.0))  # its value is not looked at
    assert _options.is_on(0.1)
    assert not _options.is_on(0)
    assert _options.factor(0.5) == 0.5
    assert _options.factor(torch.ones(1)).shape == ()
    scalar = torch.tensor(2.0)
    assert _options.factor(scalar) is scalar
