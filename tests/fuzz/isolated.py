"""Objects through pipes, and results of a function in children: some arguments end the process.

What is sent is a pickle behind its length and a checksum, read and written without buffers. Pickles
through Python's buffered files were spoilt, a byte in 50 KB missing, where both processes are
stopped and continued often (SIGSTOP, SIGCONT): the reader then waits for ever, or fails.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import struct
import time
import zlib

HEAD = struct.Struct("<QI")


class Unreadable(Exception):
    """Nothing came in time, or not what was sent."""


def send(pipe: int, x) -> None:
    """Write an object."""
    data = pickle.dumps(x)
    data = HEAD.pack(len(data), zlib.crc32(data)) + data
    at = 0
    while at < len(data):
        at += os.write(pipe, data[at : at + (1 << 16)])


def receive(pipe: int, seconds: float | None = None):
    """Read an object; EOFError where there are no more, Unreadable where none comes in time."""
    until = None if seconds is None else time.monotonic() + seconds
    size, check = HEAD.unpack(_read(pipe, HEAD.size, until))
    data = _read(pipe, size, until)
    if zlib.crc32(data) != check:
        raise Unreadable(f"{size} bytes with another checksum")
    return pickle.loads(data)


def _read(pipe: int, size: int, until: float | None) -> bytes:
    parts: list[bytes] = []
    left = size
    while left:
        wait = None if until is None else max(0.0, until - time.monotonic())
        if not select.select([pipe], [], [], wait)[0]:
            raise Unreadable(f"{left} of {size} bytes did not come in time")
        more = os.read(pipe, min(left, 1 << 16))
        if not more:
            raise EOFError
        parts.append(more)
        left -= len(more)
    return b"".join(parts)


def _fork() -> int:
    """`os.fork`, which fails where the machine has as many processes as it allows: not for long."""
    for _ in range(300):
        try:
            return os.fork()
        except BlockingIOError:
            time.sleep(1)
    return os.fork()


def results(arguments: list, function, patience: float, dead) -> list:
    """function(x) for each x in order; `dead` where the child died, or sent nothing of sense for
    `patience` seconds. The next child goes on after that one."""
    done: list = []
    while len(done) < len(arguments):
        end, start = os.pipe()
        child = _fork()
        if not child:
            try:  # whatever happens, the child must not go on as if it were its parent
                os.close(end)
                os.dup2(2, 1)  # nor may what it prints get among what that sends
                for x in arguments[len(done) :]:
                    send(start, function(x))
            finally:
                os._exit(0)
        os.close(start)
        try:
            while len(done) < len(arguments):
                done.append(receive(end, patience))
        except (EOFError, Unreadable):
            done.append(dead)
        os.close(end)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return done
