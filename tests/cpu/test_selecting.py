"""The largest and smallest elements, compiled, against the interpreter."""

import pytest
from cpu.both import both

import facula as torch
from facula.cpu.selecting import MOST

DTYPES = [
    *(torch.float32, torch.float64, torch.bfloat16, torch.float16),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8),
]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(1,), (40,), (700,), (20, 70), (5, 1, 9), (3, 90, 17)], ids=str)
def test_the_first_of_each_line(shape, dtype):
    """With many that are equal: of those the first counts."""

    def build():
        t = (torch.randn(shape) * 9).to(dtype)
        torch.synchronize()
        out = []
        for d, n in enumerate(shape):
            for k in {1, min(n, 3), min(n, 64), n // 9}:
                for largest in (True, False):
                    out += list(t.topk(k, d, largest))
        return out

    both(build, allowed=("topk_index",) if max(shape) > 9 * MOST else ())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16], ids=str)
def test_special_values(dtype):
    nan, inf = float("nan"), float("inf")
    values = [0.0, -0.0, nan, 1.0, -inf, inf, -nan, 0.0, -0.0, inf, -1.0, nan] * 6

    def build():
        t = torch.tensor([values, values[::-1], [nan] * 72, [-inf] * 72], dtype=dtype)
        torch.synchronize()
        return [x for k in (1, 5, 40) for big in (True, False) for x in t.topk(k, 1, big)]

    both(build)


def test_limits_of_integers():
    least, most = -(1 << 63), (1 << 63) - 1

    def build():
        t = torch.tensor([[least, most, 0, least, most, -1] * 20] * 3)
        torch.synchronize()
        return [x for k in (1, 30, 64) for big in (True, False) for x in t.topk(k, 1, big)]

    both(build)


def test_lines_that_lie_apart():
    def build():
        t = torch.randn(6, 130, 4)
        torch.synchronize()
        return [x for v in (t.transpose(1, 2)[:, ::2], t[1:, 5:, 1]) for x in v.topk(7, -1)]

    both(build)


def test_rising_and_falling():
    def build():
        t = torch.arange(500.0)
        torch.synchronize()
        return [x for v in (t, -t) for big in (True, False) for x in v.topk(20, 0, big)]

    both(build)


@pytest.mark.parametrize("dtype", [*DTYPES, torch.bool], ids=str)
@pytest.mark.parametrize("shape", [(1,), (300,), (20, 70), (5, 1, 9), (3, 90, 17)], ids=str)
def test_all_in_order(shape, dtype):
    """Equal ones as they came."""

    def build():
        t = (torch.randn(shape) * 9).to(dtype)
        torch.synchronize()
        orders = [(d, falling) for d in range(len(shape)) for falling in (False, True)]
        return [t.argsort(*order, stable=True) for order in orders]

    both(build)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_special_values_in_order(dtype):
    nan, inf = float("nan"), float("inf")
    values = [0.0, -0.0, nan, 1.0, -inf, inf, -nan, 0.0, -0.0, inf, -1.0, nan, 1e-30] * 3

    def build():
        t = torch.tensor([values, values[::-1], [nan] * 39, [-inf] * 39], dtype=dtype)
        torch.synchronize()
        return [x for d in (0, 1) for falling in (False, True) for x in t.sort(d, falling)]

    both(build)


def test_integers_in_order_and_lines_that_lie_apart():
    least, most = -(1 << 63), (1 << 63) - 1

    def build():
        t = torch.randint(least, most, (30, 8, 50))
        t[:, 0, :4] = torch.tensor([least, most, 0, -1])
        u = torch.randint(-300, 300, (30, 8, 50))
        torch.synchronize()
        return [
            x.argsort(-1, f) for v in (t, u) for x in (v, v.transpose(1, 2)) for f in (False, True)
        ]

    both(build)


def test_lines_that_are_too_long_for_the_stack():
    def build():
        t = torch.randn(2, 9000)
        torch.synchronize()
        return [t.argsort(1)]

    both(lambda: [*build(), torch.ones(3).exp()], allowed=("argsort",))


@pytest.mark.parametrize("dtype", [*DTYPES, torch.bool], ids=str)
@pytest.mark.parametrize(
    "shape", [(1,), (40,), (700,), (20, 70), (5, 1, 9), (3, 90, 17), (2, 9000)], ids=str
)
def test_ranks(shape, dtype):
    """Medians, the k-th smallest and the most common, with many that are equal."""

    def build():
        t = (torch.randn(shape) * 9).to(dtype)
        if dtype.is_floating_point:
            t[..., 1::7] = float("nan")
            t[0] = (torch.randn(shape[1:]) * 9).to(dtype)
        torch.synchronize()
        out = []
        for d, n in enumerate(shape):
            if n <= 8192:
                out += list(t.mode(d, True))
            if dtype is not torch.bool:
                out += [*t.median(d), *t.nanmedian(d, True), *t.kthvalue(n, d)]
                out += [*t.kthvalue((n + 2) // 3, d, True), *t.transpose(0, -1).median(-1)]
        return out

    both(build)


def test_ranks_of_special_values():
    nan, inf = float("nan"), float("inf")
    least, most = -(1 << 63), (1 << 63) - 1

    def build():
        rows = [[0.0, -0.0, nan, -inf, inf, nan], [nan] * 6, [-0.0, 0.0, 0.0, -0.0, inf, inf]]
        whole = [[least, most, least, 0, most, -1], [most] * 6, [least] * 6]
        out = []
        for t in (torch.tensor(rows), torch.tensor(rows).double(), torch.tensor(whole)):
            torch.synchronize()
            out += [*t.median(1), *t.nanmedian(1), *t.mode(1)]
            for k in range(1, 7):
                out += list(t.kthvalue(k, 1))
        return out

    both(build)
