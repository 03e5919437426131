"""Comparing tensors, numbers and containers of them, with messages that say where they differ.

Source: https://pytorch.org/docs/stable/testing.html#torch.testing.assert_close
"""

from __future__ import annotations

import cmath
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import facula
from facula import Tensor

__all__ = ["assert_allclose", "assert_close", "default_tolerances"]
_TOLERANCES = {
    "float16": (1e-3, 1e-5),
    "bfloat16": (1.6e-2, 1e-5),
    "float32": (1.3e-6, 1e-5),
    "float64": (1e-7, 1e-7),
    "complex64": (1.3e-6, 1e-5),
    "complex128": (1e-7, 1e-7),
}


def default_tolerances(*values: Any) -> tuple[float, float]:
    """The largest relative and absolute tolerances of tensors' (or given) dtypes."""
    found = []
    for v in values:
        dtype = v.dtype if isinstance(v, Tensor) else v
        found.append(_TOLERANCES.get(dtype._name, (0.0, 0.0)))
    return max([f[0] for f in found]), max([f[1] for f in found])


class _Settings:
    """The arguments of a comparison."""

    def __init__(self, **settings: Any) -> None:
        self.__dict__.update(settings)

    rtol: float | None
    atol: float | None
    equal_nan: bool
    check_device: bool
    check_dtype: bool
    check_layout: bool
    check_stride: bool
    allow_subclasses: bool

    def tolerances(self, *values: Any) -> tuple[float, float]:
        if self.rtol is not None and self.atol is not None:
            return self.rtol, self.atol
        return default_tolerances(*values)


class _Mismatch(AssertionError):
    """A difference, and the keys that lead to it."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.path: list[Any] = []


_NUMBERS = (bool, int, float, complex, np.bool_, np.number)


def _compare(actual: Any, expected: Any, s: _Settings) -> None:
    if actual is None or expected is None:
        if actual is not expected:
            raise _Mismatch(f"None mismatch: {actual} is not {expected}")
    elif _is_sequence(actual) and _is_sequence(expected):
        if len(actual) != len(expected):
            raise _Mismatch(
                f"The length of the sequences mismatch: {len(actual)} != {len(expected)}"
            )
        for i, (a, e) in enumerate(zip(actual, expected, strict=True)):
            _item(a, e, s, i)
    elif isinstance(actual, Mapping) and isinstance(expected, Mapping):
        _compare_mappings(actual, expected, s)
    elif isinstance(actual, (bool, np.bool_)) and isinstance(expected, (bool, np.bool_)):
        if actual is not expected and bool(actual) != bool(expected):
            raise _Mismatch(f"Booleans mismatch: {actual} is not {expected}")
    elif isinstance(actual, _NUMBERS) and isinstance(expected, _NUMBERS):
        _compare_numbers(actual, expected, s)
    elif _both_tensors(actual, expected, s):
        _compare_tensors(_tensor(actual), _tensor(expected), s)
    else:
        raise TypeError(
            f"No comparison pair was able to handle inputs of type {_type(actual)} and "
            f"{_type(expected)}."
        )


def _type(value: Any) -> str:
    return str(type(value)).replace("'facula.tensor.Tensor'", "'torch.Tensor'")


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _item(actual: Any, expected: Any, s: _Settings, key: Any) -> None:
    try:
        _compare(actual, expected, s)
    except _Mismatch as error:
        error.path.insert(0, key)
        raise


def _compare_mappings(actual: Any, expected: Any, s: _Settings) -> None:
    missing = [k for k in expected if k not in actual]
    extra = [k for k in actual if k not in expected]
    if missing or extra:
        raise _Mismatch(
            "The keys of the mappings do not match:\n"
            f"Missing keys in the actual mapping: {sorted(missing, key=str)}\n"
            f"Additional keys in the actual mapping: {sorted(extra, key=str)}"
        )
    for key in expected:
        _item(actual[key], expected[key], s, key)


def _both_tensors(actual: Any, expected: Any, s: _Settings) -> bool:
    for v in (actual, expected):
        if not isinstance(v, (Tensor, np.ndarray)):
            return False
    related = isinstance(actual, type(expected)) or isinstance(expected, type(actual))
    return related and (s.allow_subclasses or type(actual) is type(expected))


def _tensor(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else facula.as_tensor(value)


def _compare_numbers(actual: Any, expected: Any, s: _Settings) -> None:
    if s.check_dtype and type(actual) is not type(expected):
        raise _Mismatch(f"The (d)types do not match: {type(actual)} != {type(expected)}.")
    kinds = {bool: facula.bool, int: facula.int64, float: facula.float64}
    dtypes = [kinds.get(type(v), facula.complex128) for v in (actual, expected)]
    rtol, atol = s.tolerances(*dtypes)
    if actual == expected or (s.equal_nan and actual != actual and expected != expected):
        return
    difference = abs(actual - expected)
    if cmath.isfinite(difference) and difference <= atol + rtol * abs(expected):
        return
    raise _Mismatch(_scalar_text(actual, expected, rtol, atol))


def _scalar_text(actual: Any, expected: Any, rtol: float, atol: float, name: str = "") -> str:
    difference = abs(actual - expected)
    relative = float("inf") if expected == 0 else abs(difference / abs(expected))
    exact = rtol == 0 and atol == 0
    return (
        f"Scalars are not {'equal' if exact else 'close'}!\n\n"
        f"Expected {expected} but got {actual}.\n"
        f"Absolute difference: {difference}{'' if exact else f' (up to {atol} allowed)'}\n"
        f"Relative difference: {relative}{'' if exact else f' (up to {rtol} allowed)'}"
    )


def _attribute(name: str, actual: Any, expected: Any) -> None:
    if actual != expected:
        raise _Mismatch(f"The values for attribute '{name}' do not match: {actual} != {expected}.")


def _compare_tensors(actual: Any, expected: Any, s: _Settings) -> None:
    _attribute("shape", actual.shape, expected.shape)
    if s.check_layout:
        _attribute("layout", actual.layout, expected.layout)
    if s.check_device:
        _attribute("device", actual.device, expected.device)
    if s.check_dtype:
        _attribute("dtype", actual.dtype, expected.dtype)
    if s.check_stride:
        _attribute("stride()", actual.stride(), expected.stride())
    rtol, atol = s.tolerances(actual, expected)
    common = facula.promote_types(actual.dtype, expected.dtype)
    a, e = _dense(actual).to(common), _dense(expected).to(common)
    if rtol == 0 and atol == 0 and common.category < 2:
        match = a == e
    else:
        match = facula.isclose(a, e, rtol=rtol, atol=atol, equal_nan=s.equal_nan)
    if bool(match.all()):
        return
    if a.numel() == 1 and not a.shape:
        raise _Mismatch(_scalar_text(a.item(), e.item(), rtol, atol))
    raise _Mismatch(_tensor_text(a, e, match, rtol, atol))


def _dense(t: Any) -> Any:
    return t.to_dense() if t.layout is not facula.strided else t


def _tensor_text(a: Any, e: Any, match: Any, rtol: float, atol: float) -> str:
    """How many elements differ, and where the differences are largest."""
    bad = ~match
    count, total = int(bad.sum()), a.numel()
    if a.dtype.category < 2:
        a, e = a.to(facula.int64), e.to(facula.int64)
    difference = (a - e).abs()
    relative = difference / e.abs()
    exact = rtol == 0 and atol == 0
    lines = [
        f"Tensor-likes are not {'equal' if exact else 'close'}!",
        "",
        f"Mismatched elements: {count} / {total} ({count / total:.1%})",
    ]
    for name, d, limit in (("absolute", difference, atol), ("relative", relative, rtol)):
        # Differences of elements that agree do not count.
        flat = facula.where(match, facula.zeros_like(d), d).reshape(-1)
        at = int(flat.argmax())
        index = tuple([int(i) for i in np.unravel_index(at, tuple(a.shape))])
        allowed = "" if exact else f" (up to {limit} allowed)"
        lines.append(f"Greatest {name} difference: {flat[at].item()} at index {index}{allowed}")
    return "\n".join(lines)


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Raise AssertionError unless both agree: |actual - expected| <= atol + rtol |expected|.

    Tensors, arrays, numbers, sequences and mappings of them. The default tolerances depend on the
    dtype. Source: https://pytorch.org/docs/stable/testing.html#torch.testing.assert_close
    """
    if (rtol is None) != (atol is None):
        raise ValueError(
            "Both 'rtol' and 'atol' must be either specified or omitted, but got no "
            f"{'rtol' if rtol is None else 'atol'}."
        )
    settings = _Settings(
        rtol=rtol,
        atol=atol,
        equal_nan=equal_nan,
        check_device=check_device,
        check_dtype=check_dtype,
        check_layout=check_layout,
        check_stride=check_stride,
        allow_subclasses=allow_subclasses,
    )
    try:
        _compare(actual, expected, settings)
    except _Mismatch as error:
        text = str(error)
        if error.path:
            where = "".join([f"[{key!r}]" for key in error.path])
            text += f"\n\nThe failure occurred for item {where}"
        if msg is not None:
            text = msg(text) if callable(msg) else msg
        raise AssertionError(text) from None


def assert_allclose(
    actual: Any,
    expected: Any,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = True,
    msg: str = "",
) -> None:
    """assert_close without checks of dtype, device and stride (deprecated)."""
    import warnings

    warnings.warn(
        "`torch.testing.assert_allclose()` is deprecated since 1.12 and will be removed in a "
        "future release. Please use `torch.testing.assert_close()` instead.",
        FutureWarning,
        stacklevel=2,
    )
    a, e = [v if isinstance(v, Tensor) else facula.as_tensor(v) for v in (actual, expected)]
    assert_close(
        a, e, rtol=rtol, atol=atol, equal_nan=equal_nan, check_device=True, check_dtype=False,
        check_stride=False, msg=msg or None,
    )  # fmt: skip
