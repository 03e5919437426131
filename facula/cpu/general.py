"""Kernels of which many sizes share one text.

A kernel is written for given sizes. Where programs of the same operations come in ever new sizes,
compiling each costs more than running it. But most of these texts differ in integers alone: how
often a loop turns, how far two rows lie apart. After a few of them those that differed are read
from the descriptor, and the next size is the text that is there, with other numbers beside it. The
same operations are done in the same order: not a bit of a result changes.

What can be read is an operand of 64 bits in the kernel's own function. Texts that differ elsewhere
(in another integer, in a function that the kernel calls) stay what they are.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Any

FEW = 1  # texts that differ in integers alone and are compiled as they are
MAX_SHAPES = 20_000  # of texts that are remembered
# An integer that is no part of a name, a type, or a hexadecimal number.
_INTEGER = re.compile(r"(?<![\w%@.<!#])(-?\d+)(?![\w.]| x )")
_LINE = re.compile(r"  %\w+ = (?:(?:add|sub|mul)(?: nsw)?|udiv|urem|and|or|icmp \w+|phi) i64 .*")
_known: dict[bytes, _Shape] = {}


class _Shape:
    """Texts that differ in integers alone."""

    __slots__ = ("first", "met", "places", "varied")

    def __init__(self, text: str, integers: list[str]) -> None:
        self.first = integers
        self.met: set[tuple[str, ...]] = set()
        self.places = _readable(text)
        self.varied: set[int] = set()  # which of them differed


def _readable(text: str) -> set[int]:
    """Which integers of a function can be read from the descriptor."""
    out = set()
    for k, m in enumerate(_INTEGER.finditer(text)):
        before = text[text.rfind("\n", 0, m.start()) + 1 : m.start()]
        if before.count("<") != before.count(">") or before.endswith("splat (i64 "):
            continue  # a lane's
        if before.endswith("i64 ") or _LINE.fullmatch(before):
            out.add(k)
    return out


def general(text: str, descriptor: list[Any]) -> str:
    """The text that a kernel has in many sizes, once there are many: its numbers then follow in the
    descriptor."""
    begin = text.index("entry:\n", text.index("void @NAME(")) + len("entry:\n")
    text, own = text[:begin], text[begin:]
    parts = _INTEGER.split(own)  # every other one is an integer
    integers = parts[1::2]
    outline = blake2b("#".join([text, *parts[::2]]).encode(), digest_size=16)
    outline.update(len(descriptor).to_bytes(4))
    key = outline.digest()
    shape = _known.get(key)
    if shape is None:
        if len(_known) > MAX_SHAPES:
            _known.clear()
        shape = _known[key] = _Shape(own, integers)
    if len(shape.met) <= FEW:
        shape.met.add(tuple(integers))
    differ = {k for k, (a, b) in enumerate(zip(shape.first, integers, strict=True)) if a != b}
    if not differ <= shape.places:
        return text + own
    shape.varied |= shape.places if not FEW else differ
    if len(shape.met) <= FEW:
        return text + own
    loads = []
    at = len(descriptor)
    for n, k in enumerate(sorted(shape.varied)):
        descriptor.append(("literal", int(integers[k])))
        loads.append(f"  %d{n} = getelementptr i8, ptr %D, i64 {8 * (at + n)}\n")
        loads.append(f"  %n{n} = load i64, ptr %d{n}\n")
        parts[2 * k + 1] = f"%n{n}"
    return "".join([text, *loads, *parts])
