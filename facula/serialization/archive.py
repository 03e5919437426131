"""The container of a checkpoint: a zip file of uncompressed, aligned records.

Reading trusts nothing. Records are stored, not compressed, and do not overlap, so what is read is
never more than the file; names are looked up, never used as paths.

Sources: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT (zip),
https://docs.pytorch.org/docs/stable/notes/serialization.html (the records)
"""

from __future__ import annotations

import errno
import mmap
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

SIGNATURE = b"PK\x03\x04"
ALIGNMENT = 64  # of the records' data, so that arrays can lie in the mapped file
_LIMIT32 = 0xFFFFFFFF
_LIMIT16 = 0xFFFF
_UTF8 = 0x800
_ENCRYPTED = 0x1
_DATE = 0x21  # 1 January 1980: files of the same content are the same
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR64 = struct.Struct("<4sIQI")
_END = struct.Struct("<4sHHHHIIH")


class Record(NamedTuple):
    """Where the data of a record lies in the file; `crc` is 0 where the writer left it out."""

    start: int
    size: int
    crc: int


class ArchiveReader:
    """The records of a zip file. RuntimeError for a file that is damaged or not as expected."""

    def __init__(self, file: Any, name: str) -> None:
        self.file = file
        self.name = name
        self.map: mmap.mmap | None = None
        try:
            infos, end = self._directory()
            self.records = self._locate(infos, end)
        except (
            *(zipfile.BadZipFile, struct.error, UnicodeError, NotImplementedError, EOFError),
            *(ValueError, OverflowError, IndexError),
        ) as error:
            raise self.damaged(str(error)) from error
        except OSError as error:
            if error.errno not in (errno.EINVAL, None):
                raise
            raise self.damaged(str(error)) from error
        pickles = [n for n in self.records if n.endswith("/data.pkl") and n.count("/") == 1]
        if len(pickles) != 1:
            raise self.damaged(
                f"it is a zip file with {len(pickles)} records named */data.pkl, and a checkpoint "
                "has one"
            )
        self.prefix = pickles[0][: -len("data.pkl")]

    def damaged(self, why: str) -> RuntimeError:
        """The error for this file."""
        return RuntimeError(f"load: {self.name} is no valid checkpoint: {why}")

    def _directory(self) -> tuple[list[zipfile.ZipInfo], int]:
        with zipfile.ZipFile(self.file) as z:
            return z.infolist(), z.start_dir

    def _locate(self, infos: list[zipfile.ZipInfo], end: int) -> dict[str, Record]:
        records: dict[str, Record] = {}
        reached = 0
        for info in sorted(infos, key=lambda info: info.header_offset):
            name = info.orig_filename
            if name in records:
                raise self.damaged(f"record {name!r} is there twice")
            if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
                raise self.damaged(
                    f"record {name!r} is compressed; the records of a checkpoint are not"
                )
            if info.flag_bits & _ENCRYPTED:
                raise self.damaged(f"record {name!r} is encrypted")
            parts = name.split("/")
            if "\\" in name or "\0" in name or ".." in parts or "" in parts[:-1]:
                raise self.damaged(f"record {name!r} has a name that no checkpoint has")
            if info.header_offset < reached:
                raise self.damaged(f"record {name!r} overlaps another one")
            self.file.seek(info.header_offset)
            header = self.file.read(_LOCAL.size)
            fields = _LOCAL.unpack(header)
            stored_name = self.file.read(fields[9])
            if fields[0] != SIGNATURE or fields[3] != 0:
                raise self.damaged(f"record {name!r} does not begin where the directory says")
            codec = "utf-8" if info.flag_bits & _UTF8 else "cp437"
            if stored_name.decode(codec) != name:
                raise self.damaged(f"record {name!r} has another name at its place")
            start = info.header_offset + _LOCAL.size + fields[9] + fields[10]
            reached = start + info.file_size
            if reached > end:
                raise self.damaged(f"record {name!r} goes beyond the end of the data")
            records[name] = Record(start, info.file_size, info.CRC)
        return records

    def __contains__(self, name: str) -> bool:
        return self.prefix + name in self.records

    def find(self, name: str) -> Record:
        """The record below the common folder; RuntimeError if there is none."""
        record = self.records.get(self.prefix + name)
        if record is None:
            raise self.damaged(f"it has no record {name!r}")
        return record

    def read(self, name: str) -> bytes:
        """The bytes of a small record."""
        return self.array(name).tobytes()

    def array(self, name: str) -> np.ndarray:
        """The bytes of a record in memory of their own, checked against their checksum."""
        record = self.find(name)
        data: Any = np.empty(record.size, np.uint8)
        view = memoryview(data)
        self.file.seek(record.start)
        done = 0
        while done < record.size:
            if hasattr(self.file, "readinto"):
                n = self.file.readinto(view[done:])
            else:
                chunk = self.file.read(min(record.size - done, 1 << 20))
                n = len(chunk)
                view[done : done + n] = chunk
            if not n:
                raise self.damaged(f"record {name!r} ends early")
            done += n
        if record.crc and zlib.crc32(data) != record.crc:
            raise self.damaged(f"the checksum of record {name!r} is wrong")
        return data

    def mapped(self, name: str) -> np.ndarray:
        """The bytes of a record in the mapped file; writing to them does not change the file."""
        record = self.find(name)
        if not record.size:
            return np.empty(0, np.uint8)
        if self.map is None:
            self.map = mmap.mmap(self.file.fileno(), 0, access=mmap.ACCESS_COPY)
        return np.frombuffer(self.map, np.uint8, record.size, record.start)


class ArchiveWriter:
    """Writes records one after the other; `write` is a file's method and needs no seeking."""

    def __init__(self, write: Callable[[Any], Any], prefix: str) -> None:
        self._write_out = write
        self.prefix = prefix
        self.position = 0
        self._entries: list[tuple[bytes, int, int, int]] = []

    def _write(self, data: Any) -> None:
        self._write_out(data)
        self.position += len(data)

    def record(self, name: str, data: Any) -> None:
        """Write one record, its data on a multiple of 64 bytes."""
        encoded = f"{self.prefix}/{name}".encode()
        view = memoryview(data).cast("B") if len(data) else memoryview(b"")
        size = len(view)
        crc = zlib.crc32(view)
        start = self.position
        long = size >= _LIMIT32
        extra = struct.pack("<HHQQ", 1, 16, size, size) if long else b""
        used = start + _LOCAL.size + len(encoded) + len(extra) + 4
        padding = -used % ALIGNMENT
        extra += b"FB" + struct.pack("<H", padding) + b"Z" * padding
        shown = _LIMIT32 if long else size
        version = 45 if long else 20
        sizes = crc, shown, shown, len(encoded), len(extra)
        self._write(_LOCAL.pack(SIGNATURE, version, _UTF8, 0, 0, _DATE, *sizes))
        self._write(encoded)
        self._write(extra)
        if size:
            self._write(view)
        self._entries.append((encoded, crc, size, start))

    def close(self) -> None:
        """Write the directory."""
        begin = self.position
        for encoded, crc, size, start in self._entries:
            long = [v for v in (size, size, start) if v >= _LIMIT32]
            extra = struct.pack(f"<HH{len(long)}Q", 1, 8 * len(long), *long) if long else b""
            version = 45 if long else 20
            shown = min(size, _LIMIT32)
            self._write(
                _CENTRAL.pack(
                    *(b"PK\x01\x02", version, version, _UTF8, 0, 0, _DATE, crc, shown, shown),
                    *(len(encoded), len(extra), 0, 0, 0, 0, min(start, _LIMIT32)),
                )
            )
            self._write(encoded)
            self._write(extra)
        end, count = self.position, len(self._entries)
        if begin >= _LIMIT32 or end - begin >= _LIMIT32 or count >= _LIMIT16:
            self._write(
                _END64.pack(b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, end - begin, begin)
            )
            self._write(_LOCATOR64.pack(b"PK\x06\x07", 0, end, 1))
        n = min(count, _LIMIT16)
        self._write(
            _END.pack(
                *(b"PK\x05\x06", 0, 0, n, n, min(end - begin, _LIMIT32), min(begin, _LIMIT32), 0)
            )
        )
