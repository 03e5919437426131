"""Autocast on the device: dtypes by PyTorch's lists for CUDA, products in 16 bits, the scaler."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import facula as torch
from facula import nn
from facula.nn import functional as F

A = torch.float16
S = torch.float32
# Name, what is called with a float32 and a float16 matrix, the dtype of the result.
DTYPES: list[tuple[str, Any, Any]] = [
    ("matmul", lambda x, h: x @ x, A),
    ("matmul_of_both", lambda x, h: x @ h, A),
    ("mv", lambda x, h: torch.mv(x, x[0]), A),
    ("addmm", lambda x, h: torch.addmm(x, x, x), A),
    ("linear", lambda x, h: F.linear(x, x), A),
    ("conv2d", lambda x, h: F.conv2d(x[None, None], x[None, None]), A),
    ("einsum", lambda x, h: torch.einsum("ij,jk->ik", x, x), A),
    ("attention", lambda x, h: F.scaled_dot_product_attention(x[None], x[None], x[None]), A),
    ("lstm", lambda x, h: nn.LSTM(4, 4, device="cuda")(x)[0], A),
    ("gru", lambda x, h: nn.GRU(4, 4, device="cuda")(x)[0], A),
    ("cell", lambda x, h: nn.GRUCell(4, 4, device="cuda")(x), A),
    ("transformer", lambda x, h: nn.TransformerEncoderLayer(4, 2, 8, device="cuda")(x[None]), S),
    ("add", lambda x, h: x + h, S),
    ("add_low", lambda x, h: h + h, A),
    ("relu", lambda x, h: h.relu(), A),
    ("gelu", lambda x, h: F.gelu(h), A),
    ("silu", lambda x, h: F.silu(h), A),
    ("logsigmoid", lambda x, h: F.logsigmoid(h), A),
    ("elu", lambda x, h: F.elu(h), A),
    ("mean", lambda x, h: h.mean(), A),
    ("dropout", lambda x, h: F.dropout(h), A),
    ("max_pool2d", lambda x, h: F.max_pool2d(h[None], 2), A),
    ("exp", lambda x, h: h.exp(), S),
    ("pow", lambda x, h: h**2, S),
    ("reciprocal", lambda x, h: 1 / h, S),
    ("sum", lambda x, h: h.sum(), S),
    ("sum_given", lambda x, h: h.sum(dtype=torch.float16), A),
    ("cumsum", lambda x, h: h.cumsum(0), S),
    ("softmax", lambda x, h: h.softmax(1), S),
    ("log_softmax", lambda x, h: F.log_softmax(h, 1), S),
    ("layer_norm", lambda x, h: F.layer_norm(h, (4,)), S),
    ("group_norm", lambda x, h: F.group_norm(h[None], 2), S),
    ("batch_norm", lambda x, h: F.batch_norm(h, None, None, training=True), A),
    ("softplus", lambda x, h: F.softplus(h), S),
    ("norm", lambda x, h: h.norm(), S),
    ("normalize", lambda x, h: F.normalize(h), S),
    ("cosine", lambda x, h: F.cosine_similarity(h, h), S),
    ("mse", lambda x, h: F.mse_loss(h, h), S),
    ("bce", lambda x, h: F.binary_cross_entropy_with_logits(h, h), S),
    ("interpolate", lambda x, h: F.interpolate(h[None, None], scale_factor=2), S),
    ("cat", lambda x, h: torch.cat([x, h]), S),
    ("cat_low", lambda x, h: torch.cat([h, h]), A),
    ("dot", lambda x, h: torch.dot(h[0], h[0]), A),
    ("double", lambda x, h: x.double() @ x.double(), torch.float64),
    ("cpu", lambda x, h: torch.ones(2, 2) @ torch.ones(2, 2), S),
]


@pytest.mark.parametrize(("f", "want"), [c[1:] for c in DTYPES], ids=[c[0] for c in DTYPES])
def test_dtypes(device: Any, f: Any, want: Any) -> None:
    x = torch.arange(16.0).reshape(4, 4).to("cuda") / 8
    h = x.half()
    with torch.autocast("cuda"):
        assert f(x, h).dtype is want


def test_a_loss_that_is_refused(device: Any) -> None:
    p = torch.full((3,), 0.5, device="cuda")
    with pytest.raises(RuntimeError, match="unsafe to autocast"), torch.autocast("cuda"):
        F.binary_cross_entropy(p, p)


def test_each_kind_of_device_by_itself(device: Any) -> None:
    a, b = torch.ones(2, 2), torch.ones(2, 2, device="cuda")
    with torch.autocast("cpu"):
        assert (a @ a).dtype is torch.bfloat16 and (b @ b).dtype is torch.float32
        with torch.autocast("cuda", torch.float16):
            assert (a @ a).dtype is torch.bfloat16 and (b @ b).dtype is torch.float16
        assert not torch.is_autocast_enabled("cuda")
    assert (b @ b).dtype is torch.float32


def _network(where: str, low: Any) -> list[float]:
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2))
    head = (nn.Flatten(), nn.Linear(128, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 5))
    model = nn.Sequential(*layers, *head).to(where)
    x, y = torch.randn(4, 3, 8, 8).to(where), torch.arange(4).to(where)
    o = torch.optim.AdamW(model.parameters(), lr=1e-2)
    scaler = torch.amp.GradScaler(where, enabled=low is torch.float16)
    out = []
    for _ in range(4):
        o.zero_grad()
        with torch.autocast(where, low):
            predicted = model(x)
            assert predicted.dtype is low
            loss = F.cross_entropy(predicted, y)
        scaler.scale(loss).backward()
        scaler.step(o)
        scaler.update()
        out.append(loss.item())
    return out


@pytest.mark.parametrize("low", [torch.bfloat16, torch.float16], ids=str)
def test_a_network_trains_as_on_the_cpu(device: Any, low: Any) -> None:
    np.testing.assert_allclose(_network("cuda", low), _network("cpu", low), rtol=1e-2)


def test_products_and_convolutions_are_in_16_bits(emulated: Any) -> None:
    before, calls = len(emulated.products), len(emulated.dnn.calls)
    _network("cuda", torch.bfloat16)
    assert {p[0] for p in emulated.products[before:]} == {14}
    assert len(emulated.dnn.calls) > calls


def test_without_cudnn_convolutions_are_in_float32(device: Any) -> None:
    x = torch.arange(18.0).reshape(1, 2, 3, 3)
    w = torch.ones(2, 2, 2, 2)
    with torch.backends.cudnn.flags(enabled=False), torch.autocast("cuda", torch.bfloat16):
        y = F.conv2d(x.to("cuda"), w.to("cuda"))
    assert y.dtype is torch.bfloat16
    assert torch.equal(y.cpu(), F.conv2d(x, w).bfloat16())


def test_tf32_is_a_switch(emulated: Any) -> None:
    a = torch.ones(3, 3, device="cuda")
    assert (a @ a).sum().item() == 27
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        assert torch.get_float32_matmul_precision() == "high"
        assert (a @ a).sum().item() == 27
        assert emulated.products[-1][1] == 77
    finally:
        torch.set_float32_matmul_precision("highest")
    assert (a @ a).sum().item() == 27
    assert emulated.products[-1][1] == 68


def test_a_scaler_passes_over_infinite_gradients(device: Any) -> None:
    p = nn.Parameter(torch.ones(3, device="cuda"))
    scaler, o = torch.amp.GradScaler("cuda", init_scale=8.0), torch.optim.SGD([p], lr=0.5)
    for factor, want, scale in ((2.0, 0.0, 8.0), (float("inf"), 0.0, 4.0), (1.0, -0.5, 4.0)):
        o.zero_grad()
        scaler.scale((p * factor).sum()).backward()
        scaler.step(o)
        scaler.update()
        assert p.tolist() == [want] * 3
        assert scaler.get_scale() == scale


def test_attention_of_16_bits_is_made_of_such_products(emulated: Any) -> None:
    found = []
    for where in ("cpu", "cuda"):
        torch.manual_seed(0)
        made = [torch.randn(2, 2, 5, 8).bfloat16().to(where).requires_grad_() for _ in range(3)]
        before = len(emulated.products)
        y = F.scaled_dot_product_attention(*made, is_causal=True)
        y.float().pow(2).sum().backward()
        found.append([t.detach().float().cpu().numpy() for t in (y, *[m.grad for m in made])])
    assert {p[0] for p in emulated.products[before:]} == {14}  # bfloat16, as cuBLAS counts
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, 1e-2, 1e-2)
