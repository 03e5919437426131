"""Derivatives of functions: `grad`, `vjp`, `jvp` and Jacobians.

Source: https://docs.pytorch.org/docs/stable/func.api.html
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import facula
from facula.autograd.products import PushForward, basis, filled, gradients, pieces
from facula.batches import all_lowered, all_raised
from facula.dtypes import FLOAT
from facula.func.tracking import (
    Tracked,
    detached,
    graph_wanted,
    leads_elsewhere,
    need_float,
    need_real,
    outputs,
    recordable,
    recording,
)
from facula.func.vmap import vmap
from facula.tensor import Tensor
from facula.trace.recorder import TLS
from facula.utils._pytree import tree_flatten, tree_map, tree_unflatten

Argnums = int | tuple[int, ...]


def _chosen(args: tuple[Any, ...], argnums: Argnums, name: str) -> Any:
    """The arguments to differentiate by."""
    for n in argnums if isinstance(argnums, tuple) else (argnums,):
        if not isinstance(n, int) or isinstance(n, bool):
            raise RuntimeError(
                f"{name}: argnums must be int or Tuple[int, ...], got: {type(n)}"
                if n is argnums
                else f"{name}: argnum must be int, got: {type(n)}"
            )
        if not -len(args) <= n < len(args):
            raise RuntimeError(f"{name}: Got argnum={n}, but only {len(args)} positional inputs")
    if isinstance(argnums, int):
        return args[argnums]
    if not argnums:
        raise RuntimeError("argnums must be non-empty")
    places = [n % len(args) for n in argnums]
    if len(set(places)) < len(places):
        raise RuntimeError(f"argnums elements must be unique, got {argnums}")
    return tuple([args[n] for n in argnums])


def _replaced(args: tuple[Any, ...], argnums: Argnums, new: Any) -> tuple[Any, ...]:
    out = list(args)
    if isinstance(argnums, int):
        out[argnums] = new
    else:
        for n, x in zip(argnums, new, strict=True):
            out[n] = x
    return tuple(out)


def _with_aux(out: Any, has_aux: bool, name: str) -> tuple[Any, Any]:
    if not has_aux:
        return out, None
    if not (isinstance(out, tuple) and len(out) == 2):
        raise RuntimeError(
            f"{name}: output of function f should be a tuple: (output, aux) if has_aux is True"
        )
    for t in tree_flatten(out[1])[0]:
        if not isinstance(t, Tensor):
            raise RuntimeError(f"{name}: aux: Expected tensors, got unsupported type {type(t)}")
    return out


def grad_and_value(
    func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that gives the gradient of `func` and its value."""

    @recordable
    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        name = "grad_and_value(f)(*args)"
        tracked = Tracked(_chosen(args, argnums, name), name)
        out = recording(func, *_replaced(args, argnums, tracked.seen), **kwargs)
        y, aux = _with_aux(out, has_aux, name)
        if not isinstance(y, Tensor):
            raise RuntimeError(f"{name}: Expected f(*args) to return a Tensor, got {type(y)}")
        if y.dim():
            raise RuntimeError(
                f"{name}: Expected f(*args) to return a scalar Tensor, got tensor with {y.dim()} "
                "dims. Maybe you wanted to use the vjp or jacrev APIs instead?"
            )
        if y.dtype.is_complex:
            raise RuntimeError(
                f"{name}: grad can be implicitly created only for real scalar outputs but got "
                f"{y.dtype}"
            )
        ys, _ = outputs(y, name, tracked.levels)
        again = graph_wanted(ys, tracked.places)
        ones = [facula.ones_like(ys[0])]
        found = gradients(ys, tracked.places, ones, keep=False, create_graph=again)
        found = filled(found, tracked.places)
        grads = tracked.value([all_raised(g, tracked.levels) for g in found])
        y, aux = (y, aux) if again else (y.detach(), detached(aux))
        return (grads, (y, aux)) if has_aux else (grads, y)

    return wrapper


def grad(
    func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that gives the gradient of `func`, whose result is one number."""
    both = grad_and_value(func, argnums, has_aux)

    @recordable
    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        grads, value = both(*args, **kwargs)
        return (grads, value[1]) if has_aux else grads

    return wrapper


def _same_structure(v: Any, spec: Any, like: list[Any], what: str) -> list[Any]:
    leaves, got = tree_flatten(v)
    if len(leaves) != len(like) or (got != spec and len(leaves) > 1):
        raise RuntimeError(
            f"{what}: Expected pytree structure {spec} of the vectors, but they have {got}"
        )
    for a, b in zip(leaves, like, strict=True):
        if not isinstance(a, Tensor):
            raise TypeError(f"{what}: the vectors must be tensors, got {type(a).__name__}")
        if a.shape != b.shape:
            raise RuntimeError(
                f"{what}: a vector of shape {list(a.shape)} for a tensor of shape {list(b.shape)}"
            )
    return leaves


@recordable
def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """The value of `func`, and a function that multiplies vectors with its Jacobian."""
    name = "vjp(f, *primals)"
    tracked = Tracked(primals, name)
    y, aux = _with_aux(recording(func, *tracked.seen), has_aux, name)
    ys, spec = outputs(y, name, tracked.levels)
    leaves = tree_flatten(y)[0]
    for t in leaves:
        if t.dtype.category < FLOAT:
            raise RuntimeError(
                "vjp(f, ...): All outputs of f must be floating-point or complex Tensors, got "
                f"Tensor with dtype {t.dtype}"
            )
    leads = leads_elsewhere(ys, tracked.places)

    @recordable
    def vjp_fn(
        *cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None
    ) -> Any:
        v = cotangents[0] if len(cotangents) == 1 else cotangents
        vs = _same_structure(v, spec, leaves, "vjp_fn")
        vs = [all_lowered(v, tracked.levels) for v in vs]
        more = facula.is_grad_enabled() and (leads or any([v.requires_grad for v in vs]))
        found = gradients(ys, tracked.places, vs, keep=retain_graph, create_graph=more)
        found = filled(found, tracked.places)
        return tracked.value([all_raised(g, tracked.levels) for g in found])

    if not (leads and TLS.r.grad):
        y, aux = detached(y), detached(aux)
    return (y, vjp_fn, aux) if has_aux else (y, vjp_fn)


class _Forward:
    """The linear map of tangents that belongs to a function at a point."""

    def __init__(self, func: Callable[..., Any], primals: tuple[Any, ...], has_aux: bool) -> None:
        name = "jvp(f, primals, tangents)"
        need_float("primal", tree_flatten(primals)[0])
        tracked = self.tracked = Tracked(primals, name, forward=True)
        self.out, self.aux = _with_aux(recording(func, *tracked.seen), has_aux, name)
        for o in tracked.open:
            o.check(name)
        self.ys, self.spec = outputs(self.out, name, tracked.levels)
        self.again = graph_wanted(self.ys, tracked.edges)
        self.push = PushForward(self.ys, tracked.edges)
        if not self.again:
            self.out, self.aux = detached(self.out), detached(self.aux)

    def __call__(self, tangents: Any, strict: bool = False) -> Any:
        levels = self.tracked.levels
        vs = [all_lowered(v, levels) for v in tangents]
        more = facula.is_grad_enabled() and (self.again or any([v.requires_grad for v in vs]))
        made = self.push(vs, create_graph=more)
        if strict and any([t is None for t in made]):
            raise RuntimeError(
                "jvp(f, primals, tangents, strict=True): The output of f is independent of the "
                "inputs. This is not allowed with strict=True."
            )
        made = filled(made, self.ys)
        return tree_unflatten([all_raised(t, levels) for t in made], self.spec)


@recordable
def jvp(
    func: Callable[..., Any],
    primals: Any,
    tangents: Any,
    *,
    strict: bool = False,
    has_aux: bool = False,
) -> Any:
    """The value of `func`, and its Jacobian times the tangents."""
    name = "jvp(f, primals, tangents)"
    if not isinstance(primals, tuple):
        raise RuntimeError(
            f"{name}: Expected primals to be a tuple. E.g. it should be valid to call f(*primals). "
            f"Got {type(primals).__name__}"
        )
    leaves, spec = tree_flatten(primals)
    if not leaves:
        raise RuntimeError(f"{name}: Expected primals to contain at least one Tensor.")
    if tree_flatten(tangents)[1] != spec:
        raise RuntimeError(
            f"{name}: Expected primals and tangents to have the same python structure. primals has "
            f"{spec}, tangents has {tree_flatten(tangents)[1]}"
        )
    need_float("tangent", tree_flatten(tangents)[0])
    forward = _Forward(func, primals, has_aux)
    vs = _same_structure(tangents, spec, leaves, name)
    made = forward(vs, strict)
    return (forward.out, made, forward.aux) if has_aux else (forward.out, made)


@recordable
def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """The value of `func`, and a function that multiplies its Jacobian with tangents."""
    forward = _Forward(func, primals, False)
    leaves, spec = tree_flatten(primals)

    @recordable
    def jvp_fn(*tangents: Any) -> Any:
        return forward(_same_structure(tangents, spec, leaves, "jvp_fn"))

    return forward.out, jvp_fn


# ---- Jacobians


def jacrev(
    func: Callable[..., Any],
    argnums: Argnums = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Callable[..., Any]:
    """A function that gives the Jacobian of `func`, row by row."""
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")

    @recordable
    @functools.wraps(func)
    def wrapper(*args: Any) -> Any:
        name = "jacrev(f)(*args)"
        chosen = _chosen(args, argnums, name)
        need_real("jacrev", "inputs", chosen)
        made = vjp(lambda x: func(*_replaced(args, argnums, x)), chosen, has_aux=has_aux)
        y, vjp_fn = made[:2]
        need_real("jacrev", "outputs", y)
        ys, spec = tree_flatten(y)
        vs = basis(ys)

        def row(*v: Any) -> Any:
            return vjp_fn(tree_unflatten(v, spec))[0]

        if not sum([t.numel() for t in ys]):
            rows = _no_rows(chosen)
        elif chunk_size == 1:  # what vmap refuses is allowed then
            found = [row(*v) for v in zip(*vs, strict=True)]
            rows = tree_map(lambda *ts: facula.stack(ts), *found)
        else:
            rows = vmap(row, chunk_size=chunk_size, randomness="same")(*vs)
        leaves, in_spec = tree_flatten(rows)
        columns = [pieces(t, ys) for t in leaves]
        found = tree_unflatten(
            [tree_unflatten([c[i] for c in columns], in_spec) for i in range(len(ys))], spec
        )
        return (found, made[2]) if has_aux else found

    return wrapper


def _no_rows(tree: Any) -> Any:
    return tree_map(lambda x: x.new_zeros((0, *x.shape)), tree)


def jacfwd(
    func: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    randomness: str = "error",
) -> Callable[..., Any]:
    """A function that gives the Jacobian of `func`, column by column."""

    @recordable
    @functools.wraps(func)
    def wrapper(*args: Any) -> Any:
        name = "jacfwd(f)(*args)"
        chosen = _chosen(args, argnums, name)
        need_real("jacfwd", "inputs", chosen)
        forward = _Forward(lambda x: func(*_replaced(args, argnums, x)), (chosen,), has_aux)
        need_real("jacfwd", "outputs", forward.out)
        xs, in_spec = tree_flatten(chosen)
        columns = (
            vmap(lambda *v: forward(v), randomness=randomness)(*basis(xs))
            if sum([x.numel() for x in xs])
            else _no_rows(forward.out)
        )
        leaves, spec = tree_flatten(columns)

        def of(t: Any) -> Any:
            parts = pieces(t, xs)
            rank = t.dim() - 1
            made = [
                p.permute((*range(x.dim(), x.dim() + rank), *range(x.dim())))
                for p, x in zip(parts, xs, strict=True)
            ]
            return tree_unflatten(made, in_spec)

        found = tree_unflatten([of(t) for t in leaves], spec)
        return (found, forward.aux) if has_aux else found

    return wrapper


def hessian(func: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """A function that gives the second derivatives of `func`."""
    return jacfwd(jacrev(func, argnums), argnums)
