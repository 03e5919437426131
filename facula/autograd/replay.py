"""Following a known backward pass as one step.

The first `backward()` at a position of the trace is run by the engine, and what it recorded is
remembered at that position. When the same position is reached again, and everything the pass
depended on besides the trace is as it was, the recorder jumps to its end: nothing is built, and
only the gradients of the leaves become tensors. What the pass depended on is listed in `Replay`;
where any of it differs, the engine runs as if there were no memory of it.
"""

from __future__ import annotations

from typing import Any

from facula.autograd.graph import GradNode, ancestors
from facula.trace import recorder
from facula.trace.node import ASSIGN, INPUT, LEAF, Node


class Replay:
    """What one backward pass needed and did.

    numbers   Python numbers of the forward operations that entered the formulas
    sources   inputs that require grad: all are leaves without hooks
    leaves    for each leaf that got a gradient: its input, the node of its gradient before (None:
              there was none) and after
    binds     the inputs bound on the way: ('grad', leaf) or ('constant', tensor, buffer, node)
    scalars   the Python numbers recorded on the way
    end       the last entry
    graph     the entries whose saved values are freed by the pass
    reached   the inputs that require grad, on which these entries depend
    """

    __slots__ = ("binds", "end", "graph", "leaves", "numbers", "reached", "scalars", "sources")

    numbers: list[Any]
    sources: list[int]
    leaves: list[Any]
    binds: list[Any]
    scalars: list[Any]
    end: Node
    graph: frozenset[Node]
    reached: list[Node]


def _watched(t: Any) -> bool:
    """Whether hooks want to see this leaf's gradient."""
    if t._hooks or t._post_hooks:
        return True
    acc = t._acc
    if acc is not None:
        acc = acc()
    return acc is not None and bool(acc.pre_hooks or acc.post_hooks)


def _plain(g: Any) -> bool:
    """Whether nothing but its leaf knows this gradient's memory."""
    if g._exported is not None and g._exported() is not None:
        return False
    return g._storage is None and not g._leaf_rg


def follow(r: Any, root: Node) -> bool:
    """Jump over a pass that is known here; False where the engine has to run."""
    known = r.cur.replays
    if known is None:
        return False
    m = known.get(root)
    if m is None or r.gnodes or r.anomaly:
        return False
    scalars, inputs = r.scalars, r.inputs
    for at, end, values in m.numbers:
        if scalars[at:end] != values:
            return False
    for i in m.sources:
        t, _, gfn = inputs[i]
        if gfn is not None or not t._leaf_rg:
            return False
        if t._hooks is not None or t._post_hooks is not None or t._acc is not None:
            if _watched(t):
                return False
    seen: set[int] = set()
    for i, before, _ in m.leaves:
        g = inputs[i][0]._grad
        if g is None:
            if before is not None:
                return False
        elif g.node is not before or not _plain(g):
            return False
        elif len(m.leaves) > 1:
            if id(g) in seen:
                return False  # two leaves share one gradient
            seen.add(id(g))
    for earlier in r.replayed:
        if not earlier.graph.isdisjoint(m.graph):
            return False
    # From here on nothing fails.
    for what in m.binds:
        if what[0] == "grad":
            g = inputs[what[1]][0]._grad
            inputs.append((g, g._data, None))
        else:
            _, t, data, t.node = what
            inputs.append((t, data, None))
    if m.scalars:
        scalars.extend(m.scalars)
    add = r.add
    for i, before, after in m.leaves:
        t = inputs[i][0]
        if before is None:
            g = recorder._new_tensor()
            t._grad = g
        else:
            g = t._grad
            g._writes += 1
            if g._token is not None:
                g._token.stale = True
                g._token = None
        g.node = after
        add(g)
    r.replayed.append(m)
    r.cur = m.end
    r.next = m.end.succ
    return True


def before_pass(r: Any, root: Node) -> Any:
    """What has to be known before the engine runs, or None where its pass can't be followed."""
    op = root.op
    if r.anomaly or op is LEAF or op is INPUT or root.rec is not r or not root.rg:
        return None
    seen: set[Node] = set()
    sources: list[int] = []
    stack = [root]
    while stack:
        n = stack.pop()
        if n in seen or not n.rg:
            continue
        seen.add(n)
        if n.op is INPUT:
            t, _, gfn = r.inputs[n.index]
            if gfn is not None or not t._leaf_rg or _watched(t):
                return None
            sources.append(n.index)
        elif n in r.gnodes or any([n in m.graph for m in r.replayed]):
            return None  # somebody looks at the graph: hooks, a custom function, an earlier pass
        else:
            stack.extend((n.b,) if n.op is ASSIGN else n.inputs)
    grads = []
    for i in sources:
        g = r.inputs[i][0]._grad
        if g is not None and not _plain(g):
            return None
        grads.append(None if g is None else g.node)
    return r.frame, r.cur, len(r.inputs), len(r.scalars), sources, grads


def remember(r: Any, root: Node, state: Any) -> None:
    """Keep the pass that the engine has just run."""
    frame, cur, n_inputs, n_scalars, sources, grads = state
    if r.frame != frame:
        return
    top = r.gnodes.get(root)
    if not isinstance(top, GradNode):
        return
    m = Replay()
    m.graph = frozenset(ancestors(root))
    m.reached = list({i for n in m.graph for i in n.inputs if i.op is INPUT and i.rg})
    nodes = [g for g in (r.gnodes.get(n) for n in m.graph) if isinstance(g, GradNode)]
    if not any([g.freed for g in nodes]) or any(
        [g.custom or g.tensor_hooks or g.retain or g.pre_hooks or g.post_hooks for g in nodes]
    ):
        return
    m.numbers = []
    for g in nodes:
        if g.scalars and any(["s" in names for names in g.op.needs]):
            at = g.entry.scalar_at
            m.numbers.append((at, at + len(g.scalars), list(g.scalars)))
    m.sources = sources
    m.leaves = []
    owners: dict[int, int] = {}
    for i, before in zip(sources, grads, strict=True):
        g = r.inputs[i][0]._grad
        if g is None:
            continue
        if g.node is before:
            continue  # no gradient came
        if g.node.op is INPUT or g.node.op is LEAF or g.node.rec is not r:
            return
        if id(g) in owners:
            return  # two leaves share one gradient
        m.leaves.append((i, before, g.node))
        owners[id(g)] = i
    m.binds = []
    for t, data, gfn in r.inputs[n_inputs:]:
        if id(t) in owners:
            m.binds.append(("grad", owners[id(t)]))
        elif gfn is None and not t._leaf_rg and t._storage is None and t.node.op is INPUT:
            m.binds.append(("constant", t, data, t.node))
        else:
            return
    m.scalars = r.scalars[n_scalars:]
    m.end = r.cur
    if cur.replays is None:
        cur.replays = {}
    cur.replays[root] = m
