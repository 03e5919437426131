"""Checkpoints made by hand, so that anything can be wrong with them."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from pathlib import Path

import facula

DATA = Path(__file__).parents[1] / "data" / "checkpoints"
V2 = b"ctorch._utils\n_rebuild_tensor_v2\n"
# What a damaged or hostile file may raise, and nothing else.
REFUSALS = (pickle.UnpicklingError, RuntimeError, EOFError, NotImplementedError)


def archive(pickled, records=None, prefix="archive", compression=zipfile.ZIP_STORED, extra=()):
    """A zip file of a pickle and records; `extra` are further (name, data) pairs, as they are."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as z:
        z.writestr(f"{prefix}/data.pkl", pickled)
        for name, data in {"byteorder": b"little", "version": b"3\n", **(records or {})}.items():
            z.writestr(f"{prefix}/{name}", data)
        for name, data in extra:
            z.writestr(name, data)
    return out.getvalue()


def load(data, **options):
    return facula.load(io.BytesIO(data), **options)


def text(s):
    raw = s.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def integer(n):
    raw = n.to_bytes(n.bit_length() // 8 + 1, "little", signed=True)
    head = b"\x8a" + bytes([len(raw)]) if len(raw) < 256 else b"\x8b" + struct.pack("<I", len(raw))
    return head + raw


def numbers(values):
    return b"(" + b"".join(map(integer, values)) + b"t"


def storage(kind=b"ctorch\nFloatStorage\n", key="0", location="cpu", numel=4):
    """The persistent id of a storage."""
    parts = text("storage") + kind + text(key) + text(location)
    return b"(" + parts + (integer(numel) if isinstance(numel, int) else numel) + b"tQ"


def tensor(offset=0, size=(4,), stride=(1,), grad=b"\x89", store=None):
    """The pickle of a tensor."""
    args = [integer(offset) if isinstance(offset, int) else offset]
    args += [numbers(v) if isinstance(v, tuple) else v for v in (size, stride)]
    parts = (storage() if store is None else store) + b"".join(args) + grad
    return V2 + b"(" + parts + b"}t" + b"R"


def whole(body, protocol=2):
    """A pickle with this body."""
    return b"\x80" + bytes([protocol]) + body + b"."


FOUR = {"data/0": struct.pack("<4f", 1, 2, 3, 4)}


def good(body=None):
    """A sound checkpoint with a tensor of four floats."""
    return archive(whole(tensor() if body is None else body), FOUR)
