"""Padding by what is at the borders, where something is cut off as well."""

import pytest
from nn.stored import agrees

import facula


@agrees
def test_what_is_cut_off_does_not_come_back(torch):
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    amounts = [(-1, 1, -2, 1), (-1, 1), (1, -1), (-1, 3), (2, -2), (-1, 4), (-2, 3), (-1, -1)]
    modes = ("circular", "replicate")
    pad = torch.nn.functional.pad
    padded = {f"{p} {m}": pad(x if len(p) == 4 else x[0], p, m) for p in amounts for m in modes}
    return {k: (y, y.stride()) for k, y in padded.items()}


@pytest.mark.parametrize("amounts", [(-1, 1), (1, -1), (-2, 2)])
def test_circular_padding_of_nothing_that_is_left(amounts):
    with pytest.raises(RuntimeError, match="leaves nothing to repeat"):
        facula.nn.functional.pad(facula.ones(1, 2, -min(amounts)), amounts, "circular")


def test_what_is_cut_off_leaves_no_gaps():
    x = facula.ones(2, 3, 4, 5)
    pad = facula.nn.functional.pad
    assert pad(x, (-1, -1)).stride() == (36, 12, 3, 1)
    assert pad(x, (1, 1, -1, 0)).is_contiguous()
    assert pad(x, (-1, 0))._base is None


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_padding_by_nothing_is_a_copy(mode):
    x = facula.zeros(1, 1, 4)
    facula.nn.functional.pad(x, (0, 0), mode).fill_(4)
    assert x.sum().item() == 0
