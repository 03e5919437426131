"""Products with Jacobians and Hessians, and these matrices themselves.

Source: https://pytorch.org/docs/stable/autograd.html#functional-higher-level-api
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import facula
from facula import Tensor
from facula.autograd.products import PushForward, basis, filled, gradients, pieces
from facula.errors import honest

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

_STRATEGIES = ("forward-mode", "reverse-mode")


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


def _start(func: Any, inputs: Any, create_graph: bool, name: str) -> Any:
    """Call the function on inputs that require grad: (many, inputs, many, outputs).

    They are new leaves, or views with a history of their own.
    """
    many_in, values = _tuple(inputs, "inputs given to the function", name)
    keeps = [create_graph and v.requires_grad for v in values]
    xs = tuple([v.view_as(v) if k else v.detach().requires_grad_() for v, k in zip(values, keeps)])
    many_out, ys = _tuple(func(*xs), "outputs of the function", name)
    return many_in, xs, many_out, ys


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


def _zeros(found: Any, like: Any, strict: bool, name: str) -> list[Any]:
    """Zeros in place of None; RuntimeError for them if `strict`."""
    for i, g in enumerate(found):
        if g is None and strict:
            raise RuntimeError(f"{name}(): output or input {i} is independent of the other side")
    return filled(found, like)


def _products(ys: Any, xs: Any, vs: Any, create_graph: bool, strict: bool, name: str) -> list[Any]:
    """The products of vectors with a Jacobian, which is used again."""
    found = gradients(ys, xs, vs, keep=True, create_graph=create_graph)
    return _zeros(found, xs, strict, name)


def _slopes(ys: Any, xs: Any, strict: bool, name: str) -> list[Any]:
    """The gradient of a function of one number, which can be differentiated."""
    if len(ys) != 1 or not isinstance(ys[0], Tensor) or ys[0].numel() != 1:
        raise RuntimeError(f"{name}(): the function should return a Tensor of one element")
    return _products(ys, xs, [facula.ones_like(ys[0])], True, strict, name)


def _finish(values: Any, many: bool, create_graph: bool) -> Any:
    values = tuple(values) if create_graph else tuple([v.detach() for v in values])
    return values if many else values[0]


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
        found = _products(ys, xs, vs, create_graph, strict, "vjp")
    return _finish(ys, many_out, create_graph), _finish(found, many_in, create_graph)


def jvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The function's value, and its Jacobian times `v`."""
    with facula.enable_grad():
        _, xs, many_out, ys = _start(func, inputs, create_graph, "jvp")
        vs = _vectors(v, xs, "jvp")
        found = PushForward(ys, xs)(vs, create_graph=create_graph)
        found = _zeros(found, ys, strict, "jvp")
    return _finish(ys, many_out, create_graph), _finish(found, many_out, create_graph)


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The derivative of each element of each output by each element of each input.

    With `vectorize` all rows are computed at once, by vmap; in `strategy` 'forward-mode' all
    columns, which is possible in this way only.
    """
    name = "torch.autograd.functional.jacobian"
    if strategy not in _STRATEGIES:
        raise AssertionError(
            'Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your '
            'function has more outputs than inputs, "forward-mode" tends to be more performant. '
            f'Otherwise, prefer to use "reverse-mode". Got "{strategy}"'
        )
    forward = strategy == "forward-mode"
    if forward and create_graph:
        raise NotImplementedError(
            f'{name}: `create_graph=True` and `strategy="forward-mode"` are not supported together '
            '(yet). Please either set `create_graph=False` or `strategy="reverse-mode"`.'
        )
    if strict and (forward or vectorize):
        what = '`strategy="forward-mode"`' if forward else "`vectorized=True`"
        raise RuntimeError(
            f"{name}: `strict=True` and {what} are not supported together (yet). Please set "
            "`strict=False`."
        )
    if forward and not vectorize:
        raise NotImplementedError(
            "Computing Jacobian using forward-AD or forward-over-reverse Hessian is only "
            "implemented for `vectorize=True`."
        )
    with facula.enable_grad():
        many_in, xs, many_out, ys = _start(func, inputs, create_graph, "jacobian")
        if forward:
            parts = _columns(ys, xs)
        elif vectorize:
            parts = _rows(ys, xs, create_graph)
        else:
            parts = [_row_by_row(y, xs, create_graph, strict) for y in ys]
    rows = [_finish(row, many_in, create_graph) for row in parts]
    return tuple(rows) if many_out else rows[0]


def _row_by_row(y: Any, xs: Any, create_graph: bool, strict: bool) -> list[Any]:
    """The Jacobians of one output, with a backward pass for each element."""
    if y.dtype.is_complex and y.numel():
        raise RuntimeError(
            "jacobian: grad can be implicitly created only for real scalar outputs but got "
            f"{y.dtype}"
        )
    rows = [_products([y], xs, [unit], create_graph, strict, "jacobian") for unit in basis([y])[0]]
    if not rows:
        return [x.new_zeros(y.shape + x.shape) for x in xs]
    return [facula.stack(list(c)).reshape(y.shape + x.shape) for c, x in zip(zip(*rows), xs)]


def _rows(ys: Any, xs: Any, create_graph: bool) -> list[list[Any]]:
    """The Jacobians of all outputs, with a backward pass for a batch of all their elements."""

    def row(*vs: Any) -> Any:
        return tuple(_products(ys, xs, vs, create_graph, False, "jacobian"))

    return [list(part) for part in zip(*[pieces(g, ys) for g in facula.vmap(row)(*basis(ys))])]


def _columns(ys: Any, xs: Any) -> list[list[Any]]:
    """The Jacobians of all outputs from the tangents for a batch of all elements of the inputs."""
    push = PushForward(ys, xs)

    def column(*vs: Any) -> Any:
        return tuple(filled(push(list(vs), create_graph=False), ys))

    found = facula.vmap(column)(*basis(xs))
    return [
        [p.permute((*range(x.dim(), p.dim()), *range(x.dim()))) for p, x in zip(pieces(t, xs), xs)]
        for t in found
    ]


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
    if outer_jacobian_strategy not in _STRATEGIES:
        raise AssertionError(
            'Expected strategy to be either "forward-mode" or "reverse-mode". Got '
            f'"{outer_jacobian_strategy}"'
        )

    def gradient(*xs: Any) -> Any:
        return tuple(_slopes((func(*xs),), xs, strict, "hessian"))

    found = jacobian(gradient, inputs, create_graph, strict, vectorize, outer_jacobian_strategy)
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
        first = _slopes(ys, xs, strict, "vhp")
        vs = _vectors(v, xs, "vhp")
        found = _products(first, xs, vs, create_graph, strict, "vhp")
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
