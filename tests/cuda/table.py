"""Operations for the device's tests: name, function of tensors, their shapes.

Each is computed on the CPU and on the device, with its gradients where the result has any.
"""

from __future__ import annotations

from typing import Any

import facula as torch
from facula.nn import functional as F

UNARY = (
    *("abs", "neg", "exp", "exp2", "expm1", "sin", "cos", "tan", "tanh"),
    *("sigmoid", "sinh", "cosh", "atan", "asinh", "erf", "erfc", "floor", "ceil"),
    *("round", "trunc", "sign", "square", "relu", "isnan", "signbit", "sgn", "sinc", "softmax"),
)
POSITIVE = ["log", "log2", "log10", "log1p", "sqrt", "rsqrt", "reciprocal", "acosh"]

Case = tuple[str, Any, tuple[tuple[int, ...], ...]]

CASES: list[Case] = [
    ("add", lambda a, b: a + b, ((3, 4), (3, 4))),
    ("broadcast", lambda a, b: a * b, ((3, 1, 4), (5, 1))),
    ("scalars", lambda a: (2 * a + 1) / 3 - 1 / (a * a + 1), ((4, 5),)),
    ("where", lambda a, b: torch.where(a > b, a, b * 2), ((3, 4), (4,))),
    ("maximum", torch.maximum, ((5,), (5,))),
    ("minimum", torch.minimum, ((5,), (5,))),
    ("clamp", lambda a: a.clamp(-0.5, 0.5), ((7,),)),
    ("pow", lambda a: a.pow(3) + a.pow(2), ((6,),)),
    ("pow_float", lambda a: (a * a + 1).pow(1.5), ((6,),)),
    ("pow_tensor", lambda a, b: (a * a + 1).pow(b), ((6,), (6,))),
    ("atan2", torch.atan2, ((6,), (6,))),
    ("fmod", lambda a: torch.fmod(a * 5, 1.5), ((8,),)),
    ("remainder", lambda a: torch.remainder(a * 5, 1.5), ((8,),)),
    ("floor_divide", lambda a: torch.floor_divide(a.detach() * 5, 1.5), ((8,),)),
    ("lerp", lambda a, b: torch.lerp(a, b, 0.3), ((8,), (8,))),
    ("transposed", lambda a, b: a.t() + b, ((3, 4), (4, 3))),
    ("sliced", lambda a: a[1:, ::2] * 2, ((4, 7),)),
    ("flip", lambda a: a.flip(0) + a, ((5, 2),)),
    ("diagonal", lambda a: a.diagonal() * 2, ((4, 4),)),
    ("expand", lambda a: a.expand(3, 4) * 1.5, ((4,),)),
    ("reshape", lambda a: a.t().reshape(6, 2) + 1, ((3, 4),)),
    ("sum_all", lambda a: a.sum(), ((33, 7),)),
    ("sum_large", lambda a: (a * 2).sum(), ((70, 200),)),
    ("sum_rows", lambda a: (a * a).sum(1), ((5, 40),)),
    ("sum_long_rows", lambda a: (a * a).sum(1), ((2, 700),)),
    ("sum_columns", lambda a: (a * 2).sum(0), ((40, 5),)),
    ("sum_many_columns", lambda a: (a * 2).sum(0), ((600, 37),)),
    ("sum_middle", lambda a: a.sum(1), ((3, 4, 5),)),
    ("sum_ends", lambda a: a.sum((0, 2)), ((3, 4, 5),)),
    ("mean", lambda a: a.mean(), ((3, 4),)),
    ("mean_rows", lambda a: a.mean(-1, keepdim=True) + a, ((3, 4),)),
    ("var", lambda a: a.var(1), ((3, 9),)),
    ("std", lambda a: a.std(), ((30,),)),
    ("amax", lambda a: a.amax(1), ((3, 9),)),
    ("amin", lambda a: a.amin(0), ((3, 9),)),
    ("amax_all", lambda a: a.amax(), ((3, 9),)),
    ("max_pair", lambda a: a.max(1).values, ((3, 9),)),
    ("argmax", lambda a: a.argmax(1), ((3, 300),)),
    ("argmin", lambda a: a.argmin(), ((3, 9),)),
    ("prod", lambda a: a.prod(), ((7,),)),
    ("any", lambda a: (a > 1).any(1), ((4, 5),)),
    ("all", lambda a: (a > -1).all(), ((4, 5),)),
    ("norm", lambda a: a.norm(), ((4, 5),)),
    ("logsumexp", lambda a: a.logsumexp(1), ((4, 5),)),
    ("softmax_columns", lambda a: a.softmax(0), ((4, 5),)),
    ("log_softmax", lambda a: a.log_softmax(1), ((4, 150),)),
    ("mm", lambda a, b: a @ b, ((3, 4), (4, 5))),
    ("mm_transposed", lambda a, b: a.t() @ b.t(), ((4, 3), (5, 4))),
    ("mm_strided", lambda a, b: a[:, ::2] @ b, ((3, 8), (4, 5))),
    ("mv", lambda a, b: a @ b, ((3, 4), (4,))),
    ("dot", lambda a, b: a @ b, ((9,), (9,))),
    ("bmm", lambda a, b: a @ b, ((2, 3, 4), (2, 4, 5))),
    ("matmul_broadcast", lambda a, b: a @ b, ((2, 3, 3, 4), (3, 4, 5))),
    ("linear", F.linear, ((6, 4), (5, 4), (5,))),
    ("gelu", F.gelu, ((4, 5),)),
    ("silu", F.silu, ((4, 5),)),
    ("elu", F.elu, ((4, 5),)),
    ("softplus", F.softplus, ((4, 5),)),
    ("leaky_relu", F.leaky_relu, ((4, 5),)),
    ("layer_norm", lambda a, b, c: F.layer_norm(a, (6,), b, c), ((4, 6), (6,), (6,))),
    ("batch_norm", lambda a: F.batch_norm(a, None, None, training=True), ((8, 3, 20),)),
    ("mse", F.mse_loss, ((4, 5), (4, 5))),
    ("bce", lambda a, b: F.binary_cross_entropy_with_logits(a, b.sigmoid()), ((6,), (6,))),
    ("cat", lambda a, b: torch.cat([a, b * 2], 1), ((3, 2), (3, 4))),
    ("stack", lambda a, b: torch.stack([a, b], 1), ((3, 2), (3, 2))),
    ("chunk", lambda a: a.chunk(2, 1)[1] * a.chunk(2, 1)[0], ((3, 4),)),
    ("pad", lambda a: F.pad(a, (1, 2)), ((3, 4),)),
    ("conv1d", F.conv1d, ((2, 3, 9), (4, 3, 3), (4,))),
    ("conv2d", lambda a, b: F.conv2d(a, b, padding=1), ((2, 3, 6, 5), (4, 3, 3, 3))),
    (
        "conv2d_settings",
        lambda a, b: F.conv2d(a, b, stride=2, padding=(2, 1), dilation=2, groups=2),
        ((2, 4, 9, 8), (6, 2, 3, 2)),
    ),
    ("conv3d", F.conv3d, ((1, 2, 4, 4, 4), (2, 2, 2, 2, 2))),
    (
        "conv_transpose2d",
        lambda a, b: F.conv_transpose2d(a, b, stride=2, padding=1, output_padding=1),
        ((2, 3, 4, 4), (3, 2, 3, 3)),
    ),
    ("max_pool", lambda a: F.max_pool2d(a, 2), ((2, 3, 6, 6),)),
    ("max_pool_overlap", lambda a: F.max_pool2d(a, 3, 2, 1), ((1, 2, 7, 6),)),
    ("max_pool1d", lambda a: F.max_pool1d(a, 3, 1), ((2, 2, 7),)),
    ("avg_pool", lambda a: F.avg_pool2d(a, 2), ((2, 3, 6, 6),)),
    ("avg_pool_padded", lambda a: F.avg_pool2d(a, 3, 2, 1), ((1, 2, 7, 6),)),
    (
        "avg_pool_exclusive",
        lambda a: F.avg_pool2d(a, 3, 2, 1, count_include_pad=False),
        ((1, 2, 7, 6),),
    ),
    ("adaptive_avg_pool", lambda a: F.adaptive_avg_pool2d(a, (2, 3)), ((2, 2, 5, 7),)),
    ("adaptive_max_pool", lambda a: F.adaptive_max_pool2d(a, (2, 3)), ((2, 2, 5, 7),)),
    (
        "max_unpool",
        lambda a: F.max_unpool2d(*F.max_pool2d(a, 2, return_indices=True), 2),
        ((2, 2, 4, 6),),
    ),
    ("sort", lambda a: a.sort(1).values, ((3, 9),)),
    ("sort_down", lambda a: a.t().sort(0, descending=True).indices, ((3, 9),)),
    ("topk", lambda a: a.topk(3, 0).values, ((9, 4),)),
    ("slice_of_a_sum", lambda a: (a * 2)[:, 1:3], ((3, 4),)),
    ("expanded_result", lambda a: (a * 2).sum(1, keepdim=True).expand(3, 4), ((3, 4),)),
    ("cat_with_nothing", lambda a: torch.cat([a[:0], a * 2]), ((3, 4),)),
    ("cumsum", lambda a: a.cumsum(1), ((3, 4),)),
    ("cummax", lambda a: a.cummax(1).values, ((3, 40),)),
    ("cummin", lambda a: a.t().cummin(1).values, ((9, 3),)),
    ("logcumsumexp", lambda a: a.logcumsumexp(1), ((3, 9),)),
    ("median", lambda a: a.median(1).values, ((3, 8),)),
    ("median_all", lambda a: a.median(), ((3, 8),)),
    ("nanmedian", lambda a: torch.where(a > 0, a, torch.nan).nanmedian(0).indices, ((9, 3),)),
    ("mode", lambda a: (a * 2).round().mode(1).values, ((3, 12),)),
    ("quantile", lambda a: a.quantile(0.3, 1), ((3, 8),)),
    ("searchsorted", lambda a, b: torch.searchsorted(a.sort(1).values, b), ((3, 8), (3, 5))),
    ("bucketize", lambda a, b: torch.bucketize(b, a.sort().values, right=True), ((8,), (3, 5))),
    ("isin", lambda a, b: torch.isin(a.round(), b.round()), ((3, 8), (3,))),
    ("lgamma", lambda a: (a * 3).lgamma(), ((3, 8),)),
    ("digamma", lambda a: (a * 3).digamma(), ((3, 8),)),
    ("polygamma", lambda a: torch.polygamma(2, a * a + 0.5), ((3, 8),)),
    ("zeta", lambda a, b: torch.special.zeta(a.detach() ** 2 + 1.5, b.detach() * 3), ((9,), (9,))),
    ("erfcx", lambda a: torch.special.erfcx(a * 2), ((9,),)),
    ("log_ndtr", lambda a: torch.special.log_ndtr(a * 3), ((9,),)),
    ("ndtri", lambda a: torch.special.ndtri(a.sigmoid()), ((9,),)),
    ("bessel", lambda a: torch.special.i0(a) + torch.special.i1(a), ((9,),)),
    ("bessel_j", lambda a: torch.special.bessel_j0(a.detach()) * a, ((9,),)),
    ("nextafter", lambda a, b: torch.nextafter(a.detach(), b.detach()), ((9,), (9,))),
    ("pow_whole", lambda a: (a * 3).long() ** (a * 2).long().abs(), ((9,),)),
    ("gcd", lambda a, b: torch.gcd((a * 9).long(), (b * 9).long()), ((9,), (9,))),
    ("lcm", lambda a, b: torch.lcm((a * 9).int(), (b * 9).int()), ((9,), (9,))),
    ("histc", lambda a: torch.histc(a.detach(), 5), ((3, 40),)),
    ("unfold", lambda a: a.unfold(1, 4, 2) * 2, ((2, 9, 3),)),
    ("as_strided", lambda a: a.as_strided((3, 4), (2, 3), 1) * 2, ((20,),)),
    ("im2col", lambda a: F.unfold(a, (2, 3), padding=1, stride=2), ((2, 3, 5, 6),)),
    ("col2im", lambda a: F.fold(a, (4, 5), (2, 3), padding=1), ((2, 12, 25),)),
    ("unique", lambda a: a.detach().round().unique(), ((3, 9),)),
    ("unique_counts", lambda a: a.detach().round().unique(return_counts=True)[1], ((3, 9),)),
    ("unique_inverse", lambda a: a.detach().round().unique(return_inverse=True)[1], ((3, 9),)),
    ("unique_rows", lambda a: a.detach().sign().unique(dim=0), ((9, 2),)),
    (
        "unique_columns",
        lambda a: torch.cat(
            a.detach().sign().unique(return_inverse=True, return_counts=True, dim=1)[1:]
        ),
        ((2, 9, 1),),
    ),
    ("unique_runs_of_rows", lambda a: a.detach().sign().unique_consecutive(dim=1), ((1, 9),)),
    (
        "unique_runs",
        lambda a: torch.cat(a.detach().sign().unique_consecutive(True, True)[1:]),
        ((20,),),
    ),
    ("bincount", lambda a: torch.bincount((a * a).long(), a.detach(), 5), ((20,),)),
    ("prod_of_nothing", lambda a: a[:0].prod() + 1, ((3,),)),
    ("scatter_of_numbers", lambda a: a.sum().scatter(0, a.long() * 0, a[0]), ((1,),)),
    ("tril", lambda a: a.tril(), ((4, 4),)),
    ("outer", torch.outer, ((3,), (4,))),
    ("einsum", lambda a, b: torch.einsum("bij,bjk->bik", a, b), ((2, 3, 4), (2, 4, 3))),
    ("attention", F.scaled_dot_product_attention, ((2, 2, 5, 4), (2, 2, 5, 4), (2, 2, 5, 4))),
    *[(name, lambda a, n=name: _unary(n, a), ((5, 7),)) for name in UNARY],
    *[(name, lambda a, n=name: getattr(torch, n)(a * a + 1.1), ((5, 7),)) for name in POSITIVE],
]

INDEXED: list[tuple[str, Any]] = [
    ("gather", lambda a, i: a.gather(1, i)),
    ("index_select", lambda a, i: a.index_select(0, i[0])),
    ("index", lambda a, i: a[i[0]]),
    ("index_pair", lambda a, i: a[i[0], i[1]]),
    ("index_back", lambda a, i: a[:, i[0]]),
    ("take_along_dim", lambda a, i: a.take_along_dim(i, 1)),
    ("embedding", lambda a, i: F.embedding(i, a)),
    ("scatter", lambda a, i: torch.zeros_like(a).scatter(1, i, a)),
    ("scatter_add", lambda a, i: torch.zeros_like(a).scatter_add(1, i % 2, a)),
    ("index_add", lambda a, i: torch.zeros_like(a).index_add(0, i[0] % 2, a[: i.shape[1]])),
    ("scatter_reduce_sum", lambda a, i: a.scatter_reduce(1, i % 2, a * 2, "sum")),
    ("scatter_reduce_mean", lambda a, i: a.scatter_reduce(1, i % 2, a * 2, "mean")),
    (
        "scatter_reduce_amax",
        lambda a, i: a.scatter_reduce(0, i[:2] % 3, a[:2] * 2, "amax", include_self=False),
    ),
    ("index_reduce", lambda a, i: a.index_reduce(0, i[0] % 2, a + 2, "prod")),
    ("index_put", lambda a, i: a.clone().index_put((i[0],), a[0])),
    ("one_hot", lambda a, i: F.one_hot(i, 4) * 2),
    ("cross_entropy", lambda a, i: F.cross_entropy(a, i[0, :1].expand(a.shape[0]))),
    ("nll", lambda a, i: F.nll_loss(a.log_softmax(1), i[:, 0])),
]


def _unary(name: str, a: Any) -> Any:
    return a.softmax(-1) if name == "softmax" else getattr(torch, name)(a)


def results(f: Any, tensors: list[Any], extra: tuple[Any, ...] = ()) -> list[Any]:
    """The result and the gradients, as arrays."""
    out = f(*tensors, *extra)
    made = [out]
    if out.requires_grad:
        weight = torch.arange(out.numel(), dtype=out.dtype).reshape(out.shape).to(out.device)
        (out * (weight * 0.1 - 1)).sum().backward()
        made += [t.grad for t in tensors]
    return [None if t is None else t.detach().cpu().numpy() for t in made]
