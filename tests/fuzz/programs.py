"""Random programs over tensors that share memory, as plain data.

A program is {"seed", "bases", "steps"}: statements of Python over the names `v0`, `v1`, ... and
`torch`. A base is a statement that makes a tensor; every step is one statement. Statements are
plain text, so a program can be stored, shortened by leaving steps out, and read.

The maker follows shapes and dtypes (not values), so that most steps are valid; some are wrong on
purpose, because what fails, and that nothing changes then, is compared too.
"""

from __future__ import annotations

from fuzz.gradients import Gradients
from fuzz.maker import FLOATS
from fuzz.writes import Writes


def make(seed: int) -> dict:
    """The program of a seed."""
    return Programs(seed).program()


class Programs(Writes, Gradients):
    """Makes one program."""

    def kind(self) -> str:
        return self.r.choice(KINDS)

    def base(self) -> None:
        """A tensor to begin with."""
        shape = self.shape()
        dtype = self.choice(*["float64"] * 14, "float32", "float32", "int64", "int64", "bool")
        rg = dtype in FLOATS and self.chance(0.5)
        source = self.literal(shape, dtype)
        c = self.r.random()
        if rg and c < 0.1:
            source = f"torch.nn.Parameter({source})"
        else:
            if c < 0.15 and len(shape) == 2:
                source += ".t()"
                shape = shape[::-1]
            elif c < 0.25 and not rg:
                source = f"torch.from_numpy({source}.numpy())"
            if rg:
                source += ".requires_grad_()"
        self.add(source, shape, dtype, rg, rg)

    def program(self) -> dict:
        for _ in range(self.choice(1, 1, 2, 2, 3, 4)):
            self.base()
        bases, self.steps = self.steps, []
        length = self.r.randint(5, 40)
        if any(v.rg for v in self.vars) and self.chance(0.8):  # a first result with a history
            v = next(v for v in self.vars if v.rg)
            first = self.choice("{0} * 2", "{0}.clone()", "{0} * {0}", "{0}.exp()")
            self.add(first.format(v.name), v.shape, v.dtype, True)
        while len(self.steps) < length:
            getattr(self, self.kind())()
        return {"seed": self.seed, "bases": bases, "steps": self.steps[:length]}


KINDS = (
    ["view"] * 28
    + ["inplace"] * 24
    + ["pure"] * 18
    + ["setitem"] * 10
    + ["backward"] * 9
    + ["read_index", "read"] * 5
    + ["meta"] * 4
    + ["grads", "numpy"] * 3
    + ["hook", "mode"] * 2
    + ["step"]
)
