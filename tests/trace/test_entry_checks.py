"""What no operation can compute is told at the call, and leaves nothing pending behind."""

from __future__ import annotations

import pytest

import facula

COMPLEX = facula.ones(2, dtype=facula.complex64)

CALLS = [
    (lambda x: x.fill_("a"), TypeError, "expected a number, got str 'a'"),
    (lambda x: x.fill_(1j), RuntimeError, "without overflow"),
    (lambda x: facula.zeros(2, dtype="float"), TypeError, "must be torch.dtype, not str"),
    (lambda x: x.reshape([1] * 64 + [2]), RuntimeError, "up to 64 dims"),
    (lambda x: facula.zeros([1] * 65), RuntimeError, "got 65"),
    (lambda x: COMPLEX.clone().floor_(), NotImplementedError, "complex64"),
    (lambda x: facula.div(COMPLEX, COMPLEX, rounding_mode="trunc"), NotImplementedError, "trunc"),
]


@pytest.mark.parametrize("number", range(len(CALLS)))
def test_it_is_told_at_the_call(number):
    call, kind, words = CALLS[number]
    x = facula.ones(2)
    pending = x + 1
    with pytest.raises(kind) as caught:
        call(x)
    assert words in str(caught.value), caught.value
    assert pending.tolist() == [2, 2] and x.tolist() == [1, 1]


def test_complex_functions_are_let_through():
    assert (COMPLEX.exp() * COMPLEX).abs().sum().item() == pytest.approx(2 * 2.718281828)
