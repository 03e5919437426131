"""`torch.functional` has PyTorch's names, which are those of the package."""

import facula
from facula import functional

# `torch.functional.__all__` of PyTorch 2.13.0
NAMES = [
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "block_diag",
    "broadcast_shapes",
    "broadcast_tensors",
    "cartesian_prod",
    "cdist",
    "chain_matmul",
    "einsum",
    "istft",
    "lu",
    "meshgrid",
    "norm",
    "pca_lowrank",
    "split",
    "stft",
    "svd_lowrank",
    "tensordot",
    "unique",
    "unique_consecutive",
    "unravel_index",
]


def test_the_names_are_pytorchs_and_the_functions_those_of_the_package():
    assert sorted(functional.__all__) == NAMES
    for name in NAMES:
        assert getattr(functional, name) is getattr(facula, name), name


def test_the_network_functions_are_found_there_by_the_letter_that_programs_import():
    from facula.functional import F

    assert F is facula.nn.functional
