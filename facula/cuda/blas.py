"""Matrix products by cuBLAS.

Called through ctypes. cuBLASLt would fuse what follows into the product; it needs a search for an
algorithm for every shape, so it comes when a measurement asks for it. float32 is computed in
float32 unless `set_float32_matmul_precision` allows TF32, as in PyTorch; 16-bit floats are added
up in float32, on tensor cores.
"""

from __future__ import annotations

from ctypes import byref, c_double, c_float, c_int, c_longlong, c_size_t, c_void_p
from typing import Any

from facula import switches
from facula.compiler.cluster import kind_of
from facula.cuda import driver, libraries
from facula.trace.node import Node

WORKSPACE = 32 << 20
# What cuBLAS calls a kind, what its products are added up in, and numbers of that.
KINDS: dict[str, tuple[int, int, Any]] = {
    "f32": (0, 68, c_float),
    "f64": (1, 70, c_double),
    "f16": (2, 68, c_float),
    "bf16": (14, 68, c_float),
}
TF32 = 77
_state: dict[str, Any] = {}


def tf32() -> bool:
    """Whether products of float32 may be computed in TF32."""
    return switches.get_float32_matmul_precision() != "highest"


class Product:
    """One product, or a batch of them: rows of `m`, columns `n`, `k` terms each.

    A side is (argument, whether it lies column by column, step between columns or rows, step
    between the matrices of a batch, scratch that it names).
    """

    __slots__ = ("args", "batch", "compute", "kind", "made", "room", "shape", "sides")

    def __init__(
        self, a: Any, b: Any, out: Node, m: int, n: int, k: int, batch: int, kind: Any
    ) -> None:
        self.args = [a[0], b[0], ("buffer", out, 0)]
        self.room = {**a[4], **b[4]}
        self.sides = [a[1:4], b[1:4]]
        self.shape = m, n, k
        self.batch = batch
        self.kind, self.made = kind, kind_of(out)
        self.compute = TF32 if kind == "f32" and tf32() else KINDS[kind][1]

    def bound(self) -> Any:
        """A function of the three addresses that queues the product."""
        f, handle = _ready()
        kind, _, number = KINDS[self.kind]
        made = KINDS[self.made or self.kind][0]
        (at, ald, astep), (bt, bld, bstep) = self.sides
        m, n, k = self.shape
        one, zero = number(1), number(0)
        batch = self.batch

        # cuBLAS goes by columns: the transposed product of the transposed operands.
        def run(a: int, b: int, out: int) -> None:
            code = f(
                *(handle, int(bt), int(at), n, m, k, byref(one)),
                *(b, kind, bld, bstep, a, kind, ald, astep, byref(zero)),
                *(out, made, n, m * n, batch, self.compute, -1),
            )
            if code:
                raise RuntimeError(f"CUDA error: cuBLAS failed with status {code} ({self.shape})")

        return run


def _ready() -> tuple[Any, Any]:
    if "handle" not in _state:
        device = driver.get()
        lib = libraries.open_library("cublas", device.version())
        lib.cublasCreate_v2.argtypes = (c_void_p,)
        lib.cublasSetStream_v2.argtypes = (c_void_p, c_void_p)
        lib.cublasSetWorkspace_v2.argtypes = (c_void_p, c_void_p, c_size_t)
        handle = c_void_p()
        code = lib.cublasCreate_v2(byref(handle))
        if code:
            raise RuntimeError(f"CUDA error: cublasCreate failed with status {code}")
        lib.cublasSetStream_v2(handle, device.stream)
        # Memory of its own, since what it would allocate can't be part of a captured graph.
        lib.cublasSetWorkspace_v2(handle, device.allocate(WORKSPACE), WORKSPACE)
        _state["handle"] = handle
        f = _state["product"] = lib.cublasGemmStridedBatchedEx
        side = (c_void_p, c_int, c_int, c_longlong)
        f.argtypes = (
            *(c_void_p, c_int, c_int, c_int, c_int, c_int, c_void_p),
            *(*side, *side, c_void_p, *side, c_int, c_int, c_int),
        )
    return _state["product"], _state["handle"]


__all__ = ["KINDS", "Product", "tf32"]
