"""The zip file: what we write, every zip reader reads; what we read is checked."""

from __future__ import annotations

import io
import struct
import zipfile

import numpy as np
import pytest
from serialization import files

from facula.serialization import archive
from facula.serialization.archive import ArchiveReader, ArchiveWriter


def written(records, prefix="archive"):
    out = io.BytesIO()
    w = ArchiveWriter(out.write, prefix)
    for name, data in records.items():
        w.record(name, data)
    w.close()
    return out.getvalue()


RECORDS = {"data.pkl": b"N.", "byteorder": b"little", "data/0": bytes(range(200)), "empty": b""}


@pytest.mark.parametrize("limit", [None, 10])
def test_other_readers_read_what_we_write(monkeypatch, limit):
    """`limit` stands for the four gigabytes from which on numbers have 64 bits."""
    if limit is not None:
        monkeypatch.setattr(archive, "_LIMIT32", limit)
        monkeypatch.setattr(archive, "_LIMIT16", 2)
        # A field of 32 bits that says "see the 64 bits" is all ones for everybody else.
        data = written(RECORDS)
        assert data.count(b"PK\x06\x06") == data.count(b"PK\x06\x07") == 1
        return
    with zipfile.ZipFile(io.BytesIO(written(RECORDS, "名"))) as z:
        assert {i.filename: z.read(i) for i in z.infolist()} == {
            f"名/{name}": data for name, data in RECORDS.items()
        }
        assert z.testzip() is None


def test_numbers_of_64_bits_are_as_zipfile_reads_them(monkeypatch):
    """All entries in the long form, told apart by nothing else than their fields."""
    data = written(RECORDS)
    fields = struct.unpack_from("<4sHHHHIIH", data, len(data) - 22)
    count, size, begin = fields[4], fields[5], fields[6]
    end64 = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, begin)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(data) - 22, 1)
    ones = 0xFFFFFFFF
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, ones, ones, 0)
    long = data[:-22] + end64 + locator + end
    reader = ArchiveReader(io.BytesIO(long), "x")
    assert reader.read("data/0") == RECORDS["data/0"]
    monkeypatch.setattr(archive, "_LIMIT16", 2)
    ours = written(RECORDS)
    at = ours.index(b"PK\x06\x06")
    assert ours[at : at + 56] == end64 and ours[at + 56 : at + 76] == locator


def test_data_is_aligned():
    data = written({**RECORDS, **{f"data/{i}": bytes(i) for i in range(1, 70)}})
    reader = ArchiveReader(io.BytesIO(data), "x")
    assert all(r.start % 64 == 0 for r in reader.records.values())
    assert reader.read("data/37") == bytes(37)


def test_the_same_content_is_the_same_file():
    assert written(RECORDS) == written(RECORDS)


def test_reading_without_readinto():
    class Plain:
        def __init__(self, data):
            f = io.BytesIO(data)
            self.read, self.seek, self.tell = f.read, f.seek, f.tell
            self.seekable, self.close = f.seekable, f.close

    reader = ArchiveReader(Plain(files.good()), "x")
    assert reader.array("data/0").view(np.float32).tolist() == [1, 2, 3, 4]


def test_a_record_that_is_not_there():
    reader = ArchiveReader(io.BytesIO(files.good()), "name.pt")
    assert "data/0" in reader and "data/1" not in reader
    with pytest.raises(RuntimeError, match=r"name\.pt is no valid checkpoint.*'data/1'"):
        reader.read("data/1")


# ---- hostile files -------------------------------------------------------------------------------


def changed(data, at, value):
    out = bytearray(data)
    out[at : at + len(value)] = value
    return bytes(out)


def central(data, name):
    """Where the entry of a record in the directory begins."""
    at = data.index(b"PK\x01\x02")
    while data[at + 46 : at + 46 + len(name)] != name:
        at = data.index(b"PK\x01\x02", at + 1)
    return at


def hostile():
    good = files.good()
    pickled = files.whole(files.tensor())
    entry = central(good, b"archive/data/0")
    first = central(good, b"archive/data.pkl")
    end = len(good) - 22
    local = good.index(b"PK\x03\x04", 4)

    def sized(n, where=entry):
        return changed(good, where + 20, struct.pack("<II", n, n))

    yield "directory cut off", good[:-1], "."
    yield "no directory", good[:end], "."
    yield "directory beyond the end", changed(good, end + 16, b"\xff\xff\xff\x7f"), "."
    yield "directory of another size", changed(good, end + 12, b"\xff\xff\xff\x7f"), "."
    yield "record beyond the end", changed(good, entry + 42, b"\xff\xff\xff\x7f"), "."
    yield "record at the beginning", changed(good, entry + 42, bytes(4)), "overlap|another name"
    yield (
        "record in the middle of nothing",
        changed(good, entry + 42, b"\x11\0\0\0"),
        "overlap|begin",
    )
    yield "record too large", sized(0x7FFFFFF0), "beyond|overlap"
    yield "record of four gigabytes", sized(0xFFFFFFFF), "."
    yield "pickle too large", sized(0x7FFFFFF0, first), "beyond|overlap"
    yield "record too small", sized(15), "has 16 bytes, but its record has 15"
    yield "two sizes", changed(good, entry + 24, b"\x20\0\0\0"), "compressed"
    yield "encrypted", changed(good, entry + 8, b"\x01"), "encrypted"
    yield "method unknown", changed(good, entry + 10, b"\x63"), "."
    yield "local method", changed(good, 8, b"\x08"), "does not begin"
    yield "local signature", changed(good, local, b"XX"), "does not begin"
    yield "local name", changed(good, 30, b"X"), "another name"
    yield "local name too long", changed(good, 26, b"\xff\xff"), "."
    yield "local extra too long", changed(good, 28, b"\xff\xff"), "beyond|overlap"
    yield "version of the future", changed(good, first + 6, b"\xff"), "."
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        bomb = {"data/0": bytes(50_000_000)}
        yield f"bomb {method}", files.archive(pickled, bomb, compression=method), "compressed"
    for name in (
        "../../x",
        "/x",
        "a//b",
        "..",
        "archive/../x",
        "archive\\x",
        "C:\\x",
        "archive/./..",
    ):
        yield (
            f"name {name}",
            files.archive(pickled, files.FOUR, extra=[(name, b"")]),
            "name|data.pkl",
        )
    twice = files.archive(pickled, files.FOUR, extra=[("archive/datA/0", bytes(16))])
    yield "record twice", twice.replace(b"datA", b"data"), "there twice"
    two = files.archive(pickled, files.FOUR, extra=[("archivE/data.pkl", b"N.")])
    yield "pickle twice", two.replace(b"archivE", b"archive"), "there twice"
    yield "two checkpoints", two, "2 records named"
    yield "no pickle", files.archive(b"").replace(b"data.pkl", b"data.pkx"), "0 records named"
    yield "no data", files.archive(pickled), "no record 'data/0'"
    yield "byte order", files.archive(pickled, {**files.FOUR, "byteorder": b"middle"}), "byte order"
    # One record that many entries of the directory share: a bomb without compression.
    data = bytearray(files.archive(pickled, {f"data/{i}": bytes(1000) for i in range(20)}))
    where = central(bytes(data), b"archive/data/0")
    for i in range(1, 20):
        at = central(bytes(data), f"archive/data/{i}".encode())
        data[at + 42 : at + 46] = data[where + 42 : where + 46]
    yield "shared record", bytes(data), "overlap|another name"


HOSTILE = {name: (data, pattern) for name, data, pattern in hostile()}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(tmp_path, name, mapped):
    import tracemalloc

    import facula

    data, pattern = HOSTILE[name]
    (tmp_path / "x.pt").write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(files.REFUSALS, match=pattern):
            facula.load(tmp_path / "x.pt", mmap=mapped)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
    assert [p.name for p in tmp_path.iterdir()] == ["x.pt"]
