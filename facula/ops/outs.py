"""Which operations take `out=`, and what they ask of it: PyTorch's kernels differ in that.

Found by calling PyTorch's functions with an `out` of each dtype.
"""

from __future__ import annotations


def _set(names: str) -> frozenset[str]:
    return frozenset(names.split())


# Operations whose `out=` must have the result's dtype.
EXACT_OUT = _set("""
    abs addbmm addmm addmv amax amin aminmax argmax argmin baddbmm bitwise_not bmm bucketize ceil
    chain_matmul cholesky_ex clamp clamp_max clamp_min clip complex conj_physical cross det diag
    diagonal_copy dot eigh eigvalsh expand_copy fix float_power floor frac gather heaviside histc
    histogram index_add index_copy index_reduce index_select inner inv inverse isin isneginf
    isposinf ldl_factor log_softmax logcumsumexp lu_solve masked_select matmul matrix_norm
    matrix_power mm msort multi_dot multinomial mv nan_to_num nanquantile narrow_copy neg negative
    nonzero norm ormqr permute_copy polar quantile renorm round scatter scatter_add scatter_reduce
    searchsorted sgn sign signbit slice_copy slice_scatter softmax solve solve_triangular
    squeeze_copy svdvals take take_along_dim tensordot transpose_copy tril triu trunc unbind_copy
    vdot vecdot vector_norm view_as_real_copy where""")
# As these, where they have several results.
EXACT_OUTS = _set("""
    cummax cummin eigh frexp histogram kthvalue ldl_factor lu lu_factor lu_unpack max median min
    mode nanmedian qr slogdet sort svd topk triangular_solve""")
# Those that compute in the dtype of the tensor that they write to.
IN_DTYPE_OF_OUT = _set("""
    arange cumprod cumsum empty eye fftfreq full linspace logspace ones prod rand randint randn
    randperm range rfftfreq sum zeros""")
# Those whose results go into a tensor of any dtype.
ANY_OUT = _set("bernoulli")
# Those that fill a tensor of as many elements in row-major order, whatever its shape.
FILLS = _set("arange linspace logspace range")
# Joins, which raise a TypeError for a dtype that theirs can not be cast to.
JOINS = _set("cat column_stack concat concatenate dstack hstack row_stack stack vstack")
# Those whose `out=` may not be an input.
NO_OVERLAP = _set("""
    cat concat concatenate gather index_select kthvalue masked_select stack take""")
# Those that have none.
NO_OUT = _set("""
    argsort as_strided bincount block_diag broadcast_tensors broadcast_to cartesian_prod cdist
    combinations cov cumulative_trapezoid diagflat diagonal_scatter dist dropout einsum empty_like
    empty_strided flatten flip full_like gradient index_fill isclose isinf isnan istft masked_fill
    meshgrid movedim narrow ones_like permute pinverse poisson positive rand_like randint_like
    randn_like real repeat_interleave roll rsub scalar_tensor select_scatter split squeeze
    std_mean stft tile trace trapezoid tril_indices triu_indices unflatten unique
    unique_consecutive unsqueeze vander var_mean zeros_like""")
