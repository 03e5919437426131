"""Conjugates and negatives, which are views. What is expected is what PyTorch 2.13 gives."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest

import facula as torch
from facula import unresolved


def numbers() -> torch.Tensor:
    return torch.tensor([1 + 2j, 3 - 4j, 5 + 6j])


def test_a_conjugate_sees_what_is_written_and_writes():
    x = numbers()
    y = x.conj()
    assert (y.is_conj(), y.is_neg(), x.is_conj()) == (True, False, False)
    assert y._base is x and y.data_ptr() == x.data_ptr()
    x[0] = 7 + 7j
    assert y.tolist() == [7 - 7j, 3 + 4j, 5 - 6j]
    y[1] = 1j
    y.mul_(2)
    assert x.tolist() == [14 + 14j, -2j, 10 + 12j]
    assert x._version == y._version == 3


def test_parts_of_a_conjugate():
    x = numbers()
    part = x.conj().imag
    assert part.is_neg() and not part.is_conj() and part.tolist() == [-2, 4, -6]
    assert part.data_ptr() == x.data_ptr() + 4 and part.stride() == (2,)
    part[0] = 100
    assert x[0].item() == 1 - 100j
    assert not x.conj().real.is_neg()
    assert torch._neg_view(part).tolist() == x.imag.tolist()
    assert part.resolve_neg().is_neg() is False and part.resolve_conj() is part


def test_twice_is_the_memory_again():
    x = numbers()
    y = x[1:].conj()[None].conj()
    assert not y.is_conj()
    y.numpy()[0, 0] = 5
    assert x[1].item() == 5


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda y: y.numpy(), "conjugate bit"),
        (lambda y: y.imag.numpy(), "negative bit"),
        (lambda y: torch.view_as_real(y), "conjugate"),
        (lambda y: y.view(torch.float32), "conjugate"),
        (lambda y: y.imag.view(torch.float32), "negative"),
    ],
)
def test_what_needs_the_numbers_in_memory_refuses(use, message):
    with pytest.raises(RuntimeError, match=message):
        use(numbers().conj())
    with pytest.raises(BufferError, match="conjugate"):
        numbers().conj().__dlpack__()


def test_copies_are_resolved():
    y = numbers().conj()
    for copied in (y.resolve_conj(), y.clone(), y * 1, y.conj_physical()):
        assert not copied.is_conj()
    assert y.numpy(force=True).tolist() == y.tolist()
    assert numbers().conj_physical_().tolist() == y.tolist()


def test_matrices_turned():
    m = torch.tensor([[1 + 1j, 2 + 2j], [3 + 3j, 4 + 4j]])
    for turned in (m.mH, m.H, m.adjoint(), torch.adjoint(m)):
        assert turned.is_conj() and turned.stride() == (1, 2)
        turned[0, 1] += 1
    assert m[1, 0].item() == 7 + 3j
    assert m.mH.mH.data_ptr() == m.data_ptr() and not m.mH.mH.is_conj()


def test_strides_of_the_memory_beyond():
    x = numbers()
    y = x.conj()[1:]
    assert y.as_strided((2,), (2,), 0).tolist() == [1 - 2j, 5 - 6j]
    part = y.imag.as_strided((3,), (2,), 1)
    assert part.is_neg() and part.tolist() == [-2, 4, -6]
    part.zero_()
    assert x.tolist() == [1, 3, 5]


def test_memory_of_numpy():
    a = np.array([1 + 1j, 2 + 2j])
    y = torch.from_numpy(a).conj()
    assert (y * 1).tolist() == [1 - 1j, 2 - 2j]
    a[0] = 9j
    assert y.tolist() == [-9j, 2 - 2j]
    a[1] = 1j
    assert (y + 0).tolist() == [-9j, -1j] and y.sum().item() == -10j


def test_memory_that_numpy_held_for_a_moment():
    x = torch.tensor([1 + 1j, 2 + 2j]) * 1
    y = x.conj()
    for factor in (2, 3):
        assert (y * 1).tolist() == y.tolist() == x.conj_physical().tolist()
        x.numpy()[...] *= factor
        assert (y * 1).tolist() == y.tolist() == x.conj_physical().tolist()


def test_elements_written_one_by_one():
    x = torch.zeros(40, dtype=torch.complex64)
    y = x.conj()
    for i in range(40):
        x[i] = 1j * i
        assert y[i].item() == -1j * i


def test_gradients():
    x = numbers().requires_grad_()
    y = x.conj()
    assert type(y.grad_fn).__name__ == "ConjBackward0" and y.requires_grad
    (y * y * 1j).real.sum().backward()
    assert x.grad.tolist() == [4 + 2j, -8 + 6j, 12 + 10j]
    x.grad = None
    z = x * 1
    w = z.conj()
    w[0] = 0
    (z * 1j).real.sum().backward()
    assert x.grad.tolist() == [0, -1j, -1j]


def test_what_is_saved_may_not_be_written():
    x = numbers().requires_grad_()
    z = x * 1
    loss = (z.conj() * z.conj()).real.sum()
    z.add_(1)
    with pytest.raises(RuntimeError, match="modified"):
        loss.backward()


def stored(x):
    memory = io.BytesIO()
    torch.save(x, memory)
    memory.seek(0)
    return torch.load(memory)


def test_what_is_stored_comes_back():
    y = numbers().conj()
    z, again = stored([y, y.conj()])
    assert z.is_conj() and z.tolist() == y.tolist() and not again.is_conj()
    again[0] = 3j
    assert z[0].item() == -3j
    part = stored(y.imag)
    assert part.is_neg() and part.tolist() == y.imag.tolist()
    for made in (pickle.loads(pickle.dumps(y)), copy.copy(y)):
        assert made.is_conj() and made.tolist() == y.tolist()
    for given in (y, y.imag):
        made = copy.deepcopy(given)
        assert not (made.is_conj() or made.is_neg()) and made.tolist() == given.tolist()
        assert made.stride() == (1,)


def test_batches():
    x = torch.tensor([[1 + 2j, 3j], [4, 5 - 1j]])
    assert torch.vmap(lambda t: t.conj() * 2)(x).tolist() == (x.conj() * 2).tolist()
    assert torch.func.grad(lambda t: (t.conj() * t).real.sum())(x).tolist() == (x * 2).tolist()


def test_overlapping_windows_are_written_through():
    x = torch.tensor([1j, 2j])
    x.expand(2, 2).conj()[0] = 1 + 1j
    assert x.tolist() == [1 - 1j, 1 - 1j]


def test_bits_of_chains():
    def of(t):
        return unresolved.bits(t._chain)

    x = numbers()
    assert of(x.conj()) == (True, False)
    assert of(x.conj().imag) == (False, True)
    assert of(x.conj().real) == of(x.conj().conj()) == (False, False)
    assert of(torch._neg_view(x.conj().imag)) == (False, False)
