"""Short-time transforms."""

from __future__ import annotations

import numpy as np
import pytest
from ops.numeric import check_gradients

import facula as torch
from facula.trace.recorder import TLS


def test_a_frame_is_the_transform_of_its_windowed_stretch(rng):
    x, w = rng.normal(size=20), rng.uniform(0.5, 1, 6)
    got = torch.stft(torch.tensor(x), 8, 4, 6, torch.tensor(w), center=False, return_complex=True)
    frame = x[8:16] * np.pad(w, 1)
    np.testing.assert_allclose(got[:, 2].numpy(), np.fft.rfft(frame), atol=1e-12)


@pytest.mark.parametrize("normalized", [False, True])
def test_the_inverse_gives_the_signal_back(rng, normalized):
    x = torch.tensor(rng.normal(size=(2, 40)))
    w = torch.hann_window(8, dtype=torch.float64)
    z = torch.stft(x, 8, 2, window=w, normalized=normalized, return_complex=True)
    back = torch.istft(z, 8, 2, window=w, normalized=normalized, length=40)
    np.testing.assert_allclose(back.numpy(), x.numpy(), atol=1e-12)


@pytest.mark.parametrize(("size", "hop"), [(50, 13), (40, 40), (40, 1), (8, 20)])
def test_frames_in_pieces_of_any_size(size, hop, rng):
    a = rng.normal(size=(2, 203))
    z = torch.stft(torch.tensor(a), size, hop, center=False, return_complex=True)
    starts = range(0, 203 - size + 1, hop)
    want = np.stack([np.fft.rfft(a[:, i : i + size]) for i in starts], -1)
    np.testing.assert_allclose(z.numpy(), want, atol=1e-12)


@pytest.mark.parametrize(("size", "hop"), [(50, 13), (40, 40), (40, 1)])
def test_the_inverse_of_frames_in_pieces_of_any_size(size, hop, rng):
    x = torch.tensor(rng.normal(size=(2, 200)))
    w = torch.ones(size, dtype=torch.float64)
    z = torch.stft(x, size, hop, window=w, return_complex=True).requires_grad_()
    back = torch.istft(z, size, hop, window=w)
    np.testing.assert_allclose(back.detach().numpy(), x.numpy()[:, : back.shape[1]], atol=1e-12)
    back.sum().backward()  # of which only the means are a part
    assert z.grad[:, 0].abs().sum() > 0 and z.grad[:, 1].imag.abs().max() < 1


@pytest.mark.parametrize("pending", [True, False])
def test_the_inverse_ends_no_frame(rng, pending):
    x = torch.tensor(rng.normal(size=40))
    w = torch.hann_window(8, dtype=torch.float64)
    if not pending:
        torch.synchronize()
    z = torch.stft(x, 8, 2, window=w, return_complex=True)
    frame = TLS.r.frame
    back = torch.istft(z * 2, 8, 2, window=w * 1)
    assert TLS.r.frame == frame
    np.testing.assert_allclose(back.numpy(), 2 * x.numpy(), atol=1e-12)
    with pytest.raises(RuntimeError, match="window overlap add min"):
        torch.istft(z, 8, 2, window=w * 0)


def test_derivatives():
    check_gradients(lambda x: torch.stft(x, 4, 2, return_complex=True), np.arange(7.0))


def test_what_does_not_fit():
    with pytest.raises(RuntimeError, match="return_complex"):
        torch.stft(torch.ones(8), 4)
    with pytest.raises(RuntimeError, match="Padding"):
        torch.stft(torch.ones(2), 4, return_complex=True)


def test_top_level_windows():
    assert torch.hann_window(4).tolist() == pytest.approx([0, 0.5, 1, 0.5])
    assert torch.hamming_window(3, False, 0.5, 0.5).tolist() == pytest.approx([0, 1, 0], abs=1e-7)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64])
def test_signals_of_whole_numbers_are_refused(dtype):
    with pytest.raises(RuntimeError, match="floating point or complex"):
        torch.stft(torch.ones(9, dtype=dtype), 4, return_complex=True)
