"""Pointwise operations, compiled, against the interpreter: dtypes, ends, overflow."""

import pytest
from cpu.both import both

import facula as torch

F = torch.nn.functional
NAN, INF = float("nan"), float("inf")
FLOATS = [torch.float32, torch.float64]
INTEGERS = [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8]
ENDS = {
    torch.float32: [0.0, -0.0, 1, -1, 0.5, -0.5, 2, -2, NAN, INF, -INF, 3e38, 1e-40, 7, -3.5],
    torch.int64: [0, 1, -1, 2, 3, 7, -8, 63, 64, 100, -100, 2**63 - 1, -(2**63)],
    torch.int32: [0, 1, -1, 2, 3, 7, -8, 31, 32, 100, -100, 2**31 - 1, -(2**31)],
    torch.int16: [0, 1, -1, 2, 3, 7, -8, 15, 16, 100, -100, 2**15 - 1, -(2**15)],
    torch.int8: [0, 1, -1, 2, 3, 7, -8, 9, 100, -100, 127, -128],
    torch.uint8: [0, 1, 2, 3, 7, 8, 9, 100, 200, 255],
}
ENDS[torch.float64] = ENDS[torch.float32]

BINARY = {
    "arithmetic": lambda a, b: (a + b) * a - b,
    "extremes": lambda a, b: torch.maximum(a, b) - torch.minimum(a, b).clamp(-3, 90),
    "comparisons": lambda a, b: (a < b) ^ (a >= b) & (a != b) | (b <= 2) & (a == 1) | (a > b),
    "selection": lambda a, b: torch.where(a > b, a, b * 2),
    "remainder": lambda a, b: torch.remainder(a, torch.where(b == 0, 1, b)),
    "fmod": lambda a, b: torch.fmod(a, torch.where(b == 0, 1, b)),
}
FLOATING = {
    "division": lambda a, b: a / b + 1 / a,
    "floor_divide": torch.floor_divide,
    "copysign": torch.copysign,
    "fmax": torch.fmax,
    "fmin": torch.fmin,
    "heaviside": torch.heaviside,
    "hypot": torch.hypot,
    "xlogy": torch.xlogy,
    "xlog1py": torch.special.xlog1py,
    "logaddexp": torch.logaddexp,
    "logaddexp2": torch.logaddexp2,
    "atan2": torch.atan2,
    "pow": lambda a, b: torch.pow(a, b),
    "rounding": lambda a, b: a.floor() + b.ceil() - a.trunc() + b.round() + a.frac(),
    "signs": lambda a, b: torch.where(a.signbit(), a.sign(), b.sgn()) + b.abs().sqrt(),
    "missing": lambda a, b: a.isnan() | b.isposinf() | b.isneginf() | a.isinf() & b.isfinite(),
    "entropy": lambda a, b: torch.special.entr(a) + torch.logit(b) + torch.sinc(a),
    "angles": lambda a, b: a.deg2rad() - b.rad2deg(),
    "powers": lambda a, b: a**2 + b**3 + a.abs() ** 0.5 + b.abs() ** 1.3 + 2.0**a + b**-1 - a**-2,
    "activations": lambda a, b: F.gelu(a) + F.silu(b) + F.softplus(a) + F.logsigmoid(b) + F.elu(a),
    "more activations": lambda a, b: F.gelu(a, approximate="tanh") + F.mish(b) + F.hardswish(a),
    "errors": lambda a, b: a.erf() + b.erfc() + torch.special.ndtr(a),
    "to integers": lambda a, b: a.clamp(-99, 99).nan_to_num().to(torch.int8) + (b > 0),
}
WHOLE = {
    "bits": lambda a, b: (a & b) ^ (a | b) ^ ~a,
    "shifts": lambda a, b: (a << b) ^ (a >> b) ^ (a << 3) ^ (b >> 2),
    "powers": lambda a, b: a**2 - b**3 + a**0 + b**5,
    "division": lambda a, b: a // 7 + b // 3 + torch.div(a, 5, rounding_mode="floor") + a % 4,
    "conversion": lambda a, b: a.float() * 0.5 + b.double() + (a * 2).to(torch.int8) + b.bool(),
    "signs": lambda a, b: a.sign() + b.abs() - a.signbit().long(),
}
CASES = [
    *[(n, f, d) for n, f in BINARY.items() for d in (*FLOATS, *INTEGERS)],
    *[(n, f, d) for n, f in FLOATING.items() for d in FLOATS],
    *[(n, f, d) for n, f in WHOLE.items() for d in (torch.int64, torch.int16, torch.uint8)],
]


@pytest.mark.parametrize(("name", "f", "dtype"), CASES, ids=[f"{n}-{d}" for n, _, d in CASES])
def test_pointwise(name, f, dtype):
    def build():
        ends = torch.tensor(ENDS[dtype], dtype=dtype)
        n = ends.numel()
        a, b = ends.repeat(n), ends.reshape(n, 1).expand(n, n).reshape(-1)
        c = (torch.randn(300) * 20).abs().to(dtype) + 1
        torch.synchronize()
        return f(a, b), f(c, c.flip(0))

    both(build, tolerance=2e-6 if dtype == torch.float32 else 1e-12)


def test_a_division_of_integers_by_zero_is_an_error(monkeypatch):
    from facula.interpreter import program

    a, b = torch.arange(40), torch.arange(40) + 1
    for after in (1 << 30, 0):
        monkeypatch.setattr(program, "COMPILE_AFTER", after)
        assert (a // b * 2).tolist() == [0] * 40
        with pytest.raises(RuntimeError, match="ZeroDivision"):
            (b // a * 2).tolist()
