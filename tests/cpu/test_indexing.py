"""Gathering and scattering, compiled, against the interpreter: shapes, layouts, kinds of index."""

import random

import pytest
from cpu.both import both

import facula as torch

DTYPES = [torch.float32, torch.float64, torch.int64, torch.int32, torch.uint8, torch.bool]


def tensor(rng, shape, dtype):
    """Values of a dtype in one of several layouts."""
    wide = [n * rng.choice([1, 1, 2]) for n in shape]
    order = list(range(len(shape)))
    rng.shuffle(order)
    t = (torch.randn([wide[d] for d in order]) * 50).abs().to(dtype)
    t = t.permute([order.index(d) for d in range(len(shape))])
    for d, n in enumerate(shape):
        t = (
            t.narrow(d, wide[d] - n, n)
            if rng.random() < 0.5
            else t[(slice(None),) * d + (slice(0, None, wide[d] // n),)]
        )
    return t


def index(shape, below):
    return torch.randint(0, below, shape)


def sizes(rng, rank):
    return [rng.choice([1, 2, 3, 5, 8, 16, 17, 33]) for _ in range(rank)]


def along_a_dimension(rng, name):
    """gather, scatter or scatter_add."""

    def build():
        shape = sizes(rng, rng.choice([1, 2, 2, 3]))
        d = rng.randrange(len(shape))
        dtype = rng.choice(DTYPES)
        t = tensor(rng, shape, dtype)
        want = [
            rng.choice([1, 4, 40]) if k == d else rng.randint(1, n) for k, n in enumerate(shape)
        ]
        i = index(want, shape[d])
        if rng.random() < 0.3 and d != len(shape) - 1:
            i = i.narrow(-1, 0, 1).expand(want)
        if name == "gather":
            u = torch.randn(want)
            torch.synchronize()
            out = torch.gather(t, d, i)
            return out, out.float() * u + 1
        src = tensor(rng, want, dtype)
        torch.synchronize()
        if rng.random() < 0.3:
            t = torch.zeros(shape, dtype=dtype)
        if name == "scatter":
            # Of indices that name one place, PyTorch promises nothing: each place only once.
            i = (
                torch.arange(want[d])
                .remainder(shape[d])
                .reshape([-1 if k == d else 1 for k in range(len(shape))])
            )
            i = i.expand(want) if want[d] <= shape[d] else i.expand(want).narrow(d, 0, shape[d])
            src = src.narrow(d, 0, i.shape[d])
        return (getattr(torch, name)(t, d, i, src),)

    return build


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", ["gather", "scatter", "scatter_add"])
def test_indices_along_a_dimension(name, seed):
    state = random.Random(seed).getstate()
    rng = random.Random()

    def build():
        rng.setstate(state)
        return along_a_dimension(rng, name)()

    both(build)


PICKS = [
    lambda i, j, k: (i,),
    lambda i, j, k: (slice(None), j),
    lambda i, j, k: (slice(None), slice(None), k),
    lambda i, j, k: (i, j),
    lambda i, j, k: (i, slice(None), k),
    lambda i, j, k: (slice(None), j, k),
    lambda i, j, k: (i, j, k),
    lambda i, j, k: (i[:, None], j[None]),
    lambda i, j, k: (slice(1, None), j, slice(None, None, 2)),
    lambda i, j, k: (i, None, slice(None), k),
    lambda i, j, k: (2, j),
]


@pytest.mark.parametrize("pick", range(len(PICKS)))
@pytest.mark.parametrize("shape", [(3, 5, 18), (40, 1, 7), (4, 64, 33)])
def test_index_tensors(shape, pick):
    rng = random.Random(pick)
    dtype = DTYPES[pick % 3]

    def build():
        t = tensor(random.Random(pick), shape, dtype)
        i, j, k = [index((6,), n) for n in shape]
        at = PICKS[pick](i, j, k)
        u = torch.randn(t[at].shape)
        src = (u * 9).to(dtype)
        torch.synchronize()
        got = t[at]
        base = t.clone()
        base[at] = 3
        zeros = torch.zeros(shape, dtype=dtype)
        added = zeros.index_put((i,), (u * 9).to(dtype), True) if pick == 0 else zeros
        row = t.clone().index_put((i[:1],), t[0])
        return got, got.float() * u, base, added, src, row

    both(build)
    assert rng


@pytest.mark.parametrize(
    "rows,columns,count", [(5, 3, 40), (200, 64, 300), (3000, 20, 50), (7, 1, 9)]
)
def test_an_embedding_and_its_gradient(rows, columns, count):
    def build():
        w = torch.randn(rows, columns, requires_grad=True)
        i = index((count,), rows)
        torch.synchronize()
        y = torch.nn.functional.embedding(i, w)
        (y * y).sum().backward()
        return y, w.grad

    both(build)


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("kind", ["sum", "prod", "mean", "amax", "amin"])
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.int64, torch.int32, torch.uint8]
)
def test_scattering_with_a_reduction(dtype, kind, own):
    def build():
        out = []
        rng = random.Random(3)
        for shape, d, many in [
            ((37,), 0, 90),
            ((5, 18), 1, 4),
            ((3, 40, 17), 1, 60),
            ((600, 2), 0, 5),
        ]:
            t = tensor(rng, shape, dtype)
            i = index([many if k == d else n for k, n in enumerate(shape)], shape[d])
            src = tensor(rng, i.shape, dtype)
            if dtype.is_floating_point:
                src[(0,) * len(shape)], src[(-1,) * len(shape)] = float("nan"), float("inf")
                src = src / 50
            torch.synchronize()
            out.append(t.scatter_reduce(d, i, src, kind, include_self=own))
            rows = i.select(-1, 0).reshape(-1)[: min(shape)]
            if kind != "sum":
                part = tensor(rng, (*shape[:d], len(rows), *shape[d + 1 :]), dtype)
                torch.synchronize()
                out.append(t.index_reduce(d, rows, part, kind, include_self=own))
        return out

    both(build)


WIDE = [
    # shape, dimension, of how many indices along each dimension
    ((90, 300), 0, (100, 300)),
    ((90, 300), 0, (100, 131)),
    ((40, 3, 200), 0, (70, 2, 190)),
    ((40, 200, 3), 0, (70, 200, 3)),
    ((2, 30, 400), 1, (2, 60, 399)),
    ((1, 30, 1, 400, 1), 1, (1, 60, 1, 400, 1)),
]


@pytest.mark.parametrize(("shape", "d", "many"), WIDE)
def test_scattering_along_a_dimension_beside_which_there_is_a_long_one(shape, d, many):
    """The threads share the long one."""

    def build():
        rng, out = random.Random(4), []
        for dtype in (torch.float32, torch.int64, torch.bool):
            t, src = tensor(rng, shape, dtype), tensor(rng, many, dtype)
            i = index(many, shape[d])
            torch.synchronize()
            out += [
                t.scatter_add(d, i, src),
                torch.zeros(shape, dtype=dtype).scatter_add(d, i, src),
            ]
            if dtype != torch.bool:
                for kind in ("amax", "mean", "prod"):
                    out.append(t.scatter_reduce(d, i, src, kind, include_self=kind == "amax"))
        return out

    both(build)


def test_one_thread_and_two_give_the_same_bits(monkeypatch):
    from facula.cpu.runtime import get_num_threads, set_num_threads
    from facula.interpreter import program

    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    torch.manual_seed(0)
    g, i, src = torch.zeros(50, 40), index((3000,), 50), torch.randn(3000, 40)
    flat, j = torch.randn(20000), index((50000,), 20000)
    add, k = torch.randn(50000), index((3000, 40), 50)
    wide, w, much = torch.zeros(50, 300), index((200, 300), 50), torch.randn(200, 300)
    before, results = get_num_threads(), []
    try:
        for n in (1, 2):
            set_num_threads(n)
            a = g.index_put((i,), src, True).tolist()
            b, c = g.scatter_add(0, k, src).tolist(), wide.scatter_add(0, w, much).tolist()
            results.append((a, b, c, flat.scatter_add(0, j, add).tolist()))
    finally:
        set_num_threads(before)
    assert results[0] == results[1]


def test_an_index_that_a_program_computed_out_of_range_is_an_error(monkeypatch):
    from facula.interpreter import program
    from facula.ops.indexing import GATHER, INDEX_ADD, SCATTER_ADD
    from facula.trace.recorder import record

    for after in (1 << 30, 0):
        monkeypatch.setattr(program, "COMPILE_AFTER", after)
        t, i = torch.randn(5, 20), torch.tensor([[3]])
        with pytest.raises(IndexError, match="out of"):
            record(GATHER, (t, i + 97), 1).tolist()
        with pytest.raises(IndexError, match="out of"):
            record(SCATTER_ADD, (t, i + 97, t[:1, :1]), 1).tolist()
        with pytest.raises(IndexError, match="out of"):
            record(INDEX_ADD, (t, i + 97, t[:1]), ((0, None), (1,))).tolist()
        assert record(GATHER, (t, i + 1), 1).item() == t[0, 4].item()
