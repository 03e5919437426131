"""Averages of weights: AveragedModel, update_bn, SWALR."""

import copy

import numpy as np
import pytest
from optim.stored import schedule_tests

import facula as torch

SWALR = {"name": "SWALR", "swa_lr": 0.05}
CASES = {
    "SWALR": SWALR,
    "SWALR linear": {**SWALR, "anneal_strategy": "linear", "anneal_epochs": 6},
    "SWALR at once": {**SWALR, "anneal_epochs": 0, "swa_lr": [0.01, 0.02]},
    "SWALR resumed": {**SWALR, "last_epoch": 4, "_group": {"initial_lr": 0.3}},
    "SWALR of a tensor": {**SWALR, "_tensor": True},
}
test_rates, test_continues_from_stored_state = schedule_tests(CASES)

swa_utils = torch.optim.swa_utils


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"anneal_strategy": "x"}, "anneal_strategy must be one of 'cos' or 'linear'"),
        ({"anneal_epochs": -1}, "anneal_epochs must be equal or greater than 0, got -1"),
        ({"anneal_epochs": 1.5}, "anneal_epochs must be equal or greater than 0, got 1.5"),
        ({"swa_lr": [0.1, 0.2]}, "swa_lr must have the same length as"),
    ],
)
def test_errors_of_swalr(options, message):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=0.1)
    with pytest.raises(ValueError, match=message):
        swa_utils.SWALR(optimizer, **{"swa_lr": 0.1, **options})


def network():
    return torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))


def train(model, averaged, steps, rng):
    """Move the weights and statistics at random; returns all weights of all steps."""
    rows = []
    for _ in range(steps):
        with torch.no_grad():
            for p in model.parameters():
                p.add_(torch.tensor(rng.normal(size=tuple(p.shape))).float())
        model(torch.tensor(rng.normal(size=(4, 2))).float())
        averaged.update_parameters(model)
        rows.append([p.detach().numpy().copy() for p in model.parameters()])
    return rows


def assert_averages(averaged, rows, average):
    for i, p in enumerate(averaged.module.parameters()):
        expected = rows[0][i]
        for n, row in enumerate(rows[1:], 1):
            expected = average(expected, row[i], n)
        np.testing.assert_allclose(p.detach().numpy(), expected, 2e-5, 1e-6)


def equal(a, p, n):
    return a + (p - a) / (n + 1)


def exponential(a, p, n):
    return 0.8 * a + 0.2 * p


@pytest.mark.parametrize(
    ("options", "average"),
    [
        ({}, equal),
        ({"avg_fn": swa_utils.get_swa_avg_fn()}, equal),
        ({"multi_avg_fn": swa_utils.get_swa_multi_avg_fn()}, equal),
        ({"avg_fn": swa_utils.get_ema_avg_fn(0.8)}, exponential),
        ({"multi_avg_fn": swa_utils.get_ema_multi_avg_fn(0.8)}, exponential),
        ({"avg_fn": lambda a, p, n: a + 2 * p + n}, lambda a, p, n: a + 2 * p + n),
    ],
)
def test_averages(options, average, rng):
    model = network()
    averaged = swa_utils.AveragedModel(model, **options)
    rows = train(model, averaged, 5, rng)
    assert averaged.n_averaged.item() == 5
    assert averaged.n_averaged.dtype == torch.int64
    assert_averages(averaged, rows, average)
    # Buffers are copied.
    assert averaged.module[1].num_batches_tracked.item() == 5
    np.testing.assert_array_equal(
        averaged.module[1].running_mean.numpy(), model[1].running_mean.numpy()
    )


def test_averages_buffers(rng):
    model = network()
    averaged = swa_utils.AveragedModel(model, use_buffers=True)
    means = []
    for _ in range(3):
        train(model, averaged, 1, rng)
        means.append(model[1].running_mean.numpy().copy())
    np.testing.assert_allclose(
        averaged.module[1].running_mean.numpy(), np.mean(means, 0), 1e-5, 1e-6
    )
    assert averaged.module[1].num_batches_tracked.item() == 1  # rounded down at every step


def test_model_is_copied_and_called(rng):
    model = network().eval()
    averaged = swa_utils.AveragedModel(model)
    x = torch.tensor(rng.normal(size=(4, 2))).float()
    expected = model(x).detach().numpy().copy()
    with torch.no_grad():
        model[0].weight.add_(1)
    np.testing.assert_array_equal(averaged(x).detach().numpy(), expected)


def test_state_resumes(rng):
    model = network()
    first = swa_utils.AveragedModel(model)
    train(model, first, 3, rng)
    second = swa_utils.AveragedModel(network())
    second.load_state_dict(first.state_dict())
    assert list(first.state_dict())[:2] == ["n_averaged", "module.0.weight"]
    third = copy.deepcopy(first)
    with torch.no_grad():
        model[0].weight.add_(1)
    for averaged in (first, second, third):
        averaged.update_parameters(model)
        assert averaged.n_averaged.item() == 4
        np.testing.assert_array_equal(
            averaged.module[0].weight.detach().numpy(), first.module[0].weight.detach().numpy()
        )


def test_one_average_only():
    with pytest.raises(AssertionError, match="Only one of avg_fn and multi_avg_fn"):
        swa_utils.AveragedModel(
            network(), avg_fn=lambda a, p, n: a, multi_avg_fn=lambda a, p, n: None
        )


@pytest.mark.parametrize("decay", [-0.1, 1.5])
def test_decay_out_of_range(decay):
    for make in (swa_utils.get_ema_avg_fn, swa_utils.get_ema_multi_avg_fn):
        with pytest.raises(ValueError, match="Invalid decay value"):
            make(decay)


def test_multi_average_gets_lists_of_one_dtype(rng):
    calls = []
    model = network()
    averaged = swa_utils.AveragedModel(
        model,
        multi_avg_fn=lambda a, p, n: calls.append((len(a), a[0].dtype, p[0].dtype, n.item())),
        use_buffers=True,
    )
    train(model, averaged, 2, rng)
    assert calls == [
        (6, torch.float32, torch.float32, 1),
        (1, torch.int64, torch.int64, 1),
    ]


def test_updating_repeats_one_trace(rng):
    from facula.trace.recorder import TLS

    model = network()
    averaged = swa_utils.AveragedModel(model, multi_avg_fn=swa_utils.get_ema_multi_avg_fn())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.tensor(rng.normal(size=(4, 2))).float()
    sizes = []
    for _ in range(10):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
        frame = TLS.r.frame
        averaged.update_parameters(model)
        assert TLS.r.frame == frame  # nothing was computed
        sizes.append(TLS.r.size)
    assert len(set(sizes[4:])) == 1


def test_update_bn(rng):
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3, momentum=0.3))
    model.eval()
    batches = [torch.tensor(rng.normal(size=(5, 2))).float() for _ in range(3)]
    with torch.no_grad():
        hidden = [model[0](x).numpy() for x in batches]
    for loader in (batches, [(x, None) for x in batches], [[x] for x in batches]):
        model[1].running_mean.fill_(7.0)
        swa_utils.update_bn(loader, model)
        np.testing.assert_allclose(
            model[1].running_mean.numpy(), np.mean([h.mean(0) for h in hidden], 0), 1e-5, 1e-6
        )
        np.testing.assert_allclose(
            model[1].running_var.numpy(), np.mean([h.var(0, ddof=1) for h in hidden], 0), 1e-5
        )
        assert model[1].num_batches_tracked.item() == 3
        assert model[1].momentum == 0.3
        assert not model.training


def test_update_bn_without_such_layers():
    class Untouched:
        def __iter__(self):
            raise AssertionError("nothing to compute")

    swa_utils.update_bn(Untouched(), torch.nn.Linear(2, 2))


def test_unknown_name():
    with pytest.raises(AttributeError, match=r"torch\.optim\.swa_utils\.x is not in Facula"):
        swa_utils.x
