"""Recording, following and flushing: the hot path of the framework.

Every thread has one `Recorder`. Recorded operations form a trie: each entry knows the entries that
have followed it. While the program repeats itself, an operation is recognised by comparing the
identities of its operation and inputs with those of the expected entry, and nothing is inferred,
hashed or allocated but the result tensor. See README.md in this folder.

The handler of a signal may raise an error (Ctrl-C: KeyboardInterrupt) where a function begins, a
call returns or a loop goes back, and the program may go on after it. So a step is taken by
statements in a row without any of these: `inputs`, `cur`, `next`, then at most one call that adds
`scalars` or a handle. What comes after may be left out.
"""

from __future__ import annotations

from sys import getrefcount
from typing import Any

from facula.trace import ahead, flight, neighbours
from facula.trace.entries import apart, append, bind, known_entry, meet, new_entry
from facula.trace.node import (
    ASSIGN,
    END,
    INPUT,
    LEAF,
    MODE,
    ROOT,
    STALE,
    Diverted,
    Node,
    Other,
)
from facula.trace.operands import asks, crossroads, given_of, prepare, return_loans, to_bind
from facula.trace.settling import (
    BASE,
    after_failure,
    all_consumed,
    conclude,
    ending,
    keeps,
    let_go,
    materialise,
    postponed,
    spread,
)
from facula.trace.state import TLS, Recorder
from facula.trace.turns import comes_round

MAX_PENDING = 100_000  # operations recorded before a flush is forced
_new_tensor: Any = None  # set by facula.tensor, which imports this module


def set_grad(mode: bool) -> None:
    """Switch gradient recording. The switch is a step of the trace, so no operation checks it."""
    r = TLS.r
    if r.grad is mode:
        return
    if r.cur.op is ROOT:
        root = r.root(mode)
        expected = r.expected(root)
        r.grad = mode
        r.cur = root
        r.next = expected
        return
    e: Any = r.next
    if e.op is MODE and e.params is mode:
        r.grad = mode
        r.cur = e
        r.next = e.succ
        return
    e = known_entry(r.cur, MODE, (), mode, ())
    if e is None:
        e = Node(MODE, (), None)
        e.params = mode
        append(r, e)
    r.cur.succ = e
    r.grad = mode
    r.cur = e
    r.next = e.succ


def restore_grad(mode: bool) -> None:
    """Switch back at the end of a block, whatever a signal's handler raises meanwhile."""
    try:
        set_grad(mode)
    except BaseException:
        set_grad(mode)
        raise


def record(op: Any, ts: tuple[Any, ...], params: Any = (), scalars: tuple[Any, ...] = ()) -> Any:
    """Record one primitive operation on holders of values; returns the result tensor.

    `params` are hashable and belong to the trace; `scalars` are Python numbers, inputs of the
    program of which only the types belong to the trace.
    """
    r = TLS.r
    e = r.next
    if e.op is op and e.params == params and len(e.inputs) == len(ts):
        for t, node in zip(ts, e.inputs):
            if t.node is not node:
                break
        else:
            if not scalars or e.stypes == tuple([type(s) for s in scalars]):
                r.cur = e
                r.next = e.succ
                if scalars:
                    r.scalars.extend(scalars)
                t = _new_tensor()
                t.node = e
                r.add(t)
                return t
            return record_slow(r, op, ts, params, scalars)
        # What is not there yet may be operands that become inputs.
        known = None
        if len(ts) == 1:
            if not scalars:
                known = follow1(r, e, *ts)
            elif len(scalars) == 1 and e.stypes == (type(scalars[0]),):
                known = follow1(r, e, *ts, *scalars)
        elif len(ts) == 2 and not scalars:
            known = follow2(r, e, *ts)
        if known is not None:
            return known
    return record_slow(r, op, ts, params, scalars)


def follow1(r: Recorder, e: Node, a: Any, number: Any = None, end: Any = None) -> Any:
    """The result of the expected entry, if its only input is `a`; None otherwise.

    `end`: the entry whose result it is, where others that need nothing else come between.
    """
    if a.node is not e.a:
        want = e.a
        if want.op is not INPUT or want.leaf is not a.node or want.index != len(r.inputs):
            return None
        if a._base_t is not None and asks(r, a, want):
            return None
        given = given_of(r, a, want)
        r.inputs += (given,)
        a.node = want
    if end is not None:
        e = end
    r.cur = e
    r.next = e.succ
    if number is not None:
        r.scalars.append(number)
    t = _new_tensor()
    t.node = e
    r.add(t)
    if r.loans:
        return_loans(r)
    return t


def follow2(r: Recorder, e: Node, a: Any, b: Any) -> Any:
    """The result of the expected entry, if its two inputs are `a` and `b`; None otherwise.

    Realised tensors become inputs where the entry expects new ones at just these positions.
    """
    na, nb = e.a, e.b
    if a.node is not na:
        count = len(r.inputs)
        if na.op is not INPUT or na.leaf is not a.node or na.index != count:
            return None
        if (a is b and na is not nb) or (a._base_t is not None and asks(r, a, na)):
            return None
        if a is not b and b.node is not nb:
            if nb.op is not INPUT or nb.leaf is not b.node or nb.index != count + 1:
                return None
            if b._base_t is not None and asks(r, b, nb):
                return None
            given = given_of(r, a, na), given_of(r, b, nb)
            r.inputs += given
            a.node = na
            b.node = nb
        else:
            first = given_of(r, a, na)
            r.inputs += (first,)
            a.node = na
    elif b.node is not nb:
        if nb.op is not INPUT or nb.leaf is not b.node or nb.index != len(r.inputs):
            return None
        if b._base_t is not None and asks(r, b, nb):
            return None
        second = given_of(r, b, nb)
        r.inputs += (second,)
        b.node = nb
    r.cur = e
    r.next = e.succ
    t = _new_tensor()
    t.node = e
    r.add(t)
    if r.loans:
        return_loans(r)
    return t


_PLAIN = frozenset((int, float, bool, complex))


def record_slow(
    r: Recorder, op: Any, ts: tuple[Any, ...], params: Any, scalars: tuple[Any, ...]
) -> Any:
    cur = r.cur
    stypes: tuple[type, ...] = ()
    if scalars:
        stypes = (type(scalars[0]),) if len(scalars) == 1 else tuple([type(s) for s in scalars])
    if cur.index >= MAX_PENDING:
        flush(r)
    elif (
        cur.succ is END
        and 0 <= cur.index < r.limit
        and not r.pieces
        and (not scalars or _PLAIN.issuperset(stypes))
    ):
        # Nothing has ever followed, and all are values of this frame: a program that is new.
        grad = r.grad
        rg = False
        names: Any = []
        for t in ts:
            node = t.node
            if node.rec is not r or node.device is not None:
                break
            if grad:
                if t._base_t is not None or (t._leaf_rg and node.op is not INPUT):
                    break
                if node.rg:
                    rg = True
            names.append(node)
        else:
            names = tuple(names)
            e: Any = new_entry(r, op, names, names, params, scalars, stypes, names, rg)
            cur.succ = r.cur = e
            if scalars:
                r.scalars += scalars
            r.next = END
            out = _new_tensor()
            out.node = e
            r.add(out)
            return out
    if not _PLAIN.issuperset(stypes):  # tensors of one element stand for numbers
        scalars = tuple([s.item() if hasattr(s, "node") else s for s in scalars])
        stypes = tuple([type(s) for s in scalars])
    e = r.next
    new: Any = None
    if e.op is op and e.params == params and e.stypes == stypes:
        new = to_bind(r, e, ts)
    if new is not None:
        given = [given_of(r, t, node) for t, node in new]
        r.inputs += given
        r.scalars += scalars
        r.cur = e
        r.next = e.succ
        for t, node in new:
            t.node = node
        out = _new_tensor()
        out.node = e
        r.add(out)
        if r.loans:
            return_loans(r)
        return out
    names = tuple([t.node for t in ts])
    for node in names[1:]:
        if node.device is not names[0].device and node.device != names[0].device:
            ts = meet(op, ts)
            names = tuple([t.node for t in ts])
            break
    if comes_round(r):
        flush(r, wait=False)
        return record(op, ts, params, scalars)
    grad = r.grad
    for t, node in zip(ts, names):
        if node.rec is not r or (
            grad and (t._base_t is not None or (t._leaf_rg and node.op is not INPUT))
        ):
            break
    else:  # all are values of this frame: the common case of a program that is new
        return _entry(r, op, ts, params, scalars, stypes, names, True)
    while True:
        frame = r.frame
        try:
            ts = tuple([prepare(r, t, op.differentiable) for t in ts])
        except Diverted as met:
            return met.kind.take(op, ts, params, scalars)
        if r.frame == frame:
            break
        if not scalars and len(ts) < 3:  # a new frame has begun: it may be a known one
            e = r.next
            if e.op is op and e.params == params and len(e.inputs) == len(ts):
                out = follow1(r, e, *ts) if len(ts) == 1 else follow2(r, e, *ts)
                if out is not None:
                    return out
    names = []
    plain = True
    for i, t in enumerate(ts):
        node = t.node
        if node.op is LEAF:
            plain = False
            first = i
            for j in range(i):
                if ts[j] is t:
                    first = j
                    break
            names.append((node, first))
        elif node.rec is r or node.rec is None:
            names.append(node)
        else:  # another thread has read it meanwhile
            return record_slow(r, op, ts, params, scalars)
    return _entry(r, op, ts, params, scalars, stypes, tuple(names), plain)


def _entry(
    r: Recorder,
    op: Any,
    ts: tuple[Any, ...],
    params: Any,
    scalars: tuple[Any, ...],
    stypes: tuple[type, ...],
    names: tuple[Any, ...],
    plain: bool,
) -> Any:
    """Take the step of the trace that `names` its operands so, made when it is new.

    `plain`: the names are nodes. Otherwise the name of a tensor that becomes an input is its leaf
    and the place in `ts` where it is first met.
    """
    cur = r.cur
    e = known_entry(cur, op, names, params, stypes)
    if e is None:
        if cur.alts is not None and r.place is None and crossroads(cur, cur.alts):
            flush(r, wait=False)
            return record(op, ts, params, scalars)
        nodes = names if plain else tuple([t.node for t in ts])
        inputs = names if plain else bind(r, names)
        rg = r.grad and any([n.rg for n in inputs])
        e = new_entry(r, op, nodes, inputs, params, scalars, stypes, names, rg)
    bound: dict[Node, Any] = {}
    if not plain:
        for t, node in zip(ts, e.inputs, strict=True):
            if t.node is not node:
                bound[node] = t
    given = [given_of(r, t, node) for node, t in bound.items()] if bound else ()
    cur.succ = e
    if cur.op is ROOT and r.last is not END:
        r.last.after = e
    r.inputs += given
    r.scalars += scalars
    r.cur = e
    r.next = e.succ
    for node, t in bound.items():
        t.node = node
    out = _new_tensor()
    out.node = e
    r.add(out)
    if r.loans:
        return_loans(r)
    return out


def assign(holder: Any, value: Any, params: Any = ()) -> None:
    """Make `value` (a tensor of the same shape and dtype) the holder's new value.

    `params`, for a storage: what it was written through, where that has a version counter of its
    own (`.data`), and the node of what was written, a part of `value` (see `graph.origin`).
    """
    r = TLS.r
    e: Any = r.next
    if (
        e.op is ASSIGN
        and e.a is holder.node
        and e.b is value.node
        and e.params == params
        and holder._exported is None
    ):
        r.cur = e
        r.next = e.succ
        holder.node = e
        r.add(holder)
        return
    while True:
        frame = r.frame
        try:
            value = prepare(r, value)
        except Diverted as met:
            met.kind.store(holder, value)
            return
        if holder.node.op.__class__ is Other:
            holder.node.op.store(holder, value)
            return
        a, b = holder.node, value.node
        if a.op is not LEAF and a.rec is not r:
            neighbours.take(holder)
        elif r.frame == frame and (b.rec is None or b.rec is r):
            break
    names = (a, b)
    e = known_entry(r.cur, ASSIGN, names, params, ())
    if e is None:
        if a.device != b.device:
            raise apart(a, b)
        e = Node(ASSIGN, a.shape, a.dtype, a.strides, device=a.device)
        e.params = params
        nodes = []
        count = len(r.inputs)
        for n in (a, b):
            if n.op is LEAF:
                made = Node(INPUT, n.shape, n.dtype, n.strides, rg=n.rg, device=n.device)
                made.leaf, made.index, made.rec = n, count, r
                count += 1
                n = made
            nodes.append(n)
        e.a, e.b = nodes
        e.inputs = tuple(nodes)
        e.rg = r.grad and b.rg
        e.names = names
        e.scalar_at = len(r.scalars)
        append(r, e)
    given = []
    if a is not e.a:
        given.append(given_of(r, holder, e.a))
    if b is not e.b:
        given.append(given_of(r, value, e.b))
    r.cur.succ = e
    if r.cur.op is ROOT and r.last is not END:
        r.last.after = e
    r.inputs += given
    r.cur = e
    r.next = e.succ
    value.node = e.b
    holder.node = e
    r.add(holder)
    if r.loans:
        return_loans(r)
    exported = holder._exported
    if exported is not None and exported() is not None:
        flush(r)


def flush(r: Recorder | None = None, wait: bool = True) -> None:
    """Compute every pending value that something can still see.

    `wait`: whether somebody wants to see one now; otherwise the program may still be in flight
    when this returns (`flight.py`).
    """
    if r is None:
        r = TLS.r
    if r.watcher is not None:
        r.watcher(r)
    failed: BaseException | None = None
    chosen = values = program = None
    handles, held = r.handles, r.held
    if not handles and flight.CURRENT is not None:
        flight.CURRENT.before(r)
    if held:
        ending(r)
    if handles:
        aliases = let_go(handles) if r.views else ()
        live = tuple([h.node if getrefcount(h) > BASE else None for h in handles])
        cur = r.cur
        key: Any = (live, aliases) if aliases else live
        program = None if cur.programs is None or r.gnodes else cur.programs.get(key)
        if program is not None and not (program.quiet or all_consumed(r, program)):
            program = None
        if program is None and held and not keeps(r, held, live):
            live = tuple([h.node if getrefcount(h) > BASE else None for h in handles])
            key = (live, aliases) if aliases else live
        if program is None and not r.gnodes and r.packing is None:
            program = postponed(r, key, live)
            if program is not None:
                live = (*live, *[n for p in program.plans for n in p.kept])
        if program is None:
            quiet = materialise(r)
            if not quiet:  # what was saved is live too
                live = tuple([h.node if getrefcount(h) > BASE else None for h in handles])
                key = (live, aliases) if aliases else live
            if cur.programs is None:
                cur.programs = {}
            program = cur.programs.get(key)
            if program is None:
                from facula.interpreter.program import program_of

                if len(cur.programs) > 64:
                    cur.programs.clear()
                if held:
                    live = spread(r, held, live)
                program = cur.programs[key] = program_of(r, live)
                program.quiet = quiet
                program.watched = [
                    i
                    for i, node in enumerate(live)
                    if node is not None and node.rg and node.op is not LEAF and node.op is not STALE
                ]
        # Only now: the workers that run another program were not kept from it by all that.
        if flight.CURRENT is not None:
            flight.CURRENT.before(r)
        try:
            chosen = program.choose(r)
            if held and chosen.kept is None:
                live = spread(r, held, live)
            if r.ahead is not None:
                ahead.settle(r, chosen)
            elif chosen.skip:
                chosen.skip = 0  # left there by a flush that a signal's handler ended
            if chosen.untried:
                ahead.consider(r, chosen)
            values = chosen.run([i[1] for i in r.inputs], r.scalars, None if wait else r)
        except flight.Interrupted as late:
            values, failed = late.values, late.error
        except Exception as error:
            if held:
                live = spread(r, held, live)
            failed = after_failure(r, program, live, error)
    made = r.gnodes
    inputs, temps = r.inputs, r.temps
    if program is not None and values is not None:
        inputs = program.unwritten(inputs)
    try:
        conclude(r, chosen, values, handles, inputs, temps, held)
    except BaseException as error:
        # From a signal's handler: half of this would be worse than all of it again. An error of
        # its own comes again.
        conclude(r, chosen, values, handles, inputs, temps, held)
        failed = failed or error
    if r.packing is not None and made:
        r.packing(made)
    if r.asked:
        neighbours.pause(r)
    if failed is not None:
        raise failed
    if r.complaint is not None:
        from facula.interpreter.program import warn_once

        complaint, r.complaint = r.complaint, None
        warn_once(complaint)


neighbours._flush = flush

__all__ = [
    "TLS",
    "Recorder",
    "assign",
    "flush",
    "record",
    "restore_grad",
    "set_grad",
]
