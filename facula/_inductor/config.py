"""Settings that programs make: remembered, with no effect."""

from __future__ import annotations

from types import SimpleNamespace

coordinate_descent_tuning = False
max_autotune = False
epilogue_fusion = True
fx_graph_cache = True
force_fuse_int_mm_with_mul = False
use_mixed_mm = True
debug = False
freezing = False
triton = SimpleNamespace(cudagraphs=False, unique_kernel_names=False)
cpp = SimpleNamespace(threads=-1)
trace = SimpleNamespace(enabled=False)
