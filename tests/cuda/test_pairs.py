"""Complex numbers on the device: values and gradients are those of the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import facula as torch

CASES: dict[str, Any] = {
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "numbers": lambda a, b: a + b * 2 - 1 + (1 + 2j) * a / (2 - 1j) - (3j - a) + 2 / b,
    "matmul": lambda a, b: a @ b.mT.conj(),
    "sum": lambda a, b: (a * b).sum(1),
    "mean": lambda a, b: a.mean() + b.std(),
    "prod": lambda a, b: a.prod(1),
    "cumprod": lambda a, b: a.cumprod(0),
    "polar": lambda a, b: torch.polar(a.abs(), b.angle()),
    "transposed": lambda a, b: a.t() * 2,
    "parts": lambda a, b: a.real * b.imag,
    "as_real": lambda a, b: torch.view_as_real(a * b).sum(-1),
    "as_complex": lambda a, b: torch.view_as_complex(torch.view_as_real(a) * 2),
    "compare": lambda a, b: (a == b) | (a != 1) | a.isnan() | (a == 1 + 2j),
    "logic": lambda a, b: torch.where(a.bool().all(1), a[:, 0], b[:, 1]),
    "slices": lambda a, b: a[1:, ::2] * b[1:, 1::2],
    "cat": lambda a, b: torch.cat([a, b], 1),
    "indexed": lambda a, b: a[:, [0, 2]] + b.flip(1)[:, :2],
    "strided": lambda a, b: a.as_strided((2, 2), (4, 1), 1) * 3,
    "power": lambda a, b: a**b,
    "powers": lambda a, b: a**2 + b**3 + a**0.5 + b**-1 + a ** (1 + 1j) + 2**b,
    "sums": lambda a, b: torch.logaddexp(a, b) + torch.sinc(a),
    "lerp": lambda a, b: torch.lerp(a, b, 0.3) + torch.lerp(a, b, b),
    "cast": lambda a, b: a.real.to(a.dtype) + b.to(torch.complex128).to(a.dtype),
    "norm": lambda a, b: a.norm(),
    "filled": lambda a, b: a.clone().fill_(2 - 3j) + torch.full_like(a, 1j) + a * b.new_ones(3, 4),
}
FUNCTIONS = (
    *("exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh", "asin"),
    *("acos", "atan", "asinh", "acosh", "atanh", "reciprocal", "sigmoid", "sgn", "exp2", "log2"),
    *("log10", "rsqrt", "conj_physical", "square"),
)


def _results(f: Any, arrays: list[Any], where: str) -> list[Any]:
    made = [torch.from_numpy(a.copy()).to(where).requires_grad_() for a in arrays]
    out = f(*made)
    found = [out]
    if out.requires_grad:
        weights = torch.arange(out.numel()).reshape(out.shape).to(where)
        (out * weights).abs().pow(2).sum().backward()
        found += [m.grad for m in made]
    return [None if t is None else t.detach().cpu().numpy() for t in found]


def _same(f: Any, arrays: list[Any]) -> None:
    near = 1e-4 if arrays[0].dtype == np.complex64 else 1e-9
    for want, got in zip(_results(f, arrays, "cpu"), _results(f, arrays, "cuda"), strict=True):
        assert (want is None) == (got is None)
        if want is not None:
            assert got.dtype == want.dtype and got.shape == want.shape
            np.testing.assert_allclose(got, want, near, near)


def _numbers(rng: Any, dtype: Any) -> list[Any]:
    parts = rng.standard_normal((2, 2, 3, 4))
    return list((parts[0] + 1j * parts[1]).astype(dtype))


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(device: Any, rng: Any, name: str, dtype: Any) -> None:
    _same(CASES[name], _numbers(rng, dtype))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(device: Any, rng: Any, name: str) -> None:
    _same(lambda a, b: getattr(torch, name)(a), _numbers(rng, np.complex128))


def test_functions_near_their_poles(device: Any) -> None:
    a = torch.tensor([-1.02 + 0.02j, 1.02 + 0.02j, -0.99 - 0.01j, 1e-5j], dtype=torch.complex64)
    for f in (torch.atanh, torch.atan, torch.asin, torch.acosh, torch.sinc):
        torch.testing.assert_close(f(a.to("cuda")).cpu(), f(a), rtol=3e-6, atol=1e-7)


def test_quotients_and_roots_where_parts_are_zero(device: Any) -> None:
    a = torch.tensor([0, 1j, -1j, -4, 4, 1e-30 + 1e-30j], dtype=torch.complex128)
    for f in (torch.sqrt, torch.sgn, lambda z: z / (2 - 0j), lambda z: z / 2j, lambda z: z**2.5):
        np.testing.assert_allclose(f(a.to("cuda")).cpu(), f(a), 1e-14, 1e-300)


def test_a_number_may_change_from_run_to_run(device: Any) -> None:
    a = torch.tensor([1 + 1j, 2.0])
    b = a.to("cuda")
    for k in range(4):
        number = complex(k, 1 - k)
        assert torch.equal((b * number + number).cpu(), a * number + number)
        assert torch.equal((b**k).cpu(), a**k)


def test_writes_through_views_of_parts(device: Any) -> None:
    found = []
    for where in ("cpu", "cuda"):
        a = torch.tensor([[1 + 2j, 3.0], [4j, 5.0]]).to(where)
        a.real.mul_(2)
        a[0].imag[1] = 7
        torch.view_as_real(a)[1, 0, 0] = -1
        a.t()[1] += 1j
        found.append(a.cpu())
    assert torch.equal(*found)


def test_a_chain_is_one_kernel(emulated: Any) -> None:
    a, b = [torch.ones(5, 3, dtype=torch.complex64).to("cuda") * k for k in (1j, 2)]
    (a * b).cpu()
    before = emulated.launches
    ((a * b + a).exp() * b.conj() + 1).cpu()
    assert emulated.launches == before + 1


def test_what_is_not_known_of_complex_numbers_raises(device: Any) -> None:
    a = torch.ones(3, dtype=torch.complex64).to("cuda")
    with pytest.raises(NotImplementedError, match="'logcumsumexp' of torch"):
        a.logcumsumexp(0)
