"""Printing what was recorded."""

from __future__ import annotations

from facula.trace.node import ASSIGN, INPUT, MODE, ROOT, Node
from facula.trace.recorder import TLS


def _name(n: Node) -> str:
    return f"in{n.index}" if n.op is INPUT else f"%{n.index}"


def explain() -> str:
    """The operations pending in this thread, in order, with shapes, inputs and source lines."""
    r = TLS.r
    path = []
    n = r.cur
    while n is not None and n.op is not ROOT:
        path.append(n)
        n = n.parent  # type: ignore[assignment]
    lines = [f"{len(path)} pending operations, {len(r.inputs)} inputs"]
    for e in reversed(path):
        if e.op is MODE:
            lines.append(f"%{e.index} = grad mode {'on' if e.params else 'off'}")
            continue
        args = [_name(i) for i in e.inputs]
        args += [repr(s) for s in r.scalars[e.scalar_at : e.scalar_at + len(e.stypes)]]
        if e.op is not ASSIGN and e.params != ():
            args.append(f"params={e.params}")
        where = f"  # {e.line[0]}:{e.line[1]}" if e.line else ""
        lines.append(
            f"%{e.index} = {e.op}({', '.join(args)}) : {e.dtype} {list(e.shape)}"
            f"{' grad' if e.rg else ''}{where}"
        )
    return "\n".join(lines)
