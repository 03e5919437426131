"""What autocast does with each operation: PyTorch's lists for the CPU and for CUDA.

The lists are PyTorch's decision, operation by operation, and are tested as they are. An operation
of no list is run as it is; what it calls inside is none of autocast's business, unless it is a
composition whose parts PyTorch dispatches one by one.

Source: https://pytorch.org/docs/stable/amp.html#autocast-op-reference
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from facula import Tensor
from facula.dtypes import bfloat16, dtype, float16, float32, float64
from facula.ops import table
from facula.trace.recorder import TLS

# The CPU's.
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
    affine_grid cell chain_matmul corrcoef cov einsum gru inner linear_cross_entropy matrix_power
    multi_dot pca_lowrank rnn svd_lowrank tensordot
"""
# CUDA's.
_CUDA_LOWER = """
    addbmm addmm addmv addr baddbmm bmm cell chain_matmul conv1d conv2d conv3d conv_tbc
    conv_transpose1d conv_transpose2d conv_transpose3d einsum gru linear lstm matmul mm multi_dot
    mv prelu rnn scaled_dot_product_attention vecdot
"""
_CUDA_FLOAT32 = """
    acos arccos arcsin asin cdist cosh cosine_embedding_loss cosine_similarity cross_entropy cumprod
    cumsum dist erfinv exp expm1 frobenius_norm group_norm hinge_embedding_loss huber_loss
    interpolate kl_div l1_loss layer_norm log log10 log1p log2 log_softmax logsumexp
    margin_ranking_loss matrix_norm mse_loss multi_margin_loss multilabel_margin_loss nll_loss norm
    nuclear_norm pdist poisson_nll_loss pow prod reciprocal renorm rsqrt sinh smooth_l1_loss
    soft_margin_loss softmax softplus sum tan triplet_margin_loss vector_norm
    binary_cross_entropy_with_logits
"""
_CUDA_PROMOTE = """
    addcdiv addcmul atan2 bilinear cat cross dot grid_sample index_put scatter_add stack tensordot
    vdot
"""
_CUDA_COMPOSED = """
    affine_grid corrcoef cov gumbel_softmax inner linear_cross_entropy matrix_power normalize
    pairwise_distance pca_lowrank softmin svd_lowrank
"""
_REFUSED = (
    "torch.nn.functional.binary_cross_entropy and torch.nn.BCELoss are unsafe to autocast.\n"
    "Many models use a sigmoid layer right before the binary cross entropy layer.\n"
    "In this case, combine the two layers using torch.nn.functional.binary_cross_entropy_with_"
    "logits\nor torch.nn.BCEWithLogitsLoss.  binary_cross_entropy_with_logits and BCEWithLogits "
    "are\nsafe to autocast."
)

# Those that are in no list, and call none that is.
_AS_THEY_ARE = """
    add sub mul div true_divide neg abs relu sigmoid tanh sqrt square clamp maximum minimum eq ne lt
    le gt ge add_ sub_ mul_ div_ neg_ relu_ zero_ fill_ copy_ clone view view_as reshape transpose t
    permute split chunk unbind expand expand_as squeeze unsqueeze contiguous select narrow flatten
    unflatten detach to float half bfloat16 type_as
"""


class Lists(NamedTuple):
    """The operations of one kind of device that run in 16 bits, in float32, in the widest dtype of
    their operands, and those whose parts are looked at one by one."""

    lower: frozenset[str]
    float32: frozenset[str]
    promote: frozenset[str]
    composed: frozenset[str]


def _lists(*texts: str) -> Lists:
    return Lists(*[frozenset(s.split()) for s in texts])


LISTS = {
    "cpu": _lists(_LOWER, _FLOAT32, "cat index_copy stack", _COMPOSED),
    "cuda": _lists(_CUDA_LOWER, _CUDA_FLOAT32, _CUDA_PROMOTE, _CUDA_COMPOSED),
}


def _kind(where: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    if kwargs.get("out") is not None:
        return ""
    lists = LISTS[where]
    if where == "cuda":
        if name == "binary_cross_entropy":
            raise RuntimeError(_REFUSED)
        given = kwargs.get("dtype") is not None or any([isinstance(a, dtype) for a in args])
        if given and name in lists.float32:
            return ""
    elif name == "pad":
        amounts = args[1] if len(args) > 1 else kwargs["pad"]
        mode = args[2] if len(args) > 2 else kwargs.get("mode", "constant")
        most = {"reflect": 4, "replicate": 6}.get(mode, 0)
        return "float32" if len(amounts) <= most else ""
    elif name == "max_pool3d" and kwargs.get("return_indices"):
        return ""
    for kind in ("lower", "float32", "promote"):
        if name in getattr(lists, kind):
            return kind
    return ""


def cast(value: Any, to: dtype, where: str = "cpu") -> Any:
    """Floating-point tensors of a kind of device, float64 apart, as another dtype; sequences by
    their elements."""
    if isinstance(value, Tensor):
        d = value.dtype
        wanted = d.is_floating_point and d is not float64 and value.device.type == where
        return value.to(to) if wanted else value
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return type(value)([cast(v, to, where) for v in value])
    return value


def _where(values: Iterable[Any]) -> str | None:
    """The kind of device that a call's tensors are on: CUDA if any is; None: there are none."""
    found: str | None = None
    for v in values:
        kind: str | None
        if isinstance(v, Tensor):
            kind = v.device.type
        elif isinstance(v, (list, tuple)):
            kind = _where(v)
        else:
            continue
        if kind == "cuda":
            return kind
        found = kind or found
    return found


def _widest(values: Any) -> dtype:
    """The dtype for operations that take several: float32, unless all are of one low precision."""
    found = set()
    for v in values:
        for t in v if isinstance(v, (list, tuple)) else (v,):
            if isinstance(t, Tensor) and t.is_floating_point():
                found.add(t.dtype)
    return found.pop() if len(found) == 1 and found <= {bfloat16, float16} else float32


def mixed(f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The call as autocast has it; NotImplemented for a composition, whose parts come one by one,
    and where autocast is on for other devices than the call's."""
    name = f.__name__
    r = TLS.r
    on = r.autocast
    where = _where((*args, *kwargs.values()))
    low = on.get(where)
    if low is None or where not in LISTS or name in LISTS[where].composed:
        return NotImplemented
    r.autocast = None
    try:
        kind = _kind(where, name, args, kwargs)
        if kind:
            values = (*args, *kwargs.values())
            to = low if kind == "lower" else float32 if kind == "float32" else _widest(values)
            args = tuple([cast(a, to, where) for a in args])
            kwargs = {k: cast(v, to, where) for k, v in kwargs.items()}
        out = f(*args, **kwargs)
        # PyTorch's last step is a product
        return out.to(low) if name == "pinv" and where == "cpu" else out
    finally:
        r.autocast = on


table.MIXED = mixed
table.AS_THEY_ARE = frozenset((*_AS_THEY_ARE.split(), table.SPAN))


def switch(where: str, low: dtype | None) -> None:
    """Set the dtype of this thread's autocast for a kind of device, None to end it."""
    r = TLS.r
    before = r.autocast
    on = {k: v for k, v in (before or {}).items() if k != where}
    if low is not None:
        on[where] = low
    r.autocast = on or None
    if before is None and on:
        table.OVERRIDES.append(mixed)  # from now on every call is offered to `table.dispatch`
    elif before is not None and not on:
        table.OVERRIDES.remove(mixed)
