"""The bytes of an event file: records with checksums, and messages in protobuf's wire format."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

import numpy as np


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


_TABLE = _crc_table()


def masked_crc(data: bytes) -> int:
    """The checksum of a record: CRC-32C, rotated and shifted."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def record(data: bytes) -> bytes:
    """One record: length, its checksum, data, its checksum."""
    length = struct.pack("<Q", len(data))
    crc = struct.pack("<I", masked_crc(length))
    return length + crc + data + struct.pack("<I", masked_crc(data))


def _varint(n: int) -> bytes:
    out = bytearray()
    n &= (1 << 64) - 1
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def integer(field: int, n: int) -> bytes:
    """A field that holds an integer."""
    return _varint(field << 3) + _varint(n)


def double(field: int, x: float) -> bytes:
    """A field that holds a 64-bit number."""
    return _varint(field << 3 | 1) + struct.pack("<d", x)


def single(field: int, x: float) -> bytes:
    """A field that holds a 32-bit number."""
    return _varint(field << 3 | 5) + struct.pack("<f", x)


def message(field: int, data: bytes | str) -> bytes:
    """A field that holds bytes, a string or another message."""
    data = data.encode() if isinstance(data, str) else data
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def doubles(field: int, values: Iterable[float]) -> bytes:
    """A field that holds several 64-bit numbers."""
    return message(field, b"".join([struct.pack("<d", v) for v in values]))


def event(wall_time: float, step: int | None, what: bytes) -> bytes:
    """An Event with a moment, a step and its content."""
    return double(1, wall_time) + (integer(2, step) if step is not None else b"") + what


def summary(tag: str, value: bytes, plugin: bytes = b"") -> bytes:
    """A Summary of one value."""
    return message(5, message(1, message(1, tag) + plugin + value))


def plugin(name: str, content: bytes = b"") -> bytes:
    """Metadata that says which part of TensorBoard shows the value."""
    return message(9, message(1, message(1, name) + (message(2, content) if content else b"")))


def text_tensor(strings: list[str]) -> bytes:
    """A tensor of strings."""
    shape = message(2, message(2, integer(1, len(strings))))
    return message(8, integer(1, 7) + shape + b"".join([message(8, s) for s in strings]))


def histogram(values: np.ndarray, bins: str | int) -> bytes:
    """Counts of values between limits, with TensorBoard's own limits or NumPy's."""
    values = values.reshape(-1)
    if values.size == 0:
        raise ValueError("add_histogram(): The input has no element.")
    edges = _limits() if bins == "tensorflow" else bins
    counts, limits = np.histogram(values, bins=edges)
    filled = np.flatnonzero(counts)
    first, last = (filled[0], filled[-1]) if len(filled) else (0, 0)
    counts, limits = counts[first : last + 1], limits[first + 1 : last + 2]
    wide = values.astype(np.float64)
    return message(
        5,
        double(1, float(wide.min()))
        + double(2, float(wide.max()))
        + double(3, float(len(values)))
        + double(4, float(wide.sum()))
        + double(5, float(wide.dot(wide)))
        + doubles(6, limits.tolist())
        + doubles(7, counts.astype(float).tolist()),
    )


def _limits() -> np.ndarray:
    positive = [1e-12]
    while positive[-1] < 1e20:
        positive.append(positive[-1] * 1.1)
    return np.array([-v for v in reversed(positive)] + [0.0] + positive)


def image(pixels: np.ndarray) -> bytes:
    """A picture of uint8, height x width x channels, as PNG."""
    height, width, channels = pixels.shape
    return message(
        4, integer(1, height) + integer(2, width) + integer(3, channels) + message(4, png(pixels))
    )


def png(pixels: np.ndarray) -> bytes:
    """The PNG file of a picture of uint8, height x width x channels."""
    height, width, channels = pixels.shape
    kinds = {1: 0, 2: 4, 3: 2, 4: 6}
    rows = b"".join([b"\0" + np.ascontiguousarray(row).tobytes() for row in pixels])
    head = struct.pack(">IIBBBBB", width, height, 8, kinds[channels], 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head)
    return start + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def pr_curve(
    labels: np.ndarray, predictions: np.ndarray, thresholds: int, weights: np.ndarray | float
) -> bytes:
    """Counts of hits, precision and recall at thresholds from 0 to 1, as a 6 x n tensor."""
    place = np.floor(predictions.astype(np.float64) * (thresholds - 1)).astype(np.int64)
    counts = []
    for weight in (labels.astype(np.float64), 1.0 - labels.astype(np.float64)):
        found, _ = np.histogram(place, thresholds, (0, thresholds - 1), weights=weight * weights)
        counts.append(found[::-1].cumsum()[::-1])
    tp, fp = counts
    tn, fn = fp[0] - fp, tp[0] - tp
    precision, recall = tp / np.maximum(1e-7, tp + fp), tp / np.maximum(1e-7, tp + fn)
    values = np.stack((tp, fp, tn, fn, precision, recall)).astype("<f4")
    shape = b"".join([message(2, integer(1, n)) for n in values.shape])
    return message(8, integer(1, 1) + message(2, shape) + message(5, values.tobytes()))


def _chunk(kind: bytes, data: bytes) -> bytes:
    crc = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)
