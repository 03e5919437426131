"""Tensors without data. What PyTorch gives is written out: shapes, dtypes, texts, errors."""

from __future__ import annotations

import copy
import io
import pickle
import warnings

import pytest

import facula as torch
from facula.ops import table

nn = torch.nn


def empty(*shape, **kwargs):
    return torch.empty(shape, device="meta", **kwargs)


def index(*shape):
    return torch.zeros(shape, dtype=torch.int64, device="meta")


PRINTED = [
    (lambda: empty(2, 3), "tensor(..., device='meta', size=(2, 3))"),
    (lambda: empty(dtype=torch.int64), "tensor(..., device='meta', size=(), dtype=torch.int64)"),
    (lambda: empty(2).half(), "tensor(..., device='meta', size=(2,), dtype=torch.float16)"),
    (
        lambda: nn.Parameter(empty(2, 3)),
        "Parameter containing:\ntensor(..., device='meta', size=(2, 3), requires_grad=True)",
    ),
    (
        lambda: nn.Parameter(empty(2, 3)) * 2,
        "tensor(..., device='meta', size=(2, 3), grad_fn=<MulBackward0>)",
    ),
]


@pytest.mark.parametrize(("make", "text"), PRINTED)
def test_printing(make, text):
    assert repr(make()) == text


SHAPES = [
    (lambda: empty(2, 3).sum(0), (3,)),
    (lambda: empty(2, 3).t() @ empty(2, 4), (3, 4)),
    (lambda: torch.cat([empty(2, 3), empty(4, 3)]), (6, 3)),
    (lambda: empty(2, 3).topk(2).indices, (2, 2)),
    (lambda: empty(4, 6).split(2)[1], (2, 6)),
    (lambda: empty(3, 3)[index(5)], (5, 3)),
    (lambda: empty(3, 3)[:, None, ::2], (3, 1, 2)),
    (lambda: empty(3, 3)[torch.tensor([0, 1])], (2, 3)),
    (lambda: empty(3, 3).gather(0, index(2, 2)), (2, 2)),
    (lambda: empty(3, 3).tril(), (3, 3)),
    (lambda: torch.linalg.svd(empty(5, 3))[2], (3, 3)),
    (lambda: torch.einsum("ij,kj->ik", empty(2, 3), empty(4, 3)), (2, 4)),
    (lambda: torch.fft.rfft(empty(2, 6)), (2, 4)),
    (lambda: nn.Conv2d(3, 8, 3, device="meta")(empty(1, 3, 9, 9)), (1, 8, 7, 7)),
    (lambda: nn.Embedding(3, 4, device="meta")(index(2, 5)), (2, 5, 4)),
    (lambda: nn.LSTM(3, 4, device="meta")(empty(5, 2, 3))[0], (5, 2, 4)),
    (lambda: nn.TransformerEncoderLayer(4, 2, 8, device="meta")(empty(3, 2, 4)), (3, 2, 4)),
    (lambda: nn.functional.cross_entropy(empty(2, 3), index(2)), ()),
    (lambda: nn.functional.dropout(empty(2, 3)), (2, 3)),
    (lambda: torch.multinomial(empty(2, 3), 2), (2, 2)),
    (lambda: torch.normal(empty(2), 1.0), (2,)),
    (lambda: torch.add(empty(2), empty(2), out=empty(0)), (2,)),
    (lambda: nn.init.orthogonal_(empty(3, 4)), (3, 4)),
    (lambda: nn.init.trunc_normal_(empty(3, 4)), (3, 4)),
    (lambda: nn.init.kaiming_uniform_(empty(3, 4)), (3, 4)),
]


@pytest.mark.parametrize(("make", "shape"), SHAPES, ids=range(len(SHAPES)))
def test_shapes(make, shape):
    t = make()
    assert t.is_meta
    assert not t.is_cpu
    assert t.device == torch.device("meta")
    assert t.shape == shape


def test_layouts_and_dtypes():
    x = empty(2, 3)
    assert x.t().stride() == (1, 3)
    assert not x.t().is_contiguous()
    assert x.t()._base is x
    assert x[:, ::2].stride() == (3, 2)
    assert x[1].storage_offset() == 3
    assert (x > 0).dtype is torch.bool
    assert (x + empty(3, dtype=torch.float64)).dtype is torch.float64
    assert (x.nbytes, x.untyped_storage().nbytes(), x.data_ptr()) == (24, 24, 0)
    assert empty(1 << 20, 1 << 20).numel() == 1 << 40  # no memory is asked for


MAKERS = [
    lambda device: torch.zeros(2, device=device),
    lambda device: torch.tensor([1.0], device=device),
    lambda device: torch.randn(2, 2, device=device),
    lambda device: torch.randint(3, (2,), device=device),
    lambda device: torch.randperm(3, device=device),
    lambda device: torch.arange(3, device=device),
    lambda device: torch.linspace(0, 1, 3, device=device),
    lambda device: torch.eye(3, device=device),
    lambda device: torch.full((2,), 3, device=device),
    lambda device: torch.as_tensor([1], device=device),
    lambda device: torch.hann_window(4, device=device),
    lambda device: torch.tril_indices(3, 3, device=device),
    lambda device: torch.empty_strided((2, 3), (1, 2), device=device),
]


@pytest.mark.parametrize("make", MAKERS, ids=range(len(MAKERS)))
def test_makers(make):
    state = torch.get_rng_state()
    there = make("meta")
    assert torch.equal(state, torch.get_rng_state())  # nothing was drawn
    with torch.device("meta"):
        inside = make(None)
        assert make("cpu").is_cpu
    assert there.is_meta
    assert inside.is_meta
    here = make("cpu")
    assert make(None).is_cpu
    for t in (there, inside):
        assert (t.shape, t.dtype, t.stride()) == (here.shape, here.dtype, here.stride())


def test_like_and_new_follow_their_tensor():
    x = empty(2, 3)
    like = [
        torch.zeros_like(x),
        torch.rand_like(x),
        torch.full_like(x, 2),
        torch.randint_like(x, 3),
    ]
    new = [x.new_ones(2), x.new_tensor([1.0]), x.new_full((2,), 1.0), x.new_empty(2), x.clone()]
    assert all(t.is_meta for t in (*like, *new))
    assert torch.zeros_like(x, device="cpu").is_cpu
    assert torch.ones(2).to("meta").is_meta
    assert x.to(torch.float64).is_meta
    assert x.to(torch.float64).dtype is torch.float64


REFUSED = [
    (lambda: empty().item(), RuntimeError, r"item\(\) cannot be called on meta tensors"),
    (lambda: bool(empty()), RuntimeError, "cannot be called on meta tensors"),
    (lambda: float(empty()), RuntimeError, "cannot be called on meta tensors"),
    (lambda: empty(2).tolist(), NotImplementedError, "Cannot copy out of meta tensor; no data!"),
    (lambda: empty(2).numpy(), TypeError, "can't convert meta device type tensor to numpy"),
    (lambda: empty(2).cpu(), NotImplementedError, "Cannot copy out of meta tensor"),
    (lambda: empty(2).to("cpu"), NotImplementedError, "Cannot copy out of meta tensor"),
    (lambda: torch.ones(2).copy_(empty(2)), NotImplementedError, "Cannot copy out of meta tensor"),
    (lambda: empty(2).nonzero(), NotImplementedError, "no data"),
    (lambda: empty(2)[empty(2) > 0], NotImplementedError, "no data"),
    (lambda: torch.allclose(empty(2), empty(2)), RuntimeError, "meta tensors"),
    (lambda: empty(2, 3) + torch.ones(2, 3), RuntimeError, "expected device meta"),
    (lambda: nn.Linear(2, 2, device="meta").to("cpu"), NotImplementedError, r"to_empty\(\)"),
    (lambda: empty(2, requires_grad=True).sum().backward(), NotImplementedError, "no values"),
    (lambda: empty(2, 3) @ empty(2, 3), RuntimeError, "shapes"),
]


@pytest.mark.parametrize(("call", "kind", "text"), REFUSED, ids=range(len(REFUSED)))
def test_values_are_refused(call, kind, text):
    with pytest.raises(kind, match=text):
        call()
    assert (torch.ones(2) + 1).tolist() == [2.0, 2.0]  # the trace is as it was


def test_writing_does_nothing():
    x = empty(2, 3)
    x.uniform_().normal_().fill_(1).zero_().add_(1)
    x[0] = 1.0
    x += 1
    assert x.copy_(torch.ones(2, 3)) is x
    with pytest.raises(RuntimeError):
        x.copy_(torch.ones(4, 3))


def test_a_module_is_made_moved_and_loaded():
    with torch.device("meta"):
        net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    assert all(t.is_meta for t in net.state_dict().values())
    y = net(empty(5, 3))
    assert y.shape == (5, 2)
    assert y.requires_grad
    real = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    with pytest.warns(UserWarning, match=r"copying from a non-meta parameter.*no-op"):
        net.load_state_dict(real.state_dict())
    assert net[0].weight.is_meta
    weight = net[0].weight
    assert net.to_empty(device="cpu") is net
    assert net[0].weight is weight
    assert weight.is_cpu
    assert weight.requires_grad
    net.load_state_dict(real.state_dict())
    x = torch.randn(5, 3)
    assert torch.equal(net(x), real(x))
    net(x).sum().backward()
    assert weight.grad.shape == (4, 3)
    again = copy.deepcopy(real).to("meta")
    assert again[0].weight.is_meta
    again.load_state_dict(real.state_dict(), assign=True)
    again.train(False), real.train(False)
    assert torch.equal(again(x), real(x))


def test_copies_pickles_and_files():
    p = nn.Parameter(empty(2, 3).t())
    for q in (copy.deepcopy(p), pickle.loads(pickle.dumps(p))):
        assert type(q) is nn.Parameter
        assert (q.is_meta, q.requires_grad, q.stride()) == (True, True, (1, 3))
    file = io.BytesIO()
    torch.save({"x": p.detach()}, file)
    file.seek(0)
    x = torch.load(file)["x"]
    assert (x.is_meta, x.shape, x.stride(), x.dtype) == (True, (3, 2), (1, 3), torch.float32)


def test_default_device():
    torch.set_default_device("meta")
    try:
        assert torch.get_default_device() == torch.device("meta")
        assert torch.ones(1).is_meta
        with torch.device("cpu"):
            assert torch.ones(1).is_cpu
    finally:
        torch.set_default_device(None)
    assert torch.get_default_device() == torch.device("cpu")
    assert torch.ones(1).is_cpu
    assert not table.MODES


def test_gradients_are_known_by_name_only():
    w = empty(2, requires_grad=True)
    assert w.is_leaf
    assert w.grad_fn is None
    assert (w * 2).grad_fn.name() == "MulBackward0"
    with torch.no_grad():
        assert not (w * 2).requires_grad
    assert not w.detach().requires_grad
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer = torch.optim.Adam([w])
    assert optimizer.param_groups[0]["params"][0] is w
