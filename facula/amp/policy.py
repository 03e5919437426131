"""What autocast does with each operation: PyTorch's lists for the CPU.

The lists are PyTorch's decision, operation by operation, and are tested as they are. An operation
of no list is run as it is; what it calls inside is none of autocast's business, unless it is a
composition whose parts PyTorch dispatches one by one.

Source: https://pytorch.org/docs/stable/amp.html#cpu-ops-that-can-autocast-to-bfloat16
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from facula import Tensor
from facula.dtypes import bfloat16, dtype, float16, float32, float64
from facula.ops import table
from facula.trace.recorder import TLS

_LOWER = """
    _addmm_activation addbmm addmm baddbmm bmm conv1d conv2d conv3d conv_tbc conv_transpose1d
    conv_transpose2d conv_transpose3d linear lstm matmul mm prelu scaled_dot_product_attention
    vecdot
"""
_FLOAT32 = """
    adaptive_avg_pool3d adaptive_max_pool3d adaptive_max_pool3d_with_indices avg_pool3d
    binary_cross_entropy binary_cross_entropy_with_logits cdist cholesky cholesky_ex
    cholesky_inverse cholesky_solve cond cosine_embedding_loss cross_entropy ctc_loss eig eigh
    eigvals eigvalsh fft fft2 fftn fractional_max_pool2d fractional_max_pool2d_with_indices
    fractional_max_pool3d fractional_max_pool3d_with_indices geqrf grid_sample grid_sampler
    grid_sampler_2d grid_sampler_3d hfft hinge_embedding_loss householder_product huber_loss
    ifft ifft2 ifftn ihfft inv inv_ex inverse irfft irfft2 irfftn kl_div l1_loss lstsq lu
    lu_solve margin_ranking_loss matrix_rank max_pool3d max_unpool1d
    max_unpool2d max_unpool3d mse_loss multi_margin_loss multilabel_margin_loss nanquantile
    nll_loss orgqr ormqr pinv pinverse poisson_nll_loss polar prod qr quantile rfft rfft2 rfftn
    smooth_l1_loss soft_margin_loss solve stft svd svdvals tensorinv tensorsolve trace
    triangular_solve triplet_margin_loss view_as_complex
"""
_COMPOSED = """
    affine_grid chain_matmul corrcoef cov einsum inner linear_cross_entropy matrix_power
    multi_dot pca_lowrank svd_lowrank tensordot
"""
LOWER, FLOAT32, COMPOSED = [frozenset(s.split()) for s in (_LOWER, _FLOAT32, _COMPOSED)]
PROMOTE = frozenset(("cat", "index_copy", "stack"))


def _kind(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    if kwargs.get("out") is not None:
        return ""
    if name == "pad":
        amounts = args[1] if len(args) > 1 else kwargs["pad"]
        mode = args[2] if len(args) > 2 else kwargs.get("mode", "constant")
        most = {"reflect": 4, "replicate": 6}.get(mode, 0)
        return "float32" if len(amounts) <= most else ""
    if name == "max_pool3d" and kwargs.get("return_indices"):
        return ""
    if name in LOWER:
        return "lower"
    if name in FLOAT32:
        return "float32"
    return "promote" if name in PROMOTE else ""


def cast(value: Any, to: dtype) -> Any:
    """Floating-point tensors, float64 apart, as another dtype; sequences by their elements."""
    if isinstance(value, Tensor):
        d = value.dtype
        return value.to(to) if d.is_floating_point and d is not float64 else value
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return type(value)([cast(v, to) for v in value])
    return value


def _widest(values: Any) -> dtype:
    """The dtype for operations that take several: float32, unless all are of one low precision."""
    found = set()
    for v in values:
        for t in v if isinstance(v, (list, tuple)) else (v,):
            if isinstance(t, Tensor) and t.is_floating_point():
                found.add(t.dtype)
    return found.pop() if len(found) == 1 and found <= {bfloat16, float16} else float32


def mixed(f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The call as autocast has it; NotImplemented for a composition: its parts come one by one."""
    name = f.__name__
    if name in COMPOSED:
        return NotImplemented
    r = TLS.r
    low = r.autocast
    r.autocast = None
    try:
        kind = _kind(name, args, kwargs)
        if kind:
            values = (*args, *kwargs.values())
            to = low if kind == "lower" else float32 if kind == "float32" else _widest(values)
            args = tuple([cast(a, to) for a in args])
            kwargs = {k: cast(v, to) for k, v in kwargs.items()}
        out = f(*args, **kwargs)
        return out.to(low) if name == "pinv" else out  # PyTorch's last step is a product
    finally:
        r.autocast = low


table.MIXED = mixed


def switch(low: dtype | None) -> None:
    """Set the dtype of this thread's autocast, None to end it."""
    r = TLS.r
    before, r.autocast = r.autocast, low
    if before is None and low is not None:
        table.OVERRIDES.append(mixed)  # from now on every call is offered to `table.dispatch`
    elif before is not None and low is None:
        table.OVERRIDES.remove(mixed)
