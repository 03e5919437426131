"""Running the same operations with the interpreter and compiled."""

import numpy as np
import pytest

import facula as torch
from facula.compiler.lower import Lowered
from facula.interpreter import program


def lowered(patch):
    """All that is compiled from now on, as it is before addresses are known."""
    made = []
    start = Lowered.__init__

    def watched(self, *args):
        start(self, *args)
        if any(calls for _, calls in self.steps):
            made.append(self)

    patch.setattr(Lowered, "__init__", watched)
    return made


def left_out(made, allowed=()):
    """What the clusters of lowered programs leave to the interpreter."""
    return sorted(
        {
            n.op.name
            for p in made
            for c in p.grouping.clusters
            if c.fallback
            for n in c.nodes
            if n.op.name not in allowed and not any(0 in x.shape for x in (n, *n.inputs))
        }
    )


def values(results):
    """The results as arrays; in float32 where NumPy has no arithmetic of its own."""
    out = []
    for t in results:
        t = t.detach()
        out.append((t.float() if t.dtype.itemsize == 2 else t).numpy().copy())
    return out


def both(build, tolerance=1e-5, allowed=()):
    """Compare what `build` makes in both tiers; nothing but what is allowed may be left out.

    `build` returns tensors; whatever it draws is drawn alike, and its inputs must be realised by
    `torch.synchronize()` before the part that is to be compiled as one program.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "COMPILE_AFTER", 1 << 30)
        torch.manual_seed(7)
        want = values(build())
        patch.setattr(program, "COMPILE_AFTER", 0)
        made = lowered(patch)
        torch.manual_seed(7)
        got = values(build())
    assert made, "nothing was compiled"
    assert left_out(made, allowed) == []
    for k, (a, b) in enumerate(zip(want, got, strict=True)):
        assert a.shape == b.shape and a.dtype == b.dtype, k
        if a.dtype.kind == "f":
            np.testing.assert_allclose(b, a, rtol=tolerance, atol=tolerance, err_msg=f"result {k}")
        else:
            np.testing.assert_array_equal(b, a, err_msg=f"result {k}")
