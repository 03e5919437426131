"""NumPy, imported so that the threads of its matrix products go to sleep at once.

Those of OpenBLAS look for more work for some 30 ms after a product before they sleep, on the very
processors that compiled programs want to have meanwhile. What the environment says is left alone,
and so is a NumPy that has been imported before.
"""

from __future__ import annotations

import os

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
