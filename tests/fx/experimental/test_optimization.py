"""Models made faster for evaluation, against PyTorch."""

from __future__ import annotations

from fx import models
from nn.stored import agrees, submodule


@agrees(rtol=1e-4)
def test_batch_normalisation_is_folded_and_dropout_left_out(torch):
    optimization = submodule(torch, "fx.experimental.optimization")
    m = models.network(torch)
    x = torch.arange(64.0).reshape(2, 2, 4, 4).sin()
    for _ in range(3):
        m(x)
    fused = optimization.fuse(m.eval())
    bare = optimization.remove_dropout(m)
    return [m(x), fused(x), fused.code, bare(x), bare.code]
