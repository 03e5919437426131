"""Checkpoints: gradients, randomness, structures, errors."""

from __future__ import annotations

import pytest
from nn.stored import agrees, raised, submodule, warned

import facula as torch_
from facula.utils.checkpoint import CheckpointError, checkpoint


@agrees
def test_gradients_of_inputs_and_captured_parameters(torch):
    cp = submodule(torch, "utils.checkpoint").checkpoint
    out = []
    for reentrant in (True, False):
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
        x = torch.randn(5, 3, requires_grad=True)
        h = x * 2
        y = cp(net, h, use_reentrant=reentrant)
        z = cp(lambda a: a.exp() * a, y, use_reentrant=reentrant)
        (z.sum() + y.sin().sum()).backward()
        out += [z, x.grad, *[p.grad for p in net.parameters()]]
    return out


@agrees
def test_structures_and_keywords(torch):
    cp = submodule(torch, "utils.checkpoint").checkpoint
    x = torch.tensor([1.0, 2.0], requires_grad=True)

    def f(t, *, k):
        return {"a": t * k, "b": [t.sin(), 3, t.detach()]}, t

    got, same = cp(f, x, k=2, use_reentrant=False)
    (got["a"] * got["b"][0]).sum().backward()
    (g,) = torch.autograd.grad(cp(torch.sin, x, use_reentrant=False).sum(), x, create_graph=True)
    (h,) = torch.autograd.grad(g.sum(), x)
    return [got["a"], got["b"], same is x, x.grad, g, h]


@agrees
def test_randomness_is_repeated(torch):
    cp = submodule(torch, "utils.checkpoint")
    torch.manual_seed(3)
    x = torch.ones(50, requires_grad=True)
    drop = torch.nn.Dropout(0.5)
    y = cp.checkpoint(drop, x, use_reentrant=False)
    y.sum().backward()
    return [y, x.grad, torch.rand(2)]


@agrees
def test_segments(torch):
    cp = submodule(torch, "utils.checkpoint")
    torch.manual_seed(1)
    net = torch.nn.Sequential(*[torch.nn.Linear(3, 3) for _ in range(5)])
    x = torch.randn(2, 3, requires_grad=True)
    y = cp.checkpoint_sequential(net, 2, x, use_reentrant=False)
    y.sum().backward()
    return [y, x.grad, net[0].weight.grad, net[4].weight.grad]


@agrees
def test_warnings_and_errors(torch):
    cp = submodule(torch, "utils.checkpoint").checkpoint
    x = torch.ones(2, requires_grad=True)
    return [
        len(warned(cp, torch.sin, x)),
        warned(cp, torch.sin, x.detach(), use_reentrant=True),
        raised(cp, lambda t, k: t, x, k=1, use_reentrant=True),
        cp(torch.sin, x.detach(), use_reentrant=False).requires_grad,
        cp(torch.sin, x.detach() + 1, use_reentrant=False),
    ]


def test_another_computation_is_an_error():
    x, runs = torch_.ones(2, requires_grad=True), []

    def f(t):
        runs.append(1)
        return t.sin().cos() if len(runs) == 1 else t.sin()

    y = checkpoint(f, x, use_reentrant=False)
    with pytest.raises(CheckpointError, match="1 differentiable operations"):
        y.sum().backward()


def test_what_is_inside_is_computed_again_and_not_kept():
    runs, kept = [], []

    def f(t):
        runs.append(1)
        h = t.exp()
        kept.append(h)
        return h * h

    x = torch_.tensor([0.5], requires_grad=True)
    y = checkpoint(f, x, use_reentrant=False)
    kept.clear()
    y.item()
    assert len(runs) == 1
    y.backward()
    assert len(runs) == 2
    assert x.grad.item() == pytest.approx(2 * torch_.tensor(1.0).exp().item())


def test_there_are_no_device_states_to_keep():
    from facula.utils.checkpoint import get_device_states, set_device_states

    states = get_device_states(torch_.ones(2), 3)
    assert states == ([], [])
    set_device_states(*states)
    with pytest.raises(NotImplementedError, match="the CPU is the only device"):
        set_device_states([0], [None])


def test_an_operand_on_which_another_depends():
    """The pass inside ends at both; the one outside goes on from them, once."""
    x = torch_.arange(3.0, requires_grad=True)
    y = x * 2
    checkpoint(lambda y, x: (y * x).sum(), y, x, use_reentrant=False).backward()
    assert x.grad.tolist() == [0, 4, 8]
    layer = torch_.nn.Linear(2, 2)  # one layer before and inside, as of tied weights
    with torch_.no_grad():
        layer.weight.fill_(1.0)
        layer.bias.fill_(0.5)
    x = torch_.ones(1, 2, requires_grad=True)
    h = layer(x)
    checkpoint(lambda h: layer(h) * h, h, use_reentrant=False).sum().backward()
    assert x.grad.tolist() == [[21, 21]]
    assert layer.weight.grad.tolist() == [[16.75, 16.75]] * 2
    assert layer.bias.grad.tolist() == [13, 13]


def test_hooks_of_operands_are_called_once():
    called = []
    w = torch_.ones(3, requires_grad=True)
    w.register_hook(lambda g: called.append("w") or g * 0.5)
    x = torch_.arange(3.0, requires_grad=True)
    y = x * 2
    y.retain_grad()
    y.register_hook(lambda g: called.append("y") or g * 0.5)
    checkpoint(lambda y: (y * w).sum(), y, use_reentrant=False).backward()
    assert sorted(called) == ["w", "y"]
    assert w.grad.tolist() == [0, 1, 2]
    assert x.grad.tolist() == [1, 1, 1]
    assert y.grad.tolist() == [0.5, 0.5, 0.5]


@pytest.mark.parametrize(("write", "args"), [("mul_", (2,)), ("t_", ()), ("unsqueeze_", (0,))])
def test_an_operand_whose_memory_was_written(write, args):
    found = []
    for run in (lambda f, t: f(t), lambda f, t: checkpoint(f, t, use_reentrant=False)):
        x = torch_.arange(4.0, requires_grad=True)
        y = (x * 2).reshape(2, 2)
        getattr(y, write)(*args)
        z = run(lambda t: t.clone() * 3, y)
        found.append(torch_.autograd.grad((z * z).sum(), [y, x])[0].tolist())
    assert found[0] == found[1]
