"""Worker processes start safely, are noticed when they die, and end."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import facula
from facula.utils.data import DataLoader, Dataset
from facula.utils.data._utils import group

ROOT = Path(__file__).resolve().parents[4]
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")
posix = pytest.mark.skipif(os.name != "posix", reason="POSIX signals and descriptors")


class Ask(Dataset):
    def __init__(self, ask, n=8):
        self.ask, self.n = ask, n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return self.ask(i)


class Squares(Dataset):
    """A dataset that can be pickled."""

    def __init__(self, n):
        self.squares = facula.arange(n) ** 2

    def __len__(self):
        return len(self.squares)

    def __getitem__(self, i):
        return self.squares[i]


def gone(processes, seconds=10.0):
    """Whether all of these process ids are gone, at the latest after a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not any(os.path.exists(f"/proc/{pid}") for pid in processes):
            return True
        time.sleep(0.02)
    return False


def test_pending_operations_are_seen_by_a_forked_worker():
    x = facula.ones(3)
    y = x * 2
    view = y[1:]
    y.add_(1)  # pending, with an alias that is out of date
    z = facula.arange(3.0, requires_grad=True) * 3

    def look(i):
        total = (y + 1).sum().item()
        w = facula.ones(2, requires_grad=True)
        (w * view).sum().backward()
        return [total, view.tolist(), (z.detach() * 2).tolist(), w.grad.tolist()]

    expected = [12.0, [3.0, 3.0], [0.0, 6.0, 12.0], [3.0, 3.0]]
    with facula.no_grad():  # not the worker's mode
        loader = DataLoader(
            Ask(look), batch_size=None, num_workers=2, collate_fn=list,
            multiprocessing_context="fork" if os.name == "posix" else None,
        )  # fmt: skip
        assert list(loader) == [expected] * 8
    z.sum().backward()
    assert y.tolist() == [3.0] * 3


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_every_start_method(method):
    loader = DataLoader(Squares(10), batch_size=4, num_workers=2, multiprocessing_context=method)
    assert [b.tolist() for b in loader] == [[0, 1, 4, 9], [16, 25, 36, 49], [64, 81]]


def test_a_context_object():
    loader = DataLoader(
        Squares(3), num_workers=1, multiprocessing_context=multiprocessing.get_context()
    )
    assert [b.item() for b in loader] == [0, 1, 4]


def test_a_dataset_that_cannot_be_pickled_for_spawn():
    loader = DataLoader(Ask(lambda i: i), num_workers=1, multiprocessing_context="spawn")
    with pytest.raises((AttributeError, TypeError), match="pickle"):
        iter(loader)


@posix
@pytest.mark.parametrize("leave", ["break", "error", "finish", "exception in the loop"])
def test_nothing_is_left(leave):
    """Processes, descriptors and shared memory are gone after the loop, however it ends."""

    def sample(i):
        if leave == "error" and i == 5:
            raise ValueError("told")
        return np.full(50_000, os.getpid(), dtype=np.int64)

    def names():
        return set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()

    def run():
        pids = set()
        try:
            for batch in DataLoader(Ask(sample), num_workers=2, prefetch_factor=3):
                pids.add(batch[0, 0].item())
                assert (batch == batch[0, 0]).all()
                if leave == "break" and len(pids) == 2:
                    break
                if leave == "exception in the loop":
                    raise KeyError("told")
        except (KeyError, ValueError) as e:
            assert "told" in str(e)
        return pids

    run()  # what Python itself opens once, such as the tracker of resources
    gc.collect()
    descriptors, shared = len(os.listdir("/proc/self/fd")), names()
    pids = run()
    gc.collect()
    assert pids and gone(pids)
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert {n for n in names() - shared if "facula" in n or n.startswith("psm_")} == set()
    assert not [p for p in multiprocessing.active_children() if p.pid in pids]


@posix
@pytest.mark.parametrize(
    "die, text",
    [
        (lambda: os._exit(3), "exited unexpectedly with exit code 3"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "killed by signal: SIGKILL"),
        (lambda: sys.exit(7), "exited unexpectedly with exit code 7"),
    ],
)
def test_a_worker_that_dies_is_an_error(die, text):
    loader = DataLoader(Ask(lambda i: die() if i == 3 else i), num_workers=2)
    it = iter(loader)
    processes = [p.pid for p in it.group.processes]
    with pytest.raises(RuntimeError, match=f"DataLoader worker 1 .*{text}"):
        list(it)
    assert gone(processes) and list(it) == []


@posix
def test_a_killed_worker_takes_its_memory_along():
    """Shared memory has no name, so there is nothing that could stay."""
    big = Ask(lambda i: np.zeros(1_000_000))
    it = iter(DataLoader(big, num_workers=1, prefetch_factor=4))
    first = next(it)
    os.kill(it.group.processes[0].pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match="SIGKILL"):
        list(it)
    assert first.sum().item() == 0  # what has arrived stays


def test_a_slow_worker_is_a_timeout():
    loader = DataLoader(Ask(lambda i: time.sleep(1.5 * i)), num_workers=1, timeout=0.5,
                        collate_fn=list)  # fmt: skip
    it = iter(loader)
    assert next(it) == [None]
    with pytest.raises(RuntimeError, match=r"timed out after 0\.5 seconds"):
        next(it)


def test_a_worker_that_does_not_listen_is_terminated(monkeypatch):
    monkeypatch.setattr(group, "PATIENCE", 0.2)
    it = iter(DataLoader(Ask(lambda i: time.sleep(60)), num_workers=1))
    processes = it.group.processes
    it.group.stop()
    assert it.group.stopped
    with pytest.raises(ValueError, match="closed"):
        processes[0].is_alive()


@posix
@pytest.mark.parametrize("end", ["finished", "left", "killed"])
def test_workers_end_with_the_program(tmp_path, end):
    """A program that ends inside a loop leaves no worker behind."""
    program = tmp_path / "program.py"
    program.write_text(
        "import os, sys, facula\n"
        "from facula.utils.data import DataLoader, Dataset\n"
        "class D(Dataset):\n"
        "    def __len__(self): return 100\n"
        "    def __getitem__(self, i): return os.getpid()\n"
        "it = iter(DataLoader(D(), num_workers=2))\n"
        "print(next(it).item(), next(it).item(), flush=True)\n"
        + {
            "finished": "",
            "left": "sys.exit(0)\n",
            "killed": "os.kill(os.getpid(), 9)\n",
        }[end]
    )
    path = os.pathsep.join(p for p in [str(ROOT), os.environ.get("PYTHONPATH")] if p)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore:This DataLoader", str(program)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    pids = [int(p) for p in done.stdout.split()]
    assert done.returncode == (-9 if end == "killed" else 0) and done.stderr == ""
    assert len(set(pids)) == 2 and gone(pids)
