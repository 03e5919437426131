"""DLPack capsules of dtypes that NumPy has no number for.

NumPy reads and writes capsules; here the description of the elements in them is changed: bfloat16
and the 8-bit floats travel as unsigned integers between NumPy and the capsule.
Source: https://dmlc.github.io/dlpack/latest/c_api.html
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from facula import dtypes

_UNSIGNED = 1
_CODES = {
    dtypes.BY_NAME[name]: code
    for name, code in {
        "bfloat16": 4,
        "float8_e4m3fn": 10,
        "float8_e4m3fnuz": 11,
        "float8_e5m2": 12,
        "float8_e5m2fnuz": 13,
        "float8_e8m0fnu": 14,
    }.items()
}
_OF_CODE = {(code, 8 * d.itemsize): d for d, code in _CODES.items()}
_UNVERSIONED, _VERSIONED = b"dltensor", b"dltensor_versioned"


class _DLTensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("byte_offset", ctypes.c_uint64),
    ]


_BEFORE_VERSIONED = 32  # bytes: the version, the context, the deleter and the flags come first

_valid = ctypes.pythonapi.PyCapsule_IsValid
_valid.argtypes = [ctypes.py_object, ctypes.c_char_p]
_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.argtypes, _pointer.restype = [ctypes.py_object, ctypes.c_char_p], ctypes.c_void_p


def _described(capsule: Any) -> _DLTensor | None:
    """The description in a capsule; None for one that was taken, or is of another kind."""
    for name, before in ((_UNVERSIONED, 0), (_VERSIONED, _BEFORE_VERSIONED)):
        if _valid(capsule, name):
            return _DLTensor.from_address(_pointer(capsule, name) + before)
    return None


def exported(array: Any, d: Any, **kwargs: Any) -> Any:
    """A capsule over an array's memory, with elements of dtype d."""
    code = _CODES.get(d)
    if code is None:
        return array.__dlpack__(**kwargs)
    capsule = array.view(f"u{d.itemsize}").__dlpack__(**kwargs)
    described = _described(capsule)
    assert described is not None
    described.code = code
    return capsule


class _Taken:
    """What NumPy takes an array from: an object that exports one, or a capsule by itself."""

    def __init__(self, given: Any) -> None:
        self.given = given
        self.dtype: Any = None  # of the elements, where NumPy sees integers
        self.open = False  # whether nothing says that the memory may not be written

    def __dlpack__(self, **kwargs: Any) -> Any:
        capsule = self.given
        if type(capsule).__name__ != "PyCapsule":
            try:
                capsule = self.given.__dlpack__(**kwargs)
            except TypeError:  # one that knows nothing of versions
                capsule = self.given.__dlpack__()
        self.open = bool(_valid(capsule, _UNVERSIONED))
        described = _described(capsule)
        if described is not None:
            self.dtype = _OF_CODE.get((described.code, described.bits))
            if self.dtype is not None:
                described.code = _UNSIGNED
        return capsule

    def __dlpack_device__(self) -> Any:
        if type(self.given).__name__ == "PyCapsule":
            return (1, 0)
        return self.given.__dlpack_device__()


class _Writable:
    """The memory of an array as memory that may be written; it keeps the array alive."""

    def __init__(self, array: Any) -> None:
        self.array = array
        self.__array_interface__ = dict(array.__array_interface__)
        self.__array_interface__["data"] = (array.ctypes.data, False)


def imported(given: Any) -> Any:
    """An array over the memory of a capsule, or of an object with `__dlpack__`."""
    taken = _Taken(given)
    array = np.from_dlpack(taken)
    if taken.open and not array.flags.writeable:
        # NumPy takes memory for read-only where the capsule can't say.
        array = np.asarray(_Writable(array))
    return array if taken.dtype is None else array.view(taken.dtype.np)
