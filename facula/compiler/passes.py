"""The passes over entries that come before any emitter's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from facula.compiler.apart import apart
from facula.compiler.assembly import Assembly
from facula.compiler.layout import Place
from facula.compiler.simplify import simplify
from facula.compiler.sums import Sums
from facula.compiler.widen import widen
from facula.trace.node import ASSIGN, Node


def prepared(
    entries: list[Node],
    roots: list[Node],
    scalars: list[Any],
    kept: Callable[[Node], bool] | None = None,
) -> tuple[list[Node], dict[Node, Place], dict[int, Any]]:
    """The entries that are left to compute, where values lie that are views of others, and the
    numbers, by position, that the program is made for. `kept`: see `widen`."""
    guards: dict[int, Any] = {}
    for n in entries:
        if n.op is not ASSIGN and n.op.name == "pow_s":
            guards[n.scalar_at] = scalars[n.scalar_at]
    places: dict[Node, Place] = {}
    entries = apart(entries, places)
    entries = widen(entries, places, kept)
    entries = simplify(entries, roots, places)
    entries = Assembly(entries, roots, scalars, guards, places).entries
    entries = Sums(entries, roots, places).entries
    return entries, places, guards
