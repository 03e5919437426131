"""Compiled matrix products against float64, and what follows them against the interpreter."""

import random

import numpy as np
import pytest
from cpu.both import both

import facula as torch
from facula.cpu import blocking
from facula.cpu.blocking import USUAL, ZEN, Size, plan
from facula.cpu.runtime import get_num_threads, set_num_threads
from facula.interpreter import program

SIZES = [1, 2, 3, 4, 7, 8, 10, 13, 16, 17, 31, 32, 33, 48, 64, 65, 100, 127, 130]


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)


@pytest.fixture
def core(request, monkeypatch):
    """Plans for a processor."""
    plan.cache_clear()
    monkeypatch.setattr(blocking, "core", lambda: request.param)
    yield request.param
    plan.cache_clear()


def laid_out(shape, rng, dtype):
    """A matrix, or a batch of them, in one of many layouts; integers, so that sums are exact."""
    kind = rng.randrange(6)
    *batch, m, n = shape
    if kind == 0:
        t = torch.randint(-8, 9, (*batch, n, m)).transpose(-1, -2)
    elif kind == 1:
        t = torch.randint(-8, 9, (*batch, m + 2, 2 * n + 1))[..., 1 : m + 1, ::2][..., :n]
    elif kind == 2:
        t = torch.randint(-8, 9, (m, *batch, n)).movedim(0, -2)
    elif kind == 3:
        t = torch.randint(-8, 9, (n, m)).t().expand(shape)
    else:
        t = torch.randint(-8, 9, shape)
    t = t.to(dtype)
    torch.synchronize()
    return t


@pytest.mark.parametrize("seed", range(60))
def test_products_of_any_shape_and_layout_are_exact_on_whole_numbers(seed):
    rng = random.Random(seed)
    torch.manual_seed(seed)
    dtype = rng.choice([torch.float32, torch.float32, torch.float64])
    m, k, n = (rng.choice(SIZES) for _ in range(3))
    if rng.random() < 0.3:
        k = rng.choice([192, 193, 384, 500, 1000])
    batch = rng.choice([(), (), (), (3,), (2, 5)])
    left = laid_out((*batch, m, k), rng, dtype)
    right = laid_out((*(batch if rng.random() < 0.6 else ()), k, n), rng, dtype)
    want = np.matmul(left.double().numpy(), right.double().numpy())
    got = left @ right
    assert got.dtype is dtype
    np.testing.assert_array_equal(got.numpy(), want)


@pytest.mark.parametrize(
    "shape", [(600, 800, 130), (40, 1500, 200), (130, 500, 48), (64, 385, 500)]
)
def test_a_left_operand_whose_rows_lie_side_by_side(shape):
    """A part of k at a time."""
    m, k, n = shape
    torch.manual_seed(5)
    left = torch.randint(-8, 9, (k, m)).float()
    right, more = torch.randint(-8, 9, (k, n)).float(), torch.randint(-8, 9, (m, n)).float()
    want = left.numpy().T.astype(np.float64) @ right.numpy()
    got = (left.t() @ right) * 2 + more
    np.testing.assert_array_equal(got.numpy(), 2 * want + more.numpy())


@pytest.mark.parametrize("core", [USUAL], indirect=True, ids=["usual"])
@pytest.mark.parametrize("shape", [(301, 512, 130), (299, 200, 384), (511, 200, 130)])
def test_a_left_operand_whose_rows_lie_side_by_side_is_copied(shape, core):
    m, k, n = shape
    assert plan(Size(1, m, n, k, 1, m, n, 1, 4, 16, 24)).pack_a
    torch.manual_seed(5)
    left, right = torch.randint(-8, 9, (k, m)).float(), torch.randint(-8, 9, (k, n)).float()
    want = left.numpy().T.astype(np.float64) @ right.numpy()
    np.testing.assert_array_equal((left.t() @ right).numpy(), want)


@pytest.mark.parametrize("core", [USUAL], indirect=True, ids=["usual"])
@pytest.mark.parametrize(("shape", "depth"), [((96, 2304, 4096), 768)])
def test_parts_of_k_that_are_all_of_one_length(shape, depth, core):
    """Each is copied to room for one of them, and goes in once."""
    m, k, n = shape
    assert plan(Size(1, m, n, k, k, 1, 1, k, 4, 16, 24)).depth == depth and k % depth == 0
    torch.manual_seed(6)
    left, right = torch.randint(-8, 9, (m, k)).float(), torch.randint(-8, 9, (n, k)).float()
    want = left.numpy() @ right.numpy().T
    np.testing.assert_array_equal((left @ right.t()).numpy(), want)


@pytest.mark.parametrize("core", [USUAL, ZEN], indirect=True, ids=["usual", "zen"])
@pytest.mark.parametrize("rest", [0, 1, 64, 95, 96, 191])
def test_a_last_part_of_k_that_is_short_is_done_with_the_one_before(rest, core):
    """Copied and read in place, with an update behind it: exact on whole numbers."""
    m, k, n = 384, 4 * 192 + rest, 300
    assert plan(Size(1, m, n, k, 1, m, n, 1, 4, 16, 24)).depth == 192
    torch.manual_seed(8)
    left, right = torch.randint(-8, 9, (k, m)).float(), torch.randint(-8, 9, (k, n)).float()
    state, moved = torch.randint(-8, 9, (m, n)).float(), torch.randint(-8, 9, (m, n)).float()
    want = left.numpy().T.astype(np.float64) @ right.numpy()
    total = 2 * state.numpy() + want
    end = moved.numpy() - total
    state.mul_(2).add_(left.t() @ right)
    moved -= state
    np.testing.assert_array_equal(state.numpy(), total)
    np.testing.assert_array_equal(moved.numpy(), end)


@pytest.mark.parametrize("lead", [(), (2,)])
def test_few_rows_and_a_large_right_operand(lead):
    """Units go over the rows first."""
    torch.manual_seed(7)
    left = torch.randint(-8, 9, (*lead, 32, 1024)).float()
    right = torch.randint(-8, 9, (*lead, 1024, 256)).float()
    want = np.matmul(left.numpy().astype(np.float64), right.numpy())
    np.testing.assert_array_equal((left @ right).numpy(), want)


@pytest.mark.parametrize("core", [USUAL], indirect=True, ids=["usual"])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("shape", [(300, 700, 500), (1000, 3000, 300), (200, 6000, 130)])
def test_panels_that_are_copied_together(shape, turned, core):
    """Whole and not, and a part of k at a time: exact on whole numbers, whatever the threads."""
    m, k, n = shape
    steps = (1, k) if turned else (n, 1)
    assert plan(Size(1, m, n, k, k, 1, *steps, 4, 16, 24)).whole
    torch.manual_seed(6)
    a = torch.randint(-8, 9, (m, k)).float()
    b = torch.randint(-8, 9, (n, k) if turned else (k, n)).float()
    row = torch.randint(-8, 9, (n,)).float()
    b = b.t() if turned else b
    want = a.numpy().astype(np.float64) @ b.numpy() + row.numpy()
    before = get_num_threads()
    try:
        for threads in (1, 2):
            set_num_threads(threads)
            np.testing.assert_array_equal((a @ b + row).numpy(), want)
    finally:
        set_num_threads(before)


@pytest.mark.parametrize("shape", [(64, 1000, 100), (300, 700, 90), (3, 5000, 40), (200, 40, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sums_are_accurate(shape, dtype):
    m, k, n = shape
    torch.manual_seed(3)
    a, b = torch.randn(m, k, dtype=dtype), torch.randn(k, n, dtype=dtype)
    torch.synchronize()
    want = a.double().numpy() @ b.double().numpy()
    error = np.abs((a @ b).numpy() - want).max() / np.abs(want).max()
    assert error < (2e-6 if dtype is torch.float32 else 2e-14)


def follow(c, a, b):
    """What may follow a product of a (m, k) and b (k, n)."""
    m, n = c.shape[-2:]
    row = torch.randn(n, dtype=c.dtype)
    column = torch.randn(m, 1, dtype=c.dtype)
    other = torch.randn(n, m, dtype=c.dtype).t()
    flags = torch.rand(*c.shape) > 0.4
    whole = torch.randint(0, 9, c.shape, dtype=torch.uint8)
    torch.synchronize()
    return {
        "bias and relu": lambda: [(c + row).relu()],
        "the product is needed too": lambda: [c, c.tanh()],
        "every kind of operand": lambda: [
            torch.where(flags, c * 0.5, other) + column,
            (c > row) & flags,
            c + whole.to(c.dtype),
        ],
        "many operations": lambda: [((c * 1.5 + row).sigmoid() * column - other).abs().sqrt()],
        "a library function": lambda: [(c * 0.01).asinh() + column],
        "numbers": lambda: [2 - c * 3, c.pow(2), c.clamp(-1, 1.5)],
    }


@pytest.mark.parametrize(
    "shape", [(5, 7, 3), (40, 20, 37), (64, 400, 10), (130, 50, 1), (1, 9, 45)]
)
@pytest.mark.parametrize("what", list(follow(torch.zeros(1, 1), None, None)))
def test_what_follows_a_product_is_computed_with_it(shape, what):
    m, k, n = shape

    def build():
        a, b = torch.randn(m, k), torch.randn(k, n)
        return follow(a @ b, a, b)[what]()

    both(build, tolerance=2e-5)


@pytest.mark.parametrize("shape", [(4, 3, 5, 7, 9), (2, 3, 33, 20, 18), (16, 1, 1, 30, 40)])
def test_what_follows_a_batch_of_products(shape):
    first, second, m, k, n = shape

    def build():
        a, b = torch.randn(first, second, m, k), torch.randn(second, k, n)
        scale = torch.randn(first, 1, 1, 1)
        mask = torch.rand(m, n) > 0.5
        shared = torch.randn(k, n)
        torch.synchronize()
        return [
            (a @ b * scale).masked_fill(mask, -1.0),
            a @ shared + scale,
            (a @ shared).transpose(-1, -2) + 1,
        ]

    both(build, tolerance=2e-5)


@pytest.mark.parametrize("k", [16, 64, 100])
def test_one_row_whose_elements_are_apart(k):
    """Vectors can't be read along it, whether it is of the left operand or of the right."""

    def build():
        a, b = torch.randn(5, k, 7), torch.randn(5, 7, k)
        row, column = a[:, :, 2:3].transpose(1, 2), b[:, :1, :].transpose(1, 2)
        torch.synchronize()
        return [row @ column, column.transpose(1, 2) @ row.transpose(1, 2), row @ (b * 2).mT]

    both(build, tolerance=2e-5)


@pytest.mark.parametrize("rows", [3, 7, 9, 12, 17, 25])
def test_a_column_of_something_larger_times_a_row(rows):
    """Copied tile by tile, of which the last vector may have one lane."""

    def build():
        x, w = torch.randn(rows, 200, dtype=torch.float64), torch.randn(204, 1, dtype=torch.float64)
        torch.synchronize()
        return [x[:, 3:4] @ w.t(), x.float()[:, 5:6] @ w.float().t()]

    both(build)


def test_an_update_may_be_written_over_what_it_reads():
    def build():
        w = torch.randn(70, 45)
        x, g = torch.randn(33, 70), torch.randn(33, 45)
        torch.synchronize()
        for _ in range(4):
            w -= 0.1 * (x.t() @ g)
            torch.synchronize()
        return [w]

    both(build)


@pytest.mark.parametrize(
    "shape",
    [(100, 300, 70), (7, 2000, 5), (1, 4000, 300), (1, 300, 1), (500, 3, 500), (700, 900, 100)],
)
def test_the_number_of_threads_does_not_change_the_bits(shape):
    m, k, n = shape
    before = get_num_threads()
    torch.manual_seed(1)
    a, b = torch.randn(m, k), torch.randn(k, n)
    results = []
    try:
        for threads in (1, 2, 3):
            set_num_threads(threads)
            for _ in range(3):
                results.append((a @ b).numpy().tobytes())
    finally:
        set_num_threads(before)
    assert len(set(results)) == 1


def test_a_processor_that_reads_a_gradients_operands_in_place():
    """No copies where the second cache keeps up; the bits are the same."""
    size = Size(1, 384, 1536, 1024, 1, 384, 1536, 1, 4, 16, 24)
    found = []
    for core in (USUAL, ZEN):
        plan.cache_clear()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(blocking, "core", lambda core=core: core)
            found.append(plan(size))
    plan.cache_clear()
    assert [(p.pack_a, p.pack_b, p.depth) for p in found] == [
        (True, True, 192),
        (False, False, 192),
    ]


@pytest.mark.parametrize("core", [ZEN], indirect=True, ids=["zen"])
def test_long_panels_are_copied_one_by_one_on_a_processor_that_fetches_their_rows(core):
    assert not plan(Size(1, 1024, 1024, 1024, 1024, 1, 1024, 1, 4, 16, 24)).whole
    assert plan(Size(1, 1024, 1024, 512, 512, 1, 1024, 1, 4, 16, 24)).whole
    assert plan(Size(1, 1024, 384, 1536, 1536, 1, 1, 1536, 4, 16, 24)).whole  # transposed


@pytest.mark.parametrize("core", [USUAL, ZEN], indirect=True, ids=["usual", "zen"])
@pytest.mark.parametrize("lanes, most", [(16, 24), (8, 12), (4, 12)])
def test_a_plan_covers_every_row_and_column_once(lanes, most, core):
    rng = random.Random(lanes)
    kinds = set()
    for _ in range(300):
        m, n, k, count = (rng.choice([1, 2, 5, 9, 16, 47, 100, 513, 3000]) for _ in range(4))
        straight = rng.random() < 0.5
        steps = (k, 1, n, 1) if straight else (1, m, 1, k)
        p = plan(Size(count, m, n, k, *steps, 4, lanes, most))
        kinds.add((p.dot, p.pack_a, p.pack_b))
        assert p.tiles * p.small + p.big == m and 0 <= p.big < p.tiles
        assert p.panels * p.columns + p.edge == n
        assert 0 <= p.edge < p.columns
        sums = min(p.columns, n) if p.dot else p.columns // lanes
        assert (p.small + (p.big > 0)) * sums <= most or (p.edge and not p.panels)
        assert p.row_blocks == -(-p.tiles // p.row_tiles)
        assert p.column_blocks == -(-(p.panels + (p.edge > 0)) // p.unit_panels)
        assert p.together == 1 or p.row_blocks == p.column_blocks == 1
        assert p.units == -(-count // p.together) * p.row_blocks * p.column_blocks
    assert len(kinds) >= 4
