"""Programs ask whether Triton is there."""

import facula as torch
from facula.utils._triton import has_triton, has_triton_package


def test_it_is_not():
    assert not has_triton() and not has_triton_package()
    assert torch.utils._triton.has_triton is has_triton
