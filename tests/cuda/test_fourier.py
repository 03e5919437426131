"""Fourier transforms on the device: values and gradients are those of the CPU."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest

import facula as torch
from facula.cuda.fourier import factors

CASES: dict[str, Any] = {
    "fft": lambda a: torch.fft.fft(a * (1 + 2j)),
    "ifft": lambda a: torch.fft.ifft(a * 1j, dim=0, norm="ortho"),
    "rfft": lambda a: torch.fft.rfft(a),
    "rfft_scaled": lambda a: torch.fft.rfft(a, norm="forward", dim=1),
    "irfft": lambda a: torch.fft.irfft(torch.fft.fft(a) * 1j),
    "irfft_odd": lambda a: torch.fft.irfft(torch.complex(a, a * 2), n=7),
    "hfft": lambda a: torch.fft.hfft(torch.complex(a, a * 2)),
    "ihfft": lambda a: torch.fft.ihfft(a, norm="ortho"),
    "fft2": lambda a: torch.fft.fft2(a),
    "fftn": lambda a: torch.fft.fftn(a, s=(3, 8), dim=(0, 2)),
    "rfftn": lambda a: torch.fft.rfftn(a),
    "irfftn": lambda a: torch.fft.irfftn(torch.complex(a, -a)),
    "shifted": lambda a: torch.fft.fftshift(torch.fft.fft(a)).abs(),
    "transposed": lambda a: torch.fft.fft(a.transpose(0, 2)) * 2,
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(device: Any, rng: Any, name: str) -> None:
    a = rng.standard_normal((4, 3, 10))
    found = []
    for where in ("cpu", "cuda"):
        t = torch.from_numpy(a.copy()).to(where).requires_grad_()
        out = CASES[name](t)
        (out.abs() * torch.arange(out.numel()).reshape(out.shape).to(where)).sum().backward()
        found.append([x.detach().cpu().numpy() for x in (out, t.grad)])
    for want, got in zip(*found, strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got, want, 1e-9, 1e-9)


@pytest.mark.parametrize("n", [1, 2, 3, 31, 360, 1000, 1024, 2048, 2310, 3001, 4096])
def test_lengths(device: Any, rng: Any, n: int) -> None:
    for dtype, near in ((np.float32, 2e-5), (np.float64, 1e-11)):
        a = torch.from_numpy(rng.standard_normal((2, n)).astype(dtype))
        b = a.to("cuda")
        got, want = torch.fft.rfft(b).cpu(), torch.fft.rfft(a)
        size = float(want.abs().max())
        assert float((got - want).abs().max()) < near * size
        back = torch.fft.ifft(torch.fft.fft(b)).real.cpu()
        assert float((back - a).abs().max()) < near * 4


def test_lengths_are_made_of_factors() -> None:
    for n in range(1, 400):
        assert prod(factors(n)) == n
        assert all([r == 4 or all([r % q for q in range(2, r)]) for r in factors(n)])


@pytest.mark.parametrize("complex_", [True, False])
def test_short_time_transforms(device: Any, rng: Any, complex_: bool) -> None:
    a = torch.from_numpy(rng.standard_normal((2, 50)))
    window = torch.hann_window(16, dtype=torch.float64)
    found = []
    for where in ("cpu", "cuda"):
        s = torch.stft(a.to(where), 16, window=window.to(where), return_complex=complex_)
        if complex_:
            found.append(torch.istft(s, 16, window=window.to(where)).cpu())
        found.append(s.cpu())
    for want, got in zip(found[: len(found) // 2], found[len(found) // 2 :], strict=True):
        torch.testing.assert_close(got, want)
