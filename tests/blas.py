"""Which kernels NumPy's library multiplies matrices with."""

import ctypes
import glob
import os

import numpy as np


def kernels() -> str:
    """OpenBLAS's name of the processor, '' of another library."""
    here = os.path.dirname(np.__file__)
    for path in glob.glob(os.path.join(glob.escape(here), "../numpy.libs/*openblas*")):
        name = getattr(ctypes.CDLL(path), "scipy_openblas_get_corename64_", None)
        if name is not None:
            name.restype = ctypes.c_char_p
            return name().decode()
    return ""


# Those with vectors of 64 bytes add up the products of one block one after the other.
IN_ORDER = kernels().lower() in ("skylakex", "cooperlake", "sapphirerapids")
