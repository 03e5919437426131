"""Weights set to zero for good."""

from __future__ import annotations

from nn.stored import agrees, message, submodule


def _linear(torch, rows=3, columns=4):
    m = torch.nn.Linear(columns, rows)
    with torch.no_grad():
        m.weight.copy_(((torch.arange(rows * columns) * 7) % 12 - 5.3).reshape(rows, columns))
    return m


@agrees
def test_l1_unstructured(torch):
    prune = submodule(torch, "nn.utils.prune")
    m = prune.l1_unstructured(_linear(torch), "weight", 0.5)
    m(torch.ones(1, 4)).sum().backward()
    return [m.weight, m.state_dict(), m.weight_orig.grad, prune.is_pruned(m)]


@agrees
def test_again_and_again(torch):
    prune = submodule(torch, "nn.utils.prune")
    m = _linear(torch)
    prune.l1_unstructured(m, "weight", 3)
    prune.ln_structured(m, "weight", 1, n=2, dim=0)
    prune.l1_unstructured(m, "weight", 2)
    hooks = [type(h).__name__ for h in m._forward_pre_hooks.values()]
    return [m.weight, m.weight_mask, hooks]


@agrees
def test_structured(torch):
    prune = submodule(torch, "nn.utils.prune")
    return [prune.ln_structured(_linear(torch), "weight", amount, n=n, dim=dim).weight_mask
            for amount, n, dim in ((1, 1, 0), (0.5, 2, 1), (2, float("inf"), -1))]  # fmt: skip


@agrees
def test_random(torch):
    prune = submodule(torch, "nn.utils.prune")
    return [prune.random_unstructured(_linear(torch), "weight", 0.4).weight_mask,
            prune.random_structured(_linear(torch), "weight", 2, dim=1).weight_mask]  # fmt: skip


@agrees
def test_mask_identity_importance(torch):
    prune = submodule(torch, "nn.utils.prune")
    mask = torch.tensor([[1, 0, 1, 0]] * 3)
    scores = torch.arange(12.0).reshape(3, 4)
    by_scores = prune.l1_unstructured(_linear(torch), "weight", 2, importance_scores=scores)
    return [
        prune.custom_from_mask(_linear(torch), "weight", mask).weight,
        prune.identity(_linear(torch), "bias").bias_mask,
        by_scores.weight,
    ]


@agrees
def test_global(torch):
    prune = submodule(torch, "nn.utils.prune")
    a, b = _linear(torch), torch.nn.Linear(2, 2)
    prune.global_unstructured([(a, "weight"), (b, "weight")], prune.L1Unstructured, amount=6)
    return [a.weight, b.weight, a.weight_mask, b.weight_mask]


@agrees
def test_remove(torch):
    prune = submodule(torch, "nn.utils.prune")
    m = prune.remove(prune.l1_unstructured(_linear(torch), "weight", 4), "weight")
    return [m.state_dict(), prune.is_pruned(m), message(prune.remove, m, "weight")[0]]


@agrees
def test_errors(torch):
    prune = submodule(torch, "nn.utils.prune")
    return [
        message(prune.l1_unstructured, _linear(torch), "weight", amount)[0]
        for amount in (1.5, -1, 100, "many")
    ] + [
        message(prune.ln_structured, _linear(torch), "bias", 1, n=1, dim=0)[0],
        message(prune.ln_structured, _linear(torch), "weight", 1, n=1, dim=5)[0],
    ]
