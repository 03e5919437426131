"""Back-propagation: walks the graph from its newest node to its oldest, without recursion."""

from __future__ import annotations

import gc
import heapq
import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from facula.autograd import frames
from facula.autograd.graph import Saved, edges_of, expanded, overwritten, spoilt
from facula.autograd.hook_calls import after_added, after_node, before_node, given_to, of_tensor
from facula.autograd.later import Ended, Later
from facula.autograd.nodes import AccumulateGrad, GradNode
from facula.autograd.parts import join
from facula.batches import ACTIVE, all_lowered
from facula.ops.movement import SLICE
from facula.storage import version_of
from facula.trace import recorder
from facula.trace.node import INPUT, LEAF, Other, contiguous_strides, leaf
from facula.trace.operands import elsewhere, prepare
from facula.trace.recorder import TLS
from facula.trace.resting import begin_work, rouse

_INDEX = {"a": 0, "b": 1, "c": 2, "d": 3}
# Operations of a pass after which the way into an older frame ends its own: what follows from the
# reading of values repeats frame by frame, if at all.
PIECE = 48


def _check(s: Saved, node: GradNode, gone: set[Any]) -> None:
    """RuntimeError for a saved value that is no longer what it was."""
    token = s.token
    if token is not None and token.detached is s.edge and isinstance(s.edge, GradNode):
        raise RuntimeError(
            f"{node.name()}: Trying to use a saved tensor that has been detached in-place, i.e. "
            "with .detach_(). This is not supported, please use out-of-place .detach() instead."
        )
    stale = s.stale or (token is not None and token.stale)
    if stale or (s.root is not None and s.frame == TLS.r.frame and spoilt(s.root, gone)):
        raise RuntimeError(
            "one of the variables needed for gradient computation has been modified by an inplace "
            f"operation: [{s.node.dtype} {list(s.node.shape)}], saved by {node.name()}"
            + (f", recorded at {node.line[0]}:{node.line[1]}" if node.line else "")
            + ". Hint: clone() the tensor before you change it, or change it after backward()."
        )


def _bare(n: Any) -> bool:
    """Whether a saved value has outlived its frame, so that it comes without its history."""
    return n.op is LEAF or (n.op is INPUT and not n.rg)


def _unpack(s: Saved, node: GradNode, create_graph: bool) -> Any:
    t = s.tensor
    if s.packed is not None:
        from facula.autograd.saved import unpacked

        rouse(TLS.r)
        t = unpacked(s, node)
    if not _bare(t.node):
        return t  # pending in this frame: its own entry (or input) carries the history
    lent = None if s.token is None else s.token.lent
    # NumPy code that still has it may write to this memory before the pass has run.
    if lent is not None and lent() is not None:
        t._exported = lent
    if not create_graph or s.edge is None:
        return t
    if isinstance(s.edge, AccumulateGrad) and s.packed is None:
        return s.edge.variable
    return with_history(t, s.edge)


def with_history(t: Any, edge: Any) -> Any:
    """A tensor of the same memory whose gradient goes where this edge leads."""
    u = recorder._new_tensor()
    u._data, u._exported = t._data, t._exported
    n = t.node
    u.node = leaf(n.shape, n.dtype, n.strides, True, n.device)
    u._gfn = edge
    return u


def _stand_ins(node: GradNode) -> tuple[Any, ...]:
    """A tensor with the history of each input, and the input's node."""
    out = []
    for edge, n in zip(node.edges, node.entry.inputs, strict=False):
        if edge is not None:
            u = recorder._new_tensor()
            u._data = np.zeros((), n.dtype.np)
            u.node = leaf((), n.dtype, None, True, n.device)
            u._gfn = edge
            out.append((u, n))
    return tuple(out)


def _formula_arguments(
    node: GradNode,
    names: tuple[str, ...],
    g: Any,
    cache: dict[str, Any],
    create_graph: bool,
) -> list[Any]:
    out = []
    for name in names:
        if name == "g":
            out.append(g)
        elif name == "p":
            out.append(node.params)
        elif name == "s":
            out.append(node.scalars)
        elif name == "on":
            out.append(node.entry)
        elif name == "z":
            out.append(_stand_ins(node) if create_graph else ())
        elif len(name) == 2:
            out.append(node.entry.inputs[_INDEX[name[0]]])
        else:
            if name not in cache:
                s = node.saved[name]
                realised = s.packed is not None or _bare(s.tensor.node)
                if name == "o" and create_graph and realised:
                    s.edge = node
                cache[name] = _unpack(s, node, create_graph)
                if name == "o":
                    s.edge = None
            out.append(cache[name])
    return out


def _apply(
    node: GradNode, g: Any, gone: set[Any], create_graph: bool, wanted: set[Any] | None
) -> list[Any]:
    """The gradients that this node sends along its edges."""
    if node.freed:
        raise RuntimeError(
            "Trying to backward through the graph a second time (or directly access saved tensors "
            "after they have already been freed). Saved intermediate values of the graph are freed "
            "when you call .backward() or autograd.grad(). Specify retain_graph=True if you need "
            "to backward through the graph a second time or if you need to access saved tensors "
            f"after calling backward. The operation is {node.name()}"
            + (f", recorded at {node.line[0]}:{node.line[1]}." if node.line else ".")
        )
    if node.custom is not None:
        rouse(TLS.r)
        return node.custom._run_backward(node, g)
    for s in node.saved.values():
        _check(s, node, gone)
    op = node.op
    cache: dict[str, Any] = {}
    out: list[Any] = []
    for i, edge in enumerate(node.edges):
        if (
            edge is None
            or i >= len(op.grads)
            or op.grads[i] is None
            or (wanted is not None and edge not in wanted)
        ):
            out.append(None)
            continue
        args = _formula_arguments(node, op.needs[i], g, cache, create_graph)
        d = op.grads[i](*args)
        if d is not None and op.pointwise:
            want = node.entry.inputs[i].shape
            if d.node.shape != want:
                d = sum_to(d, want)
        out.append(d)
    return out


def sum_to(t: Any, shape: tuple[int, ...]) -> Any:
    """Undo broadcasting: sum over the dimensions along which `shape` was expanded."""
    have = t.node.shape
    extra = len(have) - len(shape)
    dims = tuple(range(extra)) + tuple(
        [i + extra for i, n in enumerate(shape) if n == 1 and have[i + extra] != 1]
    )
    if dims:
        from facula.ops.reduce import SUM

        t = recorder.record(SUM, (t,), (dims, False))
    return t.reshape(shape) if t.node.shape != shape else t


def sums_to(have: tuple[int, ...], want: tuple[int, ...]) -> bool:
    """Whether `have` is a shape that `want` broadcasts to."""
    ends = have[len(have) - len(want) :]
    return len(have) >= len(want) and all([n in (1, m) for n, m in zip(want, ends, strict=True)])


def _fitted(g: Any, node: Any, want: tuple[int, ...]) -> Any:
    """The gradient of a result or leaf which has got another shape since (`t.data = other`)."""
    have = g.node.shape
    if g.node.op.__class__ is Other:
        return g
    if not sums_to(have, want):
        raise RuntimeError(
            f"backward: got a gradient of shape {list(have)} for the result of {node.name()}, "
            f"which had the shape {list(want)}"
        )
    return sum_to(g, want)


def _wanted(starts: list[Any], targets: set[Any], beyond: bool = True) -> set[Any]:
    """The nodes from which a target can be reached, through other targets only if `beyond`."""
    order: list[Any] = []
    seen: set[Any] = set()
    stack = list(starts)
    while stack:
        n = stack.pop()
        if n is None or n in seen:
            continue
        seen.add(n)
        order.append(n)
        if isinstance(n, GradNode) and (beyond or n not in targets):
            stack.extend(edges_of(n))
    order.sort(key=lambda n: n.order)
    wanted = set(targets)
    for n in order:
        if isinstance(n, GradNode) and any(e in wanted for e in n.edges):
            wanted.add(n)
    return wanted


def _reached(starts: list[Any], wanted: set[Any] | None) -> set[Any]:
    """The nodes at which gradients from these will arrive."""
    seen: set[Any] = set()
    stack = list(starts)
    while stack:
        n = expanded(stack.pop())
        if n is None or n in seen or (wanted is not None and n not in wanted):
            continue
        seen.add(n)
        if isinstance(n, GradNode):
            stack.extend(edges_of(n))
    return seen


class _Pass:
    """A backward pass that is under way, for hooks that ask about it."""

    def __init__(self, roots: list[tuple[Any, Any]], wanted: set[Any] | None) -> None:
        self.roots, self.wanted = roots, wanted
        self.at_end: list[Callable[[], None]] = []  # called when all gradients are there

    def reaches(self, edges: list[Any]) -> int:
        """At how many of these edges gradients will arrive. PyTorch does not count the only root
        of a pass without targets."""
        starts = [expanded(n) for n, _ in self.roots]
        if len(starts) == 1 and self.wanted is None:
            (root,) = starts
            starts = edges_of(root) if isinstance(root, GradNode) else []
        seen = _reached(starts, self.wanted)
        return sum([e in seen for e in edges])


PASSES: list[_Pass] = []


def _settle(r: Any, roots: list[tuple[Any, Any]]) -> None:
    """Let a frame end now that would end where a given gradient is first read.

    Inside a formula it would cut off from their histories the saved values that are at hand.
    """
    for _, d in roots:
        if d.node.op.__class__ is not Other:
            prepare(r, d)


def run(
    roots: list[tuple[Any, Any]],
    *,
    keep: bool,
    create_graph: bool,
    targets: list[Any] | None = None,
    accumulate: bool = True,
    beyond: bool = True,
) -> dict[Any, Any]:
    """Propagate `roots` (pairs of graph node and gradient).

    With `targets` only what leads to them is computed, and their gradients are returned. Without
    `beyond` the pass ends there, and another takes over with these: no hook of a target is called.
    """
    r = TLS.r
    if TLS.dual is not None:  # gradients too are to have tangents
        create_graph = keep = True
    wanted = None if targets is None else _wanted([n for n, _ in roots], set(targets), beyond)
    found: dict[Any, Any] = {}
    goals = set(targets or ())
    pending: dict[Any, Any] = {}
    heap: list[Any] = []
    hurried: list[GradNode] = []
    touched: list[GradNode] = []
    serial = 0
    followed = -1  # the frame in which the pass through another one was recorded
    walked = -1  # the frame whose nodes were met last

    def send(n: Any, d: Any) -> None:
        nonlocal serial
        if n.__class__ is Later:
            if n.ended.nodes is None:
                send_later(n, d)
                return
            n = n.expand()
        have = pending.get(n)
        if have is None:
            pending[n] = d
            serial += 1
            heapq.heappush(heap, (-n.order[0], -n.order[1], serial, n))
            if n.hurries:
                hurried.append(n)
        elif have.is_sparse and not d.is_sparse:
            pending[n] = d + have
        else:
            pending[n] = have + d

    def hasten() -> None:
        """Put a node that hurries first as soon as no gradient that waits can reach it."""
        for n in hurried:
            if n not in _reached([m for m in pending if m is not n], wanted):
                heapq.heappush(heap, (-math.inf, 0, 0, n))
                hurried.remove(n)
                return

    def send_later(n: Later, d: Any) -> None:
        have = pending.get(n.ended)
        if have is None:
            send(n.ended, {n.top: d})
        elif n.top in have:
            have[n.top] = d + have[n.top] if have[n.top].is_sparse else have[n.top] + d
        else:
            have[n.top] = d

    def pass_frame(e: Ended) -> None:
        """The pass through a frame that has ended: at once, if its nodes need not be built."""
        nonlocal followed
        grads = pending.pop(e)
        out = frames.follow(e, grads, pending, keep)
        if out is None:
            for top, d in grads.items():
                send(Later(e, top).expand(), d)
            return
        followed = r.frame
        for edge, d in out:
            if frames.arrived(pending, edge) is None:
                send(edge, d)
            elif edge.__class__ is Later:
                pending[edge.ended][edge.top] = d
            else:
                pending[edge] = d

    before, work = r.grad, (r.place, r.rests)
    hooks = r.packing, r.saved_hooks  # blocks that a hook begins or ends last as long as the pass
    low, r.autocast = r.autocast, None  # formulas compute in the dtypes that they meet
    this = _Pass(roots, wanted)
    try:
        PASSES.append(this)
        begin_work(r)
        recorder.set_grad(create_graph)
        if create_graph:
            _settle(r, roots)
        gone = overwritten(r)
        frame = r.frame
        for n, d in roots:
            if n is None:
                continue
            if wanted is None or n in wanted:
                send(n, d)
            elif len(roots) == 1:  # nothing is wanted of it but this
                if isinstance(n, AccumulateGrad):
                    of_tensor(n.variable._hooks, d)
                else:
                    _hand_over(n, of_tensor(n.tensor_hooks, d))
        while heap:
            if hurried:
                hasten()
            n = heapq.heappop(heap)[3]
            if n.hurries and n not in pending:
                continue  # it has come first before
            if n.order[0] != walked:
                g = grads = d = None  # a flush finds no more references than needed
                # The pass through a frame that is kept in short is a program of its own.
                ends = followed == r.frame or r.cur.index >= PIECE
                if -1 < n.order[0] < walked and ends and not create_graph:
                    recorder.flush(r, wait=False)
                walked = n.order[0]
            if n.__class__ is Ended:
                pass_frame(n)
                continue
            g = pending.pop(n)
            if not beyond and n in goals:
                found[n] = g
                continue
            if isinstance(n, AccumulateGrad):
                if n.shape != g.node.shape:
                    g = _fitted(g, n, n.shape)
                g = of_tensor(n.variable._hooks, g)
                if n in goals:
                    found[n] = g
                if targets is None or accumulate:
                    _accumulate(n, g, create_graph)
                continue
            if n.out_meta is not None and n.out_meta.shape != g.node.shape:
                g = _fitted(g, n, n.out_meta.shape)
            g = of_tensor(n.tensor_hooks, g)
            _hand_over(n, g)
            if n in goals:
                found[n] = g
                if not accumulate and wanted is not None and not any(e in wanted for e in n.edges):
                    continue  # else it is run, though nothing that it gives is wanted
            if n.pre_hooks:
                g, goes_on = before_node(n, g)
                if not goes_on:
                    continue
            if r.frame != frame:  # a hook flushed: what was pending has been sealed
                frame = r.frame
                gone = overwritten(r)
            given = given_to(n, g) if n.post_hooks else ()
            if n.custom is None and n.op is SLICE and not r.anomaly:
                edge = n.edges[0]
                joint = None
                if edge is not None and (wanted is None or edge in wanted):
                    joint = join(n, g, heap, pending, goals)
                if joint is not None:
                    nodes, d = joint
                    if not keep:
                        touched += nodes
                    send(edge, d)
                    continue
            grads = _apply(n, g, gone, create_graph, wanted)
            if n.post_hooks:
                grads = after_node(n, grads, given)
            if r.anomaly:
                _check_nan(n, grads)
            if not keep:
                touched.append(n)
            for e, d in zip(n.edges, grads, strict=False):
                if e is not None and d is not None and (wanted is None or e in wanted):
                    send(e, d)
        for call in PASSES[-1].at_end:
            rouse(r)
            call()
    finally:
        rests = r.rests
        r.autocast = low
        r.place, r.rests = work
        try:
            if rests:
                gc.enable()
        finally:
            PASSES.pop()
            r.packing, r.saved_hooks = hooks
            recorder.restore_grad(before)
        for n in touched:
            free = getattr(n.custom, "free", None)  # of a function of the user
            if free is not None:
                free()
            n.freed = n.freed or bool(n.saved) or (n.custom is None and n.op.frees)
            n.saved = {}
    return found


def _hand_over(n: GradNode, g: Any) -> None:
    """Give the gradient of a result to the tensor that retains it."""
    t = None if n.retain is None else n.retain()
    if t is not None:
        t._grad = _own(g, t) if t._grad is None else t._grad + g


_ADDING = threading.RLock()  # threads may add to the gradient of one leaf


def _accumulate(n: AccumulateGrad, g: Any, create_graph: bool) -> None:
    t = n.variable
    base = t._base_t
    # A view may not have looked yet at what its memory has got from a write elsewhere.
    moved = base is not None and base.requires_grad and t._seen != version_of(t)
    if moved or not t._leaf_rg:
        if not t.requires_grad:
            return
        raise RuntimeError(
            f"leaf variable has been moved into the graph interior: a tensor of shape "
            f"{list(t.shape)} was written to in place since it was used as a leaf"
        )
    if n.pre_hooks:
        rouse(TLS.r)
        for hook in list(n.pre_hooks.values()):
            new = hook((g,))
            g = g if new is None else new[0]
    with _ADDING:
        old = t._grad
        if old is None:
            t._grad = _own(g, t)
        elif old.is_sparse and not g.is_sparse:
            t._grad = g + old
        elif create_graph or elsewhere(TLS.r, old):
            t._grad = old + g
        else:
            old.add_(g)
    if t._post_hooks:
        after_added(t)
    if n.post_hooks:
        rouse(TLS.r)
        for hook in list(n.post_hooks.values()):
            hook((), (g,))


def _own(g: Any, t: Any) -> Any:
    """A gradient that shares memory with no other, in the leaf's layout if that has no gaps."""
    from facula.ops.movement import CONTIGUOUS, SELF
    from facula.ops.registry import like_strides

    want = t.node.strides
    if want is None and g.node.strides is None and g.node.shape == t.node.shape:  # as most are
        return recorder.record(SELF, (g,))
    dense = like_strides(t.node) == want
    if g.node.shape != t.node.shape and dense and not _steps_alike(g.node, t.node):
        g = _spread(g, t.node.shape)
    if want is not None and not (dense and g.node.shape == t.node.shape):
        want = None
    if g.node.strides == want:
        return recorder.record(SELF, (g,))
    return recorder.record(CONTIGUOUS, (g,), want or 0)


def _steps_alike(a: Any, b: Any) -> bool:
    """Whether each step along a, of more than one element, is the same along b."""
    steps = [n.strides or contiguous_strides(n.shape) for n in (a, b)]
    return len(a.shape) <= len(b.shape) and all(
        [n == 1 or x == y for n, x, y in zip(a.shape, *steps, strict=False)]
    )


def _spread(g: Any, shape: tuple[int, ...]) -> Any:
    """The gradient of a leaf which has got another shape since: copied into one of that shape."""
    if not sums_to(shape, g.node.shape):
        raise RuntimeError(
            f"backward: a gradient of shape {list(g.shape)} does not fit a leaf that has got the "
            f"shape {list(shape)} since it was used"
        )
    return g.expand(shape)


def _check_nan(n: GradNode, grads: list[Any]) -> None:
    for i, d in enumerate(grads):
        if d is not None and bool(all_lowered(d.isnan(), ACTIVE.levels).any()):
            where = f" recorded at {n.line[0]}:{n.line[1]}" if n.line else ""
            raise RuntimeError(
                f"Function '{n.name()}' returned nan values in its {i}th output; "
                f"the forward operation was{where}."
            )


__all__ = ["run", "sum_to", "sums_to"]
