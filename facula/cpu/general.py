"""Kernels of which many sizes share one text (`compiler/sizes.py`).

What can be read from the descriptor is an operand of 64 bits. Texts that differ in other integers
are others.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Any

from facula.compiler.sizes import varied
from facula.cpu.kernels import PARAMS
from facula.cpu.text import DECLARED

# An operand of 64 bits; one of all lanes is not meant. What is before it, and the integer.
_OPERAND = re.compile(r"(i64 (?<!splat \(i64 )(?:%\w+, |\[)?)(-?\d+)(?=[,)\]\n])")
_TABLE = re.compile(r"^@.*\n", re.MULTILINE)
_READ = re.compile(r"%read(\d+)\b")
_CALLED = re.compile(r"@tile(\d+)\(")


def general(text: str, descriptor: list[Any]) -> str:
    """The text that a kernel has in many sizes, once there are many: its numbers then stand before
    the rest in the descriptor, whose length may depend on the size too."""
    head, own = text.split(DECLARED, 1)
    head += DECLARED + "".join(_TABLE.findall(own))
    own = _TABLE.sub("", own)
    parts = _OPERAND.split(own)  # every third one is an integer
    integers = parts[2::3]
    parts[2::3] = ["#"] * len(integers)
    outline = blake2b("".join([head, *parts]).encode(), digest_size=16)
    which = varied(outline.digest(), integers)
    if not which:
        return text
    descriptor[:0] = [("literal", int(integers[k])) for k in which]
    for n, k in enumerate(which):
        integers[k] = f"%read{n}"
    parts[2::3] = integers
    return head + _loading("".join(parts), len(which))


def _loading(own: str, many: int) -> str:
    """These functions with what they read from the descriptor; those that the kernel calls are
    given it."""
    out = []
    for function in own.split("\ndefine "):
        loads = []
        for n in sorted(set(map(int, _READ.findall(function)))):
            loads.append(f"  %at{n} = getelementptr i8, ptr %D0, i64 {8 * n}\n")
            loads.append(f"  %read{n} = load i64, ptr %at{n}\n")
        begin, body = function.partition("entry:\n")[::2]
        if PARAMS in begin:
            begin = begin.replace("ptr %D", "ptr %D0")
            loads.append(f"  %D = getelementptr i8, ptr %D0, i64 {8 * many}\n")
        out.append("".join([begin, "entry:\n", *loads, body]) if loads else function)
    return _CALLED.sub(r"@tile\1(ptr %D0, ", "\ndefine ".join(out))
