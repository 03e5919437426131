"""Kernels over a domain that are written once for all sizes.

Where sizes keep changing, most of what planning a program took was writing kernels that were there
already: only then `general.py` can tell that they are alike. The sizes of many are read from the
descriptor from the start. Then what is written follows from the operations, from how the operands
lie and from the names of what was loaded before: a text of the same key is not written again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from facula.compiler.cluster import ROW, kind_of, number_kind
from facula.cpu.text import Index
from facula.trace.node import Node

if TYPE_CHECKING:
    from facula.cpu.maps import MapKernel

MAX_TEXTS = 2_000
_texts: dict[Any, tuple[str, list[Any]]] = {}  # by `_key`: the text, and what its end loads


def fits(k: MapKernel) -> bool:
    """Whether the text of a kernel can be one for all sizes, and does the same operations in the
    same order as the one for these sizes."""
    levels = k.cluster.level.values()
    if not k.loose or k.pieces or k.hidden is not None:
        return False
    if any([a.column not in (0, 1) for a in k.accesses.values()]):
        return False
    # Sums of all depend on whether the domain is cut.
    return not k.flat or not (k.partials or ROW in levels)


def read_sizes(k: MapKernel) -> None:
    """Read from the descriptor what follows from the sizes."""

    def step(n: Index) -> Index:
        return k.literal(n) if n and isinstance(n, int) else n

    k.end, k.share = step(k.end), step(k.share)
    k.row_sizes = [1, *map(step, k.row_sizes[1:])]
    k.out_rows = [*map(step, k.out_rows)]
    for a in k.accesses.values():
        a.rows = [*map(step, a.rows)]


def known(k: MapKernel) -> Any:
    """The key of a kernel whose loads are written, and whether the rest was written before: then
    the kernel has it."""
    key = _key(k)
    found = _texts.get(key)
    if found is None:
        return key, False
    k.written, more = found
    k.slots += more
    return key, True


def remember(k: MapKernel, key: Any, slots: int) -> None:
    """Keep the text of a kernel, whose descriptor was so long before."""
    k.written = k.text()
    more = k.slots[slots:]
    if more in ([], [("status", 0)]):
        if len(_texts) >= MAX_TEXTS:
            _texts.clear()
        _texts[key] = k.written, more


def _key(k: MapKernel) -> Any:
    c, f = k.cluster, k.f
    order = {n: i for i, n in enumerate(c.nodes)}
    place = {key: i for i, key in enumerate(k.accesses)}

    def number(at: int, stype: type, kind: str | None) -> Any:
        v = k.numbers.get((at, stype.__name__, kind or ""))
        return "none" if v is None else v.name, stype.__name__, kind

    if k.flat:
        columns: Any = "flat"
    else:
        columns = ("any", k.columns < 4 * k.width) if k.any_length else k.columns
    parts: list[Any] = [k.width, columns, k.end, k.share, *k.row_sizes, "out", *k.out_rows]
    for a in k.accesses.values():
        parts.append((k.starts[a.node, a.offset], a.kind, a.column, *a.rows))
    for n in c.nodes:
        parts.append(
            (
                *(n.op.name, n.dtype._name, c.level[n], k.stage[n], n in k.stored),
                *(k.kept.get(n, ""), k.buffers.get(("buffer", n), "")),
                k.buffers.get(("partial", n), ""),
            )
        )
        if n.op.name == "pow_s":
            exponent = k.guards[n.scalar_at]
            parts.append((type(exponent).__name__, repr(exponent)))
        else:
            for j, t in enumerate(n.stypes):
                parts.append(number(n.scalar_at + j, t, number_kind(n)))
        for j, i in enumerate(n.inputs):
            b: Node = k.places[i].base
            if b in order:
                parts.append(order[b])
            elif b in k.constants:
                parts.append(("constant", *number(b.scalar_at, b.stypes[0], kind_of(b))))
            else:
                parts.append(("at", place[k.operand[n, j]]))
    return (*parts, f.serial, f.block, *f.allocas, *f.lines)


__all__ = ["fits", "known", "read_sizes", "remember"]
