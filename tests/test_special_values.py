"""Zeros, infinities, NaN, equal bounds, empty and 0-d tensors: values and gradients by PyTorch."""

from __future__ import annotations

import warnings
from math import inf, nan

from nn.stored import agrees

ODD = [nan, inf, -inf, -0.0, 0.0, 0.5, -0.5, 1.0, -1.0, 2.5, 100.0, -100.0, 2.0, -3.0]
ROWS = [[nan, 1, 2, 3], [inf, 1, -inf, 2], [0, 0, 1, 2], [0, 5, 1, 2], [2, 2, 2, 2], [3, 1, 3, 1]]
CASES = """
grads(lambda a: a.prod(), T([inf, 0., 2.]))
grads(lambda a: a.prod(), T([0., 0., 2.]))
grads(lambda a: a.prod(), T([inf, 3., 2.]))
grads(lambda a: a.prod(0), T([[nan], [0.], [2.]]))
grads(lambda a: a.prod(1), T(ROWS))
grads(lambda a: a.prod(1), T(ROWS[4:]))
grads(lambda a, b, c: torch.clamp(a, b, c), ones, zeros, zeros)
grads(lambda a, b, c: torch.clamp(a, b, c), -ones, zeros, zeros)
grads(lambda a, b, c: torch.clamp(a, b, c), zeros, ones, zeros)
grads(lambda a, b, c: torch.clamp(a, b, c), zeros, zeros, zeros)
grads(lambda a, b: torch.clamp(a, min=b), T(ODD), T(ODD[::-1]))
grads(lambda a: a.var(1), T(ROWS))
grads(lambda a: a.var(1, correction=0), T(ROWS))
grads(lambda a: a.std(1), T(ROWS[2:]))
grads(lambda a: a.var(), T([3.]))
grads(lambda a: a.std(correction=0), T([3.]))
grads(lambda a: a.var(correction=5), T([0., 1., 2.]))
grads(lambda a: a.std(0), T([[1., 2.]]))
grads(lambda a: a.var(0), torch.ones(0, 3))
grads(lambda a: a.std(1).square(), torch.arange(6.).reshape(2, 3).half())
grads(lambda a, b: torch.lerp(a, b, 0.3), T(ODD), T(ODD[::-1]))
grads(lambda a, b: torch.lerp(a, b, 0.7), T(ODD), T(ODD[::-1]))
grads(lambda a, b, w: torch.lerp(a, b, w), T(ODD), T(ODD[::-1]), T(ODD[3:] + ODD[:3]))
grads(lambda a, w: torch.lerp(a, a * 2, w), T(ROWS[2:]), T([0.2, 0.8, 0., 1.]))
grads(lambda a: F.binary_cross_entropy(a, T([1., 0., .5, 1., 0.2])), T([0., 1., .5, 1., 0.3]))
grads(lambda a, b: F.binary_cross_entropy(a, b, reduction='none'), T([.1, .9]), T([0., .3]))
grads(lambda a, b: F.binary_cross_entropy_with_logits(a, b), T(ODD[3:]), T(ODD[3:]))
[T(ODD).to(d) for d in (torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64)]
[T([3e9, -3e9, 1e10, 300., -200.]).to(d) for d in (torch.int8, torch.uint8, torch.int32)]
[T(ODD * 4).double().int(), T(ODD).half().int(), T(ODD).bfloat16().int()]
[T(ROWS[2:]).bfloat16().softmax(1), T(ROWS[2:]).half().softmax(1)]
[torch.tensor([True, False])**True, torch.tensor([True, False])**False]
[T(1.5).flip(0), T(1.5).tile(()), T(1.5).repeat(2)]
[T(ROWS).sum([]), T(ROWS).amax([]), T(ROWS[2:]).mean([], True), T(ROWS).any(())]
[T(ROWS[2:]).sum(np.int64(1)), T(ROWS).unfold(1, np.int64(2), 1), T(ROWS).chunk(np.int64(3))]
[T(ROWS).roll(np.int64(1), np.int64(0)), T(ROWS).narrow(1, 0, torch.tensor(2))]
[torch.tensor_split(T(ROWS[2:]), np.int64(2), 1)]
[torch.empty(2, 3, device='meta').t_().shape, [float(t) for t in reversed(T([1., 2.]))]]
[torch.searchsorted(torch.arange(3), T([0.5, 1.])), torch.einsum('i,j->ij', torch.arange(2), ones)]
[F.softmax(T(2.), 0), F.cosine_similarity(torch.arange(3), T([1., 2., 3.]), 0)]
[torch.finfo(d).resolution for d in (torch.float32, torch.float16, torch.bfloat16)]
[repr(torch.finfo(torch.float32)), repr(T([0., 1.]).to(torch.float8_e4m3fn))]
grads(lambda a: a.prelu(T([.5])), T(ODD))
grads(lambda a: a.hardshrink(0.7), T(ODD[1:]))
[isinstance(torch.FloatStorage([1, 2]), torch.FloatStorage), len(torch.LongStorage(3))]
[torch.FloatTensor(torch.FloatStorage([1, 2])), ones.storage_type() is torch.FloatStorage]
[grads(lambda a: torch.segment_reduce(a, r, lengths=L), T([1., 3., 3., 0., 2.])) for r in REDUCE]
[torch.segment_reduce(T(ROWS[2:]), 'sum', lengths=torch.tensor([[1, 3]] * 4), axis=1)]
[torch.segment_reduce(T(ROWS[2:]), 'max', offsets=torch.tensor([0, 1, 4]), initial=2.5)]
[torch.lobpcg(torch.diag(T([1., 5., 2., 7., 3., 4.])), 2)[0]]
"""


@agrees(rtol=1e-4)
def test_special_values_are_pytorchs(torch):
    import numpy as np

    def grads(f, *ts):
        """The value, its node's name, and the gradients of its sum."""
        ts = [t.detach().clone().requires_grad_() for t in ts]
        out = f(*ts)
        gs = torch.autograd.grad(out, ts, torch.ones_like(out))
        return [out.detach(), type(out.grad_fn).__name__, *gs]

    def made(data):
        return torch.tensor(data, dtype=torch.float32)

    known = {"torch": torch, "F": torch.nn.functional, "T": made, "grads": grads, "np": np}
    known |= {"ODD": ODD, "ROWS": ROWS, "inf": inf, "nan": nan, "REDUCE": ("sum", "mean", "max")}
    known |= {"ones": torch.ones(3), "zeros": torch.zeros(3), "L": torch.tensor([3, 0, 2])}
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of deviations of too few numbers
        return [[case, eval(case, known)] for case in CASES.strip().split("\n")]
