"""vmap, against PyTorch's: where batches are, what is drawn, what is written, what is refused."""

from __future__ import annotations

import pytest
from evaluated import Stored

import facula
from facula import func
from facula.func import grad, vmap

STORED = Stored("func", func)


@STORED.cases("vmap")
def test_results_and_errors_are_those_of_pytorch(text, expected):
    STORED.check(text, expected)


@STORED.cases("random")
def test_random_numbers_are_those_of_pytorch(text, expected):
    STORED.check(text, expected)


@pytest.mark.parametrize(
    ("f", "named"),
    [
        (lambda t: t.item(), r"calling \.item\(\)"),
        (lambda t: t.tolist(), r"calling \.tolist\(\)"),
        (lambda t: t.numpy(), r"calling \.numpy\(\)"),
        (lambda t: 1 if t else 2, "data-dependent control flow"),
        (lambda t: t.reshape(1).nonzero(), "Attempted to vmap over nonzero"),
        (lambda t: facula.unique(t), "Attempted to vmap over unique"),
        (lambda t: facula.bincount(t.long().reshape(1)), "Attempted to vmap over bincount"),
        (lambda t: facula.zeros(()).add_(t), "`self` not being vmapped over"),
        (lambda t: facula.rand(2), "randomness error mode"),
    ],
)
def test_what_cannot_be_batched_is_named(f, named):
    with pytest.raises(RuntimeError, match=named):
        vmap(f)(facula.tensor([1.0, 3.0]))


def test_a_failure_leaves_no_level_behind():
    with pytest.raises(ZeroDivisionError):
        vmap(lambda t: 1 / 0)(facula.ones(2))
    assert facula.rand(2).shape == (2,)  # no level whose randomness is an error
    assert vmap(lambda t: t + 1)(facula.ones(2)).tolist() == [2, 2]


def test_gradients_reach_what_is_mapped_and_what_is_not():
    x = facula.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    w = facula.tensor([0.5, -1.0], requires_grad=True)
    vmap(lambda t: (t * w).sum() ** 2)(x).sum().backward()
    assert x.grad.tolist() == [[-1.5, 3.0], [-2.5, 5.0]]
    assert w.grad.tolist() == [-18.0, -26.0]


def test_a_result_that_is_the_argument_is_a_view_of_it():
    x = facula.ones(2, 3)
    out = vmap(lambda t: t)(x)
    out.add_(1)
    assert x.tolist() == [[2, 2, 2], [2, 2, 2]]


def test_a_compiled_loop_of_batches(tier):
    w = facula.tensor([0.5, -1.0, 2.0])
    x = facula.arange(12.0).reshape(4, 3)
    for _ in range(4):
        slopes = vmap(grad(lambda w, t: (w * t).sum().sin()), in_dims=(None, 0))(w, x)
        w = w - 0.1 * slopes.mean(0)
    expected = facula.tensor([0.5, -1.0, 2.0])
    for _ in range(4):
        rows = [t * (expected * t).sum().cos() for t in x]
        expected = expected - 0.1 * facula.stack(rows).mean(0)
    facula.testing.assert_close(w, expected)


def test_modules_under_vmap():
    facula.manual_seed(0)
    x = facula.randn(3, 5, 4)
    attention = facula.nn.MultiheadAttention(4, 2, batch_first=True).eval()
    recurrent = facula.nn.LSTM(4, 3)
    for f in (lambda t: attention(t, t, t)[0], lambda t: recurrent(t)[0]):
        facula.testing.assert_close(vmap(f)(x), facula.stack([f(t) for t in x]))


def test_running_statistics_are_refused_by_name():
    with pytest.raises(RuntimeError, match="running_mean or running_var"):
        vmap(facula.nn.BatchNorm1d(3))(facula.randn(2, 5, 3))


def test_joining_batches_of_images_with_their_channels_last():
    x = facula.arange(96.0).reshape(2, 2, 3, 4, 2)

    def f(t):
        return facula.cat([t.contiguous(memory_format=facula.channels_last), t], 1)

    assert facula.equal(facula.vmap(f)(x), facula.stack([f(t) for t in x]))
