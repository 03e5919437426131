"""Between which numbers pending values lie: sure bounds, and losses that end no frame for them."""

from __future__ import annotations

import math
import random

import pytest

import facula as torch
from facula.nn import functional as F
from facula.trace import bounds
from facula.trace.recorder import TLS

INF = math.inf
# What is computed of a pending (5, 3), and between which numbers its values are known to lie.
ENTRIES = [
    (lambda x: x, (-INF, INF)),
    (lambda x: x.argmax(-1), (0, 2)),
    (lambda x: x.argmax(), (0, 14)),
    (lambda x: x.min(0).indices, (0, 4)),
    (lambda x: x.topk(2, -2).indices, (0, 4)),
    (lambda x: x.sort(-1).indices, (0, 2)),
    (lambda x: x.argmax(1) * 2 + 1, (1, 5)),
    (lambda x: x.argmax(1).to(torch.uint8), (0, 2)),
    (lambda x: (x.argmax(1) - 1).to(torch.uint8), (0, 255)),  # -1 wraps
    (lambda x: x.long() % 4, (0, 3)),
    (lambda x: x % 4, (0, 4)),
    (lambda x: x.long() % -4, (-(2**63), 2**63 - 1)),
    (lambda x: x.long(), (-(2**63), 2**63 - 1)),
    (lambda x: (x.sigmoid() * 3).long(), (0, 3)),
    (lambda x: x.sigmoid(), (0, 1)),
    (lambda x: x.half().sigmoid().t(), (0, 1)),
    (lambda x: x.softmax(1)[:, 1], (0, 1)),
    (lambda x: 1 - x.sigmoid() * x.softmax(0), (0, 1)),
    (lambda x: (x.tanh() + 1) / 2, (0, 1)),
    (lambda x: x.sigmoid().mean(1), (0, 1)),
    (lambda x: (x > 0).float(), (0, 1)),
    (lambda x: torch.where(x > 0, 0.25, 0.5), (0.25, 0.5)),
    (lambda x: x.clamp(0.25, 0.5), (0.25, 0.5)),
    (lambda x: torch.maximum(x.sigmoid(), x.tanh()), (0, 1)),
    (lambda x: torch.cat([x.tanh(), x.relu()]), (-1, INF)),
    (lambda x: x.exp(), (0, INF)),
    (lambda x: x.abs(), (0, INF)),
    (lambda x: x.tanh().abs(), (0, 1)),
    (lambda x: x.exp() - x.exp(), (-INF, INF)),
    (lambda x: x.exp() * x.relu(), (-INF, INF)),  # 0 times infinity
    (lambda x: x.detach().unsqueeze(0).expand(2, 5, 3).sigmoid().amax(1), (0, 1)),
    (lambda x: torch.arange(9000) * 2 - 1, (-1, 17997)),
]


def pending(f):
    x = torch.linspace(-3, 3, 10).reshape(5, 2) @ torch.ones(2, 3)
    node = f(x).node
    assert node.rec is TLS.r
    return node


@pytest.mark.parametrize("k", range(len(ENTRIES)))
def test_bounds_of_operations(k):
    f, want = ENTRIES[k]
    for _ in range(3):  # recorded, and followed
        assert bounds.of(TLS.r, pending(f)) == want


def test_bounds_follow_the_numbers_and_values_of_the_step():
    for k in range(4):
        assert bounds.of(TLS.r, pending(lambda x, k=k: x.clamp(k / 4, 1))) == (k / 4, 1)
        y = torch.tensor([k, k + 2]) - 1
        assert bounds.of(TLS.r, y.node) == (k - 1, k + 1)
        assert y.tolist() == [k - 1, k + 1]


def test_values_lie_between_their_bounds(seed):
    rng = random.Random(seed)
    steps = [
        lambda a, b: a + b,
        lambda a, b: a - b,
        lambda a, b: a * b,
        lambda a, b: torch.where(a > b, a, b * 0.5),
        lambda a, b: a.clamp(-0.5, 2) * 1.25,
        lambda a, b: 1 - a.tanh(),
        lambda a, b: a.abs().sqrt(),
        lambda a, b: (a * 3).round().clamp(-9, 9).long().to(torch.float32),
        lambda a, b: torch.minimum(a.relu(), b.exp()),
        lambda a, b: a.flip(0).t().reshape(a.shape),
        lambda a, b: a.sigmoid().mean(0, keepdim=True) - b,
        lambda a, b: a.argmax(1, keepdim=True).float() + b,
    ]
    for _ in range(60):
        values = [torch.randn(4, 4), torch.rand(4, 4) * 3]
        for _ in range(rng.randrange(1, 8)):
            values.append(rng.choice(steps)(*rng.choices(values[-3:], k=2)))
        ends = [bounds.of(TLS.r, v.node) if v.node.rec is TLS.r else None for v in values]
        for v, pair in zip(values, ends, strict=True):
            if pair is not None and not v.isnan().any():
                slack = 1e-5 * max(1, *[abs(e) for e in pair if abs(e) < INF], 1)
                assert pair[0] - slack <= float(v.min()) and float(v.max()) <= pair[1] + slack, seed


W = torch.linspace(-1, 1, 12).reshape(4, 3)
X = torch.linspace(-2, 3, 20).reshape(5, 4)
# Losses and choices of pending values: whether they look at them, and of which the error is.
LOSSES = [
    (lambda p: F.cross_entropy(p, p.argmax(1)), False, None),
    (lambda p: F.nll_loss(p.log_softmax(1), (p[:, 0] > 0).long()), False, None),
    (lambda p: F.cross_entropy(p, p[:, 0].sigmoid().round().long()), False, None),
    (lambda p: F.multi_margin_loss(p, p.argmin(1)), False, None),
    (lambda p: F.binary_cross_entropy(p.sigmoid(), (p > 0).float()), False, None),
    (lambda p: F.binary_cross_entropy(p.clamp(0.1, 0.9), p.softmax(0)), False, None),
    (lambda p: F.gaussian_nll_loss(p, p, p.exp()), False, None),
    (lambda p: p.gather(1, p.argmax(1, keepdim=True)).sum(), False, None),
    (lambda p: p.scatter_add(1, p.sort(1).indices, p).sum(), False, None),
    (lambda p: p.gather(1, (p * 0 + 3).long()), True, RuntimeError),
    (lambda p: F.cross_entropy(p, (p[:, 0] * 0 + 2.5).long()), True, None),
    (lambda p: F.cross_entropy(p, (p[:, 0] * 0 - 100).long()), True, None),
    (lambda p: F.cross_entropy(p, (p[:, 0] * 0 + 3).long()), True, IndexError),
    (lambda p: F.nll_loss(p, (p[:, 0] * 0 - 1).long()), True, IndexError),
    (lambda p: F.multi_margin_loss(p, (p[:, 0] * 0 + 3).long()), True, RuntimeError),
    (lambda p: F.binary_cross_entropy(p, p.sigmoid()), True, RuntimeError),
    (lambda p: F.binary_cross_entropy(p.sigmoid(), p), True, RuntimeError),
    (lambda p: F.gaussian_nll_loss(p, p, p), True, ValueError),
]


IGNORED = 11  # all its targets are: NaN, as in PyTorch


@pytest.mark.parametrize("k", range(len(LOSSES)))
def test_pending_values_are_looked_at_only_where_they_have_to_be(k):
    f, looks, error = LOSSES[k]
    for _ in range(3):
        torch.synchronize()
        p = X @ W
        before = p * 2
        frame = TLS.r.frame
        if error is None:
            loss = f(p)
            assert (TLS.r.frame != frame) is looks
            assert k == IGNORED or math.isfinite(loss.item())
        else:
            with pytest.raises(error):
                f(p)
        assert before.tolist() == (p * 2).tolist()
