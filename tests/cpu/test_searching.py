"""Searching in sorted sequences, compiled, against the interpreter."""

import pytest
from cpu.both import both

import facula as torch

DTYPES = [
    *(torch.float32, torch.float64, torch.bfloat16),
    *(torch.int64, torch.int32, torch.int8, torch.uint8),
]


def numbers(shape, dtype):
    t = (torch.randn(shape) * 9).abs().to(dtype)
    if dtype.is_floating_point and t.numel() > 7:
        t.view(-1)[:3] = torch.tensor([float("nan"), float("inf"), -float("inf")]).to(dtype)
    return t


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("many", [1, 2, 20, 25, 64, 1000])
def test_one_sequence_for_all(many, dtype):
    def build():
        a, b = numbers((many,), dtype).sort()[0], numbers((7, 33), dtype)
        torch.synchronize()
        out = []
        for right in (False, True):
            out.append(torch.searchsorted(a, b, right=right) + 1)
            out.append(torch.bucketize(b.t(), a, right=right, out_int32=True))
        return [*out, torch.bucketize(b, a.float()), torch.searchsorted(a[::3], b[:, ::2])]

    both(build, allowed=("sort", "argsort"))


@pytest.mark.parametrize("values", [1, 3, 40])
@pytest.mark.parametrize("many", [1, 9, 130])
def test_a_sequence_for_each_row(many, values):
    def build():
        a, b = (
            numbers((3, 4, many), torch.float32).sort()[0],
            numbers((3, 4, values), torch.float32),
        )
        torch.synchronize()
        return (
            torch.searchsorted(a, b),
            torch.searchsorted(a.transpose(0, 1), b.transpose(0, 1), right=True),
        )

    both(build)
