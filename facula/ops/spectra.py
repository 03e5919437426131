"""Short-time Fourier transforms, and the windows that PyTorch has at its top level."""

from __future__ import annotations

from typing import Any

import numpy as np

from facula import dtypes
from facula.ops.complexes import view_as_real
from facula.ops.composed import whole
from facula.ops.creations import finish
from facula.ops.table import FUNCTIONS, api
from facula.trace.aside import look
from facula.trace.recorder import TLS
from facula.values import from_array, present


def _top_level(name: str, extra: tuple[str, ...]) -> None:
    def f(
        window_length: int,
        periodic: bool = True,
        *settings: Any,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool | None = False,
        layout: Any = None,
        pin_memory: bool | None = False,
        **named: Any,
    ) -> Any:
        from facula.signal import windows

        if window_length < 0:
            raise RuntimeError(
                f"{name}_window requires non-negative window_length, got {window_length}"
            )
        given = {**dict(zip(extra, settings, strict=False)), **named}
        if name == "hamming" and given:
            a, b = given.get("alpha", 0.54), given.get("beta", 0.46)
            make: Any = windows.general_cosine
            given = {"a": [a, b]}
        else:
            make = getattr(windows, name)
        d = dtype or dtypes.get_default_dtype()
        if d.category < dtypes.FLOAT:
            raise RuntimeError(f"{name}_window expects floating point dtypes, got: {d}")
        low = d is dtypes.float16 or d is dtypes.bfloat16
        out = make(
            window_length,
            sym=not periodic,
            dtype=dtypes.float32 if low else d,
            device=device,
            requires_grad=requires_grad and not low,
            **given,
        )
        return finish(out.to(d), requires_grad) if low else out

    f.__name__ = name + "_window"
    f.__doc__ = f"The {name} window, periodic by default."
    api(f, method=False)


_top_level("hann", ())
_top_level("bartlett", ())
_top_level("blackman", ())
_top_level("hamming", ("alpha", "beta"))
_top_level("kaiser", ("beta",))


def _padded_window(name: str, window: Any, win: int, n_fft: int, like: Any) -> Any:
    if window is None:
        window = FUNCTIONS["ones"](win, dtype=like.dtype.to_real(), device=like.device)
    if len(window.node.shape) != 1 or window.node.shape[0] != win:
        raise RuntimeError(
            f"{name}: expected a 1D window tensor of size equal to win_length={win}, but got a "
            f"window of size {list(window.node.shape)}"
        )
    left = (n_fft - win) // 2
    return FUNCTIONS["constant_pad_nd"](window, (left, n_fft - win - left))


def _steps(name: str, n_fft: int, hop: Any, win: Any) -> tuple[int, int]:
    hop = n_fft // 4 if hop is None else hop
    win = n_fft if win is None else win
    if hop <= 0:
        raise RuntimeError(f"{name}: expected hop_length > 0, but got hop_length={hop}")
    if not 0 < win <= n_fft:
        raise RuntimeError(f"{name}: expected 0 < win_length <= n_fft, but got win_length={win}")
    return hop, win


def _least_power(w: Any, hop: int, count: int, start: int, stop: int) -> float | None:
    """What the squares of the windows add up to, where it is least, without ending the frame: it
    has a network before it mostly. None where the window's values are not at hand."""
    values = present(w)
    if values is None and w.node.rec is TLS.r:
        values = look(TLS.r, w.node)
    if values is None or values.dtype.kind != "f":
        return None
    pieces = -(-len(values) // hop)
    squares = np.zeros((pieces, hop), values.dtype)
    squares.reshape(-1)[: len(values)] = values * values
    power = np.zeros((count + pieces - 1, hop), values.dtype)
    for j in range(pieces):  # as in `_overlapped`
        power[j : j + count] += squares[j]
    return float(power.reshape(-1)[start:stop].min(initial=np.inf))


def _reflection(n: int, pad: int, mode: str) -> Any:
    at = np.arange(-pad, n + pad)
    if mode == "reflect":
        at = np.abs(at)
        return np.where(at >= n, 2 * (n - 1) - at, at)
    if mode == "replicate":
        return np.clip(at, 0, n - 1)
    if mode == "circular":
        return at % n
    raise RuntimeError(f"stft: unrecognised pad_mode '{mode}'")


@api
def stft(
    input: Any,
    n_fft: int,
    hop_length: Any = None,
    win_length: Any = None,
    window: Any = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: Any = None,
    return_complex: Any = None,
    align_to_window: Any = None,
) -> Any:
    """Fourier transforms of overlapping, windowed stretches of a signal (..., time).

    The result is (..., frequencies, frames), complex, or pairs where `return_complex` is False.
    Source: https://pytorch.org/docs/stable/generated/torch.stft.html
    """
    hop, win = _steps("stft", n_fft, hop_length, win_length)
    rank = len(input.node.shape)
    if input.dtype.category < dtypes.FLOAT:
        raise RuntimeError(
            f"stft: expected a tensor of floating point or complex values, got {input.dtype}"
        )
    if rank not in (1, 2):
        raise RuntimeError(f"stft: expected a 1D or 2D tensor, but got {rank}D")
    is_complex = input.dtype.is_complex or (window is not None and window.dtype.is_complex)
    if return_complex is None:
        if not is_complex:
            raise RuntimeError(
                "stft requires the return_complex parameter be given for real inputs, and will "
                "further require that return_complex=True in a future PyTorch release."
            )
        return_complex = True
    half = not is_complex if onesided is None else onesided
    t = input
    if center:
        pad = n_fft // 2
        n = t.node.shape[-1]
        if pad_mode == "constant":
            t = FUNCTIONS["constant_pad_nd"](t, (pad, pad))
        else:
            if pad_mode == "reflect" and pad >= n:
                raise RuntimeError(
                    f"stft: Padding size should be less than the input dimension, got {pad} and {n}"
                )
            padded = t.index_select(-1, from_array(_reflection(n, pad, pad_mode)).to(t.device))
            t = whole(padded, "ReflectionPad1D", t)
    n = t.node.shape[-1]
    if not 0 < n_fft <= n:
        raise RuntimeError(f"stft: expected 0 < n_fft <= {n}, but got n_fft={n_fft}")
    count = 1 + (n - n_fft) // hop
    frames = _frames(t, n_fft, hop, count)
    frames = frames * _padded_window("stft", window, win, n_fft, t)
    from facula import fft

    out = (fft.rfft if half else fft.fft)(frames, norm="ortho" if normalized else None)
    out = out.transpose(-2, -1)
    return out if return_complex else view_as_real.__wrapped__(out.contiguous())


MOST_PIECES = 32  # of a frame, that are copied or added up as wholes


def _frames(t: Any, size: int, hop: int, count: int) -> Any:
    """Stretches of t that begin `hop` after each other: (..., count, size)."""
    batch, n = t.node.shape[:-1], t.node.shape[-1]
    pieces = -(-size // hop)
    if pieces > MOST_PIECES:
        at = (np.arange(count)[:, None] * hop + np.arange(size)).reshape(-1)
        picked = t.index_select(-1, from_array(at).to(t.device))
        return picked.reshape((*batch, count, size))
    # The j-th piece of each frame is the whole one of another frame, j further on.
    rows = count + pieces - 1
    more = rows * hop - n
    t = FUNCTIONS["constant_pad_nd"](t, (0, more)) if more > 0 else t.narrow(-1, 0, rows * hop)
    t = t.reshape((*batch, rows, hop))
    last = size - (pieces - 1) * hop
    parts = [t.narrow(-2, j, count) for j in range(pieces)]
    parts[-1] = parts[-1].narrow(-1, 0, last)
    return FUNCTIONS["cat"](parts, -1)


def _overlapped(frames: Any, hop: int) -> Any:
    """The sum of frames (..., count, size) that begin `hop` after each other."""
    *batch, count, size = frames.node.shape
    total = size + hop * (count - 1)
    pieces = -(-size // hop)
    if pieces > MOST_PIECES:
        at = from_array((np.arange(count)[:, None] * hop + np.arange(size)).reshape(-1))
        at = at.to(frames.device)
        return frames.new_zeros((*batch, total)).index_add(
            -1, at, frames.reshape((*batch, count * size))
        )
    # The j-th pieces of all frames lie beside each other, j pieces further on.
    pad = FUNCTIONS["constant_pad_nd"]
    out: Any = None
    for j in range(pieces):
        wide = min(hop, size - j * hop)
        part = pad(frames.narrow(-1, j * hop, wide), (0, hop - wide, j, pieces - 1 - j))
        out = part if out is None else out + part
    return out.reshape((*batch, (count + pieces - 1) * hop)).narrow(-1, 0, total)


@api
def istft(
    input: Any,
    n_fft: int,
    hop_length: Any = None,
    win_length: Any = None,
    window: Any = None,
    center: bool = True,
    normalized: bool = False,
    onesided: Any = None,
    length: Any = None,
    return_complex: bool = False,
) -> Any:
    """The signal with the least squared distance from the given short-time transforms.

    Source: https://pytorch.org/docs/stable/generated/torch.istft.html
    """
    if not input.dtype.is_complex:
        raise RuntimeError(
            f"istft requires a complex-valued input tensor matching the output from stft with "
            f"return_complex=True, got {input.dtype}"
        )
    hop, win = _steps("istft", n_fft, hop_length, win_length)
    rank = len(input.node.shape)
    if rank not in (2, 3):
        raise RuntimeError(f"istft: expected a tensor with 2 or 3 dimensions, got {rank}")
    bins, count = input.node.shape[-2:]
    half = bins != n_fft if onesided is None else onesided
    if bins != (n_fft // 2 + 1 if half else n_fft):
        raise RuntimeError(f"istft: {bins} frequencies do not belong to n_fft={n_fft}")
    from facula import fft

    t = input.transpose(-2, -1)
    norm = "ortho" if normalized else None
    if return_complex:
        if half:
            raise RuntimeError(
                "istft: cannot have onesided=True together with return_complex=True: a complex "
                f"signal needs all {n_fft} frequencies, got {bins}"
            )
        frames = fft.ifft(t, norm=norm)
    else:
        frames = fft.irfft(t.narrow(-1, 0, n_fft // 2 + 1), n_fft, norm=norm)
    w = _padded_window("istft", window, win, n_fft, input)
    total = n_fft + hop * (count - 1)
    y = _overlapped(frames * w, hop)
    envelope = _overlapped((w * w).expand(count, n_fft), hop)
    start = n_fft // 2 if center else 0
    if length is not None:
        stop = start + length
    else:
        stop = total - n_fft // 2 if center else total
    stop = min(stop, total)
    y, envelope = y.narrow(-1, start, stop - start), envelope.narrow(0, start, stop - start)
    least = _least_power(w, hop, count, start, stop)
    if (float(envelope.detach().abs().min()) if least is None else least) < 1e-11:
        raise RuntimeError("istft: window overlap add min: 1 (a part is covered by no window)")
    y = y / envelope
    if length is not None and stop - start < length:
        y = FUNCTIONS["constant_pad_nd"](y, (0, length - (stop - start)))
    return y
