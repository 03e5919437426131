"""CUDA C++ to machine code by NVRTC, kept on disk like the objects of the CPU (`cpu/cache.py`)."""

from __future__ import annotations

import ctypes
import functools
from ctypes import byref, c_char_p, c_int, c_size_t, c_void_p
from typing import Any

from facula.cpu import cache
from facula.cuda import libraries

# No contraction into fused multiply-adds: a value that two kernels compute has the same bits.
OPTIONS = ("--std=c++17", "--fmad=false")


@functools.cache
def _library(newest: int | None) -> Any:
    lib = libraries.open_library("nvrtc", newest)
    for name, types in {
        "nvrtcVersion": (c_void_p, c_void_p),
        "nvrtcCreateProgram": (c_void_p, c_char_p, c_char_p, c_int, c_void_p, c_void_p),
        "nvrtcCompileProgram": (c_void_p, c_int, c_void_p),
        "nvrtcGetProgramLogSize": (c_void_p, c_void_p),
        "nvrtcGetProgramLog": (c_void_p, c_void_p),
        "nvrtcGetCUBINSize": (c_void_p, c_void_p),
        "nvrtcGetCUBIN": (c_void_p, c_void_p),
        "nvrtcDestroyProgram": (c_void_p,),
    }.items():
        f = getattr(lib, name)
        f.argtypes, f.restype = types, c_int
    return lib


@functools.cache
def version(newest: int | None = None) -> str:
    """NVRTC's version, which is part of what compiled code is named by."""
    major, minor = c_int(), c_int()
    _library(newest).nvrtcVersion(byref(major), byref(minor))
    return f"{major.value}.{minor.value}"


def compiled(text: str, arch: str, newest: int | None = None) -> bytes:
    """The machine code of a module for an architecture (`sm_90`), from disk if it is there."""
    name = cache.key("cuda", text, arch, version(newest), *OPTIONS)
    found = cache.load(name)
    if found is None:
        found = _compile(text, arch, _library(newest))
        cache.store(name, found)
    return found


def _compile(text: str, arch: str, lib: Any) -> bytes:
    program = c_void_p()
    code = lib.nvrtcCreateProgram(byref(program), text.encode(), b"facula.cu", 0, None, None)
    if code:
        raise RuntimeError(f"NVRTC: nvrtcCreateProgram failed with error {code}")
    try:
        options = [o.encode() for o in (*OPTIONS, f"--gpu-architecture={arch}")]
        code = lib.nvrtcCompileProgram(program, len(options), (c_char_p * len(options))(*options))
        if code:
            size = c_size_t()
            lib.nvrtcGetProgramLogSize(program, byref(size))
            log = ctypes.create_string_buffer(max(size.value, 1))
            lib.nvrtcGetProgramLog(program, log)
            said = log.value.decode(errors="replace")
            raise RuntimeError(f"NVRTC: a kernel did not compile for {arch}: {said}\n{text}")
        size = c_size_t()
        lib.nvrtcGetCUBINSize(program, byref(size))
        out = ctypes.create_string_buffer(size.value)
        lib.nvrtcGetCUBIN(program, out)
        return out.raw
    finally:
        lib.nvrtcDestroyProgram(byref(program))


__all__ = ["OPTIONS", "compiled", "version"]
