"""Values put together from parts, compiled, against the interpreter."""

import pytest
from cpu.both import both

import facula as torch

F = torch.nn.functional
DTYPES = [torch.float32, torch.float64, torch.int64, torch.uint8, torch.bool]


def draw(*shape, dtype=torch.float32):
    return (torch.randn(shape) * 9).to(dtype)


def strided_write(t, part):
    t.as_strided((2, 3), (7, 2), 1).copy_(part)
    return t


CASES = {
    "cat of three": lambda a, b, c: torch.cat([a, b, c], 1),
    "cat along 0 of views": lambda a, b, c: torch.cat([a.t(), b.t(), c.t()[::2]], 0),
    "cat of cats": lambda a, b, c: torch.cat([torch.cat([a, b], 1), torch.cat([c, a], 1)], 0),
    "cat used twice": lambda a, b, c: (lambda t: torch.cat([t, t], 0))(torch.cat([a, b], 1)),
    "stack": lambda a, b, c: torch.stack([a, b, a, b, a, b, a], 1),
    "stack of numbers": lambda a, b, c: torch.stack([a[0, 0], b[0, 0], c[1, 1]]),
    "with zeros": lambda a, b, c: torch.cat([torch.zeros_like(a), b, torch.ones_like(c)], 0),
    "pad": lambda a, b, c: F.pad(a.float(), (1, 2, 3, 0), value=1.5),
    "roll": lambda a, b, c: a.roll(3, 1).roll(-1, 0),
    "repeat": lambda a, b, c: a.repeat(2, 3),
    "flip": lambda a, b, c: a.flip(0, 1) | a.flip(1) if a.dtype == torch.bool else a.flip(0) + a,
    "slice_scatter": lambda a, b, c: a.slice_scatter(b[:, :2], 1, 3, 7, 2),
    "select_scatter": lambda a, b, c: a.select_scatter(b[:, 2], 1, -1),
    "diagonal_scatter": lambda a, b, c: a.diagonal_scatter(b.diagonal(1), 1),
    "as_strided": lambda a, b, c: a.as_strided((3, 4), (2, 1), 1).clone(),
    "as_strided_scatter": lambda a, b, c: strided_write(a.clone(), b[:2, :3]),
    "tril and triu": lambda a, b, c: torch.cat([a.tril(), b.triu(1)]),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_parts(name, dtype):
    def build():
        a, b, c = draw(6, 9, dtype=dtype), draw(6, 9, dtype=dtype), draw(12, 18, dtype=dtype)
        c = c[::2, ::2]
        torch.synchronize()
        return (CASES[name](a, b, c),)

    both(build)


@pytest.mark.parametrize("shape", [(3, 1), (64, 2000), (1, 40000), (300, 300)])
def test_sizes(shape):
    def build():
        a, b = draw(*shape), draw(*shape)
        torch.synchronize()
        return torch.cat([a, b], 1), torch.cat([a, b.t().reshape(shape)], 0), F.pad(a, (1, 1))

    both(build)


def test_writes_into_regions():
    def build():
        a, b = draw(6, 9), draw(9)
        torch.synchronize()
        apart = a.clone()
        apart[0], apart[3], apart[5, 2:4] = b, b * 2, b[:2]
        over = a.clone()
        over[0], over[:, 1], over[2:4, ::2], over[2:4, 1::2] = b, 7.0, 1.0, b[:4]
        return apart, over

    both(build)


SPLITS = {
    "halves": lambda t: [x * (k + 1) for k, x in enumerate(t.chunk(2, -1))],
    "four and a rest": lambda t: [x.tanh() for x in t.split(3, -1)],
    "rows": lambda t: [t[k] * k for k in range(1, t.shape[0])],
    "overlapping": lambda t: [t[:, 1:4] * 2, t[:, 3:6] * 3, t[0] * 5],
    "every other": lambda t: [t[:, ::2] * 2, t[:, 1::2] * 3],
    "blocks": lambda t: [t[:3, :5] * 2, t[3:, :2] * 3, t[3:, 2:5] * 4, t[:, 5:] * 5],
    "windows": lambda t: [t.unfold(1, 3, 2) * 2],
    "last row and all": lambda t: [t[-1] * 2, t * 3],
    "diagonal": lambda t: [t.diagonal() * 2],
}


@pytest.mark.parametrize("name", SPLITS)
def test_gradients_of_parts(name):
    def build():
        t = draw(7, 10).requires_grad_()
        torch.synchronize()
        sum([p.sum() for p in SPLITS[name](t)]).backward()
        return (t.grad,)

    both(build, allowed=("unfold_backward",))


def test_zeros_that_are_summed_may_become_another_number(monkeypatch):
    from facula.interpreter import program

    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    a = draw(4)
    for number in (0, 0, 1, 0):
        base = torch.full((8,), number, dtype=torch.float32)
        t = base.slice_scatter(a, 0, 0, 4) + base.slice_scatter(a, 0, 4, 8)
        assert t.tolist() == pytest.approx([v + number for v in a.tolist() * 2])


def test_a_long_recurrence_is_put_together_at_once():
    from cpu.both import left_out, lowered

    from facula.interpreter import program

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "COMPILE_AFTER", 0)
        made = lowered(patch)
        t = draw(60, 3).requires_grad_()
        torch.synchronize()
        y = torch.stack([row * 2 for row in t])
        y.sum().backward()
        assert t.grad.tolist() == [[2.0] * 3] * 60 and y.shape == t.shape
    names = [n.op.name for p in made for c in p.grouping.clusters for n in c.nodes]
    assert left_out(made) == []
    assert names.count("assemble") == 2 and "add" not in names
