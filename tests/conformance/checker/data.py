"""The stored cases: what they are, and arrays out of them."""

from __future__ import annotations

import json
import zipfile

import numpy as np

NPDT = {
    "bool": np.bool_,
    "uint8": np.uint8,
    "int8": np.int8,
    "int16": np.int16,
    "int32": np.int32,
    "int64": np.int64,
    "float16": np.float16,
    "float32": np.float32,
    "float64": np.float64,
    "complex64": np.complex64,
    "complex128": np.complex128,
    "bfloat16": np.uint16,
    "uint16": np.uint16,
    "uint32": np.uint32,
    "uint64": np.uint64,
}


COMPLEX = {"complex64", "complex128"}


def cotangent(shape, index, dtype="float32"):
    """Fixed cotangent for output number `index`; the same in generator and checker."""
    n = int(np.prod(shape, dtype=np.int64))
    # the mapping below is stable across numpy versions (legacy MT19937 stream)
    rs = np.random.RandomState(1234 + 7 * index)
    v = rs.uniform(0.25, 1.0, n) * np.where(rs.uniform(size=n) < 0.5, -1.0, 1.0)
    v = np.round(v * 256) / 256
    if dtype in COMPLEX:
        w = np.round(rs.uniform(-1.0, 1.0, n) * 256) / 256
        v = v + 1j * w
    if dtype == "bfloat16":
        return v.astype(np.float32).reshape(shape)
    return v.astype(NPDT[dtype]).reshape(shape)


class Archive:
    """One zip per op: header + cases (jsonl) and one blob of raw array data."""

    def __init__(self, path):
        with zipfile.ZipFile(path) as z:
            lines = z.read("cases.jsonl").decode().splitlines()
            self.blob = z.read("arrays.bin")
        self.header = json.loads(lines[0])
        self.cases = [json.loads(s) for s in lines[1:] if s.strip()]
        self.table = self.header["arrays"]

    def get(self, k):
        """-> (numpy array, dtype name); bfloat16 is returned widened to float32."""
        off, dt, shape = self.table[k]
        npdt = np.dtype(NPDT[dt])
        n = int(np.prod(shape, dtype=np.int64))
        a = np.frombuffer(self.blob, dtype=npdt, count=n, offset=off).reshape(shape)
        if dt == "bfloat16":
            a = (a.astype(np.uint32) << 16).view(np.float32).reshape(shape)
        return a.copy(), dt
