"""Shapes of a graph's values, against PyTorch."""

from __future__ import annotations

from fx import models
from nn.stored import agrees, submodule


@agrees
def test_shapes(torch):
    g = torch.fx.symbolic_trace(models.network(torch).eval())
    submodule(torch, "fx.passes.shape_prop").ShapeProp(g).propagate(torch.ones(2, 2, 4, 4))
    told = [n.meta["tensor_meta"] for n in g.graph.nodes]
    return [[list(t.shape), str(t.dtype), t.requires_grad, list(t.stride)] for t in told]
