"""What is remembered of a stretch of the trace that `spans.py` follows as one step."""

from __future__ import annotations

from typing import Any

from facula.trace.node import Node, Pick

AT_HOME = 1000  # calls before which a frame ends, until it is worth a program of its own
_EMPTY: list[Any] = []  # which nobody writes to


class Span:
    """What one call needed and did.

    wants    the node of each operand, None for None
    given    picks the operands that are not None, where some are
    entries  picks the operands that are values of the frame, where gradients are recorded
    binds    picks the operands that become inputs; their nodes are `inputs`
    made     constants that the function made and that become inputs: (how many inputs come before,
             node, tensor, buffer)
    distinct  how many tensors these are: what NumPy code holds is read anew each time
    known    whether some of these have a history or may get one
    stay     whether some of them are not written to by the call
    writes   picks the operands that are written to; their nodes after the call are `after`
    histories  picks those of them that may have a history: a leaf that requires no grad has none
    times    how often each of these is written
    numbers  picks from `numbers` and `constants` those that were recorded; None: all `constants`
    constants  the Python numbers recorded by a call that was given none, or integers by another
    plain    whether its operands are read, each as it is, and no more (`_follow`)
    results  the nodes of the results
    same     pairs of places where one tensor is two operands
    lent     places of operands whose memory NumPy code holds: the program reads a copy of it
    shape    how the results are returned: None, "one" or the class of a tuple
    end      the last entry
    early    what a program can do once this is recorded (`ahead.py`)
    """

    __slots__ = (
        "after",
        "binds",
        "constants",
        "distinct",
        "early",
        "end",
        "entries",
        "given",
        "histories",
        "inputs",
        "known",
        "lent",
        "made",
        "numbers",
        "plain",
        "results",
        "same",
        "shape",
        "stay",
        "times",
        "wants",
        "writes",
    )

    wants: list[Node | None]
    given: Pick | None
    entries: Pick | None
    binds: Pick
    distinct: int
    inputs: list[Node | None]
    made: list[tuple[int, Node, Any, Any]]
    known: bool
    stay: bool
    writes: Pick | None
    histories: Pick
    after: list[Node]
    times: list[int]
    numbers: Pick | None
    constants: list[Any]
    plain: bool
    results: list[Node]
    same: list[tuple[int, int]]
    lent: list[int]
    shape: Any
    end: Node
    early: Any

    def share(self) -> None:
        """Let all stretches have the same empty list: there are many, most of whose lists are
        empty, and Python's garbage collector looks at each object that it finds."""
        for name in ("after", "constants", "inputs", "lent", "made", "results", "same", "times"):
            if not getattr(self, name):
                setattr(self, name, _EMPTY)


class Apart:
    """That a frame ends before a call whose operands have these nodes, so many times still."""

    __slots__ = ("end", "times", "wants")

    def __init__(self, wants: list[Node | None]) -> None:
        self.wants, self.times = wants, AT_HOME
        self.end = None  # it is no stretch


__all__ = ["Apart", "Span"]
