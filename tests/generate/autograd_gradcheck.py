"""Numerical gradient checks and forward derivatives, by PyTorch.

python tests/generate/autograd_gradcheck.py    # writes tests/data/autograd_gradcheck.json
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

OUT = Path(__file__).resolve().parents[1] / "data" / "autograd_gradcheck.json"

CHECKS = """
check(lambda a: a.sin(), x)
check(torch.matmul, (x, w), check_forward_ad=True)
check(torch.matmul, (x, w), check_batched_grad=True)
check(torch.matmul, (x, w), check_forward_ad=True, check_batched_forward_grad=True)
check(torch.matmul, (x, w), fast_mode=True, check_forward_ad=True)
check(torch.matmul, [x, w])
check(lambda a: a * a.abs(), c, check_forward_ad=True)
check(lambda a: torch.view_as_real(a * a), c, fast_mode=True)
check(lambda a: (a.real.sum(), a**2), c, check_batched_grad=True)
check(lambda a, n: a * n, (x, 3))
check(lambda a: a.t() * 2, x.detach().t().requires_grad_())
check(lambda a: a * a, x * 2)
check(lambda a: (a.sum(), a.detach()), v)
check(lambda a: a.detach() * 2, v)
check(lambda a: (a > 0).double(), v)
check(lambda a, *_: layer(a), (x, *layer.parameters()))
check(Wrong.apply, v)
check(Wrong.apply, v, raise_exception=False)
check(Wrong.apply, v, fast_mode=True)
check(Wrong.apply, c)
check(Careless.apply, v)
check(Noisy.apply, v)
check(Noisy.apply, v, nondet_tol=1e-3)
check(lambda a: a.abs(), torch.zeros(1, dtype=torch.float64, requires_grad=True))
check(lambda a: a, torch.ones(2))
check(lambda a: a, 3)
check(lambda a: a * 2, torch.ones(2, requires_grad=True))
check(lambda a: a * 2, torch.ones(1, dtype=torch.float64).expand(3).requires_grad_())
check(lambda a: a, v, check_backward_ad=False)
check(lambda a: a, v, check_backward_ad=False, check_forward_ad=True)
check(lambda a: a, v, check_batched_forward_grad=True)
check(lambda a: a, v, check_batched_grad=True, check_backward_ad=False, check_forward_ad=True)
check(lambda a: a[: int(a[0] > 1) + 1], v)
twice(lambda a: a.exp().sin(), x)
twice(torch.matmul, (x, w))
twice(torch.matmul, (x, w), check_fwd_over_rev=True)
twice(torch.matmul, (x, w), fast_mode=True)
twice(lambda a: a.tanh() * a, c)
twice(lambda a: a**3, v, torch.ones(2, dtype=torch.float64))
twice(lambda a: a**3, v, gen_non_contig_grad_outputs=True)
twice(lambda a: (a.sum(), a.sin()), x)
twice(Once.apply, v)
twice(lambda a: a * 2, v, check_rev_over_rev=False)
twice(lambda a: a * 2, v, check_rev_over_rev=False, check_fwd_over_rev=True)
"""
FORWARD = """
dual(lambda d: d * d)
dual(lambda d: d)
dual(lambda d: (d * 2).sum())
dual(lambda d: torch.outer(d, d.exp()))
dual(lambda d: d.detach())
dual(lambda d: s)
dual(lambda d: (d > 0).long())
dual(lambda d: d[1:])
dual(lambda d: written(torch.zeros(2), d))
dual(lambda d: d.clone().mul_(d))
dual(lambda d: d.data)
dual(lambda d: unrecorded(lambda: d * d))
dual(lambda d: torch.autograd.grad((s_grad * d).sum(), s_grad)[0])
dual(lambda d: torch.autograd.grad((d**3).sum(), d)[0], s_grad)
dual(lambda d: layer(torch.cat([d, d[:1]]).double()))
dual(lambda d: torch.fft.fft(d).abs())
dual(lambda d: d.mul_(3), s.clone())
dual(lambda d: (d[:1].mul_(3), d)[1], s.clone())
dual(lambda d: (d.add_(d), d[1:])[1], s.clone())
dual(lambda d: unrecorded(lambda: d.mul_(3)), s.clone())
both(s.clone(), lambda d: d.mul_(2))
forward._current_level
inside(lambda: forward._current_level)
forward.unpack_dual(s)
forward.make_dual(s, t)
forward.exit_dual_level()
inside(lambda: forward.enter_dual_level())
inside(lambda: forward.make_dual(s, t[:1]))
inside(lambda: forward.make_dual(s.long(), t))
inside(lambda: forward.make_dual(s, t.long()))
inside(lambda: forward.make_dual(forward.make_dual(s, t), t))
inside(lambda: forward.exit_dual_level(level=3))
inside(lambda: forward.make_dual(s, t, level=-1))
inside(lambda: forward.unpack_dual(forward.make_dual(s, t), level=-1).tangent)
forward.unpack_dual(inside(lambda: forward.make_dual(s, t) * 2))
torch.autograd.grad(*batch(False), is_grads_batched=True)
torch.autograd.grad(*batch(True), is_grads_batched=True, allow_unused=True)
"""


def names(torch):
    """What the cases speak of."""
    Function = torch.autograd.Function

    class Wrong(Function):
        @staticmethod
        def forward(ctx, a):
            ctx.save_for_backward(a)
            return a**2

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[0]

    class Careless(Function):
        @staticmethod
        def forward(ctx, a):
            return a * 1

        @staticmethod
        def backward(ctx, g):
            return torch.ones_like(g) * (1 if g.abs().sum() else 2)

    class Noisy(Function):
        @staticmethod
        def forward(ctx, a):
            return a * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2 * (1 + 1e-7 * torch.rand_like(g))

    class Once(Function):
        @staticmethod
        def forward(ctx, a):
            ctx.save_for_backward(a)
            return a**2

        @staticmethod
        def backward(ctx, g):
            return g * 2 * ctx.saved_tensors[0].detach()

    def double(*shape):
        return torch.randn(*shape, dtype=torch.float64, requires_grad=True)

    forward = torch.autograd.forward_ad
    s, t = torch.tensor([1.0, 2.0]), torch.tensor([3.0, -1.0])

    def dual(f, at=s):
        with forward.dual_level():
            return list(forward.unpack_dual(f(forward.make_dual(at, t))))

    def both(at, f):
        with forward.dual_level():
            f(forward.make_dual(at, t))
            return list(forward.unpack_dual(at))

    def inside(f):
        with forward.dual_level():
            return f()

    def written(where, what):
        where[:] = what
        return where

    def unrecorded(f):
        with torch.no_grad():
            return f()

    def batch(extra):
        a = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
        unused = torch.ones(1, requires_grad=True)
        return (a.exp(), a.sum()), (a, unused) if extra else (a,), (torch.eye(3), torch.ones(3))

    return {
        "torch": torch,
        "check": torch.autograd.gradcheck,
        "twice": torch.autograd.gradgradcheck,
        "x": double(2, 3),
        "w": double(3, 2),
        "v": torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True),
        "c": torch.randn(3, dtype=torch.complex128, requires_grad=True),
        "layer": torch.nn.Linear(3, 2).double(),
        "s_grad": s.clone().requires_grad_(),
        **{f.__name__: f for f in (Wrong, Careless, Noisy, Once, dual, both, inside, written)},
        "unrecorded": unrecorded,
        "batch": batch,
        "forward": forward,
        "s": s,
        "t": t,
    }


def plain(value):
    """Nested lists."""
    if isinstance(value, (tuple, list)):
        return [plain(v) for v in value]
    return value.tolist() if hasattr(value, "tolist") else value


def answer(text, torch):
    """The result, or the error's type and message."""
    torch.manual_seed(0)
    try:
        return {"value": plain(eval(text, names(torch)))}
    except Exception as error:
        return {"error": type(error).__name__, "message": str(error)}


def main() -> None:
    """Write the file."""
    import torch
    import torch.autograd.forward_ad

    warnings.filterwarnings("error", message="Input #")
    warnings.simplefilter("ignore", DeprecationWarning)
    out = {}
    for section in ("CHECKS", "FORWARD"):
        lines = [t for t in globals()[section].split("\n") if t]
        out[section.lower()] = [[t, answer(t, torch)] for t in lines]
    OUT.write_text(json.dumps(out, indent=0) + "\n")


if __name__ == "__main__":
    main()
