"""Finding the shared libraries of CUDA: the driver's, NVRTC's, cuBLAS's and cuDNN's.

They are called through ctypes: four C interfaces that have been stable for years, and no Python
package beside the wheels that hold the libraries (`pip install facula[cuda]`). Nothing is loaded
before somebody asks for a device.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import sys
from pathlib import Path
from typing import Any

from facula.errors import NoDeviceError

# Newest first; each goes with any driver that is new enough for it.
_NAMES = {
    "nvrtc": ("libnvrtc.so.13", "libnvrtc.so.12"),
    "cublas": ("libcublas.so.13", "libcublas.so.12"),
    "cudnn": ("libcudnn.so.9",),
}


def open_driver() -> Any:
    """The driver's library, or None where there is none."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        return ctypes.CDLL(name)
    except OSError:
        return None


def _folders() -> list[Path]:
    """Where the wheels of NVIDIA put their libraries."""
    found = importlib.util.find_spec("nvidia")
    out: list[Path] = []
    for root in [] if found is None else found.submodule_search_locations or ():
        out += sorted(Path(root).glob("*/lib"), reverse=True)
    return out


@functools.cache
def open_library(what: str, newest: int | None = None) -> Any:
    """A library of the toolkit by its short name. RuntimeError where it is not installed.

    `newest`: the major version of CUDA that the driver is good for.
    """
    names = [n for n in _NAMES[what] if newest is None or int(n.rsplit(".", 1)[1]) <= newest]
    for name in names:
        for folder in _folders():
            if (folder / name).exists():
                return ctypes.CDLL(str(folder / name))
    for name in names:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise NoDeviceError(
        f"CUDA needs one of {', '.join(names)}, which is not installed: pip install 'facula[cuda]'"
    )


def has_library(what: str) -> bool:
    """Whether a library of the toolkit can be loaded."""
    try:
        open_library(what)
    except NoDeviceError:
        return False
    return True


__all__ = ["has_library", "open_driver", "open_library"]
