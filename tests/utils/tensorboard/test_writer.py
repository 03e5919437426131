"""Event files: read back with a reader of the format, checksums included."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

import facula
from facula.utils.tensorboard import SummaryWriter
from facula.utils.tensorboard.events import masked_crc


def fields(data):
    """Protobuf's wire format as a list of (field, value)."""
    out, at = [], 0

    def varint():
        nonlocal at
        n = shift = 0
        while True:
            byte = data[at]
            at += 1
            n |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return n

    while at < len(data):
        key = varint()
        kind = key & 7
        if kind == 0:
            value = varint()
        elif kind == 1:
            value = struct.unpack_from("<d", data, at)[0]
            at += 8
        elif kind == 5:
            value = struct.unpack_from("<f", data, at)[0]
            at += 4
        else:
            n = varint()
            value = bytes(data[at : at + n])
            at += n
        out.append((key >> 3, value))
    return out


def read(folder):
    """The events of the one file in a folder: (step, tag, fields of the value)."""
    (path,) = [p for p in folder.iterdir() if p.is_file()]
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        (n,) = struct.unpack_from("<Q", data, at)
        assert struct.unpack_from("<I", data, at + 8)[0] == masked_crc(data[at : at + 8])
        body = data[at + 12 : at + 12 + n]
        assert struct.unpack_from("<I", data, at + 12 + n)[0] == masked_crc(body)
        at += n + 16
        event = dict(fields(body))
        if 5 in event:
            value = dict(fields(dict(fields(event[5]))[1]))
            found.append((event.get(2), value[1].decode(), value))
        else:
            assert event[3] == b"brain.Event:2"
    return found


def test_checksum_of_the_standard_vector():
    crc = 0xE3069283  # CRC-32C of "123456789"
    assert masked_crc(b"123456789") == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_scalars_texts_histograms_and_pictures(tmp_path):
    with SummaryWriter(tmp_path) as w:
        w.add_scalar("loss", facula.tensor(0.5, requires_grad=True), 7)
        w.add_scalar("plain", 3)
        w.add_text("note", "hello", 1)
        w.add_histogram("w", facula.tensor([0.0, 1.0, 1.0, 5.0]), 2)
        picture = facula.zeros(3, 4, 5)
        picture[0, 0, 0] = 1
        w.add_image("picture", picture, 3)
        w.add_images("many", np.zeros((10, 1, 2, 3), np.uint8), 4)
    found = {tag: (step, value) for step, tag, value in read(tmp_path)}
    assert found["loss"][0] == 7 and found["loss"][1][2] == 0.5
    assert found["plain"][0] is None and found["plain"][1][2] == 3
    assert b"hello" in found["note/text_summary"][1][8]
    histogram = dict(fields(found["w"][1][5]))
    assert [histogram[i] for i in (1, 2, 3, 4, 5)] == [0, 5, 4, 7, 27]
    counts = struct.unpack(f"<{len(histogram[7]) // 8}d", histogram[7])
    assert sum(counts) == 4 and counts[0] == 1 and counts[-1] == 1
    image = dict(fields(found["picture"][1][4]))
    assert (image[1], image[2], image[3]) == (4, 5, 3)
    png = image[4]
    start = png.index(b"IDAT") + 4
    (size,) = struct.unpack(">I", png[start - 8 : start - 4])
    rows = zlib.decompress(png[start : start + size])
    assert rows[:4] == b"\0\xff\0\0" and len(rows) == 4 * (1 + 15)
    many = dict(fields(found["many"][1][4]))
    assert (many[1], many[2]) == (4, 24)


def test_scalars_in_one_diagram_have_files_of_their_own(tmp_path):
    with SummaryWriter(tmp_path) as w:
        w.add_scalars("a/b", {"x": 1.0, "y": 2.0}, 3)
    assert [(s, t, v[2]) for s, t, v in read(tmp_path / "a_b_x")] == [(3, "a/b", 1.0)]
    assert [(s, t, v[2]) for s, t, v in read(tmp_path / "a_b_y")] == [(3, "a/b", 2.0)]


def test_bad_values_are_refused(tmp_path):
    with SummaryWriter(tmp_path) as w:
        with pytest.raises(AssertionError, match="scalar"):
            w.add_scalar("x", facula.zeros(2))
        with pytest.raises(AssertionError, match="input_format: CHW"):
            w.add_image("x", facula.zeros(2, 2))
        with pytest.raises(ValueError, match="no element"):
            w.add_histogram("x", facula.zeros(0))
        with pytest.raises(NotImplementedError, match="add_video"):
            w.add_video("x", None)


def test_hyperparameters_and_default_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with SummaryWriter(comment="_try") as w:
        w.add_hparams({"lr": 0.1}, {"accuracy": 0.9})
        folder = w.get_logdir()
    assert folder.startswith("runs") and folder.endswith("_try")
    assert [t for _, t, _ in read(tmp_path / folder)] == ["hparams/text_summary", "accuracy"]


def test_precision_and_recall(tmp_path):
    # The values are those of PyTorch's writer, read back.
    with SummaryWriter(tmp_path) as w:
        w.add_pr_curve("pr", np.array([0, 1, 1]), facula.tensor([0.1, 0.9, 0.4]), 1, 3)
    ((step, tag, value),) = read(tmp_path)
    tensor = dict(fields(value[8]))
    numbers = np.frombuffer(tensor[5], np.float32).reshape(6, 3)
    assert (step, tag) == (1, "pr")
    assert numbers.tolist() == [
        [2, 1, 0],
        [1, 0, 0],
        [0, 1, 1],
        [0, 1, 2],
        [np.float32(2 / 3), 1, 0],
        [1, 0.5, 0],
    ]
