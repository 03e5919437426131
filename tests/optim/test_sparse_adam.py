"""SparseAdam: what there is of it, the checks."""

import pytest

import facula as torch


def parameter():
    return torch.nn.Parameter(torch.ones(2, 2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -1.0}, "Invalid learning rate: -1.0"),
        ({"lr": torch.ones(2)}, "Tensor lr must be 1-element"),
        ({"betas": (1.0, 0.9)}, "Invalid beta parameter at index 0: 1.0"),
        ({"betas": (0.9, 1.0)}, "Invalid beta parameter at index 1: 1.0"),
        ({"eps": -1.0}, "Invalid epsilon value: -1.0"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        torch.optim.SparseAdam([parameter()], **options)


def test_complex_parameters():
    p = torch.nn.Parameter(torch.ones(2, dtype=torch.complex64))
    with pytest.raises(ValueError, match=r"Complex params at indices \[\[0, 1\]\]"):
        torch.optim.SparseAdam([parameter(), p])


def test_dense_gradients_are_refused():
    p = parameter()
    p.grad = torch.ones(2, 2)
    with pytest.raises(RuntimeError, match=r"does not support dense gradients.* Adam instead"):
        torch.optim.SparseAdam([p]).step()
    assert p.tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_parameters_without_gradient_are_skipped():
    optimizer = torch.optim.SparseAdam([parameter()])
    assert optimizer.step(lambda: 3) == 3
    assert optimizer.state_dict() == {
        "state": {},
        "param_groups": [
            {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "maximize": False, "params": [0]}
        ],
    }
