"""`torch.func`, forward derivatives and gradient checks, by PyTorch.

python tests/generate/func.py    # writes tests/data/func.json
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

OUT = Path(__file__).resolve().parents[1] / "data" / "func.json"

VMAP = """
F.vmap(lambda a: a.sum())(x)
F.vmap(lambda a, b: a @ b)(x, y)
F.vmap(lambda a, b: a + b, in_dims=(0, None))(x, v)
F.vmap(lambda a, b: a + b, in_dims=(1, 0))(x, r)
F.vmap(lambda a: a * 2, in_dims=1)(x)
F.vmap(lambda a: a * 2, in_dims=-1, out_dims=1)(x)
F.vmap(lambda a: (a, a.sum()), out_dims=(1, 0))(x)
F.vmap(lambda d: d["a"] * d["b"][0], in_dims=({"a": 0, "b": [None]},))({"a": x, "b": [v]})
F.vmap(lambda d: {"s": d["a"] + 1, "t": [d["a"]]}, out_dims={"s": 1, "t": [0]})({"a": x})
F.vmap(lambda a, k=None: a + k)(x, k=y)
F.vmap(lambda a, k=2: a * k)(x, k=3)
F.vmap(lambda a, n: a * n, in_dims=(0, None))(x, 3)
F.vmap(F.vmap(lambda a, b: a * b, in_dims=(0, None)), in_dims=(None, 0))(v, r)
F.vmap(F.vmap(lambda a: a.exp()))(x)
F.vmap(lambda a: F.vmap(lambda b: (a * b).sum())(y))(x)
F.vmap(lambda a: torch.ones(2), out_dims=0)(x)
F.vmap(lambda a: torch.ones(2), out_dims=None)(x)
F.vmap(lambda a: v)(x)
F.vmap(lambda a: a.sum(), chunk_size=2)(x)
F.vmap(lambda a, b: (a * b, a.sum()), in_dims=(0, None), out_dims=(1, 0), chunk_size=1)(x, v)
F.vmap(lambda a: a.add_(1))(x.clone())
changed(lambda t: F.vmap(lambda a: a.mul_(2))(t), x)
changed(lambda t: F.vmap(lambda a: a[1:].zero_())(t), x)
F.vmap(lambda a, b: a.clone().index_put_((b,), v[:2]))(x, index)
F.vmap(lambda a, b: a[b])(x, index)
F.vmap(lambda a, b: a[b], in_dims=(None, 0))(v, index)
F.vmap(lambda a: a[None, 1:, None])(x)
F.vmap(lambda a: a.shape[0] * a)(x)
F.vmap(lambda a: torch.tensor(a.dim()) + a.numel())(x)
F.vmap(torch.dot)(x, y)
torch.vmap(torch.sum)(x)
F.vmap(lambda a: a.sum(), in_dims=0)(torch.zeros(0, 3))
F.vmap(lambda a: a)(3)
F.vmap(lambda a: a)(torch.tensor(1.0))
F.vmap(lambda a: a)()
F.vmap(lambda a, b: a)(x, 3)
F.vmap(lambda a, b: a)(x, v)
F.vmap(lambda a: a, in_dims=(0, 0))(x)
F.vmap(lambda a: a, in_dims=2)(x)
F.vmap(lambda a: a, in_dims=None)(x)
F.vmap(lambda a: a, in_dims="x")(x)
F.vmap(lambda a: a, in_dims=[0])(x)
F.vmap(lambda a: a, out_dims=5)(x)
F.vmap(lambda a: a, out_dims=None)(x)
F.vmap(lambda a: a, out_dims=(0, 0))(x)
F.vmap(lambda a: 3)(x)
F.vmap(lambda a: (a, 3))(x)
F.vmap(lambda a: a, randomness="often")(x)
F.vmap(lambda a: a, chunk_size=0)(x)
F.vmap(lambda a: a.sum().item())(x)
F.vmap(lambda a: a if a.sum() > 0 else -a)(x)
F.vmap(lambda a: torch.rand(2))(x)
F.vmap(lambda a: a + torch.randn(3))(x)
F.vmap(lambda a: v.clone().add_(a))(x)
F.vmap(lambda a: torch.zeros(3).copy_(a))(x)
F.vmap(lambda a: a[a > 0])(x)
F.vmap(lambda a: torch.unique(a))(x)
F.vmap(lambda a: a.new_zeros(3).copy_(a))(x)
F.vmap(lambda a: torch.zeros_like(a).add_(a))(x)
F.vmap(lambda a: a.mT)(x)
"""
RANDOM = """
F.vmap(lambda a: a + torch.rand(3), randomness="different")(x)
F.vmap(lambda a: a + torch.rand(3), randomness="same")(x)
F.vmap(lambda a: torch.randn(2), randomness="different")(x)
F.vmap(lambda a: torch.randn_like(a), randomness="same")(x)
F.vmap(lambda a: torch.randint(0, 10, (4,)), randomness="different")(x)
F.vmap(lambda a: torch.nn.functional.dropout(a), randomness="different")(x)
F.vmap(lambda a: torch.nn.functional.dropout(v), randomness="same")(x)
F.vmap(lambda a: a.new_zeros(3).uniform_(), randomness="different")(x)
F.vmap(lambda a: torch.bernoulli(a.sigmoid()), randomness="different")(x)
F.vmap(lambda a: torch.zeros(3).uniform_(), randomness="different")(x)
"""
DERIVATIVES = """
F.grad(one)(v)
F.grad(two, argnums=1)(v, u)
F.grad(two, argnums=(0, 1))(v, u)
F.grad(two, argnums=-1)(v, u)
F.grad(lambda d: (d["a"] * d["b"]).sum())({"a": v, "b": u})
F.grad(lambda a: (one(a), a * 2), has_aux=True)(v)
F.grad_and_value(one)(v)
F.grad_and_value(lambda a: (one(a), [a * 2, a]), has_aux=True)(v)
F.grad(F.grad(lambda s: s**3))(z)
F.grad(F.grad(F.grad(lambda s: s.sin())))(z)
F.grad(lambda s: s * F.grad(lambda t: s + t)(s))(z)
F.grad(lambda s: F.grad(lambda t: s * t * t)(s))(z)
F.grad(lambda s: F.grad(lambda t: s.detach() * t * t)(s))(z)
F.grad(lambda a: torch.ones(()))(v)
F.grad(lambda a, k=2: (a * k).sum())(v, k=5)
F.vmap(F.grad(one))(x)
F.vmap(F.grad(two), in_dims=(0, None))(x, v)
F.vmap(F.grad_and_value(two))(x, y)
F.grad(lambda a: F.vmap(one)(a).sum())(x)
F.vmap(F.vmap(F.grad(lambda s: s**3)))(x)
F.vmap(F.grad(lambda a: F.grad(one)(a).sum()))(x)
F.vjp(field, v)[0]
F.vjp(field, v)[1](u)
F.vjp(lambda a, b: (a * b, a.sum()), v, u)[1]((u, z))
F.vjp(lambda d: {"o": d["i"].sin()}, {"i": v})[1]({"o": u})
F.vjp(lambda a: (a.sin(), a.cos()), v, has_aux=True)[2]
F.vmap(F.vjp(field, v)[1])(x)
F.jvp(field, (v,), (u,))
F.jvp(two, (v, u), (u, v))
F.jvp(lambda d: {"o": d["i"].sin()}, ({"i": v},), ({"i": u},))
F.jvp(lambda a: (a.sin(), a.cos()), (v,), (u,), has_aux=True)
F.jvp(F.grad(one), (v,), (u,))
F.jvp(lambda a: F.jvp(field, (a,), (u,))[1], (v,), (u,))
F.grad(lambda a: F.jvp(field, (a,), (u,))[1].sum())(v)
F.vmap(lambda a, b: F.jvp(field, (a,), (b,))[1])(x, y)
F.vmap(lambda b: F.jvp(field, (v,), (b,))[1])(y)
F.jvp(lambda a: torch.ones(2), (v,), (u,))
F.linearize(field, v)[0]
F.linearize(field, v)[1](u)
F.linearize(two, v, u)[1](u, v)
F.vmap(F.linearize(field, v)[1])(x)
F.jacrev(field)(v)
F.jacfwd(field)(v)
F.jacrev(lambda a, b: (a * b, a.sum()), argnums=(0, 1))(v, u)
F.jacfwd(lambda a, b: (a * b, a.sum()), argnums=(0, 1))(v, u)
F.jacrev(lambda a: {"s": a.sum(), "m": torch.outer(a, a)})(v)
F.jacfwd(lambda a: {"s": a.sum(), "m": torch.outer(a, a)})(v)
F.jacrev(lambda a: (a.exp(), a), has_aux=True)(v)
F.jacfwd(lambda a: (a.exp(), a), has_aux=True)(v)
F.jacrev(field, chunk_size=2)(v)
F.jacrev(lambda a: a.sum() * a)(x)
F.jacfwd(lambda a: a.sum() * a)(x)
F.jacrev(F.jacrev(lambda a: a.prod()))(v)
F.jacfwd(F.jacfwd(lambda a: a.prod()))(v)
F.hessian(one)(v)
F.hessian(two, argnums=(0, 1))(v, u)
F.vmap(F.hessian(one))(x)
F.vmap(F.jacrev(field))(x)
F.vmap(F.jacfwd(field))(x)
F.jacrev(lambda a: torch.ones(2))(v)
F.jacfwd(lambda a: torch.ones(2))(v)
F.grad(field)(v)
F.grad(lambda a: (one(a), 1))(v)
F.grad(lambda a: 3.0)(v)
F.grad(one)(3.0)
F.grad(one, argnums=1)(v)
F.grad(one, argnums=())(v)
F.grad(two, argnums=(0, 0))(v, u)
F.grad(one, argnums="a")(v)
F.grad(one, has_aux=True)(v)
F.vjp(field, 3)
F.vjp(field, v)[1](u[:2])
F.vjp(lambda a: (a, a), v)[1](u)
F.vjp(lambda a: 3, v)
F.jvp(field, v, u)
F.jvp(field, (v,), (u, u))
F.jvp(field, (v,), (u[:2],))
F.jvp(field, (v,), (3,))
F.jvp(field, (), ())
F.jvp(lambda a: 3, (v,), (u,))
F.linearize(field, v)[1](u, u)
F.jacrev(lambda a: 3)(v)
F.jacfwd(lambda a: 3)(v)
F.jacrev(field, chunk_size=0)(v)
F.functionalize(lambda a: a.clone().add_(1))(v)
F.functionalize(one, remove="all")
F.jvp(lambda t: t.mul_(3), (v.clone(),), (u,))
F.jvp(lambda t: (t[:2].mul_(3), t), (v.clone(),), (u,))
F.jvp(lambda t: t.copy_(v * u), (v.clone(),), (u,))
F.jvp(lambda t: (lambda w: (t.mul_(u), w))(t[1:]), (v.clone(),), (u,))
F.jvp(lambda t: (t * 2, t.mul_(3)), (v.clone(),), (u,))
F.jvp(lambda t: F.jvp(lambda s: s.clone().mul_(t), (t,), (t,)), (v,), (u,))
F.jvp(lambda s, t: s.copy_(t), (v.clone(), u), (u, v))
F.jacfwd(lambda t: t.mul_(3))(v.clone())
F.vmap(lambda a, s, b, t: F.jvp(lambda p, q: p.copy_(q), (a, b), (s, t)))(x.clone(), y, x, x.exp())
F.vmap(lambda a, b: F.jvp(lambda p: (p[1:].add_(p[:1]), p), (a,), (b,)))(x.clone(), y)
F.grad(lambda t: t.mul_(2).sum())(v.clone())
F.grad(lambda t: F.grad(lambda s: s.mul_(2).sum())(t).sum())(v.clone())
F.vmap(F.grad(lambda t: t.mul_(2).sum()))(x.clone())
F.vmap(F.grad(lambda t: (t[:1].mul_(2), t.sum())[1]))(x.clone())
F.vjp(lambda t: None, v)
F.vjp(lambda t: (), v)
F.vjp(lambda t: 1, v)
F.jvp(lambda t: (), (v,), (u,))
F.jvp(lambda t: (t, 1), (v,), (u,))
F.jvp(lambda t: (t, torch.ones(2)), (v,), (u,), strict=True)
F.jvp(torch.sin, (v,), v)
F.jvp(torch.sin, (v,), [v])
F.vjp(lambda t: (t, 1), v, has_aux=True)
F.jvp(lambda t: (t, [t, "a"]), (v,), (u,), has_aux=True)
F.grad(lambda t: (t.sum(), 1), has_aux=True)(v)
F.jacrev(lambda t: ())(v)
F.jacfwd(lambda t: ())(v)
F.jacrev(lambda t: t**2, chunk_size=1)(v)
F.jacrev(lambda t: {"a": t**2, "b": (t.sum(), t[1:])}, chunk_size=1)(v)
F.jacrev(Seen.apply, chunk_size=1)(v)
F.jacrev(Seen.apply, chunk_size=2)(v)
F.grad(torch.sum, argnums=0.0)(v)
F.grad(torch.sum, argnums=(0.0,))(v)
F.vjp(field, v)[1](1.0)
F.vjp(lambda t: (t, (t, t)), v)[1](((v, (v, v)),))
F.vmap(Rule.apply, in_dims=(0, None))(x, lambda a: (a, 0))
F.vmap(Rule.apply, in_dims=(0, None))(x, lambda a: a)
F.vmap(Rule.apply, in_dims=(0, None))(x, lambda a: (a, (None,)))
F.vmap(Rule.apply, in_dims=(0, None))(x, lambda a: ([a], (None,)))
F.vmap(Rule.apply, in_dims=(0, None))(x, lambda a: ((a, a + 1), 0))
F.vmap(Rule.apply, in_dims=(0, None))(x, lambda a: ((a, a + 1), (0,)))
F.vmap(Rule.apply, in_dims=(0, None))(x, lambda a: (a, 0, 0))
F.vmap(lambda a: Named.apply(a, y=a))(x)
"""


def changed(f, t):
    """What f makes of a copy of a tensor, in place."""
    t = t.clone()
    f(t)
    return t


def names(torch, F):
    """What the cases speak of."""
    x = torch.tensor([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])

    class Seen(torch.autograd.Function):  # its backward looks at values
        @staticmethod
        def forward(a):
            return a * 2

        @staticmethod
        def setup_context(ctx, inputs, output):
            pass

        @staticmethod
        def backward(ctx, g):
            return g * len(g.nonzero())

    class Rule(torch.autograd.Function):
        @staticmethod
        def forward(a, made):
            return a * 1

        @staticmethod
        def setup_context(ctx, inputs, output):
            pass

        @staticmethod
        def vmap(info, in_dims, a, made):
            return made(a)

    class Named(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(a, *, y):
            return a * y

        @staticmethod
        def setup_context(ctx, inputs, output):
            pass

    return {
        **{f.__name__: f for f in (Seen, Rule, Named)},
        "torch": torch,
        "F": F,
        "x": x,
        "y": x.flip(1) + 1,
        "v": torch.tensor([1.0, 2.0, -3.0]),
        "u": torch.tensor([0.5, -0.25, 2.0]),
        "r": torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
        "z": torch.tensor(0.7),
        "index": torch.tensor([[0, 2], [1, 0]]),
        "one": lambda t: (t**3).sum() * t[0].sin(),
        "two": lambda s, t: (s.sin() * t**2).sum(),
        "field": lambda t: t.exp() * t.flip(0),
        "changed": changed,
    }


def plain(value):
    """Nested lists and dictionaries."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(v) for v in value]
    return value.tolist() if hasattr(value, "tolist") else value


def answer(text, known):
    """The result, or the error's type and message."""
    torch = known["torch"]
    torch.manual_seed(0)
    try:
        return {"value": plain(eval(text, known))}
    except Exception as error:
        return {"error": type(error).__name__, "message": str(error)}


def main() -> None:
    """Write the file."""
    import torch
    from torch import func

    warnings.simplefilter("ignore")
    out = {}
    for section in ("VMAP", "RANDOM", "DERIVATIVES"):
        lines = [t for t in globals()[section].split("\n") if t]
        out[section.lower()] = [[t, answer(t, names(torch, func))] for t in lines]
    OUT.write_text(json.dumps(out, indent=0) + "\n")


if __name__ == "__main__":
    main()
