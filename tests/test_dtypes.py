"""Which Python numbers a dtype has a place for."""

import math

import numpy as np
import pytest
from nn.stored import agrees, raised

import facula

DTYPES = [
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
]
NUMBERS = (300, -1, -200, -300, 70000, 2**31, 2**63, -1.5, 255.5, 1e6, 1e40, float("inf"))
FILLS = {
    "tensor": lambda torch, t, v: torch.tensor([v], dtype=t.dtype),
    "full": lambda torch, t, v: torch.full((3,), v, dtype=t.dtype),
    "one": lambda torch, t, v: torch.full((), v, dtype=t.dtype),
    "full_like": lambda torch, t, v: torch.full_like(t, v),
    "fill_": lambda torch, t, v: t.clone().fill_(v),
    "masked_fill": lambda torch, t, v: t.masked_fill(torch.tensor([True, False]), v),
    "index_fill": lambda torch, t, v: t.index_fill(0, torch.tensor([0]), v),
    "setitem": lambda torch, t, v: t.clone().__setitem__(0, v),
    "mask": lambda torch, t, v: t.clone().__setitem__(torch.tensor([True, False]), v),
    "clamp": lambda torch, t, v: t.clamp(max=v) if t.dtype.is_floating_point else t,
}


def _answer(torch, call, dtype, number):
    """The type of the error, or the first element."""
    t = torch.ones(2, dtype=getattr(torch, dtype))
    try:
        made = call(torch, t, number)
    except (RuntimeError, ValueError) as e:
        return type(e).__name__
    return str(made.flatten()[0].item()) if made is not None else "written"


@agrees
def test_numbers_without_a_place_are_refused(torch):
    return {
        f"{name} {dtype} {number}": _answer(torch, call, dtype, number)
        for name, call in FILLS.items()
        for dtype in DTYPES
        for number in NUMBERS
        if not (number == 2**63 and name != "tensor")
    }


def test_arrays_are_cast_as_numpy_casts_them():
    assert facula.tensor(np.array([300, -1]), dtype=facula.uint8).tolist() == [44, 255]
    assert facula.tensor(np.array([1e40])).to(facula.float32).tolist() == [float("inf")]
    assert facula.tensor(1e40).item() == float("inf")  # and no warning


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 2**70])
def test_whole_numbers_beyond_64_bits(number):
    assert raised(facula.tensor, number) == "ValueError"
    assert facula.tensor([number], dtype=facula.float32).item() == pytest.approx(number)
    assert facula.tensor(2**64 - 1, dtype=facula.uint64).item() == 2**64 - 1


H, F32 = facula.ones(3, dtype=facula.float16), facula.ones(3)


@pytest.mark.parametrize(
    "call",
    [
        lambda: H**1e6,
        lambda: H.pow(-1e6),
        lambda: H.clone().pow_(10**6),
        lambda: facula.linspace(0, 1e6, 3, dtype=facula.float16),
        lambda: facula.logspace(1e6, 0, 3, dtype=facula.float16),
        lambda: facula.nn.functional.pad(H, (1, 1), value=1e6),
        lambda: facula.nn.functional.hardshrink(H, 1e6),
        lambda: facula.rsub(H, 1.0, alpha=1e6),
        lambda: F32.sub(F32, alpha=1e39),
        lambda: H.index_add(0, facula.tensor([0]), H[:1], alpha=1e6),
        lambda: F32.index_add(0, facula.tensor([0]), F32[:1], alpha=2j),
        lambda: H.scatter(0, facula.tensor([0]), 1e6),
        lambda: F32.lerp(F32, 1e39),
        lambda: H.addcmul(H, H, value=1e39),
        lambda: F32.addcdiv(F32, F32, value=1e39),
    ],
)
def test_numbers_that_a_dtype_has_no_place_for(call):
    with pytest.raises(RuntimeError, match=r"without overflow|is complex"):
        call()


def test_numbers_that_only_the_type_computed_in_has_a_place_for():
    assert H.addcmul(H, H, value=1e6).tolist() == [math.inf] * 3
    assert (H * 1e6).tolist() == [math.inf] * 3


def test_short_names():
    names = ("uint8", "int64", "bfloat16", "float32", "complex128", "float8_e4m3fn", "bool")
    short = [getattr(facula, name).abbr for name in (*names, "complex32", "quint4x2")]
    assert short == ["u8", "i64", "bf16", "f32", "c128", "f8e4m3fn", "b8", "c32", "quint4x2"]
