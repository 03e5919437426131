"""Rounding to quantised values: values, gradients, errors."""

from __future__ import annotations

from nn.stored import agrees, raised

import facula as torch_
from facula.trace.recorder import TLS


@agrees
def test_one_scale(torch):
    out = []
    for dtype in (torch.float32, torch.float64, torch.float16):
        data = [-1.0, -0.2, 0.0, 0.26, 0.25, 0.75, 3.0, float("nan"), float("inf")]
        x = torch.tensor(data, dtype=dtype, requires_grad=True)
        y = torch.fake_quantize_per_tensor_affine(x, 0.5, 1, -2, 3)
        y.backward(torch.arange(9.0, dtype=dtype))
        out += [y, x.grad]
    one, zero = torch.tensor(0.25), torch.tensor(3, dtype=torch.int32)
    return [*out, torch.fake_quantize_per_tensor_affine(torch.randn(3, 4), one, zero, 0, 255)]


@agrees
def test_a_scale_for_each_channel(torch):
    scale = torch.tensor([0.1, 0.5, 0.02])
    out = []
    for zero in (torch.tensor([0, 1, -3], dtype=torch.int32), torch.tensor([0.0, 0.5, 1.0])):
        x = torch.randn(2, 3, 4, requires_grad=True)
        y = torch.fake_quantize_per_channel_affine(x, scale, zero, 1, -8, 7)
        y.sum().backward()
        out += [y, x.grad]
    return out


@agrees
def test_errors(torch):
    x, s = torch.randn(3, 2), torch.tensor([0.1, 0.5])
    z = torch.tensor([0, 1], dtype=torch.int32)
    one, many = torch.fake_quantize_per_tensor_affine, torch.fake_quantize_per_channel_affine
    calls = [
        (one, x, 0.5, 1, 4, 3),
        (one, x, 0.5, 9, -2, 3),
        (one, x.int(), 0.5, 1, -2, 3),
        (many, x, s, z, 2, -2, 3),
        (many, x, s, z, -1, -2, 3),
        (many, x, s[:1], z[:1], 1, -2, 3),
        (many, x, s, z[:1], 1, -2, 3),
        (many, x, s, z.long(), 1, -2, 3),
        (many, x, s.double(), z, 1, -2, 3),
        (many, x, s, z, 1, 2, 3),
        (many, x, s, torch.tensor([0, 9], dtype=torch.int32), 1, -2, 3),
    ]
    return [raised(*c) for c in calls]


def test_pending_zero_points_are_not_waited_for():
    r = TLS.r
    zero = torch_.ones(2).int()
    frame = r.frame
    x = torch_.ones(2) * 2
    torch_.fake_quantize_per_channel_affine(x, torch_.ones(2), zero, 0, -8, 7)
    assert r.frame == frame
