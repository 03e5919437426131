"""Compiled programs against the interpreter: random graphs over awkward shapes and layouts."""

import math
import random

import numpy as np
import pytest
from compiler.kernels import kernels

import facula as torch
from facula.compiler.program import CompiledProgram
from facula.interpreter import program

SIZES = [0, 1, 2, 3, 5, 7, 8, 13, 16, 17, 31, 64, 100]
UNARY = [
    lambda t: -t,
    lambda t: t.abs(),
    lambda t: t.tanh(),
    lambda t: t.sigmoid(),
    lambda t: t.clamp(-2, 2).exp(),
    lambda t: (t.abs() + 0.5).log(),
    lambda t: (t.abs() + 0.5).sqrt(),
    lambda t: t.relu(),
    lambda t: t.pow(2),
    lambda t: t * 0.5 + 1,
    lambda t: 1 - t,
    lambda t: torch.where(t > 0, t, t * 0.1),
    lambda t: t.sin(),
    lambda t: t.softmax(-1) if t.dim() else t,
    lambda t: t.log_softmax(0) if t.dim() else t,
    lambda t: (t > 0).float() if t.dtype == torch.float32 else (t > 0).double(),
    lambda t: t.long().to(t.dtype),
]
BINARY = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: a / (b.abs() + 0.5),
    torch.maximum,
    torch.minimum,
    lambda a, b: torch.where(a > b, a, b),
]


def view(t, rng):
    """A view of the tensor, or a reduction."""
    if not t.dim():
        return t
    d = rng.randrange(t.dim())
    kind = rng.randrange(9)
    if kind == 0:
        return t.transpose(d, -1)
    if kind == 1:
        return t.narrow(d, 0, (t.shape[d] + 1) // 2)
    if kind == 2:
        return t.unsqueeze(d)
    if kind == 3:
        return t.reshape(-1)
    if kind == 4:
        return t[..., ::2]
    if kind == 5:
        return t.sum(d, keepdim=rng.random() < 0.5)
    if kind == 6:
        return t.mean() if t.numel() else t.sum()
    if kind == 7 and t.shape[d]:
        return t.amax(d)
    return t.flip(d)


def graph(seed):
    """Build one random graph; returns its results."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    dtype = rng.choice([torch.float32, torch.float64])
    rank = rng.choice([1, 2, 2, 2, 3])
    shape = [rng.choice(SIZES) for _ in range(rank)]
    pool = []
    for _ in range(3):
        s = [n if rng.random() < 0.8 else 1 for n in shape]
        t = torch.randn(s, dtype=dtype)
        pool.append(t.transpose(0, -1).contiguous().transpose(0, -1) if rng.random() < 0.3 else t)
    torch.synchronize()
    for _ in range(rng.randrange(4, 20)):
        kind = rng.random()
        a = rng.choice(pool)
        if kind < 0.4:
            pool.append(rng.choice(UNARY)(a))
        elif kind < 0.65:
            b = rng.choice(pool)
            try:
                pool.append(rng.choice(BINARY)(a, b))
            except RuntimeError:
                continue  # shapes that do not broadcast
        elif kind < 0.85:
            pool.append(view(a, rng))
        elif a.dim() >= 2:
            b = rng.choice(pool)
            b = b if b.dim() >= 2 and b.shape[:-1] == a.shape[:-1] else a
            pool.append(a.transpose(-1, -2) @ b)
    return [p for i, p in enumerate(pool) if i % 2 or i > 5]


def both(seed, monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", 1 << 30)
    want = [t.numpy().copy() for t in graph(seed)]
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    got = [t.numpy().copy() for t in graph(seed)]
    return want, got


@pytest.mark.parametrize("seed", range(40))
def test_random_graphs_give_the_results_of_the_interpreter(seed, monkeypatch):
    want, got = both(seed, monkeypatch)
    for a, b in zip(want, got, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype, seed
        finite = np.isfinite(a)
        assert (np.isnan(a) == np.isnan(b)).all(), seed
        scale = np.abs(a[finite]).max(initial=1.0)
        tolerance = (2e-5 if a.dtype == np.float32 else 1e-10) * scale
        np.testing.assert_allclose(b, a, rtol=tolerance, atol=tolerance, err_msg=f"seed {seed}")


def train(steps):
    torch.manual_seed(1)
    model = torch.nn.Sequential(
        torch.nn.Linear(13, 37), torch.nn.GELU(), torch.nn.LayerNorm(37), torch.nn.Linear(37, 5)
    )
    x, y = torch.randn(29, 13), torch.randint(0, 5, (29,))
    out = []
    for i in range(steps):
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        with torch.no_grad():
            for p in model.parameters():
                p -= (0.1 + 0.01 * i) * p.grad
                p.grad = None
        out.append(loss.item())
    return out


def test_a_network_trains_as_in_the_interpreter(monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", 1 << 30)
    want = train(12)
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    assert train(12) == pytest.approx(want, rel=1e-4)
    assert want[-1] < want[0]


def test_one_thread_and_two_give_the_same_bits(monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    from facula.cpu.runtime import get_num_threads, set_num_threads

    before = get_num_threads()
    torch.manual_seed(0)
    a, b = torch.randn(300, 211), torch.randn(211, 65)
    results = []
    try:
        for n in (1, 2):
            set_num_threads(n)
            for _ in range(3):
                c = (a @ b).tanh()
                results.append((c.sum(0).tolist(), c.sum().item(), c.softmax(1).tolist()))
    finally:
        set_num_threads(before)
    assert all(r == results[0] for r in results)


def test_a_number_that_is_folded_in_is_guarded(monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    x = torch.tensor([1.0, 2.0, 3.0])
    for e in (2, 3, 0.5, 2, 3.0, -1):
        assert (x**e).tolist() == pytest.approx([v**e for v in (1.0, 2.0, 3.0)])


def test_a_failure_to_compile_is_said_once_and_changes_nothing(monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    monkeypatch.setattr(program, "_warned", False)

    def fail(*args):
        raise ValueError("no such thing")

    monkeypatch.setattr("facula.compiler.program.CompiledProgram", fail)
    x = torch.arange(7.0)
    with pytest.warns(RuntimeWarning, match="interpreted instead.*no such thing"):
        assert (x * 3 - 1).tolist() == [3.0 * i - 1 for i in range(7)]
    assert (x * 4 - 1).tolist() == [4.0 * i - 1 for i in range(7)]


def test_a_product_reads_a_constant_from_memory(monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    w = torch.arange(12.0).reshape(3, 4)
    torch.synchronize()
    assert (torch.full((2, 3), 2.0) @ w + 1).tolist() == [[25.0, 31.0, 37.0, 43.0]] * 2


def test_inputs_are_read_in_their_own_layout(monkeypatch):
    """By kernels and by the interpreted steps beside them; one is expanded memory of NumPy's."""

    def results():
        shared = np.array([0, 2, 1])
        index = torch.from_numpy(shared).expand(3, 3)
        x = torch.arange(9.0).reshape(3, 3).t().detach().requires_grad_()
        return [(index * 2 + 1).tolist(), ((x + 1).gather(1, index) * 2).tolist(),
                (x.t().cumsum(0) * x).tolist()]  # fmt: skip

    monkeypatch.setattr(program, "COMPILE_AFTER", 1 << 30)
    want = results()
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    assert results() == want


def test_a_negative_zero_is_another_factor(tier):
    x = torch.ones(3)
    signs = [math.copysign(1, (x * k).tolist()[0]) for k in [0.0] * 5 + [-0.0] * 5 + [0.0]]
    assert signs == [1] * 5 + [-1] * 5 + [1]


def test_a_result_in_another_shape_is_handed_over_as_it_is(monkeypatch):
    made = []
    init = CompiledProgram.__init__
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    monkeypatch.setattr(CompiledProgram, "__init__", lambda s, *a: (init(s, *a), made.append(s))[0])
    x = torch.arange(12.0).reshape(3, 4)
    torch.synchronize()
    a = np.arange(12.0, dtype=np.float32).reshape(3, 4)
    tests = [
        (lambda: x.repeat(2, 1), np.tile(a, (2, 1))),
        (lambda: (x + 1).reshape(2, 6).detach(), (a + 1).reshape(2, 6)),
    ]
    for f, want in tests:
        made.clear()
        got = f()
        torch.synchronize()
        assert got.tolist() == want.tolist()
        (p,) = made
        assert not p.results and p.direct[1]([a]) == [a], "copied"


def test_a_result_in_two_shapes(monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    x = torch.arange(12.0)
    torch.synchronize()
    y = x * 2
    shapes = [y.reshape(3, 4).clone(), y.reshape(2, 6).contiguous(), y]
    assert [t.shape for t in shapes] == [(3, 4), (2, 6), (12,)]
    assert [t.reshape(-1).tolist() for t in shapes] == [(np.arange(12) * 2).tolist()] * 3
    shapes[0].zero_()
    assert y.sum().item() == 132


def test_a_constant_that_tensors_share_is_not_written_over(monkeypatch):
    """The zeros of `part` are those that `total`, and a later round, begin with."""
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    x, w = torch.ones(4, 1), torch.ones(4, 1)
    for _ in range(3):
        total = torch.zeros(4)
        part = torch.zeros(4)
        y = x * w
        assert bool(y.sum() < 5)
        part += torch.sum(y * 2, dim=1)
        total = total + part
        other = torch.zeros(4)
        y = (y + 0) * w
        assert bool(y.sum() < 5)
        other += torch.sum(y * 2, dim=1)
        total = total + other
        assert [t.tolist()[0] for t in (total, part, other)] == [4, 2, 2]


def test_large_constants_that_are_all_of_a_program_are_filled_by_kernels(monkeypatch):
    """Among others they are values that all who need them share."""

    def constants():
        return [torch.full((300, 200), 2.5), torch.ones(200, 300, dtype=torch.int16), torch.ones(3)]

    assert kernels(constants, monkeypatch) == [["full"], ["full"]]
    x = torch.randn(200)
    torch.synchronize()
    assert kernels(lambda: [torch.full((300, 200), 1.5), x + 1], monkeypatch) == [["add_s"]]
