"""Every function of the standard against NumPy's function of that name, which follows it too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import facula
import facula.array_api as xp

_rng = np.random.default_rng(4)
A = _rng.standard_normal((3, 4)).astype(np.float32)
B = _rng.standard_normal((3, 4)).astype(np.float64)
I = _rng.integers(-9, 9, (3, 4)).astype(np.int32)
J = _rng.integers(1, 5, (3, 4)).astype(np.int8)
U = _rng.integers(1, 200, (4,)).astype(np.uint16)
M = _rng.integers(0, 2, (3, 4)).astype(np.bool_)
Z = (A + 1j * A[::-1]).astype(np.complex64)
S = _rng.standard_normal((2, 3, 3))
P = S @ S.transpose(0, 2, 1) + np.eye(3)
POS = np.abs(A) + np.float32(0.5)
UNIT = (A / 9).astype(np.float32)
SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 2.5, -2.5], np.float32)
ZERO = np.asarray(5, np.int64)  # without dimensions: it counts in promotion
DUP = np.array([3, 1, 3, 2, 1, 3], np.int16)

# Name, positional arguments, keyword arguments (dtypes by name).
CASES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    *[(n, (A,), {}) for n in ("abs", "ceil", "floor", "trunc", "round", "exp", "expm1", "sin")],
    *[(n, (A,), {}) for n in ("cos", "tan", "sinh", "cosh", "tanh", "asinh", "atan", "square")],
    *[(n, (POS,), {}) for n in ("log", "log1p", "log2", "log10", "sqrt", "reciprocal")],
    *[(n, (UNIT,), {}) for n in ("acos", "asin", "atanh")],
    ("acosh", (POS + 1,), {}),
    *[(n, (SPECIAL,), {}) for n in ("isnan", "isinf", "isfinite", "signbit", "sign", "abs")],
    *[(n, (Z,), {}) for n in ("abs", "conj", "real", "imag", "round", "sign", "exp", "negative")],
    *[(n, (I, J), {}) for n in ("add", "subtract", "multiply", "floor_divide", "remainder")],
    *[(n, (A, B), {}) for n in ("divide", "atan2", "hypot", "logaddexp", "copysign", "maximum")],
    *[(n, (I, U), {}) for n in ("add", "bitwise_and", "bitwise_xor", "less", "minimum", "equal")],
    *[(n, (J, ZERO), {}) for n in ("add", "multiply", "bitwise_or", "greater", "not_equal")],
    *[(n, (SPECIAL, np.float32(2)[None]), {}) for n in ("remainder", "pow")],
    *[(n, (I, 3), {}) for n in ("add", "pow", "bitwise_left_shift", "bitwise_right_shift")],
    *[(n, (M, M[::-1]), {}) for n in ("logical_and", "logical_or", "logical_xor")],
    ("logical_not", (M,), {}),
    ("bitwise_invert", (I,), {}),
    ("positive", (I,), {}),
    ("nextafter", (A, A + 1), {}),
    ("less_equal", (A, 0.5), {}),
    ("greater_equal", (A, 0.5), {}),
    ("clip", (A,), {"min": -0.5, "max": 0.5}),
    ("arange", (10, 0, -3), {}),
    ("arange", (0, 5, -1), {}),
    ("arange", (5,), {"dtype": "float32"}),
    ("linspace", (0, 1, 5), {"endpoint": False, "dtype": "float64"}),
    ("eye", (3, 5), {"k": -1, "dtype": "int8"}),
    ("eye", (3,), {"k": 7, "dtype": "float32"}),
    ("full", ((2, 3), True), {}),
    ("full_like", (I, 7), {}),
    ("tril", (A,), {"k": 1}),
    ("triu", (M,), {"k": -1}),
    ("ones_like", (I,), {}),
    ("zeros", (3,), {"dtype": "uint64"}),
    ("broadcast_to", (U, (2, 4)), {}),
    ("expand_dims", (A,), {"axis": (0, -1)}),
    ("flip", (A,), {}),
    ("flip", (A,), {"axis": 1}),
    ("moveaxis", (S, 0, -1), {}),
    ("permute_dims", (S, (2, 0, 1)), {}),
    ("repeat", (I, 2), {"axis": 1}),
    ("repeat", (DUP, np.array([1, 0, 2, 0, 1, 1])), {}),
    ("reshape", (A, (4, 3)), {}),
    ("roll", (A, 2), {"axis": 1}),
    ("roll", (A, (1, 2)), {"axis": (0, 1)}),
    ("squeeze", (A[None],), {"axis": 0}),
    ("tile", (A, (2, 1, 2)), {}),
    ("matrix_transpose", (S,), {}),
    ("take", (A, np.array([2, 0])), {"axis": 0}),
    ("take_along_axis", (A, np.array([[0, -1], [1, 2], [3, 3]])), {"axis": 1}),
    *[(n, (S,), {"axis": (0, 2)}) for n in ("sum", "prod", "max", "min", "mean", "var", "std")],
    *[(n, (A,), {"keepdims": True}) for n in ("sum", "prod", "max", "mean", "argmax", "argmin")],
    *[(n, (U,), {}) for n in ("sum", "prod", "max")],
    *[(n, (M,), {"axis": (0, 1)}) for n in ("all", "any", "count_nonzero")],
    ("sum", (A,), {"axis": (), "dtype": "float64"}),
    ("std", (B,), {"axis": 1, "correction": 0.5}),
    ("cumulative_sum", (J,), {"axis": 1, "include_initial": True}),
    ("cumulative_prod", (A,), {"axis": 0}),
    ("diff", (I,), {"axis": 0}),
    ("searchsorted", (np.sort(DUP), np.array([0, 1, 3])), {"side": "right"}),
    ("where", (M, I, ZERO), {}),
    ("isin", (I, np.array([1, 2, 3])), {"invert": True}),
    ("unique_counts", (DUP,), {}),
    ("unique_inverse", (DUP.reshape(2, 3),), {}),
    ("unique_all", (DUP,), {}),
    ("unique_counts", (SPECIAL,), {}),
    ("nonzero", (I,), {}),
    ("argsort", (DUP,), {}),
    ("sort", (B,), {"axis": 0}),
    ("matmul", (S, A[:, :3].astype(np.float64)), {}),
    ("tensordot", (A, A), {"axes": ((0, 1), (0, 1))}),
    ("vecdot", (Z, Z), {}),
    ("linalg.cholesky", (P,), {}),
    ("linalg.det", (S,), {}),
    ("linalg.diagonal", (S,), {"offset": 1}),
    ("linalg.eigvalsh", (P,), {}),
    ("linalg.inv", (P,), {}),
    ("linalg.matrix_norm", (S,), {"ord": 1, "keepdims": True}),
    ("linalg.matrix_power", (S, 3), {}),
    ("linalg.matrix_rank", (S,), {}),
    ("linalg.outer", (U, U), {}),
    ("linalg.pinv", (S,), {}),
    ("linalg.slogdet", (S,), {}),
    ("linalg.solve", (P, S), {}),
    ("linalg.svdvals", (S,), {}),
    ("linalg.trace", (S,), {"offset": -1}),
    ("linalg.vector_norm", (S,), {"axis": (0, 1), "ord": 3}),
    ("linalg.cross", (A[:, :3], A[:, :3] + 1), {}),
    *[(f"fft.{n}", (Z,), {"n": 5}) for n in ("fft", "ifft", "irfft", "hfft")],
    *[(f"fft.{n}", (A,), {"axis": 0}) for n in ("rfft", "ihfft")],
    *[(f"fft.{n}", (Z,), {"axes": (0, 1), "s": (3, 4)}) for n in ("fftn", "ifftn", "irfftn")],
    ("fft.rfftn", (A,), {"norm": "ortho", "s": (3, 4), "axes": (0, 1)}),
    *[(f"fft.{n}", (A,), {}) for n in ("fftshift", "ifftshift")],
]  # fmt: skip


def _find(space: Any, name: str) -> Any:
    for part in name.split("."):
        space = getattr(space, part)
    return space


def _call(space: Any, convert: Any, name: str, args: Any, kwargs: Any) -> Any:
    args = [convert(a) if isinstance(a, np.ndarray) else a for a in args]
    if "dtype" in kwargs:
        kwargs = {**kwargs, "dtype": getattr(space, kwargs["dtype"])}
    return _find(space, name)(*args, **kwargs)


@pytest.mark.parametrize(
    ("name", "args", "kwargs"), CASES, ids=[f"{i}-{c[0]}" for i, c in enumerate(CASES)]
)
def test_as_numpy(name: str, args: Any, kwargs: Any) -> None:
    ours = _call(xp, lambda a: xp.asarray(a, copy=True), name, args, kwargs)
    with np.errstate(all="ignore"):
        theirs = _call(np, lambda a: a, name, args, kwargs)
    if not isinstance(ours, tuple):
        ours, theirs = (ours,), (theirs,)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert type(a) is xp.Array
        b = np.asarray(b)
        assert tuple(a.shape) == b.shape
        assert a.numpy().dtype == b.dtype
        rtol = 1e-4 if b.dtype in (np.float32, np.complex64) else 1e-9
        np.testing.assert_allclose(a.numpy(), b, rtol=rtol, atol=1e-5 if rtol > 1e-6 else 1e-12)


def test_where_numpy_differs_from_the_standard() -> None:
    x = xp.asarray(SPECIAL.copy())
    assert str(xp.floor_divide(x, 2).tolist()) == "[nan, inf, -inf, 0.0, -0.0, 1.0, -2.0]"
    assert str(xp.floor_divide(xp.asarray([1.0, -1.0]), float("-inf")).tolist()) == "[-0.0, 0.0]"
    assert xp.unique_values(xp.asarray(DUP)).tolist() == [1, 2, 3]
    big = xp.asarray([complex("inf+infj"), complex("-inf+infj")])
    assert [z.real for z in xp.expm1(big).tolist()] == [float("inf"), -1.0]
    assert str(xp.expm1(xp.asarray(complex(-0.0, 0.0))).tolist()) == "0j"


def test_every_function_returns_arrays_of_plain_tensors_too() -> None:
    x = facula.tensor([[1.0, -2.0], [3.0, 4.0]])
    for name in xp.__all__:
        f = getattr(xp, name)
        if name in ("abs", "sin", "sum", "mean", "positive", "real", "sort", "permute_dims"):
            got = f(x, (1, 0)) if name == "permute_dims" else f(x)
            assert type(got) is xp.Array, name
            assert type(x) is facula.Tensor  # an input never changes its class


def test_names_and_versions() -> None:
    x = facula.zeros(2)
    assert x.__array_namespace__() is xp
    assert x.__array_namespace__(api_version="2023.12") is xp
    with pytest.raises(ValueError, match=r"1999\.1"):
        x.__array_namespace__(api_version="1999.1")
    assert x.to_device("cpu") is x
    with pytest.raises(ValueError, match="stream"):
        x.to_device("cpu", stream=1)
    for name in xp.__all__:
        assert hasattr(xp, name)


ERRORS = [
    (lambda: xp.squeeze(xp.zeros((2, 3)), 0), ValueError, "is not 1"),
    (lambda: xp.expand_dims(xp.zeros(2), 5), IndexError, "out of range"),
    (lambda: xp.asarray([1], copy=False), ValueError, "without a copy"),
    (lambda: xp.asarray(facula.ones(1), dtype=xp.int8, copy=False), ValueError, "without a copy"),
    (lambda: xp.astype(xp.asarray([1j]), xp.float32), TypeError, "real"),
    (lambda: xp.nonzero(xp.asarray(1)), ValueError, "dimensions"),
    (lambda: xp.sum(xp.zeros((2, 2)), axis=3), IndexError, "axis 3"),
    (lambda: xp.add(1, 2), TypeError, "at least one array"),
    (lambda: xp.add(xp.zeros(1, dtype=xp.uint64), xp.zeros(1, dtype=xp.int8)), TypeError, "uint64"),
    (lambda: xp.isdtype(xp.int8, "whole"), ValueError, "whole"),
    (lambda: xp.broadcast_to(xp.zeros((2, 2)), (2,)), ValueError, "broadcast"),
    (lambda: xp.take(xp.zeros((2, 2)), xp.asarray([0])), ValueError, "axis"),
    (lambda: xp.linalg.vecdot(xp.zeros(2), xp.zeros(3)), ValueError, "differ"),
    (lambda: xp.searchsorted(xp.zeros(2), 1.0, side="up"), ValueError, "up"),
]


@pytest.mark.parametrize(("call", "kind", "text"), ERRORS)
def test_errors(call: Any, kind: Any, text: str) -> None:
    with pytest.raises(kind, match=text):
        call()
