"""All hostile and damaged files of these tests in one process, with its memory limited.

    PYTHONPATH=tests python tests/serialization/hostile.py FOLDER

prints what happened, as JSON.
Nothing may come of a file but a refusal with a message: no value, no other kind of error, no file,
process, connection or foreign module, and no more memory than the limit leaves.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from serialization import files, test_archive, test_rebuild, test_unpickler

import facula

ROOM = 200 << 20  # bytes that the files may make the process grow by
# What code in a file would do; see "Audit events table" in Python's documentation.
FORBIDDEN = (
    *("os.", "subprocess.", "socket.", "shutil.", "ctypes.", "pty.", "webbrowser.", "urllib."),
    *("exec", "compile", "import", "marshal.", "pickle.find_class", "code.", "function.", "http."),
    *("sys._getframe", "sys.settrace", "sys.addaudithook", "builtins.input", "tempfile.", "glob."),
)


def hostile() -> Iterator[tuple[str, bytes]]:
    """The files, by name."""
    whole, archive, good = files.whole, files.archive, files.good
    for name, (data, _) in test_archive.HOSTILE.items():
        yield f"archive: {name}", data
    for name, pickled in test_unpickler.DAMAGED.items():
        yield f"pickle: {name}", archive(pickled)
    for name, body in test_unpickler.DEEP.items():
        yield f"deep: {name}", archive(whole(body))
    for name, body in test_unpickler.GROWING.items():
        if name != "encoded":  # that one is harmless: equal bytes are made once
            yield f"growing: {name}", archive(whole(body, 3))
    for name, (body, _, _) in test_rebuild.WRONG.items():
        yield f"tensor: {name}", good(body)
    for name, body in test_rebuild.NUMPY.items():
        yield f"array: {name}", archive(whole(body, 3))
    for module, name in test_unpickler.CALLS:
        call = f"c{module}\n{name}\n".encode() + files.text("touch ran") + b"\x85R"
        yield f"call: {module}.{name}", good(call)
    for name in ("views", "adam", "legacy", "plain"):
        data = (files.DATA / f"{name}.pt").read_bytes()
        for k in range(20):
            yield f"{name}: the first {k} of 20 parts", data[: len(data) * k // 20]
    yield "zeros", bytes(100_000)
    yield "a zip file of something else", _zip({"hello.txt": b"hello"})
    yield "a zip file in a zip file", _zip({"archive/data.pkl": good()})
    yield "a pickle alone", pickle.dumps([1, 2])


def _zip(records: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name, data in records.items():
            z.writestr(name, data)
    return out.getvalue()


def attempt(data: bytes, folder: Path) -> str | None:
    """What is wrong with the outcome of loading from memory, from a path and from a mapped file."""
    path = folder / "x.pt"
    path.write_bytes(data)
    for source, options in ((io.BytesIO(data), {}), (path, {}), (path, {"mmap": True})):
        del events[:]
        try:
            value = facula.load(source, **options)
        except files.REFUSALS as error:
            if len(str(error)) < 10 or len(str(error)) > 2000:
                return f"a message of {len(str(error))} characters: {error!s:.100}"
        except BaseException as error:
            return f"{type(error).__name__}: {error!s:.200}"
        else:
            return f"a value: {type(value).__name__}"
        seen = [e for e in events if e[0].startswith(FORBIDDEN) or (e[0] == "open" and e[1] != "r")]
        if seen:
            return f"it did {seen[:3]}"
    return None


events: list[tuple[str, str]] = []


def watch(event: str, args: tuple[object, ...]) -> None:
    """Note what the interpreter reports; for an opened file, how."""
    if event == "open":
        mode, flags = args[1], args[2]
        writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        events.append((event, "w" if writes or set(str(mode or "")) & set("wax+") else "r"))
    elif event.startswith(FORBIDDEN):
        events.append((event, repr(args)[:80]))


def main(folder: Path) -> None:
    table = dict(hostile())
    for name in ("views", "adam", "legacy", "plain", "numpy", "conj"):  # import what loading needs
        facula.load(files.DATA / f"{name}.pt")
    "".encode("cp437")
    attempt(b"", folder)
    facula.load(files.DATA / "views.pt", mmap=True)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    resource.setrlimit(resource.RLIMIT_AS, (size + ROOM,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (300, 300))
    resource.setrlimit(resource.RLIMIT_FSIZE, (max(map(len, table.values())),) * 2)
    sys.addaudithook(watch)
    wrong = {}
    for name, data in table.items():
        what = attempt(data, folder)
        if what is not None:
            wrong[name] = what
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    left = sorted(p.name for p in folder.iterdir())
    print(json.dumps({"files": len(table), "wrong": wrong, "kilobytes": grown, "left": left}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
