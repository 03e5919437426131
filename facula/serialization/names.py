"""Names in pickles: Facula's objects stand there under the names that PyTorch has for them.

The pickler in C looks up every name that it writes, so it can't write names of a PyTorch that is
not installed. It writes Facula's own, and `renamed` puts PyTorch's in their place, opcode by
opcode: what looks like a name within a string stays as it is.
"""

from __future__ import annotations

import re
import sys
from pickle import GLOBAL, PicklingError
from typing import Any

PROTOCOLS = (2, 3)  # in which a name is text within an opcode of its own, and nothing has a frame


class Name:
    """A class or function of PyTorch, which a pickle refers to by its name."""

    __slots__ = ("key", "module", "name")

    def __init__(self, module: str, name: str, key: str) -> None:
        self.module = module
        self.name = name
        self.key = key  # its own name in this module

    def __call__(self) -> None:
        """Only to look callable, as what a pickle calls has to."""
        raise NotImplementedError(f"{self.module}.{self.name} is only a name")


_names: dict[tuple[str, str], Name] = {}
_keys: dict[str, Name] = {}


def name(module: str, of: str) -> Name:
    """One object for each name, so that a pickle writes it once."""
    found = _names.get((module, of))
    if found is None:
        key = f"name{len(_keys)}"
        found = _names[module, of] = _keys[key] = Name(module, of, key)
    return found


def __getattr__(key: str) -> Any:
    """What the pickler looks up."""
    if key in _keys:
        return _keys[key]
    raise AttributeError(f"module {__name__!r} has no attribute {key!r}")


def found(module: str, qualified: str) -> Any:
    """The object of a name, None where there is none."""
    at: Any = sys.modules.get(module)
    for part in qualified.split("."):
        at = getattr(at, part, None)
    return at


def public(module: str, qualified: str, obj: Any) -> tuple[str, str]:
    """PyTorch's name of an object of Facula's."""
    for home in ("torch", "torch.nn.functional"):  # where PyTorch has its functions
        if getattr(sys.modules.get("facula" + home[5:]), qualified, None) is obj:
            return home, qualified
    return "torch" + module[len("facula") :], qualified


def own(module: str) -> bool:
    """Whether a module is one of Facula's."""
    return module.partition(".")[0] == "facula"


# Opcodes whose arguments have a fixed length, as many as follow one another.
_FIXED = re.compile(
    rb"(?:[()\]}NtbRaesuQ01\x81\x85-\x89]|[qhK\x80].|M..|[jrJ]....|G.{8})*+", re.DOTALL
)
# Those with a length before them: of how many bytes that is.
_LENGTHS = {ord("X"): 4, ord("B"): 4, ord("C"): 1, 0x8A: 1, 0x8B: 4}


def renamed(data: bytes) -> bytes:
    """A pickle of protocol 2 or 3 with PyTorch's names in the place of Facula's."""
    out = []
    at = start = 0
    known: dict[bytes, bytes] = {}
    while True:
        at = _FIXED.match(data, at).end()  # type: ignore[union-attr]
        opcode = data[at]
        if opcode in _LENGTHS:
            size = _LENGTHS[opcode]
            at += 1 + size + int.from_bytes(data[at + 1 : at + 1 + size], "little")
        elif opcode == GLOBAL[0]:
            end = data.index(b"\n", data.index(b"\n", at) + 1)
            text = data[at + 1 : end]
            if text not in known:
                known[text] = _renamed(text)
            out += [data[start : at + 1], known[text]]
            at = start = end
            at += 1
        elif opcode == ord("."):
            return b"".join([*out, data[start:]])
        else:
            raise PicklingError(f"unknown opcode {opcode:#x} at {at}")


def _renamed(text: bytes) -> bytes:
    module, qualified = text.decode().split("\n")
    if module == __name__:
        known = _keys[qualified]
        module, qualified = known.module, known.name
    elif own(module):
        module, qualified = public(module, qualified, found(module, qualified))
    return f"{module}\n{qualified}".encode()


__all__ = ["PROTOCOLS", "Name", "found", "name", "own", "public", "renamed"]
