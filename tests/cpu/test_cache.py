"""Objects on disk: nothing worse than a rebuild, whatever is found there."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from facula.cpu import cache

PROGRAM = textwrap.dedent(
    """
    import sys
    import facula as torch
    torch.manual_seed(0)
    w = torch.randn(40, 30, requires_grad=True)
    for i in range(3):
        loss = torch.randn(20, 40).mm(w).tanh().pow(2).sum()
        loss.backward()
        with torch.no_grad():
            w -= 0.01 * w.grad
            w.grad = None
    print(w.sum().item().hex())
    """
)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("FACULA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cache, "_written", 0)
    monkeypatch.setattr(cache, "_warned", False)
    return tmp_path / "objects"


def run(place, before="", **env):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", before + PROGRAM],
        env={**os.environ, "FACULA_CACHE_DIR": str(place.parent), "FACULA_COMPILE_AFTER": "0"}
        | env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_was_stored_is_found(place):
    name = cache.key("a", "b")
    assert cache.load(name) is None
    cache.store(name, b"payload")
    assert cache.load(name) == b"payload"
    assert cache.key("a", "b") != cache.key("ab", "")
    assert [p.name for p in place.iterdir()] == [name]


def test_no_cache_is_asked_for(monkeypatch):
    monkeypatch.setenv("FACULA_CACHE_DIR", "")
    cache.store(cache.key("x"), b"payload")
    assert cache.load(cache.key("x")) is None


@pytest.mark.parametrize("damage", ["cut", "flipped", "longer", "empty", "another"])
def test_damage_is_a_miss(place, damage, rng):
    name = cache.key("x")
    cache.store(name, bytes(range(256)))
    path = place / name
    data = bytearray(path.read_bytes())
    if damage == "cut":
        data = data[: int(rng.integers(1, len(data)))]
    elif damage == "flipped":
        data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    elif damage == "longer":
        data += b"x"
    elif damage == "empty":
        data = bytearray()
    else:  # a valid object under the name of another one
        cache.store(cache.key("y"), b"other")
        data = bytearray((place / cache.key("y")).read_bytes())
    path.write_bytes(data)
    assert cache.load(name) is None
    cache.store(name, b"again")
    assert cache.load(name) == b"again"


def test_the_folder_is_bounded(place, monkeypatch):
    monkeypatch.setattr(cache, "limit", lambda: 10_000)
    for i in range(40):
        cache.store(cache.key(str(i)), bytes(1000))
        os.utime(place / cache.key(str(i)), (i, i))
    sizes = [p.stat().st_size for p in place.iterdir()]
    assert sum(sizes) <= 10_000 + 2 * 10_000 // 8
    assert cache.load(cache.key("39")) is not None
    assert cache.load(cache.key("0")) is None


def test_one_process_in_a_while_looks_through_the_folder(place, monkeypatch):
    looks = []
    prune = cache._prune
    monkeypatch.setattr(cache, "_prune", lambda *args: looks.append(1) or prune(*args))
    for process in range(3):
        monkeypatch.setattr(cache, "_written", 0)
        cache.store(cache.key(f"{process}"), b"payload")
        cache.store(cache.key(f"{process} too"), b"payload")
        assert len(looks) == (2 if process == 2 else 1)
        if process == 1:
            os.utime(place.parent / cache.STAMP, (0, 0))


def test_the_objects_are_no_more_than_can_be_looked_through(place, monkeypatch):
    monkeypatch.setattr(cache, "MOST", 5)
    for i in range(9):
        cache.store(cache.key(str(i)), b"payload")
        os.utime(place / cache.key(str(i)), (i, i))
    cache._prune(place, 0)
    assert sorted(int(p.stat().st_mtime) for p in place.iterdir()) == [4, 5, 6, 7, 8]


def test_a_place_that_can_not_be_written_is_one_warning(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("FACULA_CACHE_DIR", str(blocked))
    monkeypatch.setattr(cache, "_warned", False)
    with pytest.warns(RuntimeWarning, match="can't be kept on disk"):
        cache.store(cache.key("x"), b"payload")
    cache.store(cache.key("x"), b"payload")


def test_the_same_bits_cold_warm_and_damaged(place):
    cold = run(place)
    files = sorted(place.iterdir())
    assert files
    assert run(place) == cold
    rng = random.Random(3)
    for path in files:
        data = bytearray(path.read_bytes())
        data[rng.randrange(len(data))] ^= 255
        path.write_bytes(data)
    assert run(place) == cold
    assert sorted(place.iterdir()) == files
    assert run(place, FACULA_CACHE_DIR="") == cold


FULL = """
import resource, warnings
warnings.simplefilter("default")
resource.setrlimit(resource.RLIMIT_FSIZE, (39, 39))  # as where a disk is full
"""
# The superuser may write everywhere, so it becomes somebody else once all is imported.
READ_ONLY = """
import os, warnings
import facula, facula.cpu.jit, facula.compiler.program, facula.compiler.timing
warnings.simplefilter("default")
where = os.environ["FACULA_CACHE_DIR"]
os.mkdir(where + "/objects", 0o555)
if not os.geteuid():
    os.chmod(os.path.dirname(where), 0o755)
    os.seteuid(65534)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits and users are of POSIX systems")
@pytest.mark.parametrize("before", [FULL, READ_ONLY], ids=["full", "read-only"])
def test_a_folder_that_takes_nothing(place, before):
    """One warning, the same bits, and nothing left behind."""
    want = run(place, FACULA_CACHE_DIR="")
    told = "import sys\nsys.stderr = sys.stdout\n" + before
    *warned, result = run(place, told).splitlines()
    assert result == want.strip()
    assert sum(["can't be kept on disk" in line for line in warned]) == 1, warned
    assert list(place.iterdir()) == []


def test_objects_damaged_at_random(place, rng):
    """Cut, overwritten, made longer, emptied, exchanged, made a folder: compiled anew."""
    want = run(place)
    for _ in range(2):
        files = sorted(place.iterdir())
        for k, path in enumerate(files):
            data = bytearray(path.read_bytes())
            how = int(rng.integers(6))
            at, n = (int(rng.integers(len(data))) for _ in range(2))
            if how == 0:
                data = data[:at]
            elif how == 1:
                data[at : at + n] = rng.bytes(len(data[at : at + n]))
            elif how == 2:
                data += rng.bytes(n)
            elif how == 3:
                data = bytearray(files[k - 1].read_bytes())
            elif how == 4:
                data = bytearray(8)
            else:
                data[at] ^= 1 + int(rng.integers(255))
            path.write_bytes(data)
        assert run(place) == want


def test_a_folder_in_the_place_of_an_object_is_one_warning(place):
    name = cache.key("x")
    (place / name).mkdir(parents=True)
    assert cache.load(name) is None
    with pytest.warns(RuntimeWarning, match="can't be kept on disk"):
        cache.store(name, b"payload")
    assert [p.name for p in place.iterdir()] == [name]


def test_killed_while_it_compiles(place):
    """Objects of a process that died at any moment are whole, or are not there."""
    want = run(place, FACULA_CACHE_DIR="")
    slow = "import os\nfrom facula.cpu import cache\nstore = cache.store\n" + textwrap.dedent(
        """
        def dying(name, payload, left=[DIES]):
            left[0] -= 1
            if left[0] < 0:
                os.replace = lambda *a: os.kill(os.getpid(), 9)  # written, not yet renamed
            store(name, payload)
        cache.store = dying
        """
    )
    for dies in (0, 2):
        done = subprocess.run(
            [sys.executable, "-c", slow.replace("DIES", str(dies)) + PROGRAM],
            env={**os.environ, "FACULA_CACHE_DIR": str(place.parent), "FACULA_COMPILE_AFTER": "0"},
            check=False,
        )
        assert done.returncode == -signal.SIGKILL
        assert len([p for p in place.iterdir() if not p.name.startswith(".new-")]) == dies
        assert [p for p in place.iterdir() if p.name.startswith(".new-")]
    assert run(place) == want
    left = [p for p in place.iterdir() if p.name.startswith(".new-")]
    for p in left:
        os.utime(p, (0, 0))  # from long ago
    os.utime(place.parent / cache.STAMP, (0, 0))
    cache.store(cache.key("x"), b"payload")
    assert not [p for p in left if p.exists()]


def test_killed_while_it_writes(place):
    """Whatever a process leaves when it is killed at any moment, the next one runs."""
    loop = (
        "import sys\nfrom facula.cpu import cache\nprint('go', flush=True)\n"
        "while True:\n    cache.store(cache.key('x'), bytes(1 << 20))\n"
    )
    for delay in (0.0, 0.003, 0.01):
        p = subprocess.Popen(
            [sys.executable, "-c", loop],
            env={**os.environ, "FACULA_CACHE_DIR": str(place.parent)},
            stdout=subprocess.PIPE,
        )
        assert p.stdout is not None and p.stdout.readline()
        time.sleep(delay)
        p.send_signal(signal.SIGKILL)
        p.wait()
        p.stdout.close()
        assert cache.load(cache.key("x")) in (None, bytes(1 << 20))
    assert run(place)
