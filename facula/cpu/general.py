"""Kernels of which many sizes share one text.

A kernel is written for given sizes. Where programs of the same operations come in ever new sizes,
compiling each costs more than running it. But most of these texts differ in integers alone: how
often a loop turns, how far two rows lie apart. After a few of them those that differed are read
from the descriptor, and the next size is the text that is there, with other numbers beside it. The
same operations are done in the same order: not a bit of a result changes.

What can be read is an operand of 64 bits in the kernel's own function. Texts that differ elsewhere
(in another integer, in a function that the kernel calls) are others.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Any

FEW = 1  # texts that differ in integers alone and are compiled as they are
MAX_SHAPES = 20_000  # of texts that are remembered
# An operand of 64 bits; one of all lanes is not meant. What is before it, and the integer.
_OPERAND = re.compile(r"(i64 (?<!splat \(i64 )(?:%\w+, |\[)?)(-?\d+)(?=[,)\]\n])")
_known: dict[bytes, _Shape] = {}


class _Shape:
    """Texts that differ in such integers alone."""

    __slots__ = ("first", "met", "varied")

    def __init__(self, integers: list[str]) -> None:
        self.first = integers
        self.met: set[tuple[str, ...]] = set()
        self.varied: set[int] = set()  # which of them differed


def general(text: str, descriptor: list[Any]) -> str:
    """The text that a kernel has in many sizes, once there are many: its numbers then follow in the
    descriptor."""
    begin = text.index("entry:\n", text.index("void @NAME(")) + len("entry:\n")
    text, own = text[:begin], text[begin:]
    parts = _OPERAND.split(own)  # every third one is an integer
    integers = parts[2::3]
    parts[2::3] = ["#"] * len(integers)
    outline = blake2b("".join([text, *parts]).encode(), digest_size=16)
    outline.update(len(descriptor).to_bytes(4))
    key = outline.digest()
    shape = _known.get(key)
    if shape is None:
        if len(_known) > MAX_SHAPES:
            _known.clear()
        shape = _known[key] = _Shape(integers)
    if len(shape.met) <= FEW:
        shape.met.add(tuple(integers))
    if FEW:
        pairs = enumerate(zip(shape.first, integers, strict=True))
        shape.varied.update([k for k, (a, b) in pairs if a != b])
    else:
        shape.varied.update(range(len(integers)))
    if len(shape.met) <= FEW:
        return text + own
    loads = []
    at = len(descriptor)
    for n, k in enumerate(sorted(shape.varied)):
        descriptor.append(("literal", int(integers[k])))
        loads.append(f"  %d{n} = getelementptr i8, ptr %D, i64 {8 * (at + n)}\n")
        loads.append(f"  %n{n} = load i64, ptr %d{n}\n")
        integers[k] = f"%n{n}"
    parts[2::3] = integers
    return "".join([text, *loads, *parts])
