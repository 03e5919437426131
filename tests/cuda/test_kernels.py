"""What the kernels compute, and the gradients through them, against the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import facula as torch

from .table import CASES, INDEXED, results


def _same(f: Any, arrays: list[Any], extra: tuple[Any, ...] = ()) -> None:
    def on(where: str) -> Any:
        made = [torch.from_numpy(a.copy()).to(where).requires_grad_() for a in arrays]
        return results(f, made, tuple([e.to(where) for e in extra]))

    double = arrays[0].dtype == np.float64
    for want, got in zip(on("cpu"), on("cuda"), strict=True):
        assert (want is None) == (got is None)
        if want is not None:
            assert got.dtype == want.dtype and got.shape == want.shape
            near = (1e-10, 1e-10) if double else (2e-5, 1e-4)
            np.testing.assert_allclose(got, want, *near)


@pytest.mark.parametrize(("f", "shapes"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_values_and_gradients(device: Any, rng: Any, f: Any, shapes: Any) -> None:
    _same(f, [rng.standard_normal(s).astype(np.float32) for s in shapes])


@pytest.mark.parametrize("f", [c[1] for c in INDEXED], ids=[c[0] for c in INDEXED])
def test_indexed(device: Any, rng: Any, f: Any) -> None:
    a = rng.standard_normal((4, 4)).astype(np.float32)
    index = rng.permuted(np.tile(np.arange(4), (4, 1)), axis=1)
    _same(f, [a], (torch.from_numpy(index),))


@pytest.mark.parametrize("name", ["softmax_columns", "sum_many_columns", "mm", "layer_norm"])
def test_float64(device: Any, rng: Any, name: str) -> None:
    (found,) = [c for c in CASES if c[0] == name]
    _same(found[1], [rng.standard_normal(s) for s in found[2]])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_floats_round_as_on_the_cpu(device: Any, rng: Any, dtype: str) -> None:
    a = torch.from_numpy(rng.standard_normal(100).astype(np.float32)).to(getattr(torch, dtype))
    got = (a.to("cuda") * 3 + 1).to("cpu")
    assert torch.equal(got, a * 3 + 1)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8"])
def test_integers_wrap(device: Any, dtype: str) -> None:
    d = getattr(torch, dtype)
    a = torch.tensor([127, -128, 100, 3, -7, 0]).to(d)
    b = torch.tensor([2, 3, 100, 7, 2, 5]).to(d)
    for f in (
        lambda x, y: x + y,
        lambda x, y: x * y,
        lambda x, y: x // y,
        lambda x, y: x % y,
        lambda x, y: x ^ y,
        lambda x, y: x << 3,
        lambda x, y: x.sum() + y.amax(),
        lambda x, y: x.reshape(2, 3) @ y.reshape(3, 2),
        lambda x, y: x.cummax(0).values + y.median(),
    ):
        assert torch.equal(f(a.to("cuda"), b.to("cuda")).cpu(), f(a, b))


def test_nan_and_infinities(device: Any) -> None:
    a = torch.tensor([float("nan"), float("inf"), -float("inf"), -0.0, 1.0])
    b = torch.tensor([1.0, float("nan"), 2.0, 0.0, float("nan")])
    for f in (
        torch.maximum,
        torch.minimum,
        lambda x, y: x.sigmoid() + y,
        lambda x, y: (x == y) | (x < y),
        lambda x, y: x.clamp(0, 1),
        lambda x, y: x.amax() + y.amin(),
        lambda x, y: y.argmax(),
        lambda x, y: 1 / x,
    ):
        got, want = f(a.to("cuda"), b.to("cuda")).cpu(), f(a, b)
        np.testing.assert_array_equal(got.numpy(), want.numpy())


@pytest.mark.parametrize("dtype", ["bfloat16", "int32", "float64"])
@pytest.mark.parametrize("name", ["sum", "amax", "prod"])
def test_columns_are_reduced_by_threads_side_by_side(
    device: Any, rng: Any, name: str, dtype: str
) -> None:
    a = torch.from_numpy(rng.standard_normal((300, 70)) * 2).to(getattr(torch, dtype))
    got, want = getattr(a.to("cuda"), name)(0).cpu(), getattr(a, name)(0)
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize("columns", [1, 33, 40])
def test_gradients_meet_in_the_rows_of_a_table(device: Any, rng: Any, columns: int) -> None:
    index = torch.from_numpy(rng.integers(0, 7, (4, 25)))
    g = torch.from_numpy(rng.standard_normal((4, 25, columns)))
    table = torch.zeros(7, columns, dtype=torch.float64)
    found = []
    for where in ("cpu", "cuda"):
        t = table.clone().to(where).requires_grad_()
        torch.nn.functional.embedding(index.to(where), t).backward(g.to(where))
        found.append(t.grad.cpu())
    torch.testing.assert_close(*found)


def test_sums_have_the_same_bits_each_time(device: Any, rng: Any) -> None:
    a = torch.from_numpy(rng.standard_normal((300, 70)).astype(np.float32)).to("cuda")
    for f in (torch.sum, lambda x: x.sum(0), lambda x: x.sum(1), lambda x: x.softmax(1)):
        first = f(a).cpu()
        assert torch.equal(f(a.clone()).cpu(), first)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int64"])
@pytest.mark.parametrize("shape", [(3, 700), (700, 3), (5, 40)])
def test_running_sums_of_long_lines(device: Any, rng: Any, shape: Any, dtype: str) -> None:
    a = torch.from_numpy(rng.standard_normal(shape) * 3).to(getattr(torch, dtype))
    for d in (0, 1):
        torch.testing.assert_close(
            a.to("cuda").cumsum(d).cpu(), a.cumsum(d), rtol=2e-2 if a.itemsize == 2 else 1e-4,
            atol=1e-3,
        )  # fmt: skip


def test_what_has_no_dimensions_is_scattered(device: Any) -> None:
    for name in ("scatter", "scatter_add"):
        x, s = [torch.ones((), device="cuda").requires_grad_() for _ in range(2)]
        i = torch.zeros((), dtype=torch.int64, device="cuda")
        getattr(x, name)(0, i, s).backward()
        assert [x.grad.item(), s.grad.item()] == [float(name == "scatter_add"), 1.0]
    a = torch.zeros(2, 3, device="cuda").scatter_(1, torch.tensor([[1], [2]], device="cuda"), 4.0)
    assert a.cpu().tolist() == [[0.0, 4.0, 0.0], [0.0, 0.0, 4.0]]


@pytest.mark.parametrize("turned", [False, True])
def test_operands_that_no_step_leads_through_are_copied_as_they_lie(
    device: Any, rng: Any, turned: bool
) -> None:
    def heads(x: Any) -> list[Any]:
        return [a.reshape(2, 5, 3, 4).transpose(1, 2) for a in x.split(12, 2)]

    def both(x: Any) -> Any:
        q, k, v = heads(x)
        return q @ k.transpose(2, 3) @ v if turned else q.transpose(2, 3) @ k + v[:, :, :4]

    _same(both, [rng.standard_normal((2, 5, 36)).astype(np.float32)])
    _same(both, [rng.standard_normal((2, 5, 36))])
