"""Fourier transforms against NumPy, and their derivatives."""

from __future__ import annotations

import numpy as np
import pytest
from nn.stored import agrees, raised
from ops.numeric import check_gradients

import facula as torch

NORMS = ["backward", "ortho", "forward"]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("n", [None, 3, 6, 7])
@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
def test_one_dimension_against_numpy(rng, name, n, norm):
    a = rng.normal(size=(2, 5))
    if name in ("fft", "ifft", "irfft", "hfft"):
        a = a + 1j * rng.normal(size=(2, 5))
    got = getattr(torch.fft, name)(torch.tensor(a), n, 1, norm)
    np.testing.assert_allclose(got.numpy(), getattr(np.fft, name)(a, n, 1, norm), atol=1e-12)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", ["fftn", "ifftn", "rfftn", "irfftn"])
def test_several_dimensions_against_numpy(rng, name, norm):
    a = rng.normal(size=(3, 4, 5))
    if name == "irfftn":
        a = np.fft.rfftn(a)
    got = getattr(torch.fft, name)(torch.tensor(a), (2, 6), (0, 2), norm)
    want = getattr(np.fft, name)(a, (2, 6), (0, 2), norm)
    np.testing.assert_allclose(got.numpy(), want, atol=1e-12)


def test_hermitian_transforms_of_several_dimensions_are_inverses(rng):
    a = torch.tensor(rng.normal(size=(4, 6)))
    half = torch.fft.ihfftn(a)
    np.testing.assert_allclose(torch.fft.hfftn(half, (4, 6)).numpy(), a.numpy(), atol=1e-12)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: torch.fft.fft(x, 4),
        lambda x: torch.fft.rfft(x, 6, norm="ortho"),
        lambda x: torch.fft.irfft(x, 5),
        lambda x: torch.fft.hfft(x, 6),
        lambda x: torch.fft.ihfft(x),
        lambda x: torch.fft.rfft2(x.reshape(1, -1)),
    ],
)
def test_derivatives(f):
    check_gradients(f, [0.3, -1.0, 2.0, 0.7, 1.1])


def test_frequencies_and_shifts():
    assert torch.fft.fftfreq(5, 0.5).tolist() == pytest.approx([0, 0.4, 0.8, -0.8, -0.4])
    assert torch.fft.rfftfreq(4).tolist() == [0, 0.25, 0.5]
    x = torch.arange(5)
    assert torch.fft.fftshift(x).tolist() == [3, 4, 0, 1, 2]
    assert torch.fft.ifftshift(torch.fft.fftshift(x)).tolist() == x.tolist()


def test_what_does_not_fit():
    with pytest.raises(RuntimeError, match="data points"):
        torch.fft.fft(torch.ones(3), 0)
    with pytest.raises(RuntimeError, match="real input"):
        torch.fft.rfft(torch.ones(3, dtype=torch.complex64))
    with pytest.raises(RuntimeError, match="normalization"):
        torch.fft.fft(torch.ones(3), norm="both")
    with pytest.raises(IndexError, match="no dimensions"):
        torch.fft.fft(torch.ones(()))
    with pytest.raises(RuntimeError, match="unique"):
        torch.fft.fftn(torch.ones(2, 2), dim=(0, -2))


@agrees
def test_frequencies_into_a_tensor_that_is_there(torch):
    out = []
    for f, size in ((torch.fft.fftfreq, 9), (torch.fft.rfftfreq, 5)):
        for name in ("float32", "float64", "int64", "complex64"):
            for given in (None, torch.float64):
                there = torch.zeros(size, dtype=getattr(torch, name))
                kwargs = {} if given is None else {"dtype": given}
                out.append([raised(f, 9, 0.5, out=there, **kwargs), str(there.dtype)])
                if there.is_floating_point():
                    out.append(there)
        out.append([raised(f, 4, dtype=dtype) for dtype in (torch.int64, torch.complex64)])
        out.append(f(9, 2.0, out=torch.empty(0)))
    return out
