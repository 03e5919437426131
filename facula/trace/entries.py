"""Entries of the trie that are new: what follows from the operands is found here, once each."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from facula.dtypes import dtype as Dtype
from facula.dtypes import named
from facula.trace.entry_checks import MOST_DIMENSIONS, check_entry
from facula.trace.lines import user_line
from facula.trace.node import END, INPUT, Node, Other
from facula.trace.state import PINNED
from facula.trace.untracked import hide, untrack

if TYPE_CHECKING:
    from facula.trace.state import Recorder


_REAL = frozenset((int, float, bool))
_bare = Node.__new__


def known_entry(cur: Node, op: Any, names: Any, params: Any, stypes: Any) -> Any:
    """The entry that has followed another in this way, or None."""
    e = cur.succ
    if e.op is op and e.names == names and e.params == params and e.stypes == stypes:
        return e
    return None if cur.alts is None else cur.alts.get((op, names, params, stypes))


def append(r: Recorder, e: Node) -> None:
    """Hang a new entry under the current one."""
    cur = r.cur
    e.parent = cur
    e.index = cur.index + 1
    e.rec = r
    if cur.succ is not END:
        _branch(cur, e)
    r.size += 1
    if r.lasting:
        hide(e)


def _branch(cur: Node, e: Node) -> None:
    """Find `e` among what follows an entry. Most have one follower, so a table comes later."""
    if cur.alts is None:
        first = cur.succ
        cur.alts = {(first.op, first.names, first.params, first.stypes): first}
    cur.alts[e.op, e.names, e.params, e.stypes] = e


def new_entry(
    r: Recorder,
    op: Any,
    nodes: tuple[Node, ...],
    inputs: tuple[Node, ...],
    params: Any,
    scalars: tuple[Any, ...],
    stypes: tuple[type, ...],
    names: tuple[Any, ...],
    rg: bool,
) -> Node:
    """The entry of an operation that has not followed the current one before, appended.

    `nodes`: of the operands, `inputs`: the same bound to the frame, `rg`: whether gradients are
    recorded and one of them requires its. Calls are few here, and what is set is set in one go: of
    a program that never repeats this is most of the recording.
    """
    e: Any = _bare(Node)
    e.op, e.inputs, e.names, e.params, e.stypes = op, inputs, names, params, stypes
    e.a = e.b = device = None
    count = len(inputs)
    if count:
        first = nodes[0]
        e.a = inputs[0]
        if count > 1:
            e.b = inputs[1]
        elif scalars:  # what the arithmetic methods compare with the type of their number
            e.b = stypes[0]
        for n in inputs:
            if n.device is not None:
                device = n.device
    elif len(params) == 3:
        device = params[2]
    if (
        op.alike
        and first.strides is None
        and (
            count == 1
            or (count == 2 and nodes[1].strides is None and nodes[1].shape == first.shape)
        )
    ):
        shape, dtype, strides, offset = first.shape, nodes[-1].dtype, None, 0
        odd = dtype.is_complex
    else:
        shape, dtype, strides, offset = op.infer(params, stypes, *nodes)
        odd = (
            dtype.__class__ is not Dtype
            or shape is None
            or len(shape) > MOST_DIMENSIONS
            or (count and op.pointwise and nodes[-1].dtype.is_complex)
        )
    e.shape, e.dtype, e.strides, e.offset = shape, dtype, strides, offset
    if odd or (scalars and not _REAL.issuperset(stypes)):
        check_entry(e, scalars, nodes)
        if dtype.__class__ is named:
            dtype.np  # noqa: B018 (raises: there are no tensors of this type)
    e.rg = rg and op.differentiable and dtype is not None and dtype.category >= 2
    e.device = device
    e.scalar_at = len(r.scalars)
    # Asked by `record`, or for it, through `record_slow`, and mostly `_entry`.
    e.where = r.place or user_line(4)
    e.alts = e.aside = e.ends = e.leaf = e.programs = e.replays = e.spans = e.steps = None
    e.succ = e.after = END
    if device is not None:
        check_kernel(e)
    cur = e.parent = r.cur  # from here as `append` does
    e.index = cur.index + 1
    e.rec = r
    if cur.succ is not END:
        _branch(cur, e)
    r.size += 1
    if r.lasting:
        hide(e)
    return e


_INDEXED = ("index", "index_put", "index_put_accumulate")  # whose indices may be on the CPU


def meet(op: Any, ts: tuple[Any, ...]) -> tuple[Any, ...]:
    """The operands on one device: numbers of the CPU, 0-d tensors, go to where the others are."""
    where = [t.node.device for t in ts if t.node.device is not None][0]
    out = []
    for t in ts:
        if t.node.device is None and t.node.op.__class__ is not Other:
            index = op.name in _INDEXED and t is ts[1]
            if not index and (t.node.shape or not op.pointwise):
                raise apart(*[u.node for u in ts])
            t = t.to(where)
        out.append(t)
    return tuple(out)


def apart(*nodes: Node) -> RuntimeError:
    """What to raise for operands on several devices."""
    found = sorted({"cpu" if n.device is None else str(n.device) for n in nodes}, reverse=True)
    if "cpu" in found:
        found.remove("cpu")
        found.append("cpu")
    return RuntimeError(
        "Expected all tensors to be on the same device, but found at least two devices, "
        f"{' and '.join(found[:2])}! (operands: "
        + ", ".join([f"a {n.dtype} tensor of shape {list(n.shape)}" for n in nodes])
        + ")"
    )


def check_kernel(e: Node) -> None:
    """NotImplementedError for an operation that the device of its operands has no kernel for."""
    from facula.cuda.program import no_kernel, supported

    if not supported(e):
        raise no_kernel(e)


def bind(r: Recorder, names: tuple[Any, ...]) -> tuple[Node, ...]:
    """The operands of a new entry; those that its names call leaves become inputs of the frame."""
    inputs: list[Node] = []
    count = len(r.inputs)
    if r.pinned is None:
        r.pinned = sum([a.nbytes for _, a, _ in r.inputs])
    for i, name in enumerate(names):
        if name.__class__ is not tuple:
            inputs.append(name)
        elif name[1] == i:
            of = name[0]
            node = Node(INPUT, of.shape, of.dtype, of.strides, rg=of.rg, device=of.device)
            node.leaf, node.index, node.rec = of, count, r
            if r.lasting:
                untrack(id(node))
            r.pinned += prod(of.shape) * of.dtype.itemsize
            count += 1
            inputs.append(node)
        else:
            inputs.append(inputs[name[1]])
    if r.pinned > PINNED:  # the frame is looked at, and again when as many have come
        r.limit = r.again = r.pinned = 0
    return tuple(inputs)
