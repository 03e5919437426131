"""The workloads in tinygrad: its own layers and optimisers, each step captured by TinyJit."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise
from typing import Any

os.environ["DEV"] = "CPU"  # read when tinygrad is imported

import numpy as np
from tinygrad import Context, Tensor, TinyJit, nn
from tinygrad.nn.optim import SGD, Adam, AdamW
from tinygrad.nn.state import get_parameters, get_state_dict

from benchmarks.data import initial, integers, normal

Run = Callable[[int], Any]


def configure(peer: str, threads: int) -> None:
    """tinygrad takes as many threads as the process has processors."""


def synchronize() -> None:
    """Runs end by reading a value."""


def value(number: Any) -> float:
    """The number that a run returned."""
    return float(number)


# ----------------------------------------------------------------------------------------------
# models
# ----------------------------------------------------------------------------------------------
class MLP:
    """Fully connected layers with relu between them."""

    def __init__(self, *widths: int) -> None:
        self.layers = [nn.Linear(i, o) for i, o in pairwise(widths)]

    def __call__(self, x: Any) -> Any:
        for layer in self.layers[:-1]:
            x = layer(x).relu()
        return self.layers[-1](x)


class CNN:
    """Two convolutions with pooling, two linear layers."""

    def __init__(self) -> None:
        self.layers = [
            nn.Conv2d(1, 16, 5, padding=2),
            nn.Conv2d(16, 32, 5, padding=2),
            nn.Linear(32 * 7 * 7, 128),
            nn.Linear(128, 10),
        ]

    def __call__(self, x: Any) -> Any:
        for conv in self.layers[:2]:
            x = conv(x).relu().max_pool2d((2, 2))
        return self.layers[3](self.layers[2](x.flatten(1)).relu())


class Block:
    """A transformer block."""

    def __init__(self, width: int, heads: int) -> None:
        self.heads = heads
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def __call__(self, x: Any) -> Any:
        b, t, c = x.shape
        qkv = self.qkv(self.ln1(x)).reshape(b, t, 3, self.heads, c // self.heads)
        q, k, v = (qkv[:, :, i].transpose(1, 2) for i in range(3))
        y = q.scaled_dot_product_attention(k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(b, t, c))
        h = self.up(self.ln2(x))
        return x + self.down(0.5 * h * (1 + (h * 0.5**0.5).erf()))


class GPT:
    """A decoder-only transformer."""

    def __init__(self, layers: int, width: int, heads: int, context: int, vocabulary: int) -> None:
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = [Block(width, heads) for _ in range(layers)]
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)

    def __call__(self, x: Any) -> Any:
        h = self.tokens(x) + self.positions.weight
        return self.head(self.norm(h.sequential(self.blocks)))


MODELS: dict[str, Callable[[], Any]] = {
    "two_layer": lambda: MLP(1000, 100, 10),
    "two_layer_nn": lambda: MLP(1000, 100, 10),
    "mlp": lambda: MLP(784, 512, 512, 10),
    "mlp_tiny": lambda: MLP(32, 64, 64, 4),
    "cnn": CNN,
    "gpt_small": lambda: GPT(4, 128, 4, 64, 256),
    "gpt_large": lambda: GPT(6, 384, 6, 256, 256),
}


def initialise(name: str) -> Any:
    """A model with the values that all frameworks start from."""
    model = MODELS[name]()
    # PyTorch counts the layers of a Sequential, activations and pooling included.
    places = ("0", "3", "7", "9") if name == "cnn" else ("0", "2", "4")
    for own, p in get_state_dict(model).items():
        if own.startswith("layers."):
            _, k, kind = own.split(".")
            own = f"{places[int(k)]}.{kind}"
        p.assign(Tensor(initial(own, tuple(int(n) for n in p.shape)))).realize()
    return model


def inputs(name: str, batch: int) -> tuple[Any, Any]:
    """The input and the target of a model."""
    if name in ("two_layer", "two_layer_nn"):
        return Tensor(normal("x", batch, 1000)), Tensor(normal("y", batch, 10))
    if name == "cnn":
        return Tensor(normal("x", batch, 1, 28, 28)), Tensor(integers("y", 10, batch))
    if name in ("mlp", "mlp_tiny"):
        width, classes = (784, 10) if name == "mlp" else (32, 4)
        return Tensor(normal("x", batch, width)), Tensor(integers("y", classes, batch))
    text = integers("text", 256, batch, 65 if name == "gpt_small" else 257)
    return Tensor(text[:, :-1].copy()), Tensor(text[:, 1:].copy())


# ----------------------------------------------------------------------------------------------
# training
# ----------------------------------------------------------------------------------------------
def cross_entropy(logits: Any, target: Any) -> Any:
    """The mean over all positions."""
    return logits.flatten(0, -2).sparse_categorical_crossentropy(target.flatten())


def squares(y_pred: Any, y: Any) -> Any:
    """The sum of squared differences."""
    return (y_pred - y).square().sum()


def training(name: str, batch: int, loss_function: Any, optimiser: Any) -> Run:
    """A model, a loss and an optimiser, one captured step."""
    model = initialise(name)
    opt = optimiser(get_parameters(model))
    x, y = inputs(name, batch)

    @TinyJit
    def step(x: Any, y: Any) -> Any:
        opt.zero_grad()
        loss = loss_function(model(x), y).backward()
        # at once: a loss realised after the update would be computed again with the new weights
        return loss.realize(*opt.schedule_step())

    def run(steps: int) -> Any:
        with Context(TRAINING=1):
            for _ in range(steps):
                loss = step(x, y)
        return loss.item()

    return run


def two_layer() -> Run:
    """The hand-written network."""
    w1, w2 = Tensor(normal("w1", 1000, 100)), Tensor(normal("w2", 100, 10))
    x, y = inputs("two_layer", 64)

    @TinyJit
    def step(x: Any, y: Any) -> Any:
        w1.grad = w2.grad = None
        loss = squares(x.matmul(w1).relu().matmul(w2), y).backward()
        w1.assign(w1.detach() - 1e-6 * w1.grad)
        w2.assign(w2.detach() - 1e-6 * w2.grad)
        Tensor.realize(loss, w1, w2)
        return loss

    def run(steps: int) -> Any:
        for _ in range(steps):
            loss = step(x, y)
        return loss.item()

    return run


# ----------------------------------------------------------------------------------------------
# functions and inference
# ----------------------------------------------------------------------------------------------
def function(f: Callable[[Any], Any], *shape: int) -> Run:
    """A function of one tensor, forward and backward."""
    x, g = Tensor(normal("x", *shape)), Tensor(normal("g", *shape))

    @TinyJit
    def step(x: Any, g: Any) -> Any:
        y = f(x)
        (dx,) = y.gradient(x, gradient=g)
        Tensor.realize(y, dx)
        return y, dx

    def run(steps: int) -> Any:
        for _ in range(steps):
            y, dx = step(x, g)
        return (dx.abs().sum() + y.abs().sum()).item()

    return run


def inference(name: str) -> Run:
    """A model on one sample; every result is looked at."""
    model = initialise(name)
    x, _ = inputs(name, 1)
    forward = TinyJit(lambda x: model(x).realize())

    def run(steps: int) -> Any:
        for _ in range(steps):
            out = forward(x).numpy()
        return np.abs(out).sum()

    return run


BUILDERS: dict[str, Callable[[], Run]] = {
    "two_layer": two_layer,
    "two_layer_nn": lambda: training("two_layer_nn", 64, squares, lambda p: SGD(p, lr=1e-6)),
    "mlp": lambda: training("mlp", 256, cross_entropy, lambda p: Adam(p, lr=1e-3)),
    "mlp_tiny": lambda: training("mlp_tiny", 32, cross_entropy, lambda p: Adam(p, lr=1e-3)),
    "cnn": lambda: training("cnn", 64, cross_entropy, lambda p: SGD(p, lr=1e-2)),
    "gpt_small": lambda: training("gpt_small", 16, cross_entropy, lambda p: AdamW(p, lr=3e-4)),
    "gpt_large": lambda: training("gpt_large", 4, cross_entropy, lambda p: AdamW(p, lr=3e-4)),
    "softmax": lambda: function(lambda x: x.softmax(-1), 512, 1000),
    "layer_norm": lambda: function(lambda x: x.layernorm(), 4096, 512),
    "gelu": lambda: function(lambda x: 0.5 * x * (1 + (x * 0.5**0.5).erf()), 1 << 20),
}
for _name in ("two_layer", "mlp", "mlp_tiny", "cnn", "gpt_small", "gpt_large"):
    BUILDERS[_name + "_inference"] = lambda name=_name: inference(name)
