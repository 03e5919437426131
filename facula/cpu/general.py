"""Kernels of which many sizes share one text (`compiler/sizes.py`).

What can be read from the descriptor is an operand of 64 bits. Texts that differ in other integers
are others.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Any

from facula.compiler.sizes import varied
from facula.cpu.text import DECLARED

# An operand of 64 bits; one of all lanes is not meant. What is before it, and the integer.
_OPERAND = re.compile(r"(i64 (?<!splat \(i64 )(?:%\w+, |\[)?)(-?\d+)(?=[,)\]\n])")
_TABLE = re.compile(r"^@.*\n", re.MULTILINE)
_READ = re.compile(r"%read(\d+)\b")
_CALLED = re.compile(r"@tile(\d+)\(")


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
    which = varied(outline.digest(), integers)
    if not which:
        return text
    at = len(descriptor)
    for n, k in enumerate(which):
        descriptor.append(("literal", int(integers[k])))
        integers[k] = f"%read{n}"
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
