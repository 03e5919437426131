"""Which integers of a kernel's text change from one size to the next.

A kernel is written for given sizes. Where programs of the same operations come in ever new sizes,
compiling each costs more than running it. But most of these texts differ in integers alone: how
often a loop turns, how far two rows lie apart. Those that have differed can be read instead (from a
descriptor, as an argument), and the next size is the text that is there, with other numbers beside
it. The same operations are done in the same order: not a bit of a result changes.
"""

from __future__ import annotations

ALL = False  # whether every integer counts as one that changes; tests set it
MAX_OUTLINES = 20_000  # that are remembered
_known: dict[bytes, _Outline] = {}


class _Outline:
    """What texts have in common that differ in such integers alone."""

    __slots__ = ("first", "varied")

    def __init__(self, integers: list[str]) -> None:
        self.first = integers
        self.varied: set[int] = set()  # which of them differed


def varied(outline: bytes, integers: list[str]) -> list[int]:
    """Which of a text's integers differ among the texts met so far that are else alike, this one
    among them. `outline`: a digest of the rest."""
    found = _known.get(outline)
    if found is None:
        if len(_known) > MAX_OUTLINES:
            _known.clear()
        found = _known[outline] = _Outline(list(integers))
    if ALL:
        return list(range(len(integers)))
    pairs = enumerate(zip(found.first, integers, strict=True))
    found.varied.update([k for k, (a, b) in pairs if a != b])
    return sorted(found.varied)


__all__ = ["varied"]
