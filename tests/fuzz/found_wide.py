"""Short programs like those of `wide.py` on which Facula once differed from PyTorch."""

from __future__ import annotations

FOUND = {
    "one element is turned round": """
v0 = torch.tensor(2.0).requires_grad_()
v1 = v0.flip(-1) * v0.flip(())
v1.backward()
v2 = torch.tensor(1.0).flip(0, 0)""",
    "rot90 keeps the layout of what it turns": """
v0 = torch.arange(24.0).view(2, 3, 4)
v1 = v0.rot90(-1)
v2 = v0.rot90(0)
v3 = v0.rot90(1, (0, 2))
v4 = v0.transpose(0, 1).rot90(2, (2, 1))
v5 = v0.transpose(0, 1).rot90(0, (2, 1))
v6 = v0.transpose(0, 1).rot90(3, (2, 1))
v6.add_(1)""",
    "looking at bytes has no derivative, also as those of the same dtype": """
v0 = torch.ones(2).requires_grad_()
v1 = v0 * 2
v2 = v1.view(torch.float32)
v3 = v0.view(torch.float32)
v2.add_(1)
v4 = v1.view(torch.int32)""",
    "inference mode off records, and gradients are not recorded inside": """
v0 = torch.ones(2).requires_grad_()
with torch.no_grad(), torch.inference_mode(False): v1 = v0 * 2
with torch.inference_mode(), torch.inference_mode(False): v2 = v0 * 2
with torch.inference_mode(), torch.enable_grad(): v3 = (v0 * 2).clone()
out(v3.requires_grad)
out(v2.is_inference())
del v3
v4 = v0 * v1 * v2
v4.sum().backward()""",
    "the edge of a view that was written since it was last looked at": """
v0 = torch.tensor([1.0, 2.0]).requires_grad_()
v1 = v0 * 2
v2 = v1[:1]
v1.mul_(3)
h0 = torch.autograd.graph.register_multi_grad_hook([v0, v2], lambda g: out(g[1].tolist()))
(v2.sum() + v1.sum()).backward()
v1.mul_(3)
out(torch.autograd.graph.get_gradient_edge(v2).output_nr)""",
    "hooks of several gradients": """
v0 = torch.ones(2).requires_grad_()
v1 = torch.ones(2)
torch.autograd.graph.register_multi_grad_hook([v0, v1], lambda g: out(len(g)))
h0 = torch.autograd.graph.register_multi_grad_hook([v1, v0], lambda g: out(g.tolist()), mode='any')
(v0 * v1).sum().backward()
out(v0.is_set_to(v0.detach()))
out(v0.is_set_to(v0[:1]))
out(v0.is_set_to(v1))
out(v0.is_set_to(v0.clone()))
v0.is_set_to(3)""",
    "a bias is expanded to the product, and never the other way round": """
v0 = torch.ones(1, 2).requires_grad_()
v1 = torch.nn.functional.linear(v0, torch.ones(1, 2), torch.ones(2))
v2 = torch.nn.functional.linear(v0, torch.ones(3, 2), torch.ones(1, 1, 3))
v3 = torch.nn.functional.linear(v0, torch.ones(3, 2), torch.ones(1))
v4 = torch.nn.functional.linear(torch.ones(5, 4, 2), torch.ones(1, 2), torch.ones(3))
v5 = torch.nn.functional.linear(torch.ones(2), torch.ones(2), torch.tensor(1.0))
v6 = torch.nn.functional.linear(v0, torch.ones(2), torch.tensor(1.0))""",
    "an update of a parameter that was in a storage counts once": """
v0 = torch.tensor([[-1.26, 0.17], [0.54, -1.53]]).requires_grad_()
torch.autograd.backward([v0.sum(), v0], [None, v0.detach().clone()])
with torch.no_grad(): v0.sub_(v0.grad, alpha=0.5)
v1 = torch.where(v0 > 0, v0, torch.tensor([[0.84, 1.42]]))
torch.optim.SGD([v0], lr=0.1).step()
out(v0._version)""",
    "what is reshaped in place lies in memory that has a history of its own": """
v0 = torch.tensor([1.0, 2.0]).requires_grad_()
v1 = v0 * 2
v2 = v1.clone()
v2.data = v1
v2.unsqueeze_(0)
v3 = some(torch.autograd.grad((v2 * v2).sum(), [v1], create_graph=True)[0], v1)
v1.mul_(2)
v4 = some(torch.autograd.grad((v1 * v1).sum(), [v0], create_graph=True)[0], v0)""",
    "memory that is made larger in place goes on being shared": """
v0 = torch.tensor([1.0, 2.0, 3.0])
v1 = v0.unsqueeze(-1)
v2 = v0.detach()
v0.resize_(5).fill_(0.5)
v3 = torch.ones(3, 3)
v4 = v3.t()
v3.resize_(10).mul_(2)
v5 = torch.tensor(1.5)
v6 = v5[None]
v5.resize_([3]).detach().fill_(0.5)""",
    "a tensor goes on counting with those that share its old memory": """
v0 = torch.arange(6.0).reshape(2, 3)
v1 = v0[0]
v2 = torch.ones(3)
v1.data = v2
v1.mul_(2)
v2.mul_(2)
v1.data = v0[1]
v1.mul_(2)
out((v0._version, v1._version, v2._version))
v3 = v0[0]
v3.set_(v2)
v3.add_(1)
out((v0._version, v3._version, v2._version))
v4 = torch.ones(3).requires_grad_() * 2
v5 = v4[:2]
v6 = (v5 * v5).sum()
v4.data = torch.ones(3)
v4.add_(1)
v6.backward()""",
    "a function that writes to a view gives one result; operands keep their histories": """
v0 = torch.ones(4).requires_grad_()
v1 = v0 * 1
v2 = v1[:2]
v3 = torch.ones(2)
v4 = dirty2(v2, v3)[0]
with torch.no_grad(): v5 = dirty2(v2, v3 * 2)[0]
with torch.no_grad(): v6 = same(v2)
with torch.no_grad(): v7 = same(v0)
with torch.no_grad(): v8 = double_(v1)
out(v8 is v1)
v9 = same(v3)
out((v9 is v3, v9._base is v3))""",
    "derivatives of what is no float, or complex": """
z = torch.ones(2, dtype=torch.complex64)
i = torch.ones(2, dtype=torch.int64)
x = torch.ones(2)
torch.func.jacrev(lambda x: x * 2)(z)
torch.func.jacrev(lambda x: x * z)(x)
torch.func.jacrev(lambda x: x > 0)(x)
torch.func.jacfwd(lambda x: x * 2)(z)
torch.func.jacfwd(lambda x: x * 2)(i)
torch.func.jacfwd(lambda x: x * z)(x)
torch.func.grad(lambda x: x.sum())(i)
torch.func.grad(lambda x: x.sum())(z)
torch.func.vjp(lambda x: x > 0, x)[1](x > 0)
torch.func.jvp(lambda x: x * 2, (i,), (x,))
torch.func.jvp(lambda x: x * 2, (x,), (i,))
torch.func.jvp(lambda x: x * 2, (2,), (x,))
torch.func.linearize(lambda x: x * 2, i)
torch.autograd.functional.jacobian(lambda x: x * 2, z)
z.clone().random_(0, 5)
z.clone().random_()
torch.autograd.functional.hessian(lambda x: x.sum(), z)""",
    "derivatives of functions while gradients are not recorded": """
v0 = torch.tensor([1.5, -0.5]).requires_grad_()
v1 = v0 * v0
torch.set_grad_enabled(False)
v2 = torch.vmap(torch.func.grad(lambda x: (x * x).sum()))(v1)
v3 = torch.func.grad(lambda x: (x * v0).sum())(v0)
v4 = torch.func.jvp(lambda x: x * v0, (v1,), (v0.detach(),))[1]
v5 = torch.func.vjp(lambda x: x * v0, v1)[1](v0)[0]
v6 = torch.func.jacrev(lambda x: x * v0)(v1)
v7 = torch.func.hessian(lambda x: (x * x * v0).sum())(v1)""",
    "derivatives of functions in inference mode": """
v0 = torch.tensor([1.5, -0.5])
g = torch.inference_mode(); g.__enter__()
v1 = v0 * v0
v2 = torch.vmap(torch.func.grad(lambda x: (x * x).sum()))(v1)
v3 = torch.func.grad(lambda x: (x * v0 * v1).sum())(v0)
v4 = torch.func.jvp(lambda x: x * v0 * v1, (v1,), (v0,))[1].clone()
v5 = torch.func.vjp(lambda x: x * v0, v1)[1](v0)[0]
v6 = torch.func.jacrev(lambda x: x * v0)(v1)
v7 = torch.func.hessian(lambda x: (x * x * v0).sum())(v1)
g.__exit__(None, None, None)""",
    "plus of a bool, and which tensor of a hook is looked at first": """
v0 = torch.tensor([True])
+v0
out((+v0[None]).tolist())
v1 = torch.tensor([[-1.93], [-1.51]]).requires_grad_()
v2 = v1 * 2
torch.set_grad_enabled(False)
v3 = v1[0]
v3.mul_(2)
h0 = torch.autograd.graph.register_multi_grad_hook([v3, v2.detach()], lambda g: out(len(g)))
h0 = torch.autograd.graph.register_multi_grad_hook([v2.detach(), v3], lambda g: out(len(g)))""",
    "the pass through an ended frame to a view that leads nowhere": """
v0 = torch.tensor([[-1.33, -1.7], [1.32, 1.21]]).requires_grad_()
v1 = v0 * 2
with torch.no_grad(): v2 = v1.view_as(v1)
v3 = v1.permute([0, 1])
v4 = v2.squeeze(-1)
(v4.sum() * v3.sum()).backward()""",
    "a hook after a gradient has arrived returns nothing": """
v0 = torch.tensor([1.5, -0.5]).requires_grad_()
h0 = v0.register_post_accumulate_grad_hook(lambda t: t.grad.zero_())
(v0 * v0).sum().backward()
h0.remove()
(v0 * v0).sum().backward()""",
    "who differentiates a pass again that can't be is told": """
v0 = torch.tensor([1.5, -0.5]).requires_grad_()
v1 = v0 * v0
v2 = once(v1)
v3 = some(torch.autograd.grad(v2, [v1], [v1.clone()], create_graph=True)[0], v1)
torch.autograd.grad(v3.sum(), [v0], retain_graph=True)
v3.sum().backward()
v4 = some(torch.autograd.grad(v2, [v1], [torch.ones(2)], create_graph=True)[0], v1)""",
    "a view whose memory is replaced may be written to no more than before": """
v0 = torch.tensor([0.35, 0.5]).requires_grad_()
v1 = v0[-1]
v1.data = torch.tensor(2.0)
v1[...] = -0.5
v1.detach_()
v2 = v0 * 2
v3, v4 = v2.unbind(0)
v3.data = torch.tensor(4.0)
v3.mul_(2)
v1.sum().backward()""",
    "what was given to a checkpoint is not to be changed before the backward pass": """
v0 = torch.tensor([0.5, 1.5]).requires_grad_()
v1 = v0 * 2
v2 = torch.utils.checkpoint.checkpoint(lambda x: x * x, v1, use_reentrant=False)
v3 = torch.utils.checkpoint.checkpoint(lambda x: x.sin(), v1, use_reentrant=True)
v1.add_(1)
v2.sum().backward()
v3.sum().backward()""",
    "a pass through a checkpoint in another thread": """
v0 = torch.tensor([1.48, -0.55]).requires_grad_()
v1 = v0 * 2
v2 = torch.utils.checkpoint.checkpoint(lambda x: x.sin() * x, v1 * v1, use_reentrant=False)
in_thread(v2.sum().backward)""",
    "hooks of several gradients count those in ended frames, and not the only root": """
v0 = torch.tensor([1.0, 2.0], dtype=torch.float64).requires_grad_()
v1 = torch.ones(2, requires_grad=True)
v2 = v0 * 2
h0 = torch.autograd.graph.register_multi_grad_hook([v0, v1], lambda g: out(len(g)))
out(v2.tolist())
v2.sum().backward()
v3 = v0.exp()
h1 = torch.autograd.graph.register_multi_grad_hook([v0, v3], lambda g: out(len(g)))
v3.backward(torch.ones(2, dtype=torch.float64))
h2 = torch.autograd.graph.register_multi_grad_hook([v0, v0], lambda g: out(len(g) * 2))
v0.backward(torch.ones(2, dtype=torch.float64))
with torch.no_grad(): v4 = v0.view_as(v0)
h3 = torch.autograd.graph.register_multi_grad_hook([v0, v4], lambda g: out(len(g)))""",
    "what a composition saves may not be written to": """
v0 = torch.tensor([[1.0, 2.0], [0.5, -1.0]], dtype=torch.float64).requires_grad_()
v1 = v0 * 2
v2 = torch.nn.functional.layer_norm(v1, (2,))
v1.add_(1)
v2.sum().backward()
v3 = v0 * 2
v4 = torch.nn.functional.log_softmax(v3, -1)
v3.add_(1)
v4.sum().backward(retain_graph=True)
v4.mul_(2)
v4.sum().backward()
v5 = torch.zeros(2, 2, dtype=torch.float64)
v6 = torch.nn.functional.mse_loss(v0 * 3, v5)
v5.add_(1)
v6.backward()
v7 = v0 * 2
v8 = v7.norm()
v8.mul_(2)
v8.backward()""",
    "a view that a checkpoint returns, and what set_ leaves": """
v0 = torch.tensor([[1.4, -1.57]], dtype=torch.float64).requires_grad_()
v1 = torch.utils.checkpoint.checkpoint(lambda x: x.t().sin().t(), v0, use_reentrant=True)
v1.sin_()
v1[0].sin_()
v4 = v0.exp()
v4.set_(torch.ones(2, dtype=torch.float64))
v5 = v4 * 2
v5.sum().backward()
v6 = v0 * v0
with torch.no_grad(): v7 = v6.view_as(v6)
v7.data = v7.data.clone()
torch.manual_seed(0); m8 = torch.nn.LayerNorm(2).to(torch.float64)
v8 = m8(torch.ones(2, 2, dtype=torch.int64))""",
}
