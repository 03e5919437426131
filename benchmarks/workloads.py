"""The workloads: what they are called, what they must compute and move at least, what is asked.

`flops` counts the arithmetic of the contractions only, with causal attention as half of the full
one; `traffic` counts every parameter, optimiser state, input and output once each time that it has
to be read or written, and nothing in between.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple


class Workload(NamedTuple):
    """One row of the table."""

    name: str
    title: str
    flops: float
    traffic: float  # bytes
    at_most: float  # the ratio to the fastest peer that is asked for
    kind: str = "training"  # or "inference", "function"


def dense(*products: tuple[int, int, int]) -> float:
    """Operations of matrix products (rows, inner, columns)."""
    return sum(2.0 * m * k * n for m, k, n in products)


def step(first: float, others: float) -> float:
    """Operations of forward and backward; the first product's input needs no gradient."""
    return 2 * first + 3 * others


SGD, ADAM = 2, 6  # how often each parameter's worth of memory is read or written in an update

_TWO = 1000 * 100 + 100 * 10
_MLP = 784 * 512 + 512 * 512 + 512 * 10
_TINY = 32 * 64 + 64 * 64 + 64 * 4
_CNN = 16 * 25 + 32 * 16 * 25 + 1568 * 128 + 128 * 10
_LSTM = 1024 * 512 + 64 * 256 * 2


def mlp_flops(batch: int, *widths: int) -> float:
    """A training step of fully connected layers."""
    layers = [dense((batch, i, o)) for i, o in pairwise(widths)]
    return step(layers[0], sum(layers[1:]))


def conv(batch: int, out: int, channels: int, kernel: int, side: int) -> float:
    """Operations of a square convolution with square output of this side."""
    return dense((batch * side * side, channels * kernel * kernel, out))


def cnn_flops(batch: int) -> tuple[float, float]:
    """Of the first layer, and of the others."""
    rest = conv(batch, 32, 16, 5, 14) + dense((batch, 1568, 128), (batch, 128, 10))
    return conv(batch, 16, 1, 5, 28), rest


def resnet_flops(batch: int) -> tuple[float, float]:
    """ResNet-18 with a 3x3 stem and no pooling before the stages."""
    rest, width, side = 0.0, 64, 32
    for stage in range(4):
        out = 64 << stage
        if stage:
            side //= 2
            rest += conv(batch, out, width, 1, side)
        rest += conv(batch, out, width, 3, side) + 3 * conv(batch, out, out, 3, side)
        width = out
    return conv(batch, 64, 3, 3, 32), rest + dense((batch, 512, 10))


RESNET = 11_173_962  # parameters


def gpt_flops(batch: int, context: int, width: int, layers: int, vocabulary: int = 256) -> float:
    """Forward only."""
    tokens = batch * context
    block = dense((tokens, width, 12 * width)) + 2 * batch * context * context * width
    return layers * block + dense((tokens, width, vocabulary))


def gpt_size(context: int, width: int, layers: int, vocabulary: int = 256) -> int:
    """How many parameters."""
    return layers * 12 * width * width + (2 * vocabulary + context) * width


def lstm_flops(batch: int, steps: int = 64, width: int = 256, vocabulary: int = 64) -> float:
    """Forward only."""
    return steps * dense((batch, 2 * width, 4 * width), (batch, width, vocabulary))


def _training() -> list[Workload]:
    two = step(dense((64, 1000, 100)), dense((64, 100, 10)))
    cnn, resnet = cnn_flops(64), resnet_flops(16)
    small, large = (16, 64, 128, 4), (4, 256, 384, 6)
    rows: list[tuple[str, str, float, float, float]] = [
        ("two_layer", "two-layer network 64x1000x100x10", two, SGD * _TWO + 64 * 1010, 0.42),
        ("two_layer_nn", "the same, nn.Sequential, SGD", two, SGD * _TWO + 64 * 1010, 0.45),
        ("mlp", "MLP 784-512-512-10, batch 256, Adam", mlp_flops(256, 784, 512, 512, 10),
         ADAM * _MLP + 256 * 785, 0.80),
        ("mlp_tiny", "MLP 32-64-64-4, batch 32, Adam", mlp_flops(32, 32, 64, 64, 4),
         ADAM * _TINY + 32 * 33, 0.90),
        ("cnn", "CNN 28x28, batch 64, SGD", step(*cnn), SGD * _CNN + 64 * 785, 0.55),
        ("resnet18", "ResNet-18 32x32, batch 16, SGD", step(*resnet), SGD * RESNET + 16 * 3073,
         0.85),
        ("gpt_small", "GPT 4x128, context 64, batch 16, AdamW", 3 * gpt_flops(*small),
         ADAM * gpt_size(*small[1:]) + 2 * 1024, 0.60),
        ("gpt_large", "GPT 6x384, context 256, batch 4, AdamW", 3 * gpt_flops(*large),
         ADAM * gpt_size(*large[1:]) + 2 * 1024, 0.62),
        ("lstm", "LSTM 256, 64 steps, batch 32, Adam", 3 * lstm_flops(32),
         ADAM * _LSTM + 2 * 64 * 32, 0.85),
    ]  # fmt: skip
    return [Workload(n, t, f, 4.0 * w, r) for n, t, f, w, r in rows]


def _functions() -> list[Workload]:
    # input, result, its gradient, the input's gradient; the backward reads input or result again
    rows = [
        ("softmax", "softmax (512, 1000), forward and backward", 512 * 1000),
        ("layer_norm", "layer norm (4096, 512), forward and backward", 4096 * 512),
        ("gelu", "gelu (1M), forward and backward", 1 << 20),
    ]
    return [Workload(n, t, 0.0, 4.0 * 5 * c, 0.70, "function") for n, t, c in rows]


def _inference() -> list[Workload]:
    rows = [
        ("two_layer", "two-layer network", dense((1, 1000, 100), (1, 100, 10)), _TWO),
        ("mlp", "MLP 784-512-512-10", 2.0 * _MLP, _MLP),
        ("mlp_tiny", "MLP 32-64-64-4", 2.0 * _TINY, _TINY),
        ("cnn", "CNN 28x28", sum(cnn_flops(1)), _CNN),
        ("resnet18", "ResNet-18 32x32", sum(resnet_flops(1)), RESNET),
        ("gpt_small", "GPT 4x128, context 64", gpt_flops(1, 64, 128, 4), gpt_size(64, 128, 4)),
        ("gpt_large", "GPT 6x384, context 256", gpt_flops(1, 256, 384, 6), gpt_size(256, 384, 6)),
        ("lstm", "LSTM 256, 64 steps", lstm_flops(1), _LSTM),
    ]
    return [
        Workload(n + "_inference", t + ", inference, batch 1", f, 4.0 * w, 0.80, "inference")
        for n, t, f, w in rows
    ]


WORKLOADS = {w.name: w for w in _training() + _functions() + _inference()}
