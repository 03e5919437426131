"""Kernels of which many sizes share one text.

A kernel is written for given sizes. Where programs of the same operations come in ever new sizes,
compiling each costs more than running it. But most of these texts differ in integers alone: how
often a loop turns, how far two rows lie apart. After a few of them those that differed are read
from the descriptor, and the next size is the text that is there, with other numbers beside it. The
same operations are done in the same order: not a bit of a result changes.

What can be read is an operand of 64 bits. Texts that differ in other integers are others.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Any

from facula.cpu.text import DECLARED

FEW = 1  # texts that differ in integers alone and are compiled as they are
MAX_SHAPES = 20_000  # of texts that are remembered
# An operand of 64 bits; one of all lanes is not meant. What is before it, and the integer.
_OPERAND = re.compile(r"(i64 (?<!splat \(i64 )(?:%\w+, |\[)?)(-?\d+)(?=[,)\]\n])")
_TABLE = re.compile(r"^@.*\n", re.MULTILINE)
_READ = re.compile(r"%read(\d+)\b")
_CALLED = re.compile(r"@tile(\d+)\(")
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
    head, own = text.split(DECLARED, 1)
    head += DECLARED + "".join(_TABLE.findall(own))
    own = _TABLE.sub("", own)
    parts = _OPERAND.split(own)  # every third one is an integer
    integers = parts[2::3]
    parts[2::3] = ["#"] * len(integers)
    outline = blake2b("".join([head, *parts]).encode(), digest_size=16)
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
        return text
    at = len(descriptor)
    where = {k: n for n, k in enumerate(sorted(shape.varied))}
    for k in where:
        descriptor.append(("literal", int(integers[k])))
        integers[k] = f"%read{where[k]}"
    parts[2::3] = integers
    return head + _loading("".join(parts), at)


def _loading(own: str, at: int) -> str:
    """These functions with what they read from the descriptor, from an entry on; those that the
    kernel calls are given the descriptor."""
    out = []
    for function in own.split("\ndefine "):
        loads = []
        for n in sorted(set(map(int, _READ.findall(function)))):
            loads.append(f"  %at{n} = getelementptr i8, ptr %D, i64 {8 * (at + n)}\n")
            loads.append(f"  %read{n} = load i64, ptr %at{n}\n")
        begin, body = function.partition("entry:\n")[::2]
        out.append("".join([begin, "entry:\n", *loads, body]) if loads else function)
    return _CALLED.sub(r"@tile\1(ptr %D, ", "\ndefine ".join(out))
