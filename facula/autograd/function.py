"""Custom differentiable functions.

Source: https://pytorch.org/docs/stable/autograd.html#function
"""

from __future__ import annotations

import inspect
import weakref
from typing import Any

import numpy as np

import facula
from facula import grad_mode
from facula.autograd.frames import ended
from facula.autograd.graph import joins
from facula.autograd.hook_calls import unwritten
from facula.autograd.later import Later
from facula.autograd.nodes import AccumulateGrad, GradNode
from facula.batches import ACTIVE, level_of
from facula.in_place import check_in_place
from facula.ops import movement as mv
from facula.storage import version_of
from facula.tensor import Tensor
from facula.trace.node import INPUT, STALE, Other, leaf
from facula.trace.recorder import TLS, flush, record
from facula.values import realise
from facula.views import make_view, stand_in
from facula.warned import warn
from facula.writes import bump, write


class Context:
    """What `forward` keeps for `backward`: the `ctx` of a Function."""

    def __init__(self) -> None:
        self._saved: tuple[Any, ...] = ()
        self._forward: tuple[Any, ...] = ()
        self._unpack: Any = None
        self._freed = False
        self.needs_input_grad: tuple[bool, ...] = ()
        self.materialize_grads = True
        self._dirty: tuple[Any, ...] = ()
        self._non_differentiable: tuple[Any, ...] = ()

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors; a later in-place change of one makes backward raise."""
        for i, t in enumerate(tensors):
            if t is not None and not isinstance(t, Tensor):
                raise TypeError(
                    f"save_for_backward can only save variables, but argument {i} is of type "
                    f"{type(t).__name__}"
                )
        hooks = TLS.r.saved_hooks
        if hooks is not None:
            pack, self._unpack = hooks
            with grad_mode.no_grad():
                tensors = tuple([t if t is None else unwritten(pack, t) for t in tensors])
            self._saved = tuple([(t, None) for t in tensors])
            return
        self._saved = tuple([(t, None if t is None else t._version) for t in tensors])

    def save_for_forward(self, *tensors: Any) -> None:
        """Keep tensors for `jvp`, whose `saved_tensors` they are."""
        self._forward = tuple([(t, None if t is None else t._version) for t in tensors])

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        if self._freed:
            raise RuntimeError(
                "Trying to backward through the graph a second time (or directly "
                "access saved tensors after they have already been freed)."
            )
        if self._unpack is not None:
            return tuple([t if t is None else self._unpack(t) for t, _ in self._saved])
        for t, version in self._saved:
            if t is not None and t._version != version:
                raise RuntimeError(
                    "one of the variables needed for gradient computation has been modified by an "
                    f"inplace operation: [{t.dtype} {list(t.shape)}] is at version {t._version}; "
                    f"expected version {version} instead."
                )
        return tuple([t for t, _ in self._saved])

    @property
    def saved_variables(self) -> tuple[Any, ...]:
        """The old name of `saved_tensors`."""
        warn("'saved_variables' is deprecated; use 'saved_tensors'", DeprecationWarning)
        return self.saved_tensors

    def mark_dirty(self, *tensors: Any) -> None:
        """Name the inputs that forward changes in place."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """Name the outputs that have no gradient."""
        self._non_differentiable = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether missing gradients arrive as zeros (default) or as None."""
        self.materialize_grads = value


FunctionCtx = Context  # PyTorch's name


class _Several:
    """Collects the gradients of a function with several outputs."""

    def __init__(self, ctx: Any, cls: Any, metas: list[Any]) -> None:
        self.ctx, self.cls, self.metas, self.count = ctx, cls, metas, len(metas)
        self.grads: dict[int, Any] = {}
        self.parts: dict[int, Any] = {}  # weak references to the nodes of its results
        self.inputs: list[Any] = []  # shape, dtype and device of those that take a gradient
        self.others: list[Any] = []  # and, for `jvp`, of the other tensors


class Function:
    """Base of custom functions: define static `forward(ctx, ...)` and `backward(ctx, ...)`."""

    generate_vmap_rule = False

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the outputs."""
        raise NotImplementedError(
            "You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Save what backward needs, when forward takes no ctx."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradients of the inputs, given those of the outputs."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your "
            "custom autograd.Function to use it with backward mode AD."
        )

    vjp = backward

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        """The tangents of the outputs, given those of the inputs."""
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with "
            "forward mode AD."
        )

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        """The outputs for batches, and where their batch dimensions are."""
        raise NotImplementedError(
            "To use autograd.Function with vmap, you must either override the vmap staticmethod or "
            "set generate_vmap_rule=True."
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """RuntimeError: functions with a state of their own are gone from PyTorch, too."""
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated: use "
            f"{type(self).__name__}.apply and static methods"
        )

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run the function on tensors and other arguments."""
        if cls.setup_context is not Function.setup_context:
            args, kwargs = _with_defaults(cls.forward, args, kwargs)
        level = level_of(args) if ACTIVE.levels else 0
        if level:
            from facula.func.functions import apply_batched

            named = [k for k, v in kwargs.items() if isinstance(v, Tensor)]
            if named:
                raise NotImplementedError(
                    f"{cls.__name__}: Run vmap on autograd.Function with kwarg-only Tensor args. "
                    f"Please do not pass kwarg-only Tensors to autograd.Function. Got: {named}"
                )
            return apply_batched(cls, args, level)
        ctx = Context()
        flags = [isinstance(a, Tensor) and a.requires_grad for a in args]
        ctx.needs_input_grad = tuple(flags)
        recorded = TLS.r.grad and any(flags)
        edges = _edges(args, flags) if recorded else []
        with grad_mode.no_grad():
            if cls.setup_context is Function.setup_context:
                out = cls.forward(ctx, *args, **kwargs)
            else:
                out = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, args, out)
        if not recorded:
            for t in ctx._dirty:
                bump(t)
            if isinstance(out, (tuple, list)):
                return tuple([_cut(o, args, ctx) for o in out])
            return _cut(out, args, ctx)
        for t in ctx._dirty:
            try:
                check_in_place(t, cls.__name__)
            except RuntimeError:
                bump(t)  # forward has written to it all the same
                if not t._leaf_rg:
                    t._grad = None  # it was that of another value
                raise
            if not any([t is a for a in args]):
                warn(
                    "ctx.mark_dirty() received a tensor that was not an input. Only input Tensors "
                    "that have been mutated should be passed to ctx.mark_dirty()."
                )
        outs = list(out) if isinstance(out, (tuple, list)) else [out]
        if len(outs) > 1 and any([t._base_t is not None for t in ctx._dirty]):
            for t in ctx._dirty:
                bump(t)
            raise RuntimeError(
                f"{cls.__name__}: If your Function modifies inplace an input that is a view of "
                "another Tensor, your Function cannot return more than one Tensor. This is not "
                "supported by the current autograd engine. You should either make sure the input "
                "is not a view (using .clone() for example) or make your Function only return one "
                "Tensor (potentially splitting it into two Functions: one doing the inplace that "
                "returns a single Tensor and a second one that does the other operations)."
            )
        r = TLS.r
        metas = [o.node if isinstance(o, Tensor) else None for o in outs]
        joint = _Several(ctx, cls, metas)
        joint.inputs = [
            (a.shape, a.dtype, a.device) if e is not None else None
            for a, e in zip(args, edges, strict=True)
        ]
        if cls.jvp is not Function.jvp:
            joint.others = [
                (a.shape, a.dtype, a.device) if isinstance(a, Tensor) and e is None else None
                for a, e in zip(args, edges, strict=True)
            ]
        node = _custom(cls, joint, edges)
        results = []
        for i, o in enumerate(outs):
            if (
                not isinstance(o, Tensor)
                or o.dtype.category < 2
                or any(o is t for t in ctx._non_differentiable)
            ):
                results.append(_cut(o, args, ctx))
                continue
            dirty = any(o is t for t in ctx._dirty)
            part = node if len(outs) == 1 else _Part.of(node, i)
            if dirty:  # the history is that of a write, which views and bases see
                realise(o)
                flush(r)
                value = object.__new__(Tensor)
                value._data = o._data
                _follow(value, o.node, part)
                write(o, record(mv.SELF, (value,)))
                o._grad = None  # it was that of another value
            else:
                if any(o is a for a in args):
                    again = o._fixed and o.node.op is STALE  # it was written to through `.data`
                    o = stand_in(o) if again else make_view(o, mv.DETACH, ())
                    o._own, o._fixed, o._seen = None, True, version_of(o)
                alone = o._storage is None or o._fixed
                n = o.node
                if alone and n.rec is r and n.op is not INPUT and n.device is None:
                    o.node = with_history(o, part).node
                else:
                    realise(o)
                    o._leaf_rg = False
                    _follow(o, o.node, part)
            results.append(o)
        return tuple(results) if isinstance(out, (tuple, list)) else results[0]


def _with_defaults(forward: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """The arguments with those that have defaults: `setup_context` is to find them all."""
    given = inspect.signature(forward).bind(*args, **kwargs)
    given.apply_defaults()
    return given.args, given.kwargs


class InplaceFunction(Function):
    """A function of old programs that says at its making whether it works in place."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace


def _cut(o: Any, args: tuple[Any, ...], ctx: Context) -> Any:
    """A result that has no gradient: an operand, which is to keep its history, gives a view."""
    if not isinstance(o, Tensor):
        return o
    if not o.requires_grad:
        if any([o is a for a in args]) and not any([o is t for t in ctx._dirty]):
            with grad_mode.no_grad():
                return o.view_as(o)
        return o
    if any([o is a for a in args]):
        return o.detach()
    return o if o._base_t is not None else o.detach_()


_NOTHING = np.zeros((), np.float32)


def with_history(t: Any, node: GradNode) -> Any:
    """The value of t with the history of a node."""
    u = object.__new__(Tensor)
    u._data, u._gfn = _NOTHING, node
    u.node = leaf((), facula.float32, None, True)
    return record(mv.JOIN, (t, u))


def _edges(args: tuple[Any, ...], flags: list[bool]) -> list[Any]:
    """Where the gradients of those arguments go that require one.

    What is recorded of their history, or of updates of parameters, ends its frame first, so that
    nothing of it has to be built now: an edge may be what stands for its node.
    """
    r = TLS.r
    for a, f in zip(args, flags, strict=True):
        if f:
            if a.node.op is STALE:
                a._rederive()
            if a.node.rec is r and a.node.op is not INPUT:
                flush(r, wait=False)
    return [(ended(a) or a._edge()) if f else None for a, f in zip(args, flags, strict=True)]


def _follow(t: Any, n: Any, node: GradNode) -> None:
    """Give a realised tensor, laid out as n, the history of a node."""
    t._gfn = node
    t.node = leaf(n.shape, n.dtype, n.strides, True, n.device)


class _Runner:
    """Runs one output's share: the joint node of a single-output function, or a part of one."""

    def __init__(self, joint: _Several) -> None:
        self.joint = joint

    def free(self) -> None:
        """After a pass that does not retain the graph."""
        self.joint.ctx._freed = True

    def _run_backward(self, node: Any, g: Any) -> list[Any]:
        joint = self.joint
        if len(joint.metas) == 1:
            joint.grads = {0: g}
        grads = []
        for i, m in enumerate(joint.metas):
            d = joint.grads.get(i)
            if d is None and joint.ctx.materialize_grads and m is not None:
                from facula.ops.movement import zeros_node

                d = zeros_node(m)
            grads.append(d)
        joint.grads = {}
        out = _backward(joint)(joint.ctx, *grads)
        out = list(out) if isinstance(out, tuple) else [out]  # a list is no gradient
        if len(out) < len(node.edges) or any(x is not None for x in out[len(node.edges) :]):
            raise RuntimeError(
                f"function {joint.cls.__name__}Backward returned an incorrect number "
                f"of gradients (expected {len(node.edges)}, got {len(out)})"
            )
        for i, (d, e) in enumerate(zip(out, node.edges, strict=False)):
            if e is not None and d is not None and not isinstance(d, Tensor):
                raise RuntimeError(
                    f"function {joint.cls.__name__}Backward returned gradient {i} "
                    f"of type {type(d).__name__}, expected a Tensor"
                )
            if e is not None and d is not None:
                out[i] = _typed(joint, i, _shaped(joint.cls, i, d, e))
        return out[: len(node.edges)]


def _shaped(cls: Any, i: int, g: Any, node: Any) -> Any:
    """A gradient that `backward` returned, in the shape of what it is the gradient of."""
    if node.__class__ is Later:
        of = node.top
    else:
        of = node.variable.node if isinstance(node, AccumulateGrad) else node.out_meta
    if of is None or g.node.shape == of.shape or g.node.op.__class__ is Other:
        return g
    from facula.autograd.engine import sum_to, sums_to

    want, have = of.shape, g.node.shape
    if not sums_to(have, want):
        raise RuntimeError(
            f"Function {cls.__name__}Backward returned an invalid gradient at index {i} - got "
            f"{list(have)} but expected shape compatible with {list(want)}"
        )
    return sum_to(g, want)


def _typed(joint: _Several, i: int, g: Any) -> Any:
    """A gradient that `backward` returned, in the dtype of what it is the gradient of."""
    want = joint.inputs[i][1]
    if g.dtype is want:
        return g
    if g.dtype.is_complex and not want.is_complex:
        raise RuntimeError(
            f"Function {joint.cls.__name__}Backward returned a gradient of {g.dtype} at index {i} "
            f"for an input of {want}"
        )
    return g.to(want)


def _backward(joint: _Several) -> Any:
    """What computes the gradients: `backward`, `vjp`, or `jvp` where a tangent is asked for."""
    cls = joint.cls
    own = cls.backward
    if cls.vjp is not Function.vjp:
        if cls.backward is not Function.backward:
            raise RuntimeError(
                f"{cls.__name__}: Implementing both 'backward' and 'vjp' for a custom Function is "
                "not allowed"
            )
        own = cls.vjp
    if TLS.pushing and cls.jvp is not Function.jvp:
        return lambda ctx, *grads: _transposed(joint, grads, own)
    return own


def _transposed(joint: _Several, grads: tuple[Any, ...], own: Any) -> Any:
    """The gradients that belong to `jvp`: the map of tangents is linear, and these are products
    with it from the other side.

    Where `jvp` computes with other than recorded operations, it is what backward makes of them.
    """
    from facula.autograd.products import gradients

    ctx, name = joint.ctx, joint.cls.__name__
    kept = ctx._saved, ctx._unpack
    with grad_mode.enable_grad():
        tangents = [
            None if i is None else facula.ones(i[0], dtype=i[1], device=i[2], requires_grad=True)
            for i in joint.inputs
        ]
        ctx._saved, ctx._unpack = ctx._forward, None
        given = [None if t is None else t.clone() for t in tangents]  # it may write to them
        if ctx.materialize_grads:
            given = [
                t if o is None else facula.zeros(o[0], dtype=o[1], device=o[2])
                for t, o in zip(given, joint.others, strict=True)
            ]
        try:
            out = joint.cls.jvp(ctx, *given)
        finally:
            ctx._saved, ctx._unpack = kept
        outs = list(out) if isinstance(out, (tuple, list)) else [out]
        if len(outs) != len(grads):
            raise RuntimeError(f"{name}.jvp returned {len(outs)} tangents for {len(grads)} outputs")
        for t in outs:
            if isinstance(t, Tensor) and not t.requires_grad and t.any():
                if own is not Function.backward:
                    return own(ctx, *grads)
                raise NotImplementedError(
                    f"{name}.jvp: its result is not computed of the tangents by recorded "
                    "operations (see docs/compatibility.md)"
                )
        pairs = [
            (t, g)
            for t, g in zip(outs, grads, strict=True)
            if isinstance(t, Tensor) and g is not None
        ]
        ts = [t for t in tangents if t is not None]
        found = iter(
            gradients(
                [t for t, _ in pairs], ts, [g for _, g in pairs], keep=True, create_graph=True
            )
        )
    return tuple([None if t is None else next(found) for t in tangents])


class _Part:
    """One of several outputs: hands its gradient to the joint node."""

    def __init__(self, joint: _Several, index: int) -> None:
        self.joint, self.index = joint, index

    @staticmethod
    def of(node: GradNode, index: int) -> GradNode:
        """A node in front of the joint one."""
        joint = node.custom.joint
        part = GradNode()
        part.custom = type(type(node.custom).__name__, (_Part,), {})(joint, index)
        part.edges = [node]
        part.op = node.op
        part.order = joins(TLS.r, part.edges)
        part.scalars, part.params, part.entry, part.out_meta = (), (), None, None
        joint.parts[index] = weakref.ref(part)
        return part

    def _run_backward(self, node: Any, g: Any) -> list[Any]:
        self.joint.grads[self.index] = g
        return [g.detach().new_zeros(())]


def _custom(cls: Any, joint: _Several, edges: list[Any]) -> GradNode:
    node = GradNode()
    # The class of the node is called after the function.
    runner = cls.__dict__.get("_runner")
    if runner is None:
        runner = cls._runner = type(cls.__name__ + "Backward", (_Runner,), {})
    node.custom = runner(joint)
    node.op = cls.__name__
    node.edges = edges
    node.order = joins(TLS.r, edges)
    node.scalars, node.params, node.entry, node.out_meta = (), (), None, None
    return node


class _Twice(Function):
    """What comes of a pass that can't be differentiated again: who does it all the same is told."""

    @staticmethod
    def forward(ctx: Any, x: Any, why: str) -> Any:
        ctx.why = why
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        raise RuntimeError(ctx.why)


def only_once(t: Any, why: str) -> Any:
    """A gradient; to differentiate it raises RuntimeError, which says why."""
    return _Twice.apply(t if t.requires_grad else t.detach().requires_grad_(), why)


def once_differentiable(f: Any) -> Any:
    """Marks a backward that can't be differentiated again."""
    import functools

    @functools.wraps(f)
    def call(ctx: Any, *grads: Any) -> Any:
        with grad_mode.no_grad():
            out = f(ctx, *grads)
        if not TLS.r.grad or not any([isinstance(g, Tensor) and g.requires_grad for g in grads]):
            return out
        why = "trying to differentiate twice a function that was marked with @once_differentiable"
        marked = [
            only_once(t, why) if isinstance(t, Tensor) else t
            for t in (out if isinstance(out, tuple) else (out,))
        ]
        return tuple(marked) if isinstance(out, tuple) else marked[0]

    return call
