"""NumPy, imported so that the threads of its matrix products go to sleep at once; and its products.

Those of OpenBLAS look for more work for some 30 ms after a product before they sleep, on the very
processors that compiled programs want to have meanwhile. What the environment says is left alone,
and so is a NumPy that has been imported before.

A product waits for all its threads. On a machine that is busy with other things each may have to
wait for its turn, however little it does: 7,500 products of some 60 us each took 15 s of a
processor so, and 0.6 by one thread. So small ones are left to one thread.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

_TIMEOUT = "OPENBLAS_THREAD_TIMEOUT"  # read once, when the library is loaded: 2 ** n cycles

if _TIMEOUT in os.environ:
    import numpy
else:
    os.environ[_TIMEOUT] = "15"
    try:
        import numpy
    finally:
        del os.environ[_TIMEOUT]

__all__ = ["numpy"]

WORTH = 1 << 23  # multiplications that are worth a second thread: some 200 us of one
most = 0  # threads that a product may have, as `set_num_threads` said; 0: as many as NumPy takes


@cache
def _controls() -> tuple[Any, Any] | None:
    """OpenBLAS's functions that say how many threads it has and that set it, if NumPy has one that
    came with it: `threadpoolctl` finds it in the same way."""
    import ctypes
    import glob

    here = os.path.dirname(numpy.__file__)
    for pattern in ("../numpy.libs/*openblas*", ".dylibs/*openblas*"):
        for path in glob.glob(os.path.join(glob.escape(here), pattern)):
            try:
                library = ctypes.PyDLL(path)
            except OSError:
                continue
            for end in ("64_", ""):
                get, set_to = [f"scipy_openblas_{x}_num_threads{end}" for x in ("get", "set")]
                if hasattr(library, set_to):
                    return getattr(library, get), getattr(library, set_to)
    return None


def matmul(a: Any, b: Any, out: Any = None) -> Any:
    """`numpy.matmul` of arrays (..., m, k) and (..., k, n), by as many threads as it is worth."""
    controls = _controls()
    if controls is None:
        return numpy.matmul(a, b, out=out)
    get, set_to = controls
    usual = get()
    wanted = 1 if a.shape[-2] * a.shape[-1] * b.shape[-1] < WORTH else min(usual, most or usual)
    if wanted == usual:
        return numpy.matmul(a, b, out=out)
    set_to(wanted)
    try:
        return numpy.matmul(a, b, out=out)
    finally:
        set_to(usual)
