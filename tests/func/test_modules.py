"""Modules as functions: per-sample gradients and ensembles, against loops over modules."""

from __future__ import annotations

import pytest

import facula
from facula import nn
from facula.func import (
    debug_unwrap,
    functional_call,
    grad,
    replace_all_batch_norm_modules_,
    stack_module_state,
    vmap,
)


class Classifier(nn.Module):
    """A small convolutional network."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.norm = nn.GroupNorm(3, 3)
        self.head = nn.Linear(12, 4)

    def forward(self, x):
        x = nn.functional.max_pool2d(self.norm(self.conv(x)).relu(), 2)
        return self.head(x.flatten(1))


def loss(model, parameters, x, y):
    out = functional_call(model, parameters, (x.unsqueeze(0),))
    return nn.functional.cross_entropy(out, y.unsqueeze(0))


def test_gradients_of_each_sample(tier):
    facula.manual_seed(0)
    model = Classifier()
    x, y = facula.randn(5, 1, 6, 6), facula.tensor([0, 3, 1, 1, 2])
    parameters = {k: p.detach() for k, p in model.named_parameters()}
    each = vmap(grad(lambda p, a, b: loss(model, p, a, b)), in_dims=(None, 0, 0))(parameters, x, y)
    for k in range(5):
        model.zero_grad()
        nn.functional.cross_entropy(model(x[k : k + 1]), y[k : k + 1]).backward()
        for name, p in model.named_parameters():
            facula.testing.assert_close(each[name][k], p.grad, rtol=1e-4, atol=1e-5)


def test_an_ensemble(tier):
    facula.manual_seed(0)
    models = [Classifier() for _ in range(3)]
    parameters, buffers = stack_module_state(models)
    assert buffers == {} and all(p.is_leaf and p.requires_grad for p in parameters.values())
    base = models[0]

    def run(p, b, x):
        return functional_call(base, (p, b), (x,))

    shared, own = facula.randn(2, 1, 6, 6), facula.randn(3, 2, 1, 6, 6)
    same = vmap(run, in_dims=(0, 0, None))(parameters, buffers, shared)
    facula.testing.assert_close(same, facula.stack([m(shared) for m in models]))
    out = vmap(run)(parameters, buffers, own)
    facula.testing.assert_close(out, facula.stack([m(x) for m, x in zip(models, own)]))
    out.sum().backward()
    for k, m in enumerate(models):
        m(own[k]).sum().backward()
        for name, p in m.named_parameters():
            facula.testing.assert_close(parameters[name].grad[k], p.grad, rtol=1e-4, atol=1e-5)


def test_buffers_are_stacked_too_and_modules_must_be_alike():
    models = [nn.BatchNorm1d(3) for _ in range(2)]
    _, buffers = stack_module_state(models)
    assert buffers["running_mean"].shape == (2, 3) and not buffers["running_mean"].requires_grad
    with pytest.raises(RuntimeError, match="at least one model"):
        stack_module_state([])
    with pytest.raises(RuntimeError, match="same class"):
        stack_module_state([nn.Linear(1, 1), nn.ReLU()])
    with pytest.raises(RuntimeError, match="training/eval mode"):
        stack_module_state([nn.ReLU(), nn.ReLU().eval()])


def test_functional_call_takes_several_dictionaries():
    layer = nn.Linear(2, 1)
    one, two = {"weight": facula.ones(1, 2)}, {"bias": facula.zeros(1)}
    assert functional_call(layer, (one, two), facula.ones(2)).tolist() == [2]
    with pytest.raises(ValueError, match="appeared in multiple dictionaries"):
        functional_call(layer, (one, one), facula.ones(2))
    with pytest.raises(ValueError, match="to be a dict"):
        functional_call(layer, 3, facula.ones(2))
    with pytest.raises(ValueError, match="to be dictionaries"):
        functional_call(layer, (one, 3), facula.ones(2))


def test_batch_norm_without_statistics_can_be_batched():
    model = replace_all_batch_norm_modules_(nn.Sequential(nn.BatchNorm1d(3), nn.ReLU()))
    x = facula.randn(2, 5, 3)
    facula.testing.assert_close(vmap(model)(x), facula.stack([model(t) for t in x]))


def test_debug_unwrap():
    seen = []
    vmap(vmap(lambda t: seen.append(t) or t))(facula.ones(2, 3))
    assert seen[0].shape == () and debug_unwrap(seen[0]).shape == (2, 3)
    assert debug_unwrap(seen[0], recurse=False).shape == (3,)
