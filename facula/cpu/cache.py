"""Compiled objects on disk: content-addressed, checked before use, bounded.

A file is named by what it was made from (`key`), and begins with a magic word and the digest of
its payload. What does not check is a miss: the caller compiles anew and writes over it. A folder
that can't be written is worth one warning and nothing more. Several processes may share a folder:
files appear by renaming and are never changed.

`FACULA_CACHE_DIR` names the folder (empty: no cache), `FACULA_CACHE_MB` its bound.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

MAGIC = b"FACULA01"
STAMP = "looked-through"  # beside the folder; changed when a process has looked through it
SELDOM = 900.0  # seconds for which others rely on that
MOST = 1 << 15  # objects: to look through more takes long
_warned = False
_written = 0  # bytes since the folder was last looked through


def folder() -> Path | None:
    """Where objects are kept: the platform's cache folder, or what the environment says."""
    asked = os.environ.get("FACULA_CACHE_DIR")
    if asked is not None:
        return Path(asked) / "objects" if asked else None
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "facula" / "objects"


def limit() -> int:
    """The bound of the folder, in bytes."""
    asked = os.environ.get("FACULA_CACHE_MB", "")
    return (int(asked) if asked.isdigit() else 512) << 20


def key(*parts: str) -> str:
    """The name of an object made from these texts."""
    h = hashlib.sha256()
    for p in parts:
        data = p.encode()
        h.update(len(data).to_bytes(8, "little"))
        h.update(data)
    return h.hexdigest()


def load(name: str) -> bytes | None:
    """The object of this name, or None where there is none that checks."""
    try:
        where = folder()
        if where is None:
            return None
        path = where / name
        data = path.read_bytes()
    except (OSError, RuntimeError):  # RuntimeError: a user without a home folder
        return None
    digest, payload = data[8:40], data[40:]
    if data[:8] != MAGIC or hashlib.sha256(name.encode() + payload).digest() != digest:
        return None
    try:
        os.utime(path)  # the least recently used go first
    except OSError:
        pass
    return payload


def store(name: str, payload: bytes) -> None:
    """Keep an object: under a temporary name, renamed. It is not synced, since what a crash of the
    machine leaves of it does not check."""
    global _written
    temporary = None
    try:
        where = folder()
        if where is None:
            return
        where.mkdir(parents=True, exist_ok=True)
        if (not _written and _due(where)) or _written > limit() // 8:
            _prune(where, len(payload))
            _written = 0
        handle, temporary = tempfile.mkstemp(prefix=".new-", dir=where)
        with os.fdopen(handle, "wb") as f:
            f.write(MAGIC + hashlib.sha256(name.encode() + payload).digest() + payload)
        os.replace(temporary, where / name)
        temporary = None
        _written += len(payload) + 40
    except (OSError, RuntimeError) as error:
        _warn(error)
    finally:
        if temporary is not None:
            try:
                os.unlink(temporary)
            except OSError:
                pass


def _due(where: Path) -> bool:
    """Whether nobody has looked through the folder of late."""
    try:
        return abs(time.time() - os.stat(where.parent / STAMP).st_mtime) > SELDOM
    except FileNotFoundError:
        return True


def _prune(where: Path, room: int) -> None:
    """Delete what was left half-written, and the least recently used until there is room."""
    files = []
    total = room
    now = time.time()
    (where.parent / STAMP).touch()
    for entry in os.scandir(where):
        try:
            s = entry.stat()
            if entry.name.startswith(".new-"):
                if now - s.st_mtime > 3600:
                    os.unlink(entry.path)
                continue
            files.append((s.st_mtime, s.st_size, entry.path))
            total += s.st_size
        except OSError:
            continue
    files.sort()
    extra = len(files) - MOST
    for k, (_, size, path) in enumerate(files):
        if total <= limit() and k >= extra:
            break
        try:
            os.unlink(path)
            total -= size
        except OSError:
            continue


def _warn(error: Exception) -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"facula: compiled code can't be kept on disk ({type(error).__name__}: {error}); "
            "programs will be compiled anew in each process. FACULA_CACHE_DIR names another folder",
            RuntimeWarning,
            stacklevel=2,
        )
