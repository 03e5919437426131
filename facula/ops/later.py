"""Operations that are imported when they are first used: seldom needed, and `import facula` is
to be light. The names are those of functions; methods and in-place methods follow from them.
"""

from __future__ import annotations

import importlib

FOREACH_UNARY = """abs acos asin atan ceil cos cosh erf erfc exp expm1 floor frac lgamma log log10
    log1p log2 neg reciprocal round rsqrt sigmoid sign sin sinh sqrt tan tanh trunc zero"""
FOREACH_BINARY = "add div mul pow sub"
_FOREACH = f"""{FOREACH_UNARY}_ {FOREACH_BINARY} addcdiv addcmul clamp_max clamp_min copy_ lerp max
    maximum minimum norm"""  # zero_ and copy_ have no other form

MODULES = {
    "facula.ops.foreach": " ".join([f"_foreach_{name}" for name in _FOREACH.split()]),
    "facula.linalg.legacy": """cholesky cholesky_inverse cholesky_solve det geqrf inverse logdet lu
        lu_solve lu_unpack matrix_exp matrix_power orgqr ormqr pca_lowrank pinverse qr slogdet svd
        svd_lowrank triangular_solve""",
    "facula.ops.functional": """adaptive_avg_pool1d alpha_dropout avg_pool1d bilinear celu
        channel_shuffle conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d
        conv_transpose3d cosine_similarity feature_alpha_dropout hardshrink max_pool1d max_pool2d
        max_pool3d pairwise_distance pdist pixel_shuffle pixel_unshuffle prelu rms_norm rrelu selu
        threshold""",
    "facula.ops.native": """_has_compatible_shallow_copy_type _log_softmax
        _log_softmax_backward_data _softmax _softmax_backward_data adaptive_max_pool1d
        affine_grid_generator alpha_dropout_ as_strided_
        binary_cross_entropy_with_logits celu_ cosine_embedding_loss ctc_loss dropout_ embedding
        embedding_renorm_ feature_alpha_dropout_ feature_dropout feature_dropout_ gru_cell
        hinge_embedding_loss instance_norm kl_div lstm_cell margin_ranking_loss
        max_pool1d_with_indices native_channel_shuffle norm_except_dim poisson_nll_loss range
        resize_as_ rnn_relu_cell rnn_tanh_cell rrelu_ selu_ threshold_ triplet_margin_loss""",
    "facula.ops.fake_quantize": """fake_quantize_per_channel_affine
        fake_quantize_per_tensor_affine""",
    "facula.ops.seldom": "eig lstsq solve symeig",
    "facula.ops.draws": "_sample_dirichlet _standard_gamma binomial poisson",
    "facula.ops.special": """digamma erfinv i0 igamma igammac lgamma mvlgamma polygamma""",
    "facula.ops.spectra": """bartlett_window blackman_window hamming_window hann_window istft
        kaiser_window stft""",
    "facula.ops.grouped": "_grouped_mm",
    "facula.ops.segments": "_segment_reduce segment_reduce",
    "facula.linalg.lobpcg": "lobpcg",
    "facula.ops.normalizing": """batch_norm batch_norm_update_stats grid_sampler
        grid_sampler_2d grid_sampler_3d group_norm layer_norm
        native_batch_norm native_group_norm native_layer_norm""",
}
METHODS_ONLY = {
    "facula.multiprocessing.shared": "is_shared share_memory_",
    "facula.ops.seldom": """const_data_ptr dim_order ipu is_distributed map2_ mtia record_stream
        xpu""",
    "facula.sparse.methods": """_indices _nnz _values coalesce dense_dim indices is_coalesced
        ccol_indices col_indices crow_indices row_indices sparse_dim sparse_mask to_dense
        to_sparse to_sparse_bsc to_sparse_bsr to_sparse_coo to_sparse_csc to_sparse_csr values""",
}
# Of the functions in MODULES, those that are methods too.
METHODS_TOO = """_sample_dirichlet _standard_gamma cholesky cholesky_inverse cholesky_solve det
    eig lstsq solve symeig
    digamma digamma_ erfinv erfinv_ geqrf hardshrink i0 i0_ igamma igamma_ igammac igammac_ inverse
    istft lgamma lgamma_ logdet lu lu_solve matrix_exp matrix_power mvlgamma mvlgamma_ orgqr ormqr
    pinverse polygamma polygamma_ prelu qr slogdet stft svd triangular_solve"""
METHODS = [*METHODS_TOO.split(), *" ".join(METHODS_ONLY.values()).split()]
HOME = {
    name: module
    for table in (MODULES, METHODS_ONLY)
    for module, names in table.items()
    for name in names.split()
}


def load(name: str) -> bool:
    """Import the module that declares an operation (or its in-place method); whether there is one.

    Importing enters the module's operations in the table; the caller attaches them.
    """
    module = HOME.get(name) or HOME.get(name[:-1] if name.endswith("_") else "")
    if module is None:
        return False
    importlib.import_module(module)
    return True
