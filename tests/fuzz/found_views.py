"""As `found.py`: programs of views, and of what is reshaped or resized in place."""

from __future__ import annotations

FOUND = {
    "a view without elements gives its base a gradient that nothing depends on": """
v0 = torch.ones(3, 2).requires_grad_()
v1 = v0 * 2
v2 = v1[:0]
v2.cos_()
v3 = some(torch.autograd.grad((v2 * v2).sum(), [v1], create_graph=True)[0], v1)""",
    "a view of what no longer requires grad requires none": """
v0 = torch.ones(3, 1)
v1 = v0.view([3, 1])
v0.requires_grad_()
v2 = v0 + v1
v0.requires_grad_(False)""",
    "a slice that begins with a negative number is a view, even of everything": """
v0 = torch.zeros(3, 2).t()
v1 = torch.ones(2, 3).requires_grad_()
v0[-3:] = v1.clone()
v0.add_(1)""",
    "a view that may have no history is refused once something looks at it": """
v0 = torch.ones(1, 2, 3).requires_grad_()
v1 = v0 * 2
v2 = v1.unbind(0)[0]
v1.add_(1)
v2[5, 0]
v2[0, 5]
v2[0, 5] = 1.0
v2[:, 5] = 1.0
v2[None, 5] = 1.0
v2[0, ::-1]
v2.movedim(0, 5)
v2.select(0, 5)
v2.argmax(7)
torch.stack([v2, v2], 5)""",
    "what is reshaped in place keeps its graph node over a write without one": """
v0 = torch.tensor([-1.0, 0.5, 1.5]).requires_grad_()
v1 = v0 * 2
v1.swapaxes_(-1, -1)
torch.set_grad_enabled(False)
v1.retain_grad()
v1.masked_fill_(torch.tensor([True, False, True]), 3.0)
v1.backward(torch.tensor([1.0, 2.0, 3.0]))""",
    "a view that is reshaped in place leaves its base's history": """
v0 = torch.ones(3, 3).requires_grad_()
v1 = v0 * 2
v2 = v1[1:]
v3 = v1 * 3
v2.t_()
v4 = some(torch.autograd.grad(v3.sum(), [v1])[0], v1)""",
    "views of a leaf that was reshaped in place lead to it": """
v0 = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
v1 = v0[1:]
v0.t_()
v0.requires_grad_()
(v1 * v1).sum().backward()""",
    "a leaf that is a view of what got a history may have none": """
v0 = torch.tensor([[1.0, 2.0]] * 2)
v1, v2 = [v0.unbind(0)[k] for k in (1, 1)]
v2.requires_grad_()
v3 = v0.select(0, -1)
v3 *= v2.clone()
out(v2.grad_fn is None)""",
    "hooks of a view see what others have read of it": """
v0 = torch.tensor([1.0, 2.0, 3.0]).requires_grad_()
v1 = v0 * 2
v2 = v1[1:]
h0 = v2.register_hook(lambda g: out(g.tolist()))
v3 = v2 * 3
v2.mul_(2)
v1.sum().backward(retain_graph=True)
v3.sum().backward()""",
    "a retained gradient of a view is none of a write through it": """
v0 = torch.ones(2, 1).requires_grad_()
v1 = v0.clone()
v2 = v1[:, -1]
v3 = v1.expand([1, 2, 2])
v2.retain_grad()
v2[0] = torch.tensor(3.0)
v3[0].sum().backward()""",
    "out= that resizes goes on sharing memory": """
v0 = torch.tensor([1.0, 2.0, 3.0])
v1 = v0[1:]
v2 = v0.detach()
torch.add(torch.zeros(5), 1, out=v1)
out(v0.tolist())
torch.add(torch.zeros(2), 7, out=v0)
v2[1] = 9
out(v1.tolist())
v1.resize_(9)
v1[5:] = 0
out(v2._version)""",
    "numbers from NumPy may be resized as far as they reach": """
v0 = torch.from_numpy(torch.arange(4.0).numpy())
v1 = v0[:2]
torch.add(torch.zeros(3), 1, out=v1)""",
    "as_strided beyond a view gives what lies there no gradient": """
v0 = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).requires_grad_()
v1 = v0[:, 0].as_strided([2, 2], [1, 1])
v1.sum().backward()
v2 = torch.ones(3, 2).detach()[1:].as_strided([2], [1], 1)
out(v2._base.storage_offset())""",
    "another view of what was reshaped in place leads to it": """
v0 = torch.tensor([[1.0, 2.0]]).requires_grad_()
v1 = v0 * 2
v2 = v1.t()
v3 = v2[0]
v1.t_()
with torch.no_grad(): v1.mul_(2)
v4 = torch.autograd.grad(v3.sum(), [v2], retain_graph=True, allow_unused=True)[0] is None
v5 = some(torch.autograd.grad(v3.sum(), [v1], allow_unused=True)[0], v1)
v6 = v0.clone()
v7 = v6[...]
v6.squeeze_()
v8 = some(torch.autograd.grad(v7.sum(), [v6])[0], v6)""",
    "what has no elements and is reshaped in place keeps its history": """
v0 = torch.zeros(2, 0).requires_grad_()
v1 = torch.ones(1).requires_grad_()
v2 = v0 * 2
v2.squeeze_()
v3 = some(torch.autograd.grad(v1.sum() * v2.sum(), [v0], create_graph=True)[0], v0)
v3[None].backward(torch.zeros(1, 2, 0))""",
    "a leaf that is a view of what got a history is no leaf": """
v0 = torch.tensor([1.0, 2.0])
v1 = v0[:]
v1.requires_grad_()
v0[...] += v1
v1.sum().backward()
v2 = torch.tensor([1.0, 2.0])
v3 = v2[:]
v3.abs_()
v3.requires_grad_()
v2.requires_grad_()
v4 = torch.ones(6)
v5 = v4.split(3)[1]
v5.requires_grad_()
v6 = v4[3]
v6 //= v5[0]
h0 = v5.register_hook(lambda g: g * 2)""",
    "a base that is cut off in place leaves the saved values of its views": """
v0 = torch.ones(2, 3).requires_grad_()
v1 = v0 * v0
v2 = v0.narrow(0, 0, 0)
v0.detach_()
v3 = v2.amax(1)
v3[v3 < 0.5]
v3.sum().backward()""",
    "a view that was written through has the history of that before its base is cut off": """
v0 = torch.tensor([1.0, 2.0]).requires_grad_()
v1 = v0 * v0
v2 = v1[:]
v2.mul_(3)
v1.detach_()
v2.sum().backward()""",
    "an operand that is written to is not resized": """
v0 = torch.ones(2, 1)
torch.add(v0, torch.ones(1, 2), out=v0)
torch.add(torch.ones(1, 2), v0, out=v0)""",
    "the gradient of what was written over through a view depends on the result's": """
v0 = torch.ones(2).requires_grad_()
v1 = torch.ones(2).requires_grad_()
v2 = v0 * 2
v3 = v2.clone()
v3.view(-1).copy_(torch.zeros(2))
v4 = some(torch.autograd.grad(v1.sum() * v3.sum(), [v2], create_graph=True)[0], v2)""",
    "as_strided of a view of a leaf that is a view": """
v0 = torch.tensor([[-0.42], [0.53]]).t().requires_grad_()
v1 = v0[::3, 0:].as_strided([1], [2])
(v1 * v1).sum().backward()""",
    "a view of a leaf that is a view made in no_grad is forbidden after a write": """
v0 = torch.ones(3, 3)
torch.set_grad_enabled(False)
v1 = v0[0, :2]
torch.set_grad_enabled(True)
v1.requires_grad_()
v2 = v1.unsqueeze(1)
v0 *= v0""",
    "a view made in no_grad is reshaped in place after a write": """
v0 = torch.ones(2, 2).requires_grad_()
torch.set_grad_enabled(False)
v1 = v0.as_strided([2, 2], [2, 1])
torch.mul(v1, v1, out=v0)
v1.transpose_(-2, -2)""",
    "a tensor that is assigned to another shape is seen as a view": """
v0 = torch.ones(1, 4).t().unsqueeze(-1)
with torch.no_grad(): v0[None] = v0
v1 = torch.ones(1, 6)
v2 = torch.hypot(v1.view(6, 1).t(), v1)
v2[...].copy_(v2.detach().split([0, 6], -1)[1])""",
    "a tensor is assigned to itself where its index makes no view, though it has no elements": """
v0 = torch.zeros(4, 0)
v0[:, torch.tensor([], dtype=torch.bool)] = v0
v0[:, torch.tensor([], dtype=torch.int64)] = v0[:]
v1 = torch.zeros(0, 2)
v1[:9, torch.tensor([0, 1])] = v1
v1[:-1, torch.tensor([0, 1])] = v1
v1[::2, torch.tensor([0, 1])] = v1""",
    "a view of a leaf is resized": """
v0 = torch.tensor([1.0, 2.0]).requires_grad_()
v1 = v0[1:]
v2 = v0 * 2
v3 = torch.nn.Parameter(torch.ones(3))
v4 = v3[1:]
with torch.no_grad(): torch.add(torch.ones(3), 1, out=v1)
with torch.no_grad(): torch.add(torch.zeros(0), 1, out=v4)
(v1 * v1).sum().backward()
(v2 * v2).sum().backward()
v4.sum().backward()
v0.mul_(2)
out([v0._version, v1._version, v1.is_leaf, v4.is_leaf])""",
    "a base with a history is resized, and a view of it": """
v0 = torch.tensor([1.0, 2.0, 3.0]).requires_grad_()
v1 = v0 * 2
v2 = v1[1:]
v3 = v1.detach()
v3 *= torch.tensor([1.0, 1.0, 2.0]).requires_grad_()
v4 = v3[:2]
with torch.no_grad(): torch.add(torch.zeros(1, 3), 1, out=v1)
with torch.no_grad(): torch.add(torch.zeros(5), 2, out=v4)
v5 = (v2 * v2).sum() + v4.sum() + v3.sum()
v5.backward()
v2.mul_(torch.ones(2))
v6 = some(torch.autograd.grad(v3.sum() * v2.sum(), [v3])[0], v3)""",
    "the gradient of a leaf that was resized is of its old shape in an old graph": """
v0 = torch.tensor([1.0, 2.0]).requires_grad_()
v1 = v0.exp()
v2 = torch.ones(1, 2).requires_grad_()
v3 = v2.exp()
with torch.no_grad(): torch.mul(torch.ones(5), -1, out=v0)
with torch.no_grad(): torch.mul(torch.ones(3, 2), -1, out=v2)
v1.sum().backward(retain_graph=True)
v0.sum().backward()
v3.sum().backward(retain_graph=True)
v2.sum().backward()""",
    "what is resized to fewer elements lies where it lay": """
v0 = torch.tensor([[1.0, 2.0, 3.0]])
n0 = v0.numpy()
torch.add(torch.zeros(2), 1, out=v0)
n0 *= 2
v1 = v0[1:]
torch.add(torch.zeros(2), 7, out=v1)
out(n0.tolist())""",
    "a diagonal without elements is filled through a view that may not be written": """
v0 = torch.ones(3, 1).requires_grad_()
v1 = v0.narrow(1, 1, 0)
v1.fill_diagonal_(0.0)
v2 = (torch.ones(2, 3, 0).requires_grad_() * 1).unbind(0)[0]
v2.fill_diagonal_(0.0)""",
    "a leaf that out= resizes gets the gradient of an older graph in its new shape": """
v0 = torch.ones(3).requires_grad_()
v1 = v0 * torch.tensor([1.0, 2.0, 3.0])
v2 = torch.ones(3).requires_grad_()
v3 = v2 * 2
v4 = torch.ones(3).requires_grad_()
v5 = v4 * 2
with torch.no_grad(): torch.add(torch.ones(1, 3), 1, out=v0)
with torch.no_grad(): torch.add(torch.ones(2, 2), 1, out=v2)
with torch.no_grad(): torch.add(torch.ones(3, 1), 1, out=v4)
v1.sum().backward()
v3.sum().backward()
v5.sum().backward()""",
    "what lies in other memory and was reshaped in place sees a write through its view": """
v0 = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).requires_grad_()
v1 = v0.clone()
v1.data = torch.ones(2, 2)
v2 = v1.select(1, 0)
n0 = v2.detach().numpy()
v1.transpose_(0, 1)
v2.mul_(3)
v1.sum().backward()""",
    "what a view that was made in no_grad requires follows its base": """
v0 = torch.tensor([-1.22], dtype=torch.float64).requires_grad_()
v4 = v0.exp()
torch.set_grad_enabled(False)
v4.copy_(v4)
v5 = v4[None, :]
out(v5.requires_grad)
v4.detach_()
torch.set_grad_enabled(True)
v6 = v5 * 2""",
    "as_strided around a view with a history: what it depends on, and writes through it": """
v0 = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dtype=torch.float64).requires_grad_()
v1 = v0 * 2
v2 = v1.t()[0]
v3 = v2.as_strided([2], [1])
v4 = some(torch.autograd.grad(v3.sum(), [v2], retain_graph=True)[0], v2)
v5 = some(torch.autograd.grad(v3.sum(), [v1], retain_graph=True)[0], v1)
v6 = some(torch.autograd.grad(v3.sum(), [v0], retain_graph=True)[0], v0)
v3.mul_(3)
v7 = some(torch.autograd.grad(v1.sum(), [v0], retain_graph=True)[0], v0)
v3[:1].mul_(3)
v8 = some(torch.autograd.grad(v1.sum(), [v0], retain_graph=True)[0], v0)
v9 = some(torch.autograd.grad(v3.sum(), [v0], retain_graph=True)[0], v0)
v1.mul_(2)
v10 = some(torch.autograd.grad(v3.sum(), [v0], retain_graph=True)[0], v0)""",
    "a leaf that is a view, whose memory got a history by a write that it has not looked at": """
v0 = torch.tensor([[-0.48], [1.73]], dtype=torch.float64).t()
v1 = v0.permute([1, 0])
v0.t_()
v0.requires_grad_()
v1[:] = v0
v3 = v1.reciprocal()
(v3 * v3).sum().backward(retain_graph=True)
v4 = torch.tensor([1.0, 2.0])
v5 = v4[2:]
v6 = v4[0]
v6.requires_grad_()
v5.masked_fill_(torch.zeros([0], dtype=torch.bool), v6)
v5.backward(torch.zeros([0]))""",
}
