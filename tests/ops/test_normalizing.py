"""Normalisations with their statistics."""

from __future__ import annotations

import numpy as np
import pytest

import facula as torch


def test_layer_norm_statistics(rng):
    a = rng.normal(size=(3, 4))
    out, mean, inverse = torch.native_layer_norm(torch.tensor(a), (4,), None, None, 1e-5)
    np.testing.assert_allclose(mean.numpy()[:, 0], a.mean(1))
    np.testing.assert_allclose(inverse.numpy()[:, 0], 1 / np.sqrt(a.var(1) + 1e-5))
    np.testing.assert_allclose(out.numpy().std(1), 1, rtol=1e-3)
    with pytest.raises(RuntimeError, match="normalized_shape"):
        torch.native_layer_norm(torch.tensor(a), (3,), None, None, 1e-5)


def test_batch_norm_updates_its_running_statistics():
    x = torch.tensor([[1.0], [3.0]])
    mean, var = torch.zeros(1), torch.ones(1)
    out, saved, _ = torch.native_batch_norm(x, None, None, mean, var, True, 0.5, 0.0)
    assert out.tolist() == [[-1], [1]] and saved.tolist() == [2]
    assert (mean.tolist(), var.tolist()) == ([1], [1.5])


def test_group_norm_statistics(rng):
    a = rng.normal(size=(2, 4, 3))
    _, mean, _ = torch.native_group_norm(torch.tensor(a), None, None, 2, 4, 3, 2, 1e-5)
    np.testing.assert_allclose(mean.numpy(), a.reshape(2, 2, 6).mean(2))


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_the_gradient_of_no_elements_has_a_history(name):
    x = torch.zeros(2, 0, requires_grad=True)
    y = getattr(torch, name)(x, 1)
    (g,) = torch.autograd.grad(y, x, torch.zeros(2, 0), create_graph=True)
    assert g.requires_grad


@pytest.mark.parametrize("momentum", [0.0, 0.1])
def test_statistics_of_channels(momentum):
    mean, var = torch.zeros(3), torch.ones(3)
    made = torch.batch_norm_update_stats(torch.arange(12.0).view(2, 3, 2), mean, var, momentum)
    assert made[0].tolist() == [3.5, 5.5, 7.5] and made[1].tolist() == [9.25] * 3
    want = torch.tensor([3.5, 5.5, 7.5]) * momentum, 1 + momentum * (9.25 * 4 / 3 - 1)
    assert torch.allclose(mean, want[0]) and torch.allclose(var, torch.full((3,), want[1]))
    with pytest.raises(NotImplementedError, match="not implemented for"):
        torch.batch_norm_update_stats(torch.ones(2, 3, dtype=torch.int64), None, None, 0.1)
    with pytest.raises(IndexError, match="no channels"):
        torch.batch_norm_update_stats(torch.ones(2), None, None, 0.1)


def test_statistics_have_no_history():
    x = torch.ones(2, 3, requires_grad=True)
    layer = torch.native_layer_norm(x, (3,), None, None, 1e-5)
    batch = torch.native_batch_norm(x, None, None, None, None, True, 0.1, 1e-5)
    for made in (layer, batch):
        assert [t.requires_grad for t in made] == [True, False, False]
