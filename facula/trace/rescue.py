"""What happens to a frame of which an operation failed while it was computed.

An operation that can only fail on values (an index out of range, a matrix that is not positive
definite) fails when its frame is flushed. Everything that does not depend on it is computed all the
same; what an operation in place was about to overwrite keeps its value; a result that depends on it
says so whenever it is read, and nothing stays pending.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from facula.trace.node import ASSIGN, INPUT, LEAF, MODE, ROOT, STALE, Node, leaf, stale


class Failure:
    """Stands for a value that could not be computed."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error


def rescue(r: Any, live: tuple[Any, ...], error: Exception) -> Exception | None:
    """Compute what can be computed, settle all handles; the first error, None if there is none.

    What lies on another device has no interpreter: all of it has failed with `error`.
    """
    values, first = _evaluate(r, live, error)
    aliases = []
    for h, node in zip(r.handles, live, strict=True):
        if node is None or node.op in (LEAF, INPUT, STALE) or h.node is not node:
            continue
        value = values[node]
        if isinstance(value, Failure):
            h.node = stale(node)
            h._data, h._failure = None, value.error
        elif h._storage is not None:
            aliases.append(h)
        else:
            _settle(h, node, value)
    for h in aliases:
        if h._storage.node.op is STALE:
            h.node = stale(h.node)
        else:
            h._settle_alias()
    return first


def _evaluate(
    r: Any, live: tuple[Any, ...], whole: Exception
) -> tuple[dict[Node, Any], Exception | None]:
    from facula.interpreter.program import _needed

    values: dict[Node, Any] = {}
    first: Exception | None = None

    def get(n: Node) -> Any:
        return r.inputs[n.index][1] if n.op is INPUT else values[n]

    roots = [n for n in live if n is not None and n.op not in (LEAF, INPUT, STALE)]
    for n in _needed(roots):
        if n.op in (MODE, ROOT):
            continue
        if n.op is ASSIGN:  # what was to be overwritten stays
            new = get(n.b)
            values[n] = get(n.a) if isinstance(new, Failure) else new
            continue
        if n.device is not None:
            values[n] = Failure(whole)
            first = first or whole
            continue
        args = [get(i) for i in n.inputs]
        failed = [a for a in args if isinstance(a, Failure)]
        if failed:
            values[n] = failed[0]
            continue
        try:
            with np.errstate(all="ignore"):
                at = n.scalar_at
                values[n] = n.op.body(n.params, r.scalars[at : at + len(n.stypes)], *args)
        except Exception as error:
            error.add_note(describe(n))
            values[n] = Failure(error)
            first = first or error
    return values, first


def describe(n: Node) -> str:
    """The operation of a node with the shapes and dtypes of its operands."""
    operands = ", ".join([f"{i.dtype} {list(i.shape)}" for i in n.inputs])
    return f"(facula: while computing {n.op.name} of {operands or 'nothing'})"


def _settle(h: Any, node: Node, value: Any) -> None:
    from facula.trace.settling import relayout

    if node.device is not None:  # a value that it had before
        h._data = value
        rg = not h._saved and (node.rg or h._leaf_rg or h._gfn is not None)
        h.node = leaf(node.shape, node.dtype, node.strides, rg, node.device)
        return
    data = np.array(value, order="K")
    data = np.ascontiguousarray(data) if node.strides is None else relayout(data, node.strides)
    data = data.reshape(node.shape) if node.strides is None else data
    old = h._exported
    if old is not None and old() is not None and h._data is not None:
        np.copyto(h._data, data)
    else:
        h._data = data
    rg = not h._saved and (node.rg or h._leaf_rg or h._gfn is not None)
    h.node = leaf(node.shape, node.dtype, node.strides, rg, node.device)


def refuse(holder: Any) -> None:
    """Raise for a holder whose value could not be computed."""
    error = holder._failure
    raise RuntimeError(
        "this tensor has no value, because an operation that it depends on failed: "
        f"{type(error).__name__}: {error}"
    ) from error


__all__ = ["Failure", "describe", "refuse", "rescue"]
