"""Batch normalisation folded into the layer before it."""

from __future__ import annotations

from nn.stored import agrees, message, submodule


def _norm(torch, cls, n):
    bn = cls(n).eval()
    with torch.no_grad():
        bn.running_mean.copy_(torch.arange(float(n)))
        bn.running_var.copy_(torch.arange(float(n)) + 0.5)
        bn.weight.copy_(torch.arange(float(n)) - 1.5)
    return bn


@agrees
def test_linear(torch):
    fuse = submodule(torch, "nn.utils.fusion").fuse_linear_bn_eval
    m, bn = torch.nn.Linear(2, 3).eval(), _norm(torch, torch.nn.BatchNorm1d, 3)
    fused = fuse(m, bn)
    x = torch.tensor([[1.0, -2.0]])
    return [fused(x), bn(m(x)), message(fuse, m.train(), bn)[0]]


@agrees
def test_conv(torch):
    m, bn = torch.nn.Conv2d(2, 3, 2, bias=False).eval(), _norm(torch, torch.nn.BatchNorm2d, 3)
    fused = torch.nn.utils.fuse_conv_bn_eval(m, bn)
    return [fused.weight, fused.bias, fused.bias.requires_grad]
