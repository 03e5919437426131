"""Following a known backward pass as one step.

The first `backward()` at a position of the trace is run by the engine, and what it recorded is
remembered at that position. When the same position is reached again, and everything the pass
depended on besides the trace is as it was, the recorder jumps to its end: nothing is built, and
only the gradients of the leaves become tensors. What the pass depended on is listed in `Replay`;
where any of it differs, the engine runs as if there were no memory of it.

A pass is known by its key: the node of the tensor that `backward()` was called on or, where there
are several or where gradients were given, their nodes and those of the gradients. `autograd.grad`
adds the nodes of what it differentiates by, and gets the gradients themselves.
"""

from __future__ import annotations

from typing import Any

from facula.autograd.graph import ancestors
from facula.autograd.nodes import GradNode
from facula.ops.table import PLAIN
from facula.trace import recorder
from facula.trace.node import ASSIGN, INPUT, LEAF, Node, Pick, pick

KEYS = 64  # passes remembered for one position


class Replay:
    """What one backward pass needed and did.

    numbers   Python numbers of the forward operations that entered the formulas
    sources   picks the inputs that require grad: all are leaves without hooks
    leaves    picks those that got a gradient
    before    the nodes of their gradients before (None: there was none)
    after     and after
    made      the nodes of those that are new
    first     whether none of them had one
    binds     the inputs bound on the way: ('grad', leaf), ('given', place in what was given, node)
              or ('constant', tensor, buffer, node)
    scalars   the Python numbers recorded on the way
    end       the last entry
    graph     the entries that the pass goes through
    frees     whether their saved values are freed by it
    reached   the inputs that require grad, on which these entries depend
    tensors   picks these from the frame's inputs
    results   the nodes of the gradients that `autograd.grad` returns, None where there is none
    """

    __slots__ = (
        *("after", "before", "binds", "end", "first", "frees", "graph", "leaves", "made"),
        *("numbers", "reached", "results", "scalars", "sources", "tensors"),
    )

    numbers: list[Any]
    sources: Pick
    leaves: Pick
    before: list[Any]
    after: list[Node]
    made: list[Node]
    first: bool
    binds: list[Any]
    scalars: list[Any]
    end: Node
    graph: frozenset[Node]
    frees: bool
    reached: list[Node]
    tensors: Pick
    results: list[Node | None]


def _watched(t: Any) -> bool:
    """Whether hooks want to see this leaf's gradient, or it is of a shape that the leaf had."""
    if t._hooks or t._post_hooks:
        return True
    acc = None if t._acc is None else t._acc()
    if acc is None:
        t._acc = None  # not asked for again
        return False
    return acc.shape != t.node.shape or bool(acc.pre_hooks or acc.post_hooks)


def _plain(g: Any) -> bool:
    """Whether nothing but its leaf knows this gradient's memory."""
    if g._exported is not None and g._exported() is not None:
        return False
    return g._storage is None and not g._leaf_rg


def key_of(r: Any, tensors: Any, grads: Any) -> tuple[Any, tuple[Any, ...]]:
    """The key of a pass with given gradients or with several roots, and these gradients.

    The key is None where more than the nodes would have to be known of what was given.
    """
    outs = tensors if isinstance(tensors, (tuple, list)) else (tensors,)
    if grads is None:
        given: tuple[Any, ...] = ()
    else:
        given = tuple(grads) if isinstance(grads, (tuple, list)) else (grads,)
        if len(given) != len(outs):
            return None, ()
    key = []
    for t in outs:
        node = getattr(t, "node", None)
        if node is None:
            return None, ()
        key.append(node)
    for g in given:
        if g is None:
            key.append(None)
            continue
        if type(g) not in PLAIN or g._exported is not None or g._counter is not None:
            return None, ()
        node = g.node
        if node.op is not LEAF and node.rec is not r:
            return None, ()
        s = g._storage
        if s is not None and (s._exported is not None or (s.computed and s.lent)):
            return None, ()
        key.append(node)
    if len(given) > 1 and len(set(map(id, given))) < len(given):
        return None, ()  # one gradient for two roots
    return (len(outs), *key), given


def grad_key(
    r: Any, outputs: Any, inputs: list[Any], grads: Any, keep: bool, unused: bool
) -> tuple[Any, tuple[Any, ...]]:
    """The key of a pass of `autograd.grad` by inputs or results of this frame."""
    key, given = key_of(r, outputs, grads)
    if key is None:
        return None, ()
    wanted: list[Node | None] = []
    for t in inputs:
        if type(t) in PLAIN and t.node.op is LEAF and t._leaf_rg:
            wanted.append(None)  # nothing in this frame has read it
            continue
        if type(t) not in PLAIN or t.node.rec is not r or not t.node.rg or t._base_t is not None:
            return None, ()
        wanted.append(t.node)
    return (*key, keep, unused, *wanted), given


def follow_grad(r: Any, key: Any, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """The gradients of a pass of `autograd.grad` that is known here."""
    known = r.cur.replays
    if known is None or key not in known or not follow(r, key, given):
        return None
    out = []
    for node in known[key].results:
        g = None
        if node is not None:
            g = recorder._new_tensor()
            g.node = node
            r.add(g)
        out.append(g)
    return tuple(out)


def follow(r: Any, key: Any, given: tuple[Any, ...] = ()) -> bool:
    """Jump over a pass that is known here; False where the engine has to run."""
    known = r.cur.replays
    if known is None:
        return False
    m = known.get(key)
    if m is None or r.gnodes or r.anomaly or r.packing is not None:
        return False
    scalars, inputs = r.scalars, r.inputs
    for at, end, values in m.numbers:
        if scalars[at:end] != values:
            return False
    for t, _, gfn in m.sources(inputs):
        if gfn is not None or not t._leaf_rg:
            return False
        if t._hooks is not None or t._post_hooks is not None or t._acc is not None:
            if _watched(t):
                return False
    leaves = [t for t, _, _ in m.leaves(inputs)]
    if m.first:
        for t in leaves:
            if t._grad is not None:
                return False
    else:
        seen = set(map(id, given))
        for t, before in zip(leaves, m.before):
            g = t._grad
            if g is None:
                if before is not None:
                    return False
            elif g.node is not before or not _plain(g):
                return False
            elif given or len(leaves) > 1:
                if id(g) in seen:
                    return False  # two leaves share one gradient, or it was given
                seen.add(id(g))
    for earlier in r.replayed:
        if not earlier.graph.isdisjoint(m.graph):
            return False
    # From here on nothing fails.
    new = recorder._new_tensor
    made = []
    for node in m.made:
        g = new()
        g.node = node
        made.append(g)
    bound = []
    for what in m.binds:
        if what[0] == "grad":
            g = inputs[what[1]][0]._grad
            bound.append((g, g._data, None))
        elif what[0] == "given":
            g = given[what[1]]
            bound.append((g, g._data, g._gfn))
        else:
            bound.append((what[1], what[2], None))
    r.inputs += bound
    r.scalars += m.scalars
    if m.frees:
        r.replayed += (m,)
    r.cur = m.end
    r.next = m.end.succ
    r.handles += made
    if m.first:
        for t, g in zip(leaves, made):
            t._grad = g
    else:
        _accumulated(r, m, leaves, made)
    for what in m.binds:
        if what[0] == "given":
            given[what[1]].node = what[2]
        elif what[0] == "constant":
            what[1].node = what[3]
    return True


def _accumulated(r: Any, m: Replay, leaves: list[Any], made: list[Any]) -> None:
    """Give leaves their gradients after a pass: those that were `made`, in a row, where a leaf had
    none, and the one it had otherwise."""
    fresh = iter(made)
    for t, before, after in zip(leaves, m.before, m.after):
        if before is None:
            t._grad = next(fresh)
            continue
        g = t._grad
        g._writes += 1
        if g._token is not None:
            g._token.stale = True
            g._token = None
        g.node = after
        r.add(g)


def _new(r: Any, g: Any, cur: Node) -> bool:
    """Whether a gradient is a value that the pass has recorded, and nothing more."""
    n = g.node
    if type(g) not in PLAIN or g._storage is not None or g._gfn is not None or g._leaf_rg:
        return False
    return n.rec is r and n.op is not INPUT and n.index > cur.index


def _roots(key: Any) -> tuple[Node, ...]:
    return key[1 : 1 + key[0]] if key.__class__ is tuple else (key,)


def before_pass(r: Any, key: Any, given: tuple[Any, ...] = (), accumulates: bool = True) -> Any:
    """What has to be known before the engine runs, or None where its pass can't be followed.

    `accumulates`: whether the gradients are added to those of the leaves.
    """
    if r.anomaly:
        return None
    for root in _roots(key):
        if root.op is LEAF or root.op is INPUT or root.rec is not r or not root.rg:
            return None
    seen: set[Node] = set()
    sources: list[int] = []
    stack = list(_roots(key))
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
    for i in sources if accumulates else ():
        g = r.inputs[i][0]._grad
        if g is not None and (not _plain(g) or any([g is other for other in given])):
            return None
        grads.append(None if g is None else g.node)
    return (r.frame, r.strangers), r.cur, len(r.inputs), len(r.scalars), sources, grads


def remember(
    r: Any, key: Any, given: tuple[Any, ...], state: Any, results: Any = (), keep: bool = False
) -> None:
    """Keep the pass that the engine has just run: of `backward`, or of `grad` with its results.

    `keep`: whether the graph was kept.
    """
    frame, cur, n_inputs, n_scalars, sources, grads = state
    if (r.frame, r.strangers) != frame:
        return
    m = Replay()
    graph: set[Node] = set()
    for root in _roots(key):
        if not isinstance(r.gnodes.get(root), GradNode):
            return
        graph.update(ancestors(root))
    m.graph = frozenset(graph)
    m.reached = list({i for n in m.graph for i in n.inputs if i.op is INPUT and i.rg})
    m.tensors = pick([i.index for i in m.reached])
    nodes = [g for g in (r.gnodes.get(n) for n in m.graph) if isinstance(g, GradNode)]
    if any([g.custom or g.tensor_hooks or g.retain or g.pre_hooks or g.post_hooks for g in nodes]):
        return
    if results and not keep and any([not g.freed and (g.saved or g.op.frees) for g in nodes]):
        return  # what leads to no result was not run, and may be later
    # Operations that save nothing can be gone through again.
    m.frees = not keep and any([g.freed for g in nodes])
    m.results = [None if g is None else g.node for g in results]
    for g, node in zip(results, m.results):
        if g is not None and not (_new(r, g, cur) and m.results.count(node) == 1):
            return
    m.numbers = []
    for g in nodes:
        if g.scalars and any(["s" in names for names in g.op.needs]):
            at = g.entry.scalar_at
            m.numbers.append((at, at + len(g.scalars), list(g.scalars)))
    m.sources = pick(sources)
    leaves: list[int] = []
    m.before, m.after = [], []
    owners: dict[int, int] = {}
    for i, before in zip(sources, grads):  # no gradients were looked at for `grad`
        g = r.inputs[i][0]._grad
        if g is None:
            continue
        if g.node is before:
            continue  # no gradient came
        if g.node.op is INPUT or g.node.op is LEAF or g.node.rec is not r:
            return
        if id(g) in owners:
            return  # two leaves share one gradient
        leaves.append(i)
        m.before.append(before)
        m.after.append(g.node)
        owners[id(g)] = i
    m.leaves = pick(leaves)
    m.first = not any(m.before)
    m.made = [after for before, after in zip(m.before, m.after) if before is None]
    m.binds = []
    places = {id(g): k for k, g in enumerate(given) if g is not None}
    for t, data, gfn in r.inputs[n_inputs:]:
        if t.node.rec is not r:
            return  # another thread has read it meanwhile
        if id(t) in owners:
            m.binds.append(("grad", owners[id(t)]))
        elif id(t) in places:
            m.binds.append(("given", places[id(t)], t.node))
        elif gfn is None and not t._leaf_rg and t._storage is None and t.node.op is INPUT:
            m.binds.append(("constant", t, data, t.node))
        else:
            return
    m.scalars = r.scalars[n_scalars:]
    m.end = r.cur
    if cur.replays is None or len(cur.replays) >= KEYS:
        cur.replays = {}
    cur.replays[key] = m
