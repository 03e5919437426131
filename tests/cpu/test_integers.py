"""Products of matrices of integers, compiled, against the interpreter."""

import pytest
from cpu.both import both

import facula as torch

DTYPES = [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8]


def numbers(shape, dtype):
    return torch.randint(0, 1 << 40, shape).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    "left,right",
    [
        *(((7, 5), (5, 90)), ((1, 33), (33, 1)), ((40, 3), (3, 1)), ((1, 1), (1, 70))),
        *(((3, 4, 6), (3, 6, 5)), ((2, 1, 4, 6), (3, 6, 17)), ((3, 4, 6), (6, 17))),
        *(((6,), (6, 9)), ((5, 8), (8,)), ((300,), (300,))),
    ],
)
def test_products(left, right, dtype):
    def build():
        a, b = numbers(left, dtype), numbers(right, dtype)
        torch.synchronize()
        turned = (b.mT.contiguous() if b.dim() > 1 else b, a.flip(0))
        torch.synchronize()
        c, d = turned
        return a @ b, (a @ b) * 3 + 1, d @ (c.mT if c.dim() > 1 else c)

    both(build)
