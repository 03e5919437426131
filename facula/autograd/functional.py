"""Products with Jacobians and Hessians, and these matrices themselves.

Source: https://pytorch.org/docs/stable/autograd.html#functional-higher-level-api
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import facula
from facula import Tensor
from facula.autograd.engine import grad
from facula.errors import honest

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def _tuple(value: Any, what: str, name: str) -> tuple[bool, tuple[Any, ...]]:
    """Whether it was a tuple, and it as one: TypeError unless it holds tensors."""
    many = isinstance(value, tuple)
    values = value if many else (value,)
    for i, v in enumerate(values):
        if not isinstance(v, Tensor):
            where = f"The value at index {i} of the {what}" if many else f"The {what}"
            raise TypeError(
                f"{name}(): {where} must be a Tensor or a tuple of Tensors, got {type(v).__name__}"
            )
    return many, tuple(values)


def _inputs(values: tuple[Any, ...], create_graph: bool) -> tuple[Any, ...]:
    """The inputs as new leaves, or as views with a history of their own."""
    if create_graph:
        return tuple([v.view_as(v) if v.requires_grad else v.detach() for v in values])
    return tuple([v.detach() for v in values])


def _start(func: Any, inputs: Any, create_graph: bool, name: str) -> Any:
    """Call the function on inputs that require grad: (many, inputs, many, outputs)."""
    many_in, values = _tuple(inputs, "inputs given to the function", name)
    values = tuple(
        [v if v.requires_grad else v.requires_grad_() for v in _inputs(values, create_graph)]
    )
    many_out, outputs = _tuple(func(*values), "outputs of the function", name)
    return many_in, values, many_out, outputs


def _vectors(v: Any, like: tuple[Any, ...], name: str) -> tuple[Any, ...]:
    """What is multiplied: ones may be left out for a single number."""
    if v is None:
        if len(like) == 1 and like[0].numel() == 1:
            return (facula.ones_like(like[0]),)
        raise RuntimeError(
            f"{name}(): The vector v can only be None if the function or its input is a single "
            "number"
        )
    _, vs = _tuple(v, "vector v", name)
    if len(vs) != len(like) or any([a.shape != b.shape for a, b in zip(vs, like)]):
        raise RuntimeError(
            f"{name}(): v has shapes {[list(a.shape) for a in vs]}, expected "
            f"{[list(b.shape) for b in like]}"
        )
    return vs


def _zeros(found: tuple[Any, ...], like: tuple[Any, ...], strict: bool, name: str) -> Any:
    """Zeros in place of None; RuntimeError for them if `strict`."""
    out = []
    for i, (g, x) in enumerate(zip(found, like)):
        if g is None and strict:
            raise RuntimeError(f"{name}(): output or input {i} is independent of the other side")
        out.append(facula.zeros_like(x) if g is None else g)
    return tuple(out)


def _finish(values: tuple[Any, ...], many: bool, create_graph: bool) -> Any:
    values = values if create_graph else tuple([v.detach() for v in values])
    return values if many else values[0]


def _grad(
    outputs: Any, inputs: Any, vs: Any, create_graph: bool, again: bool = False
) -> tuple[Any, ...]:
    pairs = [(o, v) for o, v in zip(outputs, vs) if o.requires_grad]
    if not pairs:
        return (None,) * len(inputs)
    os, ws = zip(*pairs)
    keep = again or create_graph
    return grad(os, inputs, ws, keep, create_graph=create_graph, allow_unused=True)


def vjp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The function's value, and `v` times its Jacobian."""
    with facula.enable_grad():
        many_in, xs, many_out, ys = _start(func, inputs, create_graph, "vjp")
        vs = _vectors(v, ys, "vjp")
        found = _zeros(_grad(ys, xs, vs, create_graph), xs, strict, "vjp")
    return _finish(ys, many_out, create_graph), _finish(found, many_in, create_graph)


def jvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The function's value, and its Jacobian times `v`: the derivative of `u -> vjp(u)`."""
    with facula.enable_grad():
        _, xs, many_out, ys = _start(func, inputs, create_graph, "jvp")
        vs = _vectors(v, xs, "jvp")
        us = tuple([facula.zeros_like(y, requires_grad=True) for y in ys])
        back = _zeros(_grad(ys, xs, us, True), xs, strict, "jvp")
        found = _zeros(_grad(back, us, vs, create_graph), ys, strict, "jvp")
    return _finish(ys, many_out, create_graph), _finish(found, many_out, create_graph)


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The derivative of each element of each output by each element of each input."""
    if strategy not in ("reverse-mode", "forward-mode"):
        raise AssertionError(f'jacobian(): strategy must be a mode of two, got "{strategy}"')
    with facula.enable_grad():
        many_in, xs, many_out, ys = _start(func, inputs, create_graph, "jacobian")
        rows = []
        for y in ys:
            parts: list[list[Any]] = [[] for _ in xs]
            for element in y.reshape(-1).unbind() if y.dim() else (y,):
                found = _grad((element,), xs, (facula.ones_like(element),), create_graph, True)
                for column, g in zip(parts, _zeros(found, xs, strict, "jacobian")):
                    column.append(g)
            rows.append(
                tuple(
                    [
                        facula.stack(column).reshape(y.shape + x.shape)
                        if column
                        else facula.zeros(y.shape + x.shape, dtype=y.dtype)
                        for column, x in zip(parts, xs)
                    ]
                )
            )
    if not create_graph:
        rows = [tuple([g.detach() for g in row]) for row in rows]
    if many_out:
        return tuple([row if many_in else row[0] for row in rows])
    return rows[0] if many_in else rows[0][0]


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of a function of one number's result."""
    many_in, _ = _tuple(inputs, "inputs given to hessian", "hessian")

    def gradient(*xs: Any) -> Any:
        y = func(*xs)
        if not isinstance(y, Tensor) or y.numel() != 1:
            raise RuntimeError("hessian(): the function should return a Tensor of one element")
        return _zeros(
            _grad((y.reshape(()),), xs, (facula.ones(()).to(y.dtype),), True), xs, strict, "hessian"
        )

    found = jacobian(gradient, inputs, create_graph=create_graph, strict=strict)
    return found if many_in else found[0]


def vhp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The function's value, and `v` times its Hessian."""
    with facula.enable_grad():
        many_in, xs, many_out, ys = _start(func, inputs, create_graph, "vhp")
        if len(ys) != 1 or ys[0].numel() != 1:
            raise RuntimeError("vhp(): the function should return a Tensor of one element")
        vs = _vectors(v, xs, "vhp")
        first = _zeros(_grad(ys, xs, (facula.ones_like(ys[0]),), True), xs, strict, "vhp")
        found = _zeros(_grad(first, xs, vs, create_graph), xs, strict, "vhp")
    return _finish(ys, many_out, create_graph), _finish(found, many_in, create_graph)


def hvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The function's value, and its Hessian times `v`: the same, since Hessians are symmetric."""
    return vhp(func, inputs, v, create_graph, strict)


__getattr__ = honest(__name__)
