"""Checkpoints that keep some results: gradients, what a policy is asked, errors."""

from __future__ import annotations

import functools

from nn.stored import agrees, raised, submodule

import facula as torch_
from facula.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts


def _selective(torch, f, x, policy, **kwargs):
    cp = submodule(torch, "utils.checkpoint")
    contexts = functools.partial(cp.create_selective_checkpoint_contexts, policy, **kwargs)
    return cp.checkpoint(f, x, use_reentrant=False, context_fn=contexts)


@agrees
def test_gradients_do_not_depend_on_what_is_kept(torch):
    aten = torch.ops.aten
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4, bias=False), torch.nn.Tanh())
    attend = torch.nn.functional.scaled_dot_product_attention
    w = torch.randn(4, 4)

    def f(x):
        y = torch.dropout(net(x), 0.5, True) @ w
        a, b = torch.var_mean(y, 0)
        return attend(y, y, y).sum(0) * a + b

    keys = ["mm", "native_dropout", "tanh", "_scaled_dot_product_flash_attention"]
    out = []
    for ops in ([], keys[:1], keys, ["add"]):
        torch.manual_seed(1)
        x = torch.randn(5, 3, requires_grad=True)
        y = _selective(torch, f, x, [getattr(aten, n).default for n in ops])
        y.sum().backward()
        out += [y, x.grad, net[0].weight.grad]
    return out


@agrees
def test_policies(torch):
    seen = []
    policy = submodule(torch, "utils.checkpoint").CheckpointPolicy

    def ask(context, op, *args, **kwargs):
        seen.append((str(op), context.is_recompute))
        keep = op == torch.ops.aten.sin.default
        return policy.MUST_SAVE if keep else policy.PREFER_RECOMPUTE

    x = torch.tensor([0.5, 2.0], requires_grad=True)
    y = _selective(torch, lambda t: t.sin().cos().exp(), x, ask)
    y.sum().backward()
    return [y, x.grad, [list(s) for s in seen]]


@agrees
def test_kept_results_that_were_written_to(torch):
    ops = [torch.ops.aten.sin.default]
    x = torch.tensor([0.5, 2.0], requires_grad=True)
    f = lambda t: t.sin().mul_(2).cos()  # noqa: E731
    out = _selective(torch, f, x, ops)
    return raised(lambda: out.sum().backward())


@agrees
def test_a_second_pass(torch):
    x = torch.tensor([0.5, 2.0], requires_grad=True)
    out = _selective(torch, lambda t: t.sin().cos(), x, [torch.ops.aten.sin.default])
    out.sum().backward(retain_graph=True)
    return raised(lambda: out.sum().backward())


@agrees
def test_what_is_no_policy(torch):
    make = submodule(torch, "utils.checkpoint").create_selective_checkpoint_contexts
    return [raised(make, v) for v in ([2], [torch.ops.aten.sin], 2)]


def test_operators_of_libraries():
    runs = []

    @torch_.library.custom_op("selective_test::twice", mutates_args=())
    def twice(x: torch_.Tensor) -> torch_.Tensor:
        runs.append(1)
        return x * 2

    contexts = functools.partial(create_selective_checkpoint_contexts, [twice])
    twice.register_autograd(lambda ctx, g: g * 2)
    x = torch_.tensor([1.0, 3.0], requires_grad=True)
    y = checkpoint(lambda t: twice(t).exp(), x, use_reentrant=False, context_fn=contexts)
    y.sum().backward()
    assert len(runs) == 2  # the graph is made of the second run
    assert torch_.allclose(x.grad, 2 * (2 * x.detach()).exp())


def test_results_kept_in_the_memory_of_the_cpu():
    offload = torch_.utils.checkpoint.CheckpointPolicy.MUST_CPU_OFFLOAD
    contexts = functools.partial(create_selective_checkpoint_contexts, lambda *a, **k: offload)
    x = torch_.tensor([0.5, 2.0], requires_grad=True)
    y = checkpoint(lambda t: t.sin().cos(), x, use_reentrant=False, context_fn=contexts)
    y.sum().backward()
    assert torch_.allclose(x.grad, -x.detach().sin().sin() * x.detach().cos())
