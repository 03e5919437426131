"""Running an optimiser on other parameters."""

import copy

import pytest

import facula as torch
from facula.optim import swap_in_optimizer_params_and_state as swap


def stepped():
    """An optimiser that has made a step, its parameter, and a copy of its state."""
    p = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([p], lr=0.1)
    p.grad = torch.ones(2)
    optimizer.step()
    return optimizer, p, copy.deepcopy(optimizer.state_dict())


def test_swap():
    optimizer, p, saved = stepped()
    saved["param_groups"][0]["lr"] = 0.5
    before = p.tolist()
    other = torch.nn.Parameter(torch.zeros(2))
    with swap(optimizer, {"any name": other}, saved):
        assert optimizer.param_groups[0]["params"] == [other]
        other.grad = torch.ones(2)
        optimizer.step()
        assert optimizer.param_groups[0]["lr"] == 0.5
    assert optimizer.param_groups[0]["params"][0] is p
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert p.tolist() == before
    assert optimizer.state[p]["step"].item() == 1
    assert saved["state"][0]["step"].item() == 2  # the tensors were written to in place
    assert other.tolist() == pytest.approx([-0.5, -0.5], rel=1e-5)


def test_restores_after_an_error():
    optimizer, p, saved = stepped()
    with (
        pytest.raises(ZeroDivisionError),
        swap(optimizer, {"q": torch.nn.Parameter(torch.zeros(2))}, saved),
    ):
        raise ZeroDivisionError
    assert optimizer.param_groups[0]["params"][0] is p


def test_errors():
    fresh = torch.optim.Adam([torch.nn.Parameter(torch.ones(2))])
    optimizer, p, saved = stepped()
    cases = [
        (fresh, {"p": p}, fresh.state_dict(), "requires initialized optimizer state"),
        (optimizer, {}, saved, "0 parameters for group 0, expected 1"),
        (optimizer, {"p": p}, {**saved, "param_groups": []}, "different number of param.* groups"),
        (optimizer, {"p": p}, {}, "to be a dict mapping .* got NoneType"),
    ]
    for opt, params, state, message in cases:
        with pytest.raises(RuntimeError, match=message), swap(opt, params, state):
            pass
