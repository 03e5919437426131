"""The operators of torchaudio's compiled part that are here in Python: the loops of its filters.

torchaudio loads its libraries with `torch.ops.load_library` and calls what is in them through
`torch.ops.torchaudio`. They are compiled against PyTorch's C++ interface, so these take their
place; an operator without a kernel raises NotImplementedError when it is called.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from facula.library import CustomOpDef

_WITHOUT_KERNEL = """
    forced_align rnnt_loss rnnt_loss_alphas rnnt_loss_backward rnnt_loss_betas rnnt_loss_forward
"""


def register() -> None:
    """Enter the operators under `torch.ops.torchaudio` and what says how they were compiled."""
    for name in _WITHOUT_KERNEL.split():
        CustomOpDef(f"torchaudio::{name}")
    CustomOpDef("torchaudio::_lfilter_core_loop", _lfilter_core_loop)
    CustomOpDef("torchaudio::_overdrive_core_loop", _overdrive_core_loop)
    CustomOpDef("_torchaudio::cuda_version", lambda: None)
    CustomOpDef("_torchaudio::is_align_available", lambda: False)


def _lfilter_core_loop(signal: Any, a_coeff_flipped: Any, padded_output: Any) -> None:
    """Each output sample: the input's, less the former outputs times the coefficients.

    Args:
        signal: batch x channel x time.
        a_coeff_flipped: channel x order, the latest last, whose own is 1.
        padded_output: batch x channel x (order - 1 + time), the first zero; written.
    """
    x, a, out = signal.numpy(), a_coeff_flipped.numpy(), padded_output.numpy()
    order = a.shape[1]
    for i in range(x.shape[2]):
        former = out[:, :, i : i + order - 1]
        np.subtract(x[:, :, i], (former * a[:, :-1]).sum(2), out=out[:, :, i + order - 1])


def _overdrive_core_loop(
    waveform: Any, temp: Any, last_in: Any, last_out: Any, output_waveform: Any
) -> None:
    """A distorted signal through a filter that stops what does not change, half of each.

    Args:
        waveform, temp: channel x time, the signal and the distorted one.
        last_in, last_out: of each channel before the first sample.
        output_waveform: channel x time; written.
    """
    x, y, out = waveform.numpy(), temp.numpy(), output_waveform.numpy()
    before, last = last_in.numpy().copy(), last_out.numpy().copy()
    for i in range(x.shape[1]):
        last = y[:, i] - before + 0.995 * last
        before = y[:, i]
        out[:, i] = x[:, i] * 0.5 + last * 0.75
