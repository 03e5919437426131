"""What is computed again instead of stored, and rows that lie in pieces."""

import numpy as np
import pytest

import facula as torch
from facula.compiler.timing import Timeline
from facula.interpreter import program
from facula.nn import functional as F


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)


def kernels(call):
    """The kernels of a call, by what they compute, and the bytes that they touch."""
    with Timeline() as timeline:
        call()
        torch.synchronize()
    assert all(e.category == "kernel" for e in timeline.events)
    return [e.kernel.name for e in timeline.events], [e.kernel.bytes for e in timeline.events]


def test_a_batch_norm_is_one_kernel_forward_and_one_backward():
    x = torch.randn(8, 16, 10, 12, requires_grad=True)
    w, b = torch.randn(16, requires_grad=True), torch.randn(16, requires_grad=True)
    m, g = torch.randn(12, 12), torch.randn(8, 16, 10, 12)
    out = []

    def step():
        y = F.batch_norm(x, None, None, w, b, training=True).relu()
        out[:] = [y @ m]
        out[0].backward(g)

    names, sizes = kernels(step)
    assert len(names) == 4
    forward, product, back, backward = names
    assert "rsqrt" in forward and "relu" in forward
    assert product == "matmul" and back.startswith("matmul+")
    assert backward.count("sum") == 4
    # Stored are the result and its sign; and then the gradients of the result and of x.
    one = 4 * x.numel()
    assert sizes[0] < (1 + 1 + 0.25) * one + 2048
    assert sizes[3] < (1 + 1 + 1) * one + 2048


def test_a_cheap_value_is_not_stored_for_others():
    x, y = torch.randn(64, 64), torch.randn(64)
    out = []

    def step():
        a = x * y
        total = a.sum(1, keepdim=True)
        product = a @ torch.ones(64, 1)  # a core, which has to read it
        out[:] = [total, product]

    names, _ = kernels(step)
    assert any("matmul" in n for n in names)
    np.testing.assert_allclose(out[0].numpy(), out[1].numpy(), 1e-4, 1e-4)


def test_values_are_computed_again_from_what_can_be_read_instead():
    """A group norm stores neither the centred nor the normalised input, nor their products with
    the gradient, of which another kernel makes the gradient by the weights."""
    x = torch.randn(4, 16, 8, 20, requires_grad=True)
    w, b = torch.randn(16, requires_grad=True), torch.randn(16, requires_grad=True)
    m, out = torch.randn(20, 20), []

    def step():
        y = F.group_norm(x, 4, w, b)
        out[:] = [y @ m, y.detach()]
        out[0].backward(out[0].detach())

    names, sizes = kernels(step)
    one = 4 * x.numel()
    rows = [s for n, s in zip(names, sizes, strict=True) if "matmul" not in n]
    # Read and written: x and y; x and the gradient of y; these, and the gradient of x.
    assert sorted([round(s / one) for s in rows]) == [2, 2, 3]
    c = (4, 4, 640)
    g = (out[0].detach() @ m.T).double().numpy()
    wide = x.detach().double().numpy().reshape(c)
    inverse = 1 / np.sqrt(wide.var(2, keepdims=True) + 1e-5)
    hat = (wide - wide.mean(2, keepdims=True)) * inverse
    by_weights = (g * hat.reshape(x.shape)).sum((0, 2, 3))
    np.testing.assert_allclose(w.grad.numpy(), by_weights, 1e-4, 1e-3)
    gh = (g * w.detach().numpy().reshape(1, 16, 1, 1)).reshape(c)
    want = inverse * (gh - gh.mean(2, keepdims=True) - hat * (gh * hat).mean(2, keepdims=True))
    np.testing.assert_allclose(x.grad.numpy(), want.reshape(x.shape), 1e-4, 1e-3)


def test_a_mask_of_bytes_is_stored_though_its_operand_could_be_read():
    x, out = torch.randn(64, 64), []

    def step():
        mask = x > 0
        total = torch.where(mask, x, 1.0).sum(1, keepdim=True)
        y = (total * total).sum(0, keepdim=True) * torch.ones(64, 64)
        out[:] = [y.masked_fill(mask, 0.0)]

    names, _ = kernels(step)
    assert names[-1] == "mul+where"
    a = x.numpy()
    total = np.where(a > 0, a, 1).sum(1)
    want = np.where(a > 0, 0, (total * total).sum())
    np.testing.assert_allclose(out[0].numpy(), want, 1e-4, 1e-4)


def batch_norm(x, w, b, g):
    """Result and gradients in float64."""
    dims = (0, *range(2, x.ndim))
    across = [-1 if d == 1 else 1 for d in range(x.ndim)]
    mean, var = x.mean(dims, keepdims=True), x.var(dims, keepdims=True)
    inverse = 1 / np.sqrt(var + 1e-5)
    hat = (x - mean) * inverse
    gh = g * w.reshape(across)
    gx = inverse * (gh - gh.mean(dims, keepdims=True) - hat * (gh * hat).mean(dims, keepdims=True))
    return hat * w.reshape(across) + b.reshape(across), gx, (g * hat).sum(dims), g.sum(dims)


@pytest.mark.parametrize(
    "shape",
    [
        *((4, 16, 5, 7), (3, 17, 4, 4), (2, 20, 1, 16), (5, 16, 3, 20), (2, 33, 8, 16)),
        *(
            (2, 16, 2, 3, 8),
            (4, 16, 64),
            (7, 40, 3, 3),
            (2, 16, 32, 33),
            (1, 16, 9, 9),
            (9, 3, 8, 8),
        ),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batch_norm_over_pieces_of_all_sizes(shape, dtype, rng):
    x, g = rng.standard_normal(shape), rng.standard_normal(shape)
    w, b = rng.standard_normal(shape[1]), rng.standard_normal(shape[1])
    tx, tw, tb = [torch.tensor(a.astype(dtype), requires_grad=True) for a in (x, w, b)]
    y = F.batch_norm(tx, None, None, tw, tb, training=True)
    y.backward(torch.tensor(g.astype(dtype)))
    got = [y.detach(), tx.grad, tw.grad, tb.grad]
    for have, want in zip(got, batch_norm(x, w, b, g), strict=True):
        np.testing.assert_allclose(have.numpy(), want, 2e-4, 2e-4)


@pytest.mark.parametrize("dims", [(0, 2), (0, 2, 3), (0, 3), (2,), (1, 3), (0, 1, 3), (0,), (3,)])
@pytest.mark.parametrize("layout", ["plain", "turned", "sliced"])
def test_reductions_over_dimensions_apart(dims, layout, rng):
    a = rng.standard_normal((6, 18, 8, 20)).astype(np.float32)
    if layout == "turned":
        a = np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    x = torch.tensor(np.ascontiguousarray(a))
    if layout == "turned":
        x = torch.tensor(np.ascontiguousarray(a.transpose(0, 2, 3, 1))).permute(0, 3, 1, 2)
    if layout == "sliced":
        x, a = x[:, 1:, :, 2:18], a[:, 1:, :, 2:18]
    centred = x - x.mean(dims, keepdim=True)
    largest = (x * 2).amax(dims, keepdim=True)
    ratio = x / largest
    wide = a.astype(np.float64)
    np.testing.assert_allclose(centred.numpy(), wide - wide.mean(dims, keepdims=True), 1e-4, 1e-5)
    np.testing.assert_array_equal(largest.numpy(), a.max(dims, keepdims=True) * 2)
    np.testing.assert_allclose(
        ratio.numpy(), wide / (wide.max(dims, keepdims=True) * 2), 1e-5, 1e-6
    )
    np.testing.assert_allclose((x * x).sum(dims).numpy(), (wide * wide).sum(dims), 1e-4)
    np.testing.assert_array_equal(x.amin(dims).numpy(), a.min(dims))


def test_threads_do_not_change_a_bit():
    from facula.cpu.runtime import get_num_threads, set_num_threads

    before = get_num_threads()
    x, g = torch.randn(6, 40, 9, 16), torch.randn(6, 40, 9, 16)
    results = []
    try:
        for n in (1, 2):
            set_num_threads(n)
            t = x.clone().requires_grad_()
            y = F.batch_norm(t, None, None, training=True)
            y.backward(g)
            results.append((y.tolist(), t.grad.tolist()))
    finally:
        set_num_threads(before)
    assert results[0] == results[1]


@pytest.mark.parametrize("rows", [4, 16, 40])
@pytest.mark.parametrize("number", [1.0, 3.0])
def test_a_broadcast_operand_keeps_its_steps_where_a_reshaped_value_is_computed_again(rows, number):
    """The sum's cluster goes over (rows, 3, 5), the product that it reads over (rows, 15)."""
    w = np.arange(15.0, dtype=np.float32)[None] - 4
    column = np.arange(rows, dtype=np.float32)[:, None]
    tw, tc = torch.tensor(w), torch.tensor(column)
    got = (torch.full((rows, 1), number) * tw).reshape(rows, 3, 5).sum(2).numpy()
    assert np.allclose(got, np.repeat((number * w).reshape(1, 3, 5).sum(2), rows, 0))
    got = ((tc + number) * tw).reshape(rows, 3, 5).sum(2).numpy()
    assert np.allclose(got, ((column + number) * w).reshape(rows, 3, 5).sum(2))


def test_two_values_that_are_computed_from_each_other_in_turns():
    """The ways to where they begin double with each turn: 2**60 of them here."""
    x, v = torch.ones(40, dtype=torch.double), torch.zeros(40, dtype=torch.double)
    xs, vs = np.ones(40), np.zeros(40)
    for _ in range(60):
        v = v - 0.01 * x
        x = x + 0.01 * v
        vs = vs - 0.01 * xs
        xs = xs + 0.01 * vs
    np.testing.assert_allclose((x.sum() + v).numpy(), xs.sum() + vs, rtol=1e-12)
