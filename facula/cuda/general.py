"""Kernels of which many sizes share one text (`compiler/sizes.py`): what changes is an argument.

What can be an argument is an integer behind an operator or a cast to `I`, the type of indices.
The sizes of shared memory, template arguments and constants of values stand in the text.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Any

from facula.compiler.sizes import varied
from facula.interpreter.program import Work
from facula.trace.node import Node

_INTEGER = re.compile(r"((?:[-+*/%<>=&] |\(I\))\(?)(-?\d+)(?=[;,)\] \n])")
_BODY = re.compile(r"\) \{\n  typedef (int|long long) I;\n")
MOST = 256  # arguments that a kernel is given this way
INT = 1 << 31
SETTLED = 500  # runs after which a program's sizes are worth kernels of their own
MAX_FAMILIES = 1_000
_families: dict[Any, tuple[set[Any], list[bool]]] = {}


def changing(entries: list[Node]) -> bool:
    """Whether programs of the same operations have been met in other sizes."""
    work = Work(entries)
    if len(_families) > MAX_FAMILIES:
        _families.clear()
    known, changed = _families.setdefault(work.family, (set(work.kinds), [False]))
    if not work.kinds <= known:
        known |= work.kinds
        changed[0] = True
    return changed[0]


def general(text: str, args: list[Any], loose: bool) -> str:
    """The text that a kernel has in many sizes where `loose`: the numbers that have differed from
    one size to another are then appended to its arguments. Otherwise the text, which is remembered.
    """
    body = _BODY.search(text)
    if body is None:
        return text
    parts = _INTEGER.split(text[body.end() :])  # every third one is an integer
    integers = parts[2::3]
    parts[2::3] = ["#"] * len(integers)
    outline = blake2b((text[: body.end()] + "".join(parts)).encode(), digest_size=16).digest()
    which = varied(outline, integers)
    kind = body[1]
    small = kind != "int" or all([abs(int(integers[k])) < INT for k in which])
    if not loose or not which or len(which) > MOST or not small:
        return text
    names = []
    for n, k in enumerate(which):
        args.append(("literal", int(integers[k]), 0))
        integers[k] = f"z{n}"
        names.append(f"const {kind} z{n}")
    parts[2::3] = integers
    comma = "" if text[: body.start()].endswith("(") else ", "
    head = f"{text[: body.start()]}{comma}{', '.join(names)}{text[body.start() : body.end()]}"
    return head + "".join(parts)


__all__ = ["SETTLED", "changing", "general"]
