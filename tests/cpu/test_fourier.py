"""Fourier transforms, compiled, against the interpreter's."""

import pytest
from cpu.both import both

import facula as torch

LENGTHS = [4, 6, 8, 9, 15, 25, 30, 49, 64, 77, 100, 128, 169, 400]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("n", LENGTHS)
def test_lines_of_a_length(n, dtype):
    near = 2e-4 if dtype is torch.float32 else 1e-11

    def build():
        x = torch.randn(3, 7, n, dtype=dtype)
        y = torch.randn(n, 19, dtype=dtype)
        z = torch.complex(torch.randn(11, n, dtype=dtype), torch.randn(11, n, dtype=dtype))
        torch.synchronize()
        out = [torch.fft.rfft(x), torch.fft.rfft(y, dim=0, norm="ortho"), torch.fft.fft(z)]
        out += [torch.fft.ifft(z), torch.fft.fft(z.t(), dim=0, norm="forward"), torch.fft.ihfft(x)]
        out += [torch.fft.irfft(z, n), torch.fft.hfft(z, 2 * n)]
        return [torch.view_as_real(t) if t.is_complex() else t for t in out]

    skipped = ("full", "view_as_real", "slice_scatter", "complex")
    both(build, near, allowed=skipped)


@pytest.mark.parametrize("shape", [(3, 16, 20), (2, 9, 12, 10), (40, 16)])
def test_several_dimensions(shape):
    def build():
        x = torch.randn(shape)
        torch.synchronize()
        y = torch.fft.rfftn(x)
        back = torch.fft.irfftn(y, shape)
        return torch.view_as_real(y), torch.view_as_real(torch.fft.fft2(y)), back

    both(build, 2e-4, allowed=("view_as_real",))
