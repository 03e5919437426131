"""16-bit floats, compiled, against the interpreter."""

import pytest
from cpu.both import both

import facula as torch
from facula.compiler.cluster import kind_of

F = torch.nn.functional
HALF = pytest.mark.skipif(
    kind_of(torch.ones(1, dtype=torch.float16).node) is None,
    reason="the processor does not convert float16",
)
NARROW = [torch.bfloat16, pytest.param(torch.float16, marks=HALF)]


def draw(*shape, dtype):
    return torch.randn(shape).to(dtype)


POINTWISE = {
    "arithmetic": lambda a, b: (a + b) * a - b / (a.abs() + 1) + 0.3,
    "comparisons": lambda a, b: torch.where(a > b, a, b * 2).clamp(-0.7, 1.1).relu(),
    "functions": lambda a, b: a.exp() + b.tanh() + a.sigmoid() * (b.abs() + 1).log() + a**3,
    "conversions": lambda a, b: a.float() * 0.1 + b.double() + (a * 3).to(torch.int32) + (b > 0),
    "rounded": lambda a, b: (a.float() * 1.001).to(a.dtype).float() + b.int().to(a.dtype),
    "activations": lambda a, b: F.gelu(a) + F.silu(b) + F.softplus(a),
}
OTHERS = {
    "sums": lambda a, b: [a.sum(), a.sum(0), a.mean(1), a.amax(0), b.argmax(1), a.prod(1)],
    "softmax": lambda a, b: [a.softmax(1), b.log_softmax(0), F.layer_norm(a, a.shape[1:])],
    "products": lambda a, b: [a @ b.t(), (a @ b.t() + 1).relu(), a.t() @ b, a @ b[0]],
    "indices": lambda a, b: [
        a[[2, 0, 2]],
        a.gather(1, b.argmax(1, True)),
        a.index_fill(0, a[0].argmax()[None] % 9, 1),
    ],
    "scatter": lambda a, b: [a.index_add(0, torch.tensor([1, 1, 3]), b[:3])],
    "parts": lambda a, b: [torch.cat([a, b], 1), F.pad(a, (1, 2), value=0.5), a.flip(0)],
    "scans": lambda a, b: [a.cumsum(1), b.cumsum(0), a.cummax(1)[0]],
    "long": lambda a, b: [a.repeat(200, 8).sum(), a.repeat(200, 8).sum(0), a.repeat(300, 3).amax()],
}


@pytest.mark.parametrize("dtype", NARROW, ids=str)
@pytest.mark.parametrize("name", [*POINTWISE, *OTHERS])
def test_narrow_floats(name, dtype):
    def build():
        a, b = draw(9, 37, dtype=dtype), draw(9, 37, dtype=dtype)
        torch.synchronize()
        if name in POINTWISE:
            return (POINTWISE[name](a, b),)
        return OTHERS[name](a, b)

    # One unit in the last place, where a function is off by less and the rounding goes elsewhere.
    both(build, tolerance=2**-7 if dtype is torch.bfloat16 else 2**-9)


def test_results_are_those_of_the_interpreter_bit_by_bit():
    def build():
        a, b = draw(40, 40, dtype=torch.bfloat16), draw(40, 40, dtype=torch.bfloat16)
        torch.synchronize()
        return a * b + a, (a - b) / (b.abs() + 1), a.cumsum(0), (a * 0.1).sqrt(), a.amax(1) * 3

    both(build, tolerance=0)


@pytest.mark.parametrize("dtype", NARROW, ids=str)
def test_a_network(dtype):
    def build():
        model = torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 3, padding=1),
            torch.nn.MaxPool2d(2),
            torch.nn.ReLU(),
            torch.nn.AvgPool2d(2),
            torch.nn.Flatten(),
            torch.nn.Linear(16, 5),
        ).to(dtype)
        x, y = draw(6, 3, 8, 8, dtype=dtype), torch.randint(0, 5, (6,))
        torch.synchronize()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return [loss, *[p.grad for p in model.parameters()]]

    both(build, tolerance=0.03)


@HALF
def test_conversions_of_every_bit_pattern():
    def build():
        bits = torch.arange(65536).to(torch.int16)
        a, b = bits.view(torch.bfloat16), bits.view(torch.float16)
        torch.synchronize()
        wide = torch.randn(3000) * 10.0 ** torch.arange(-45, 30).repeat(40)
        torch.synchronize()
        out = [a.float() * 1, b.float() * 1, a + 0, b + 0, a.to(torch.float16) + 0]
        return [
            *out,
            wide.to(torch.bfloat16) + 0,
            wide.to(torch.float16) + 0,
            a.to(torch.int32) + 0,
        ]

    both(build, tolerance=0)
