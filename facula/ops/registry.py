"""Primitive operations: the declaration from which everything else is derived.

A primitive has a shape and dtype rule, a NumPy body and one derivative formula for each input.
A formula is a function whose parameter names say what it needs, and so what is saved:

    g        the gradient of the result
    a b c    the inputs, as tensors            o   the result, as a tensor
    an bn cn the inputs' nodes (shape, dtype: nothing is saved)    on  the result's node
    p        the parameters                    s   the Python numbers
    z        stand-ins for the inputs, for a gradient that depends on them only formally: nothing
             is saved (pairs of a 0-d tensor with the input's history and the input's node; none
             unless the gradients are recorded)

Formulas are written with recorded operations, so they have derivatives of every order.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np

from facula import dtypes
from facula.trace.node import canonical, contiguous_strides, is_contiguous

PRIMITIVES: dict[str, Op] = {}
OPERANDS = "abcdefgh"  # what operands are called
_SAVED = {"a": 0, "b": 1, "c": 2, "d": 3}


def _importing() -> dict[str, Any]:
    """The names of the module that is being imported; empty: none is."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    return {} if frame is None else frame.f_globals


class Op:
    """A primitive operation."""

    __slots__ = (
        "alike",
        "body",
        "computes",
        "differentiable",
        "frees",
        "grads",
        "home",
        "hurries",
        "infer",
        "name",
        "needs",
        "pointwise",
        "rounds",
        "saves",
        "view",
        "watches",
        "write_back",
    )

    def __init__(
        self,
        name: str,
        infer: Callable[..., Any],
        body: Callable[..., Any],
        grads: tuple[Callable[..., Any] | None, ...] = (),
        *,
        pointwise: bool = False,
        view: bool = False,
        write_back: Callable[..., Any] | None = None,
    ) -> None:
        self.home = home = _importing()
        if name in PRIMITIVES:
            # An interrupt (Ctrl-C) while a module was imported undid the module, not what it
            # declared: it declares that again.
            before = PRIMITIVES[name].home
            if not home or before is home or before.get("__name__") != home["__name__"]:
                raise ValueError(f"primitive '{name}' is declared twice")
        self.name = name
        self.infer = infer
        self.body = body
        self.grads = grads
        self.pointwise = pointwise
        self.alike = False  # whether what two operands that are alike give is like them
        self.view = view
        self.computes = False  # whether a view shows other elements than are in memory
        # Operands and result that may not be modified, though they aren't saved; a tuple of what
        # each operand's gradient asks for; or a function of the parameters.
        self.watches: str | tuple[str, ...] | Callable[[Any], str] = ""
        self.frees = False  # whether its graph node can be used once, though it saves nothing
        self.rounds = False  # whether a number is rounded to the operand's dtype, if of 16 bits
        self.hurries = False  # whether its formula is run as soon as its gradient is complete
        self.write_back = write_back
        self.differentiable = any(g is not None for g in grads)
        self.needs = tuple(
            [f.__code__.co_varnames[: f.__code__.co_argcount] if f else () for f in grads]
        )
        self.saves = tuple(
            [tuple([n for n in names if n in _SAVED or n == "o"]) for names in self.needs]
        )
        PRIMITIVES[name] = self

    def __repr__(self) -> str:
        return self.name


def broadcast(shapes: list[tuple[int, ...]], name: str = "") -> tuple[int, ...]:
    """The common shape; RuntimeError where there is none."""
    first = shapes[0]
    if shapes.count(first) == len(shapes):
        return first
    rank = max([len(s) for s in shapes])
    out = [1] * rank
    for s in shapes:
        for i, n in enumerate(s, rank - len(s)):
            if n != 1:
                if out[i] not in (1, n):
                    raise RuntimeError(
                        f"{name}: The size of tensor a ({out[i]}) must match the size of tensor b "
                        f"({n}) at non-singleton dimension {i}; shapes are "
                        f"{' and '.join([str(list(x)) for x in shapes])}"
                    )
                out[i] = n
    return tuple(out)


def pointwise_strides(
    shape: tuple[int, ...], nodes: tuple[Any, ...], number: bool = False
) -> tuple[int, ...] | None:
    """The layout of a pointwise result: that of its operands, where they are permuted.

    `number`: whether one more operand has no dimensions.
    """
    for n in nodes:
        if n.strides is not None:
            break
    else:
        return None
    rank = len(shape)
    if rank < 2:
        return None
    if not number and all([n.shape == shape and is_contiguous(shape, n.strides) for n in nodes]):
        return None  # strides of dimensions of size 1 are not kept
    table = []
    for n in nodes:
        steps = n.strides or contiguous_strides(n.shape)
        if n.shape != shape:  # a dimension that is repeated says nothing about the order
            wide = shape[rank - len(n.shape) :]
            steps = tuple(
                [0 if m == 1 != k else s for s, m, k in zip(steps, n.shape, wide, strict=True)]
            )
            steps = (0,) * (rank - len(steps)) + steps
        table.append(steps)
    order = list(range(rank - 1, -1, -1))  # innermost first

    def outer(i: int, j: int) -> int:
        """1 where i belongs outside of j, -1 inside, 0 undecided."""
        for s in table:
            if s[i] == 0 or s[j] == 0:
                continue
            if s[i] != s[j]:
                return 1 if s[i] > s[j] else -1
            if shape[i] > shape[j]:
                return 1
        return 0

    for k in range(1, rank):
        dim1 = k
        for dim0 in range(k - 1, -1, -1):
            c = outer(order[dim0], order[dim1])
            if c > 0:
                order[dim0], order[dim1] = order[dim1], order[dim0]
                dim1 = dim0
            elif c < 0:
                break
    out = [0] * rank
    step = 1
    for i in order:
        out[i] = step
        step *= shape[i] or 1
    return canonical(shape, tuple(out))


def like_strides(n: Any) -> tuple[int, ...] | None:
    """The layout of a fresh result shaped like `n`: its order of dimensions, without gaps.

    The strides of `n` itself will not do: those of an expanded tensor have zeros, and a new buffer
    has an element for every position.
    """
    return None if n.strides is None else pointwise_strides(n.shape, (n,))


def cloned_strides(n: Any) -> tuple[int, ...] | None:
    """The layout of a copy: that of its source, dimensions of size 1 included, if that is dense."""
    like = like_strides(n)
    if n.strides is None or n.device is not None:
        return like
    steps = zip(n.shape, n.strides, like or contiguous_strides(n.shape), strict=True)
    return n.strides if all([size == 1 or s == t for size, s, t in steps]) else like


def pointwise(
    name: str,
    body: Callable[..., Any],
    *grads: Callable[..., Any] | None,
    out: Callable[[Any], Any] | None = None,
    number: bool = False,
    rounds: bool = False,
) -> Op:
    """Declare a primitive that works element by element on operands of one dtype.

    `out` maps the operands' dtype to the result's (default: the same). The condition of a
    three-operand selection may be bool: the dtype is that of the last operand. `number`: whether
    one more operand is a number that PyTorch makes a tensor, which the result's layout shows.
    `rounds`: whether on the CPU that number is rounded first where the operand has 16 bits.
    """

    def infer(params: Any, stypes: Any, *nodes: Any) -> Any:
        first = nodes[0]
        if first.strides is None and out is None:  # the common case, without asking further
            for n in nodes:
                if n.shape != first.shape or n.strides is not None:
                    break
            else:
                return first.shape, nodes[-1].dtype, None, 0
        if len(nodes) == 1:
            shape = first.shape
        else:
            shape = broadcast([n.shape for n in nodes], name)
        d = nodes[-1].dtype
        strides = pointwise_strides(shape, nodes, number)
        return shape, d if out is None else out(d), strides, 0

    made = Op(name, infer, widened(body, rounds), grads, pointwise=True)
    made.alike = out is None
    made.rounds = rounds
    return made


_HALF = (dtypes.float16.np, dtypes.bfloat16.np)
_F32 = np.dtype(np.float32)


def widened(body: Callable[..., Any], rounds: bool = False) -> Callable[..., Any]:
    """The body, computing 16-bit floating-point operands in float32 as PyTorch does; where it
    `rounds`, with numbers of their dtype.

    Its attribute `exact` is what it does with operands of which none is of such a type.
    """

    def run(params: Any, scalars: Any, *arrays: Any) -> Any:
        d = arrays[-1].dtype
        if d.itemsize == 2 and d in _HALF:
            if rounds:
                scalars = [dtypes.narrowed(x, d) for x in scalars]
            out = body(params, scalars, *[x.astype(_F32) if x.dtype == d else x for x in arrays])
            return out.astype(d) if out.dtype == _F32 else out
        return body(params, scalars, *arrays)

    run.exact = body  # type: ignore[attr-defined]
    return run


def to_bool(d: Any) -> Any:
    """Result rule of comparisons."""
    return dtypes.bool
