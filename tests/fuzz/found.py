"""Short programs on which Facula once differed from PyTorch, by what it was.

Those of views, and of what is reshaped or resized in place, are in `found_views.py`, those of
`wide.py` in `found_wide.py`.

`tests/generate/fuzz_programs.py` stores what PyTorch makes of them.
"""

from __future__ import annotations

from fuzz import found_views, found_wide

FOUND = {
    "an operation that fails has asked its operands for their histories": """
v0 = torch.zeros(3, 2).t()
v1 = v0[:1]
v0[...] = torch.ones(2, 3).requires_grad_()
v1[0, 9]
v1.add_(1)""",
    "a write that is refused asks no operand for its history": """
v0 = torch.tensor([-0.6])
v1 = torch.tensor([-1.13, 1.54]).requires_grad_()
v2 = v0.reshape(-1)
v3 = v2[()]
v4 = v1.ravel()[1:]
v2.lerp_(v4, 0.25)
v4.addcmul_(v3, v0)
v3.zero_()""",
    "of equal zeros the first": """
v0 = torch.tensor([0.0, -0.0])
v1 = torch.tensor([-0.0, 0.0])
v2 = 1 / torch.maximum(v0, v1)
v3 = 1 / torch.minimum(v0, v1)
v4 = 1 / v0.clamp(v1, v1)
v5 = 1 / v0.clamp(0, 0)
v6 = 1 / torch.fmax(v0, v1)
v7 = 1 / torch.fmin(v0, v1)
v8 = 1 / torch.nn.functional.relu6(v0)""",
    "take_along_dim takes indices modulo the size": """
v0 = torch.arange(3.0)
v1 = v0.take_along_dim(torch.tensor([5, -5, 0, -1]), 0)
v2 = v0.take_along_dim(torch.tensor([-1]))
v3 = torch.zeros(0).take_along_dim(torch.tensor([0]), 0)
v4 = torch.ones(2, 3).t().take_along_dim(torch.tensor([5]))""",
    "running sums are computed in the dtype of what they are written to": """
v0 = torch.tensor([True, False, True])
v1 = torch.tensor([1.5, 2.5])
v2 = torch.zeros(2, dtype=torch.int64)
v0.cumsum_(0)
torch.cumsum(v1, 0, out=v2)
torch.cumprod(v1, 0, out=torch.zeros(2, dtype=torch.bool))
v1.cumsum_(0, dtype=torch.float64)
v3 = torch.zeros([], dtype=torch.int64)
torch.sum(v1, 0, out=v3)""",
    "quotients that are cut off have gradients that nothing depends on": """
v0 = torch.tensor([3.0, -5.0]).requires_grad_()
v1 = v0.clone()
v1.div_(v0, rounding_mode='trunc')
(v1 * v1).sum().backward(create_graph=True)""",
    "a factor of index_add on bools is one": """
v0 = torch.tensor([True, False])
v0.index_add_(0, torch.tensor([1, 0]), torch.tensor([True, True]), alpha=-1.5)""",
    "index_put takes no value of more dimensions": """
v0 = torch.zeros(3)
v0.index_put_((torch.tensor([0, 1]),), torch.ones(1, 2))
v0[torch.tensor([0, 1])] = torch.ones(1, 2)""",
    "nothing is written twice where nothing is written": """
v0 = torch.ones(1, 3).expand(3, 3)[:, 3:]
torch.neg(v0, out=v0)""",
    "counts and lengths that fit no dimension": """
v0 = torch.ones(2, 3)
torch.repeat_interleave(v0, torch.tensor([1, 2, 3]), 0)
torch.meshgrid(v0, indexing='ij')""",
    "numbers of a graph that a followed pass has consumed": """
v0 = torch.tensor([[1.0, 2.0, 3.0]]).requires_grad_()
v1 = v0 * 2
v2 = v1.mean(-1)
(v0.sum() * v2.sum()).backward()
(v2 * v2).sum().backward(retain_graph=True)
v3 = some(torch.autograd.grad(v1.sum(), [v1], create_graph=True)[0], v1)""",
    "the gradient of the only maximum is no number's beside it": """
v0 = torch.tensor([1.0, 3.0, 2.0]).requires_grad_()
v0.max().backward(torch.tensor(float('inf')))
v1 = torch.tensor([1.0, float('nan')]).requires_grad_()
v1.min().backward()""",
    "a copy that is refused asks for no history": """
v0 = torch.tensor([1.0, 2.0])
v1 = v0[:]
v0 *= torch.ones(2).requires_grad_()
v1.copy_(v1)
v1.floor_()""",
    "comparing asks for no history": """
v0 = torch.ones(2, dtype=torch.float64)
v1 = torch.ones(2).requires_grad_() * 1
v2 = v1.unbind(0)[0]
v1.add_(1)
out(torch.equal(v0[0], v2))""",
    "what an operation with out= would refuse is not asked for its history": """
v0 = torch.ones(2)
v1 = v0[:]
v0 += torch.ones(2).requires_grad_()
torch.add(v1, 1.0, out=torch.empty(0))
v1.floor_()""",
    "what is picked of one element, and what one is multiplied to, is saved": """
v0 = torch.tensor(2.0).requires_grad_()
v1 = v0.sort(0)[0]
v1.backward()
v1.backward()
v2 = v0.cumprod(0)
v2.add_(1)
v2.backward()
v3 = torch.ones(2, 1).t().requires_grad_()
v4 = v3.t().cumprod(1)
v4.add_(1)
v4.sum().backward()""",
    "no elements are added up, and the source is saved": """
v0 = torch.zeros(0, 2).requires_grad_() * 1
v1 = v0.view(0, 2)
v0.index_add_(1, torch.tensor([0, 1]), v1)
v0.sum().backward()
v2 = torch.cummax(torch.zeros(4, 0), 3)[0]""",
    "products are added to what has their dtype": """
v0 = torch.ones(2, 2, dtype=torch.float64)
v0.addmm_(torch.ones(2, 1), torch.ones(1, 2))
torch.addmv(v0[0], torch.ones(2, 2), torch.ones(2))
v0.addr_(torch.ones(2), torch.ones(2))""",
    "memory comes first, then the shapes of indices, the value's, and what is out of bounds": """
v0 = torch.ones(1, 2)
v0[torch.tensor([True, True])] = v0
v0.index_copy_(1, torch.tensor([0, 1, 0]), v0)
v0.index_put_((torch.tensor([0, 1]),), torch.ones(3, 1), True)
v0[torch.tensor([0, 1])] = torch.ones(3, 1)
v0.expand(2, 2)[torch.tensor([0, 1, 1]), torch.tensor([0, 1])] = 1.0
v0[None, 0] = v0
v0[::2] = v0
v1 = torch.ones(3, 3, 2)
v1[-2, -2:1:2, None, -1] *= 2""",
    "dimensions of size 1 that come and go leave the strides of the others": """
v0 = torch.ones(2, 3, dtype=torch.float64).t()
v1 = v0.unsqueeze(2)[:, torch.tensor([-1, -2, -1]), None, torch.tensor(0)]
out(v0.unsqueeze(2).stride())
v2 = torch.ones(3, 1, 2, 1).permute(2, 3, 0, 1)
out([v2.squeeze(1).stride(), v2.squeeze(3).stride(), v2[:, :, :1].squeeze(1).stride()])
v3 = torch.ones(1, 3, 3).permute(0, 2, 1)[:, :, :1]
v3[...] = v3.squeeze(1)
v0.unsqueeze_(2)
out(v0.stride())""",
    "the gradient of lerp by a number is a product": """
v0 = torch.tensor([1.0, 2.0]).requires_grad_()
v1 = torch.tensor([1.5, 2.5]).requires_grad_()
v2 = torch.lerp(v0, v1, 0.3)
v2.backward(torch.tensor([float('inf'), 1.0]))
v3 = torch.lerp(v0, v1, 0.7)
v3.backward(torch.tensor([1.0, -float('inf')]))""",
    "triangles save nothing": """
v0 = torch.ones(2, 2).requires_grad_()
v1 = (v0 * 2).tril()
v1.sum().backward(retain_graph=True)
v2 = v0.triu(1)
v2.sum().backward()
v2.sum().backward()""",
    "a gradient of what has another shape by now is added up": """
v0 = torch.ones(2, 3).requires_grad_()
v1 = v0.sum()
v1.data = torch.empty(0)
(v1 * v1).sum().backward()
v2 = v0.sum(0)
v2.data = torch.ones(4, 3)
v2.exp().sum().backward()
v3 = v0 * 2
v3.data = torch.ones(4)
v3.sum().backward()""",
    "operands that are converted, and factors that are scaled, are saved as they were": """
v0 = torch.ones(2).requires_grad_()
v1 = v0 * 2
v2 = torch.ones(2, dtype=torch.float64)
v3 = v1 * v2
v2.add_(1)
v3.sum().backward(retain_graph=True)
v4 = v1 + v2
v2.add_(1)
v4.sum().backward(retain_graph=True)
v5 = torch.ones(2)
v6 = v0.addcmul(v5, v1, value=0.5)
v5.add_(1)
v6.sum().backward(retain_graph=True)
v7 = v0.addcmul(v5, torch.ones(2), value=3)
v5.add_(1)
v7.sum().backward()""",
    "of one number too a product that was written is saved, and a source that was detached": """
v0 = torch.tensor(2.0).requires_grad_()
v1 = v0 * 2
v1.cumprod_(0)
v1.zero_()
v1.backward()
v2 = torch.ones(1).requires_grad_() * 1
v3 = v0 * 2
v3.put_(torch.tensor([0]), v2, accumulate=True)
v2.detach_()
v3.backward()""",
    "batches of bools are no product, whatever the other's dtype": """
v0 = torch.ones(2, 2, 2, dtype=torch.bool) @ torch.ones(2, 2, 2)
v1 = torch.ones(2, dtype=torch.bool) @ torch.ones(2, 2, 2)
v2 = torch.ones(2, 2, 4, dtype=torch.bool)[:, ::2] @ torch.ones(4)
v3 = torch.ones(2, 2, 4, dtype=torch.bool) @ torch.ones(4)""",
    "a copy keeps the strides of dimensions of size 1, by which products fold": """
v0 = torch.ones(2, 2, 4, dtype=torch.bool)[::3]
v1 = v0.detach().clone() @ torch.ones(4, dtype=torch.int64)
v2 = v0.contiguous().logical_not().clone() @ torch.ones(4, dtype=torch.int64)""",
    "sizes of batches of bools that do not fit come first": """
v0 = torch.ones(3, 2, 4, dtype=torch.bool)
v1 = v0 @ v0
v2 = v0 @ torch.ones(2, 4, 2, dtype=torch.bool)
v3 = torch.ones(4, 5, dtype=torch.bool) @ v0
v4 = v0 @ v0.mT""",
    "a number beside a tensor is an operand without dimensions": """
v0 = torch.ones(4, 2).t()[:, :1]
v1 = v0 * 2
v1 *= v1.as_strided([2, 1], [1, 2])
v2 = v0.neg()
v2 *= v2.as_strided([2, 1], [1, 2])
out([v1.stride(), v2.stride(), (v0 < 1).stride(), (1 - v0).stride(), (v0 ** 2).stride()])""",
    "what grad has not gone through is not freed": """
v0 = torch.tensor([2.0, 3.0]).requires_grad_()
v1 = v0 * v0
v2 = v1.sin()
v3 = some(torch.autograd.grad((v2 * v2).sum(), [v2])[0], v2)
v1.sum().backward()
v2.sum().backward()
(v2 * v2).sum().backward()""",
    "the angle at the origin has no gradient": """
v0 = torch.zeros(2).requires_grad_()
v1 = torch.atan2(v0, v0 * 1)
v1.sum().backward()""",
    "what cat passes over is depended on": """
v0 = torch.zeros(0).requires_grad_()
v1 = torch.cat([torch.zeros(0), v0], 0)
v2 = torch.cat([v0, torch.ones(2, 3)], 0)
v2.sum().backward()""",
    "a number for a vector is scattered, nothing is assigned to itself, no diagonal is filled": """
v0 = torch.zeros(3)
v0.scatter_(0, torch.tensor([1]), v0.sum() + 2)
v1 = torch.zeros(0, 2)
v1[1:, torch.tensor([-2, -2])] = v1
v2 = torch.ones(2, 2)
v3 = v2[1:, :-2]
v2 *= torch.ones(2).requires_grad_()
v3.fill_diagonal_(0.5)""",
    "where a product folds a copy of an operand, that is saved": """
v0 = torch.ones(2, 2, 2).requires_grad_()
v1 = v0.data
v2 = v0.select(2, -2) @ v1
v1.sub_(v2)
(v2 * v2).sum().backward()""",
    "a pass that meets what has no derivative fails before it frees what is older": """
v0 = torch.ones(2).requires_grad_()
v1 = torch.ones(3).requires_grad_()
v2 = 1.5 // (v0 * 2)
v3 = v1.expm1()
(v2.sum() * v3.sum()).backward()
v3.sum().backward()
(v2.sum() * v3.sum() + (v2 * v2).sum()).backward()
v3.sum().backward()""",
    "an infinite gradient stays one past what is a number times its own sigmoid": """
v0 = torch.tensor([-1.18, -3.0, 0.0, 2.0]).requires_grad_()
v1 = torch.nn.functional.silu(v0 * 1)
v2 = v1 / torch.zeros(4)
v2.sum().backward()""",
    "which error it is that as many values are put as there are places": """
v0 = torch.ones(3, 2)
v0.put_(torch.tensor([0, 2, 1]), torch.ones(2))
v0.put_(torch.tensor([0.0, 2.0]), torch.ones(3))
v0.put_(torch.tensor([0, 2, 100]), torch.ones(2))""",
    "indices of index_put are numbers and masks without dimensions too": """
v0 = torch.ones(2, 3).requires_grad_()
v1 = v0.index_put((torch.tensor(1), torch.tensor([0, -1])), torch.tensor(4.0))
v2 = v0.index_put((torch.tensor(-1), torch.tensor(1)), torch.ones(1), accumulate=True)
v3 = v0.index_put((torch.tensor(0),), torch.ones(1, 3))
v4 = v0.index_put((torch.tensor(True),), torch.tensor(4))
v5 = v0.index_put((torch.tensor(False), torch.tensor([0])), torch.zeros(3))
v7 = (v0 * 1).index_put_((torch.tensor(0), torch.tensor(2)), v0[1, 1])
(v1.sum() + (v2 * v2).sum() + v5.sum() + (v7 * v7).sum()).backward()""",
    "NaN that arrives at a running sum of exponentials has no sign": """
v0 = torch.tensor([[1.0, 2.0], [0.5, float("nan")]]).requires_grad_()
v1 = torch.logcumsumexp(v0 * 1, 1)
(v1.sum() * v1.sum()).backward()""",
    "no element of an expanded tensor is assigned to itself": """
v0 = torch.ones(1).expand([1, 2])
v0[0, :-2:3] -= -0.5""",
    "a running product of one number saves its result": """
v0 = torch.tensor([-2.0, -1.5]).requires_grad_()
v1 = v0[0].cumprod(-1)
v2 = v1.detach()
v2[v2 < 0.5] += 3.0
v3 = v0[1].logcumsumexp(-1)
out(v3.item())
v3.data.add_(1)
v3.detach().add_(1)
v1.reshape_as(v2).backward()
v3.backward()""",
    "a pass through an ended frame that does not reach a write there": """
v0 = torch.tensor([0.25, 0.5]).requires_grad_()
v1 = v0.sum()
v2 = (v1 * 3).clone()
v2 /= v1
n0 = v1.detach().numpy()
v1.backward(torch.tensor(1.25), retain_graph=True)
v2.backward()""",
    "addcdiv keeps its denominator, and what is joined of nothing depends on nothing": """
v0 = torch.ones(3, dtype=torch.float64).requires_grad_()
v1 = v0.clone()
v1.addcdiv_(torch.tensor(1.95), torch.ones(3, dtype=torch.float64), value=0.5)
v1.sum().backward()
v1.sum().backward()
v2 = torch.cat([v0[:0], v0[:0]])
v3 = some(torch.autograd.grad((v2 * v2).sum(), [v0], create_graph=True)[0], v0)""",
    "products of two dtypes of which one has no elements, and distances of nothing": """
v0 = torch.zeros(0, 3, 2, dtype=torch.int64) @ torch.zeros(0, 2, 2)
v1 = torch.zeros(2, 3, 0, dtype=torch.int64) @ torch.zeros(2, 0, 3).requires_grad_()
v2 = torch.zeros(0, 3, 2, dtype=torch.bool) @ torch.zeros(0, 2, 2, dtype=torch.int64)
v3 = torch.zeros(0, 3, 2).requires_grad_() @ torch.zeros(0, 2, 2, dtype=torch.int64)
v4 = torch.bmm(torch.zeros(0, 3, 2, dtype=torch.int64), torch.zeros(0, 2, 2))
v5 = torch.zeros(2, 3, 2, dtype=torch.int64) @ torch.zeros(2, 2, 2)
v6 = torch.cdist(torch.zeros(1, 4, 0).requires_grad_(), torch.zeros(2, 3, 0))""",
    "where the parts of complex numbers lie": """
v0 = torch.arange(9, dtype=torch.float64).to(torch.complex128).view(3, 3).t()
v1 = v0.diagonal(-1).real
v2 = v0[1:].imag
v3 = torch.view_as_real(v0[1:])
v4 = v2.as_strided((4,), (1,), 0)
v5 = v3.as_strided((4,), (1,), 1)
v6 = torch.arange(8, dtype=torch.int32)[2:].view(torch.uint8)[4:].as_strided((4,), (4,), 0)
v7 = torch.view_as_complex(torch.zeros(7)[1:].view(3, 2))
out(torch.view_as_complex(torch.zeros(8)[2:].view(3, 2)).storage_offset())
v4.mul_(2)
out(v0.real.tolist())
del v0""",
    "a dimension that is not there is found before a dtype that does not fit": """
v0 = torch.zeros(2, 3, dtype=torch.complex64)
v0.amax(5)
v0.max(5)
v0.max(0)
v0.sort(5)
v0.median(5)
v0.mode(5)
v0.cummax(5)
v0.topk(1, 5)
v0.kthvalue(1, 5)
del v0""",
    "gradients have the dtype of what they are gradients of": """
v0 = torch.ones(2).requires_grad_()
v1 = v0 * 2
v2 = torch.full((2,), 1.1, dtype=torch.float64)
v3 = torch.autograd.grad(v1, v0, v2, retain_graph=True)[0]
v4 = torch.autograd.grad(v1, v1, v2, retain_graph=True)[0]
v5 = torch.autograd.grad(v1, v0, v2.long(), retain_graph=True)[0]
v1.backward(v2)""",
    "what is 0 in a target that requires grad, and the layout of threshold": """
v0 = torch.zeros(2, dtype=torch.float64).requires_grad_()
v1 = torch.nn.functional.kl_div(v0 * 2, v0 * 2, reduction='sum')
v1.backward()
v2 = torch.nn.functional.threshold(torch.ones(2, 3).t(), 0.1, 0.2)""",
    "indices that an operation saved may not be written to": """
v0 = torch.ones(3, 4, dtype=torch.float64).requires_grad_()
v1 = torch.tensor([0, 1])
v2 = v0[v1] + v0[:, v1][:2, :1] + v0.index_select(0, v1)
v1.add_(1)
v2.sum().backward()
v3 = torch.tensor([[True, False, True, True]]).expand(3, 4).clone()
v4 = v0[v3]
v3.logical_not_()
v4.sum().backward()
v5 = v0 * 2
v5[v1] = 3.0
v1.sub_(1)
v5.sum().backward()
v6 = torch.nn.functional.embedding(v1, v0)
v1.add_(1)
v6.sum().backward()
v7 = (v0 * 2).index_copy(0, v1, torch.ones(2, 4, dtype=torch.float64))
v8 = (v0 * 2).index_add(0, v1, torch.ones(2, 4, dtype=torch.float64))
v9 = (v0 * 2).index_fill(0, v1, 2.0)
v1.sub_(1)
v8.sum().backward()
v7.sum().backward()
v9.sum().backward()""",
    "what hooks keep of a leaf is a value of its own, and a copy they make is made at once": """
v0 = torch.tensor([1.0, 2.0], dtype=torch.float64).requires_grad_()
with torch.autograd.graph.saved_tensors_hooks(lambda t: t * 2, lambda t: t): v1 = v0.exp() * v0
with torch.no_grad(): v0.zero_()
v2 = some(torch.autograd.grad(v1.sum(), [v0], create_graph=True)[0], v0)
(v2 * v2).sum().backward()
v3 = v0 + 1
with torch.autograd.graph.saved_tensors_hooks(lambda t: t.clone(), lambda t: t): v4 = v3 * v3
v3.detach().numpy().fill(5)
v4.sum().backward()""",
    "writes of nothing into nothing, and through windows that do not meet": """
v0 = torch.zeros(3, 0, dtype=torch.float64)
v1 = torch.empty(0, dtype=torch.float64).set_(v0.untyped_storage(), 0, v0.shape)
v1.clamp_min_(0)
v2 = torch.arange(12, dtype=torch.float64).view(4, 3).unfold(-1, 1, 1).squeeze(-1)
v3 = v2.view(torch.int64)
v3[torch.tensor(-3), torch.tensor([True, True, False])] = torch.tensor(7)
v4 = torch.arange(7).unfold(0, 2, 3)
v4.add_(1)""",
    "parts of complex numbers can be assigned, and real ones that are written as complex": """
v0 = torch.zeros(2, dtype=torch.complex128)
v0.real = 3
v0.imag = torch.tensor([1.0, 2.0], dtype=torch.float64)
out([z.real for z in v0.tolist()] + [z.imag for z in v0.tolist()])
v1 = torch.ones(3)
v1.real = 4
v1.imag = 4
v1.masked_fill_(torch.tensor([True, False, True]), torch.tensor(1, dtype=torch.complex64))
v1.masked_fill_(v1 > 1, 2 + 0j)
v1.fill_(1 + 0j)
v1.fill_(1j)
v1.index_fill_(0, torch.tensor([0]), 1 + 0j)
v0.abs_()
del v0""",
    "what requires grad is summed in no integers, and takes comparisons": """
v0 = torch.ones(3).requires_grad_()
v0.sum(dtype=torch.int32)
v0.cumsum(0, dtype=torch.int64)
v0.prod(dtype=torch.bool)
v1 = v0 * 2
torch.gt(v1, 1, out=v0)
torch.gt(v0, 3, out=v1)
v1.requires_grad = True
torch.any(v0, 0, out=torch.empty(()))
torch.where(v0 > 0, v0.detach(), 0.5, out=torch.empty(3))
v1.sum().backward()""",
    "memory that was shared before .data was replaced is made smaller": """
v0 = torch.tensor([0.81, 0.86, 1.79])
v1 = v0[::1]
v2 = v1.tensor_split(3, 0)[2]
v2.data = (torch.cat([v2.view(-1)]) * 2)[0:1].view(v2.shape).data
torch.gt(v2, 0, out=v1)""",
    "adding at indices frees what it saves, as does writing at none": """
v0 = torch.tensor([-1.57, 0.26, -0.18, -0.76], dtype=torch.float64).requires_grad_()
v1 = v0.clone()
v1.index_put_((torch.tensor([2]),), torch.tensor([0.11], dtype=torch.float64), True)
(v0.sum() * v1.sum()).backward()
v6 = v1[..., ::2]
v11 = some(torch.autograd.grad((v6 * v6).sum(), [v0], create_graph=True)[0], v0)
v13 = v0.clone()
v13.masked_scatter_(v13 > 9, torch.ones(4, dtype=torch.float64))
(v13 * v13).sum().backward()
v13.sum().backward()
v14 = v0.clone()
v14.put_(torch.tensor([], dtype=torch.int64), torch.tensor([], dtype=torch.float64))
(v14 * v14).sum().backward()
v14.sum().backward()
v12 = v0.clone()
v12.put_(torch.tensor([2]), torch.tensor([0.11], dtype=torch.float64), True)
(v0.sum() * v12.sum()).backward()
(v12 * v12).sum().backward()""",
    "a matrix and a batch of another dtype, whose product has no elements": """
v0 = torch.tensor([[-1.22, 0.76], [0.11, -0.63]], dtype=torch.float64)
v1 = torch.zeros([0, 2, 3], dtype=torch.float32)
v2 = v0 @ v1
v3 = torch.zeros([0, 3, 2], dtype=torch.float32).mT
v4 = v0 @ v3
v0.requires_grad_()
v5 = v0 @ v1""",
    "the second derivative of a norm of zeros, and what it is multiplied by": """
v0 = torch.tensor([[1.0, -2.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64).requires_grad_()
v1 = torch.dist(v0, v0)
v2 = some(torch.autograd.grad(v1, [v0], create_graph=True)[0], v0)
v3 = some(torch.autograd.grad((v2 * 3).sum(), [v0])[0], v0)
v4 = v0.norm(2, 1)
v5 = some(torch.autograd.grad(v4.sum(), [v0], create_graph=True)[0], v0)
v6 = some(torch.autograd.grad((v5 * v5).sum(), [v0])[0], v0)
v7 = v0.norm(1.5, 1)
v8 = some(torch.autograd.grad(v7.sum(), [v0], create_graph=True)[0], v0)
v9 = some(torch.autograd.grad((v8 * v8).sum(), [v0])[0], v0)
v10 = v0.norm(3, 1)
v11 = some(torch.autograd.grad(v10.sum(), [v0], create_graph=True)[0], v0)
v12 = some(torch.autograd.grad((v11 * v11).sum(), [v0])[0], v0)""",
    "what a mean of nothing hands on to the second derivative is 0": """
v0 = torch.zeros([0, 2], dtype=torch.float64).requires_grad_()
v1 = torch.nn.functional.huber_loss(v0, v0.detach())
v2 = v1.expand([])
v3 = some(torch.autograd.grad((v2 * v2).sum(), [v0], create_graph=True)[0], v0)
v4 = some(torch.autograd.grad(v3.sum(), [v2])[0], v2)
v5 = v0.mean(0)
v6 = v5 * 1
v7 = some(torch.autograd.grad((v6 * v6).sum(), [v0], create_graph=True)[0], v0)
v8 = some(torch.autograd.grad(v7.sum(), [v6])[0], v6)""",
    "gradients of what only picks and adds depend on nothing": """
v0 = torch.tensor([[1.0, -2.0], [3.0, 0.5]], dtype=torch.float64).requires_grad_()
v1 = torch.tensor([1, 0])
v2 = torch.autograd.grad((v0 * 2).index_add_(0, v1, v0.detach()).sum(), [v0], create_graph=True)[0]
v3 = torch.autograd.grad((v0 * 2).index_add(0, v1, v0).sum(), [v0], create_graph=True)[0]
v4 = torch.autograd.grad(v0.kthvalue(1, 0)[0].sum(), [v0], create_graph=True)[0]
v5 = torch.autograd.grad(v0.cummax(0)[0].sum(), [v0], create_graph=True)[0]
v6 = torch.autograd.grad(v0.cummin(0)[0].sum(), [v0], create_graph=True)[0]
v7 = torch.autograd.grad(v0.masked_select(v0 > 0).sum(), [v0], create_graph=True)[0]
v8 = torch.autograd.grad(v0.nansum(0).sum(), [v0], create_graph=True)[0]
v9 = torch.autograd.grad(v0.nanmean(0).sum(), [v0], create_graph=True)[0]""",
    "a function that may not write to a view has written, and its gradient is gone": """
v0 = torch.tensor([[-0.26, 1.99], [1.09, -1.72]], dtype=torch.float64).requires_grad_()
v1 = v0.narrow(-1, 0, 2)
v1.grad = torch.ones(2, 2, dtype=torch.float64)
double_(v1)
v2 = (v0 * 1).unbind(0)[0]
v2.grad = torch.ones(2, dtype=torch.float64)
double_(v2)
v0.grad = torch.ones(2, 2, dtype=torch.float64)
double_(v0)""",
    "a product that is added to nothing of an operand: its gradient is 0": """
v0 = torch.tensor([[1.0, 2.0], [3.0, float('nan')]], dtype=torch.float64).requires_grad_()
v1 = torch.tensor([[[2.0, 1.0], [0.5, 3.0]]], dtype=torch.float64)
v2 = torch.addmm(v0, v1[0], v1[0], beta=0)
v3 = some(torch.autograd.grad(v2.sum(), [v0])[0], v0)
v4 = torch.addmv(v0[0], v1[0], v1[0, 0], beta=0)
v5 = some(torch.autograd.grad(v4.sum(), [v0])[0], v0)
v6 = torch.baddbmm(v0, v1, v1, beta=0)
v7 = some(torch.autograd.grad(v6.sum(), [v0])[0], v0)
v8 = torch.addbmm(v0, v1, v1, beta=0)
v9 = some(torch.autograd.grad(v8.sum(), [v0])[0], v0)
v10 = (v0 * 2).addr_(v1[0, 0], v1[0, 1], beta=0)
v11 = some(torch.autograd.grad(v10.sum(), [v0])[0], v0)""",
    **found_views.FOUND,
    **found_wide.FOUND,
}


def program(text: str) -> dict:
    """The program of a text."""
    return {"seed": 0, "bases": [], "steps": text.strip().splitlines()}
