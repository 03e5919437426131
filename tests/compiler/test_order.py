"""Results whose dimensions lie in another order in memory."""

import numpy as np
import pytest
from cpu.both import lowered

import facula as torch
from facula.compiler import order
from facula.compiler.order import order_of
from facula.interpreter import program


@pytest.mark.parametrize(
    ("shape", "strides", "order"),
    [
        ((2, 3), None, None),
        ((2, 3), (3, 1), None),
        ((2, 3), (1, 2), (1, 0)),
        ((2, 3), (1, 4), None),  # a gap
        ((2, 3), (0, 1), None),
        ((0, 3), (1, 0), None),
        ((1, 3), (1, 1), None),
        ((2, 3, 4, 5), (60, 1, 15, 3), (0, 2, 3, 1)),
        ((2, 1, 4, 3), (12, 1, 3, 1), None),  # one channel: as it is without
        ((4, 1, 3), (1, 1, 4), (2, 1, 0)),
    ],
)
def test_the_order_in_which_dimensions_lie(shape, strides, order):
    found = order_of(shape, strides)
    if order is None or 1 not in shape:
        assert found == order
    else:
        assert [d for d in found if shape[d] != 1] == [d for d in order if shape[d] != 1]


SHAPES = ((6, 5), (5, 6), (6,), (2, 3, 4, 5))
WIDE = ((60, 50), (50, 60), (60,), (2, 9, 10, 12))  # of which operands are copied


def _tensors(shapes=SHAPES):
    rng = np.random.default_rng(0)
    made = [torch.tensor(rng.standard_normal(s)) for s in shapes]
    torch.synchronize()
    return made


def _channels_last(x):
    return x.contiguous(memory_format=torch.channels_last)


def _update(x, y, row, images):
    w = _channels_last(images)
    torch.synchronize()
    w -= 0.1 * images
    return (w,)


CASES = {
    "one operation": lambda x, y, row, images: (x.t() * 2,),
    "a chain": lambda x, y, row, images: ((x.t() * 2 + 1).exp(),),
    "two operands": lambda x, y, row, images: (x.t() + x.t() * 3,),
    "operands in two orders": lambda x, y, row, images: (x.t() + y, y + x.t()),
    "a row": lambda x, y, row, images: (x.t() * row, x.t() * y[:, :1]),
    "read by a sum too": lambda x, y, row, images: ((z := x.t() * 2), z.sum(0)),
    "read by a sum alone": lambda x, y, row, images: ((x.t() * 2).sum(0),),
    "read through a view": lambda x, y, row, images: ((z := x.t() * 2), z[1] + 1),
    "shown twice": lambda x, y, row, images: ((z := x.t() * 2), z.t()),
    "seen in another shape": lambda x, y, row, images: ((x.t() * 2).t().reshape(-1),),
    "compared": lambda x, y, row, images: (x.t() > 0, torch.where(x.t() > 0, x.t(), 0.0)),
    "a product": lambda x, y, row, images: ((x @ y).t() * 2,),
    "transposed products": lambda x, y, row, images: ((x @ y).t().clone(),),
    "channels last": lambda x, y, row, images: (_channels_last(images) * 2 + 1,),
    "to channels last": lambda x, y, row, images: (_channels_last(images * 2),),
    "permuted": lambda x, y, row, images: (images.permute(3, 0, 2, 1) * 2 - 1,),
    "converted": lambda x, y, row, images: (x.t().float() * 2, x.t().long() + 1),
    "an update": _update,
    "sums": lambda x, y, row, images: (x.t().sum(0), x.t().sum(1), x.t().sum()),
    "of a slice": lambda x, y, row, images: (x[1:, ::2].t().sum(0), x[1:].t().mean(1, True)),
    "sums of what is shown": lambda x, y, row, images: ((z := x.t() * 2), z.sum(0), z.sum(1)),
    "sums in rows": lambda x, y, row, images: (x.t().logsumexp(0), x.t().softmax(1)),
    "sums of sums": lambda x, y, row, images: (
        (x.t() - x.t().mean(0, keepdim=True)).square().sum(0).sqrt(),
        images.permute(3, 1, 0, 2).sum(0).permute(2, 0, 1).sum((0, 1)),
        (images.permute(3, 1, 0, 2).sum((0, 3)).t() * 2 + 1).amax(0),
    ),
    "extremes": lambda x, y, row, images: (x.t().amax(0), x.t().argmin(1), x.t().argmax()),
    "what is true": lambda x, y, row, images: ((x.t() > 1).any(0), (x.t() > -2).all()),
    "how many": lambda x, y, row, images: (x.t().count_nonzero(0), (x.t() > 0).sum(1)),
    "converted and shown": lambda x, y, row, images: ((z := x.t().float()), z.sum(0), z * 2),
    "products": lambda x, y, row, images: (x.t().prod(0), x.t().long().sum(1)),
    "sums of channels last": lambda x, y, row, images: (
        _channels_last(images).mean((2, 3)),
        _channels_last(images).sum((0, 2, 3), keepdim=True),
        _channels_last(images).amax(1),
    ),
    "turned": lambda x, y, row, images: (x.rot90(), x.rot90(3), x.rot90().t() + 1),
    "copies of copies": lambda x, y, row, images: ((z := x.t().clone()), z + 1, z.t().clone()),
    "a copy": lambda x, y, row, images: (x.t().clone(), x.t().clone() + 1),
    "what is read twice": lambda x, y, row, images: ((t := x.t()) + y, t * 2, y - t, t.sum(0)),
    "made before": lambda x, y, row, images: ((z := x * 2), y + z.t(), z + 1, x.t() + z.t()),
    "a symmetric part": lambda x, y, row, images: ((x[:5, :5] + x[:5, :5].t()) / 2,),
    "beside one in order": lambda x, y, row, images: (
        _channels_last(images) + images,
        images - _channels_last(images).clone(),
        (x.t() > y).float() * x.t(),
    ),
}


@pytest.mark.parametrize("shapes", [SHAPES, WIDE], ids=["small", "wide"])
@pytest.mark.parametrize("name", CASES)
def test_results_are_those_of_the_interpreter(name, shapes, monkeypatch):
    f = CASES[name]
    monkeypatch.setattr(order, "ACROSS", 1)
    monkeypatch.setattr(program, "COMPILE_AFTER", 1 << 30)
    want = f(*_tensors(shapes))
    torch.synchronize()
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    for _ in range(3):  # memory of the first run is used again
        got = f(*_tensors(shapes))
        torch.synchronize()
        for a, b in zip(want, got, strict=True):
            assert a.stride() == b.stride()
            assert tuple(s // b.numpy().itemsize for s in b.numpy().strides) == b.stride()
            single = a.dtype is torch.float32  # whose sums are rounded otherwise
            near = {"rtol": 1e-5, "atol": 1e-5} if single else {"rtol": 1e-11, "atol": 1e-13}
            np.testing.assert_allclose(b.numpy(), a.numpy(), **near)


def test_a_chain_is_computed_in_the_order_in_which_it_lies(monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    x, *_ = _tensors()
    made = lowered(monkeypatch)
    y = x.t() * 2 + 1
    torch.synchronize()
    (low,) = made
    (cluster,) = [c for c in low.grouping.clusters if c.nodes]
    assert cluster.shape == (6, 5) and y.shape == (5, 6)
    assert y._data.base is None or type(y._data.base).__name__ == "Room"  # no view of another


def test_a_sum_goes_over_its_operand_as_it_lies(monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    x, *_ = _tensors()
    made = lowered(monkeypatch)
    y = (x.t() * 2 - 3).sum(0)
    torch.synchronize()
    (cluster,) = [c for c in made[0].grouping.clusters if c.nodes]
    assert cluster.shape == (6, 5) and y.shape == (6,)


def test_what_lies_otherwise_is_copied_by_a_kernel(monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    x, y, *_ = _tensors()
    made = lowered(monkeypatch)
    z = x.t() + y * 2
    torch.synchronize()
    assert z.stride() == (1, 5)
    assert [n.op.name for c, _ in made[0].steps for n in c.nodes][-1] == "clone"


def test_what_is_read_across_is_copied_once(monkeypatch):
    monkeypatch.setattr(order, "ACROSS", 1)
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    x, y, *_ = _tensors(WIDE)
    for f, names in (
        (lambda: y * 2 + x.t(), ["clone", "mul_s", "add"]),  # the result is in order
        (lambda: x.t() + y, ["clone", "add"]),  # the result lies as x does: y is copied
        (lambda: (y - (t := x.t())) * t, ["clone", "sub", "mul"]),
    ):
        made = lowered(monkeypatch)
        z = f()
        torch.synchronize()
        assert [n.op.name for c, _ in made[0].steps for n in c.nodes] == names, z.shape


def test_a_result_may_be_written_to_and_outlives_the_next_run(monkeypatch):
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    x, *_ = _tensors()
    held = []
    for k in range(4):
        y = x.t() * 2
        torch.synchronize()
        y[0, 0] = k
        held.append(y)
    assert [y[0, 0].item() for y in held] == [0, 1, 2, 3]
    assert all(torch.equal(y[1:], held[0][1:]) for y in held)


def test_a_view_of_a_copy_that_is_left_out(tier):
    """The copy's elements are read where those of the comparison lie."""
    x = torch.arange(768, dtype=torch.int32).view(3, 2, 4, 32).permute(0, 2, 1, 3)
    y = torch.arange(128, dtype=torch.int32).view(1, 4, 1, 32) * 3
    flag = torch.tensor(True)
    torch.synchronize()
    low = x <= y
    changed = low.clone()
    first = changed[..., 0]
    first.add_(flag)
    want = x.numpy() <= y.numpy()
    assert np.array_equal(low.numpy(), want)
    want[..., 0] = True
    assert np.array_equal(changed.numpy(), want)
    assert first.all()
