"""The autograd graph, built from the trace when it is asked for.

While a frame is being recorded the trace is the graph. A `GradNode` is made for an entry when
`backward` runs, when `grad_fn` is read, or when a result outlives its frame with its history.
"""

from __future__ import annotations

from itertools import count
from operator import itemgetter
from typing import Any

from facula.autograd.nodes import AccumulateGrad, GradNode
from facula.meta import META
from facula.ops.registry import OPERANDS
from facula.trace import neighbours
from facula.trace.node import ASSIGN, INPUT, LEAF, STALE, Other
from facula.trace.node import Node as Entry
from facula.trace.state import TLS, next_turn

_new_tensor: Any = None  # set by facula.tensor


def warn_of_no_leaf(t: Any) -> None:
    """UserWarning: the `.grad` of a result is None, whatever is done."""
    import warnings

    warnings.warn(
        "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad "
        "attribute won't be populated during autograd.backward(). If you indeed want the .grad "
        f"field to be populated, use .retain_grad() on it (a tensor of shape {list(t.shape)}).",
        stacklevel=3,
    )


class Token:
    """Stands for one version of a tensor's memory; stale once that was written."""

    __slots__ = ("detached", "lent", "stale")

    def __init__(self) -> None:
        self.stale = False
        self.lent: Any = None  # refers to the array of it that NumPy code holds, if some does
        self.detached: Any = None  # the edge that a tensor of it was cut off from in place


class Tokens:
    """Stands for versions of several tensors' memories, of which one operand was made."""

    __slots__ = ("tokens",)
    lent = detached = None

    def __init__(self, tokens: list[Any]) -> None:
        self.tokens = tokens

    @property
    def stale(self) -> bool:
        """Whether one of them was written."""
        return any([t.stale for t in self.tokens])


def token_of(h: Any) -> Token:
    """What stands for this version of a holder's memory."""
    if h._token is None:
        h._token = Token()
        h._token.lent = getattr(h, "_exported", None)
    token: Token = h._token
    return token


def stands_for(t: Any, sources: list[Any]) -> Any:
    """t, a new tensor that stands for these where PyTorch saves them: a write to one of them spoils
    what the backward pass needs of t."""
    tokens = [token_of(memory(s) if s._counter is None else s._counter) for s in sources]
    if tokens:
        t._token = tokens[0] if len(tokens) == 1 else Tokens(tokens)
    return t


class Saved:
    """A value kept for the backward pass; one without a tensor is only not to be modified."""

    __slots__ = ("edge", "frame", "node", "packed", "root", "stale", "tensor", "token")

    def __init__(self, tensor: Any, root: Any, frame: int, edge: Any, node: Entry) -> None:
        self.packed: Any = None  # what the user's hook made of the tensor, and how to get it back
        self.tensor = tensor
        self.node = node
        self.root = root
        self.frame = frame
        self.edge = edge
        self.token: Token | None = None
        self.stale = False


def leaf_edge(t: Any, read: Entry | None = None) -> AccumulateGrad:
    """The accumulator of a leaf, which was read as an input of a frame; one for each leaf."""
    acc = t._acc() if t._acc is not None else None
    if acc is None:
        import weakref

        acc = AccumulateGrad(t, (read or t.node).shape)
        t._acc = weakref.ref(acc)
    return acc


def edge_of(t: Any) -> Any:
    """Where the gradient of this tensor goes: a node, an accumulator, or None."""
    if t._leaf_rg:
        return leaf_edge(t)
    node = t.node
    if not node.rg:
        return None
    if node.op is LEAF or node.op is INPUT:
        return expanded(t._gfn)
    if node.op is META:
        return t._gfn
    if node.op.__class__ is Other or node.op is STALE:  # written since it was last looked at
        return t._edge()
    if node.rec is not TLS.r:
        neighbours.end(node.rec)
        return edge_of(t)
    return grad_node(node.rec, node)


_joined = count(-(1 << 60))


def turn_of(r: Any, edges: Any = ()) -> int:
    """Where the nodes of the current frame come in the graph: after all histories that it has read,
    and these edges. A frame of another thread may have begun later and ended earlier than this one.
    """
    inputs = r.inputs
    if len(inputs) > r.turned:
        edges = (*edges, *[gfn for _, _, gfn in inputs[r.turned :]])
        r.turned = len(inputs)
    for edge in edges:
        if edge is not None and edge.order[0] > r.turn:
            r.turn = next_turn()
    turn: int = r.turn
    return turn


def joins(r: Any, edges: Any) -> tuple[int, int]:
    """The order of a node that joins the graph before the entries of the current frame: after those
    that have, and after its edges."""
    return turn_of(r, edges), next(_joined)


def edges_of(n: GradNode) -> list[Any]:
    """Where gradients of a node go. A custom function's edges to frames that have ended may stand
    for nodes: these are built now."""
    if n.custom is not None:
        n.edges = [expanded(e) for e in n.edges]
    return n.edges


def _input_edge(r: Any, node: Entry) -> Any:
    t, _, gfn = r.inputs[node.index]
    if not node.rg:
        return None
    if gfn is not None:
        return expanded(gfn)
    return leaf_edge(t, node) if t._leaf_rg or t._was_leaf else None


def expanded(edge: Any) -> Any:
    """The node itself, where something may stand for it."""
    return edge.expand() if isinstance(edge, Postponed) else edge


def root_of(r: Any, node: Entry) -> Any:
    """What a value's memory belongs to: a holder that was bound, or the entry that made it.

    Of what was read through a version counter apart from its memory's: that counter and its count.
    """
    counters = r.counters
    while True:
        if counters and node in counters:
            return counters[node]
        if node.op is INPUT:
            break
        if node.op.view or (node.op is ASSIGN and _unseen(node)):
            node = node.a
        elif node.op.name == "instead":
            node = node.b
        else:
            break
    if node.op is INPUT:
        t = r.inputs[node.index][0]
        return t._storage if t._storage is not None else t
    return node


def _unseen(assign: Entry) -> bool:
    """Whether a write went through a version counter apart from its memory's."""
    return bool(assign.params) and assign.params[0] is not None


def origin(assign: Entry) -> Any:
    """The entry whose result an in-place operation wrote: it lives in the memory written to."""
    n = assign.params[1] if assign.params else assign.b
    while n is not None and n.op.view:
        n = n.a
    return n


def grad_node(r: Any, node: Entry) -> Any:
    """The GradNode of an entry of the current frame (built with all that it depends on)."""
    if r.replayed:
        settle(r)
    found = r.gnodes.get(node)
    if found is not None:
        return found
    order = []
    stack = [node]
    seen = set()
    while stack:
        n = stack.pop()
        if n in seen or n.op is INPUT or n in r.gnodes or not n.rg:
            continue
        seen.add(n)
        order.append(n)
        stack.extend(sources_of(n))
    order.sort(key=lambda n: n.index)
    for n in order:
        r.gnodes[n] = _build(r, n)
    return r.gnodes[node]


def _edge(r: Any, n: Entry) -> Any:
    if n.op is INPUT:
        return _input_edge(r, n)
    return r.gnodes[n] if n.rg else None


KEPT = "kept"  # the parameter of `self` where the new value has the history of the old one


def same_history(n: Entry) -> Any:
    """The value whose history an entry has as it is: an in-place result that of what was written,
    a result of a custom function that of its node.

    None for an entry with a history of its own.
    """
    if n.op is ASSIGN or n.op.name == "join":
        return n.b
    return n.a if n.params == KEPT and n.op.name == "self" else None


def sources_of(n: Entry) -> tuple[Entry, ...]:
    """What the history of an entry comes from."""
    return (n.b,) if n.op is ASSIGN or n.op.name == "join" else n.inputs


def operand(n: Entry, name: str) -> Entry:
    """The value that a formula calls so: a, b, c and d are the operands, o is the result."""
    value: Entry = n if name == "o" else n.inputs[OPERANDS.find(name)]
    return value


def watched(n: Entry) -> str:
    """The values, by these names, that PyTorch saves and the formulas here do without."""
    w = n.op.watches
    if w.__class__ is tuple:
        return "".join([names for names, i in zip(w, n.inputs, strict=True) if i.rg])
    found: str = w if w.__class__ is str else w(n.params)
    return found


def _build(r: Any, n: Entry) -> Any:
    same = same_history(n)
    if same is not None:
        return _edge(r, same)

    def save(value: Entry, edge: Any, keep: bool) -> Saved:
        return Saved(_keep(r, value) if keep else None, root_of(r, value), r.frame, edge, value)

    return made(n, turn_of(r), r.scalars, [_edge(r, i) for i in n.inputs], save)


def made(n: Entry, turn: int, scalars: list[Any], edges: list[Any], save: Any) -> GradNode:
    """The node of an entry; `save` makes what it saves of a value, with an edge and whether to
    keep the value itself."""
    g = GradNode(edges)
    g.op = n.op
    g.entry = n
    g.hurries = n.op.hurries
    g.params = n.params
    g.scalars = tuple(scalars[n.scalar_at : n.scalar_at + len(n.stypes)])
    g.order = (turn, n.index)
    g.out_meta = n
    for edge, names in zip(edges, n.op.saves, strict=False):
        if edge is None:
            continue
        for name in names:
            if name not in g.saved:
                history = None if name == "o" else edges[OPERANDS.find(name)]
                g.saved[name] = save(operand(n, name), history, True)
    for name in watched(n):
        if name not in g.saved:
            history = None if name == "o" else edges[OPERANDS.find(name)]
            g.saved[name] = save(operand(n, name), history, False)
    return g


def _keep(r: Any, node: Entry) -> Any:
    keep = _new_tensor()
    keep.node = node
    if node.op is INPUT:  # the same input of the frame; a leaf of its own once the frame has run
        keep._data = r.inputs[node.index][1]
        r.temps.append(keep)
        return keep
    keep._saved = True
    r.add(keep)
    return keep


class Postponed:
    """Stands for a node that is built when somebody looks at it."""

    __slots__ = ()

    def expand(self) -> Any:
        """The node."""
        raise NotImplementedError(type(self).__name__)


class Freed(Postponed):
    """Stands for the node of a graph that a followed backward pass has consumed (see replay.py).

    It is built when somebody looks at it: what most programs do with a loss that was
    back-propagated is to print it.
    """

    __slots__ = ("leaves", "nodes", "scalars", "top", "turn")

    def __init__(
        self,
        top: Entry,
        leaves: list[tuple[list[Entry], list[Any]]],
        turn: int,
        scalars: list[Any],
        nodes: dict[Entry, Any],
    ) -> None:
        self.top = top
        self.leaves = leaves  # of each pass that the frame followed
        self.turn = turn
        self.scalars = scalars  # all Python numbers of the frame
        self.nodes = nodes  # of all that the frame has freed: an entry has one node

    def expand(self) -> GradNode:
        """The graph node, its saved values gone."""
        edges = {n: leaf_edge(t, n) for pair in self.leaves for n, t in zip(*pair, strict=True)}
        for n in ancestors(self.top):
            build_freed(n, self.nodes, edges, self.turn, self.scalars)
        return self.nodes[self.top]

    @property
    def order(self) -> tuple[int, int]:
        """That of the node."""
        return self.turn, self.top.index


def build_freed(
    n: Entry, nodes: dict[Entry, Any], inputs: Any, turn: int, scalars: list[Any]
) -> None:
    """The node of an entry whose saved values are gone."""
    if n in nodes:
        return
    same = same_history(n)
    sources = n.inputs if same is None else (same,)
    edges = [inputs.get(i) if i.op is INPUT else nodes.get(i) for i in sources]
    if same is not None:
        nodes[n] = edges[0]
        return
    g = nodes[n] = GradNode(edges)
    g.op, g.entry, g.params, g.out_meta = n.op, n, n.params, n
    g.scalars = tuple(scalars[n.scalar_at : n.scalar_at + len(n.stypes)])
    g.order = (turn, n.index)
    saves = any([e is not None and s for e, s in zip(edges, n.op.saves, strict=False)])
    g.freed = saves or n.op.frees or bool(watched(n))


def ancestors(root: Entry) -> list[Entry]:
    """The differentiable entries that the root depends on, itself included, oldest first."""
    seen: set[Entry] = set()
    stack = [root]
    while stack:
        n = stack.pop()
        if n.rg and n.op is not INPUT and n not in seen:
            seen.add(n)
            stack.extend(sources_of(n))
    return sorted(seen, key=lambda n: n.index)


def settle(r: Any) -> None:
    """Before somebody looks at the graph of this frame: build what followed passes left out."""
    passes, r.replayed = r.replayed, []
    for m in passes:
        edges = {n: leaf_edge(t, n) for n, t in zip(*leaves_of(r, m), strict=True)}
        for n in sorted(m.graph, key=lambda n: n.index):
            build_freed(n, r.gnodes, edges, turn_of(r), r.scalars)


def leaves_of(r: Any, m: Any) -> tuple[list[Entry], list[Any]]:
    """The inputs that a followed pass depends on, and the leaves that they are."""
    return m.reached, list(map(_first, m.tensors(r.inputs)))


_first = itemgetter(0)


def overwritten(r: Any) -> set[Any]:
    """The roots whose memory has been written in this frame since they were computed."""
    out: set[Any] = set()
    n = r.cur
    while n is not None:
        if n.op is ASSIGN and not _unseen(n):
            root = root_of(r, n.a)
            out.add(root)
            if type(root) is Entry and root.op is ASSIGN:
                out.add(origin(root))
        n = n.parent
    return out


def spoilt(root: Any, gone: set[Any]) -> bool:
    """Whether what a value's memory was has been overwritten since."""
    if type(root) is tuple:
        counter, n = root
        return bool(counter.n != n)
    token = root._token if type(root) is not Entry else None
    return memory(root) in gone or (token is not None and token.stale)


def memory(root: Any) -> Any:
    """A root as it is now: a tensor that has got a storage since stands for it no more."""
    s = getattr(root, "_storage", None)
    return root if s is None else s


def seal(r: Any) -> None:
    """At the end of a frame: link saved values to the memory whose writes would spoil them."""
    pending = [
        s
        for g in set(r.gnodes.values())
        if isinstance(g, GradNode)
        for s in g.saved.values()
        if s.frame == r.frame and s.root is not None
    ]
    if not pending:
        return
    gone = overwritten(r)
    holders: dict[Any, Any] = {}
    views: dict[Any, list[Any]] = {}
    for h in r.handles:
        if h._storage is None and not h._saved:
            node = h.node
            holders[node if node.op is not INPUT else h] = h
            if node.op is ASSIGN:
                holders[root_of(r, node)] = holders[origin(node)] = h
            elif node.op.view:  # a result that is recorded as a view of what the formulas save
                views.setdefault(root_of(r, node), []).append(h)
    for t, _, _ in r.inputs:
        h = memory(t)
        holders[h] = h
    for s in pending:
        if spoilt(s.root, gone):
            s.stale = True
        else:
            root = s.root[0] if type(s.root) is tuple else memory(s.root)
            h = root if type(s.root) is tuple else holders.get(root)
            seen = views.get(root, ())
            if h is None and seen:
                h = seen[-1]
            if h is not None:
                s.token = token_of(h)
                for v in seen:
                    v._token = v._token or h._token
        s.root = None


_PUBLIC = {
    *("GradientEdge", "Node", "allow_mutation_on_saved_tensors", "disable_saved_tensors_hooks"),
    *("get_gradient_edge", "increment_version", "register_multi_grad_hook", "save_on_cpu"),
    "saved_tensors_hooks",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        from facula.autograd import saved

        return getattr(saved, name)
    from facula.errors import missing_name

    raise missing_name(__name__, name)
