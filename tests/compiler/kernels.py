"""What kernels a function's program has."""

import numpy as np

import facula as torch
from facula.compiler import lower
from facula.interpreter import program


def kernels(f, monkeypatch):
    """The operations of each kernel of what f records, and f's result, computed compiled."""
    seen = []
    init = lower.Lowered.__init__

    def spy(self, *args):
        init(self, *args)
        if any(calls for _, calls in self.steps):
            seen.append([[n.op.name for n in c.nodes] for c, _ in self.steps])

    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    monkeypatch.setattr(lower.Lowered, "__init__", spy)
    out = f()
    torch.synchronize()
    monkeypatch.setattr(program, "COMPILE_AFTER", 10**9)
    want = f()
    torch.synchronize()
    for a, b in zip(out, want, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-5, atol=1e-6)
    assert seen
    return seen[0]
