"""The workloads in MLX: mlx.nn and mlx.optimizers under mx.compile, images NHWC."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optimizers
import numpy as np

from benchmarks.data import initial, integers, normal

Run = Callable[[int], Any]


def configure(peer: str, threads: int) -> None:
    """Called once, before anything else."""
    mx.set_default_device(mx.cpu)


def synchronize() -> None:
    """Runs end by evaluating."""


def value(array: Any) -> float:
    """The number that a run returned."""
    return float(array)


# ----------------------------------------------------------------------------------------------
# models
# ----------------------------------------------------------------------------------------------
def make_mlp(*widths: int) -> Any:
    """Fully connected layers with relu between them."""
    layers: list[Any] = []
    for i, o in pairwise(widths):
        layers += [nn.Linear(i, o), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def make_cnn() -> Any:
    """Two convolutions with pooling, two linear layers."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2, 2),
        nn.Conv2d(16, 32, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2, 2),
        lambda x: x.reshape(x.shape[0], -1),
        nn.Linear(32 * 7 * 7, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


class Block(nn.Module):
    """A transformer block."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.ln1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.ln2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def __call__(self, x: Any) -> Any:
        b, t, c = x.shape
        qkv = self.qkv(self.ln1(x)).reshape(b, t, 3, self.heads, c // self.heads)
        q, k, v = (qkv[:, :, i].transpose(0, 2, 1, 3) for i in range(3))
        scale = (c // self.heads) ** -0.5
        y = mx.fast.scaled_dot_product_attention(q, k, v, scale=scale, mask="causal")
        x = x + self.proj(y.transpose(0, 2, 1, 3).reshape(b, t, c))
        return x + self.down(nn.gelu(self.up(self.ln2(x))))


class GPT(nn.Module):
    """A decoder-only transformer."""

    def __init__(self, layers: int, width: int, heads: int, context: int, vocabulary: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = [Block(width, heads) for _ in range(layers)]
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)

    def __call__(self, x: Any) -> Any:
        h = self.tokens(x) + self.positions.weight
        for block in self.blocks:
            h = block(h)
        return self.head(self.norm(h))


MODELS: dict[str, Callable[[], Any]] = {
    "two_layer": lambda: make_mlp(1000, 100, 10),
    "two_layer_nn": lambda: make_mlp(1000, 100, 10),
    "mlp": lambda: make_mlp(784, 512, 512, 10),
    "mlp_tiny": lambda: make_mlp(32, 64, 64, 4),
    "cnn": make_cnn,
    "gpt_small": lambda: GPT(4, 128, 4, 64, 256),
    "gpt_large": lambda: GPT(6, 384, 6, 256, 256),
}


def initialise(model: Any) -> Any:
    """Give the parameters the values that all frameworks start from, in MLX's layouts."""
    from mlx.utils import tree_flatten, tree_unflatten

    out = []
    for name, p in tree_flatten(model.parameters()):
        own = name.removeprefix("layers.")
        if p.ndim == 4:  # out, height, width, in
            o, h, w, i = p.shape
            values = initial(own, (o, i, h, w)).transpose(0, 2, 3, 1)
        elif p.shape == (128, 1568):  # sees NHWC
            values = initial(own, p.shape).reshape(128, 32, 7, 7).transpose(0, 2, 3, 1)
            values = values.reshape(128, 1568)
        else:
            values = initial(own, tuple(p.shape))
        out.append((name, mx.array(np.ascontiguousarray(values))))
    model.update(tree_unflatten(out))
    mx.eval(model.parameters())
    return model


def inputs(name: str, batch: int) -> tuple[Any, Any]:
    """The input and the target of a model."""
    if name in ("two_layer", "two_layer_nn"):
        return mx.array(normal("x", batch, 1000)), mx.array(normal("y", batch, 10))
    if name == "cnn":
        x = normal("x", batch, 1, 28, 28).transpose(0, 2, 3, 1)
        return mx.array(np.ascontiguousarray(x)), mx.array(integers("y", 10, batch))
    if name in ("mlp", "mlp_tiny"):
        width, classes = (784, 10) if name == "mlp" else (32, 4)
        return mx.array(normal("x", batch, width)), mx.array(integers("y", classes, batch))
    text = integers("text", 256, batch, 65 if name == "gpt_small" else 257)
    return mx.array(text[:, :-1].copy()), mx.array(text[:, 1:].copy())


# ----------------------------------------------------------------------------------------------
# training
# ----------------------------------------------------------------------------------------------
def cross_entropy(logits: Any, target: Any) -> Any:
    """The mean over all positions."""
    return nn.losses.cross_entropy(logits, target, reduction="mean")


def squares(y_pred: Any, y: Any) -> Any:
    """The sum of squared differences."""
    return ((y_pred - y) ** 2).sum()


def training(name: str, batch: int, loss_function: Any, optimiser: Any) -> Run:
    """A model, a loss and an optimiser, one compiled function."""
    model = initialise(MODELS[name]())
    optimiser.init(model.trainable_parameters())
    x, y = inputs(name, batch)
    grad = nn.value_and_grad(model, lambda x, y: loss_function(model(x), y))
    state = [model.state, optimiser.state]

    @partial(mx.compile, inputs=state, outputs=state)
    def step(x: Any, y: Any) -> Any:
        loss, grads = grad(x, y)
        optimiser.update(model, grads)
        return loss

    def run(steps: int) -> Any:
        for _ in range(steps):
            loss = step(x, y)
            mx.eval(state, loss)
        return loss.item()

    return run


def two_layer() -> Run:
    """The hand-written network."""
    w1, w2 = mx.array(normal("w1", 1000, 100)), mx.array(normal("w2", 100, 10))
    x, y = mx.array(normal("x", 64, 1000)), mx.array(normal("y", 64, 10))

    def loss_of(w1: Any, w2: Any, x: Any, y: Any) -> Any:
        return squares(mx.maximum(x @ w1, 0) @ w2, y)

    grad = mx.value_and_grad(loss_of, argnums=(0, 1))

    @mx.compile
    def step(w1: Any, w2: Any, x: Any, y: Any) -> Any:
        loss, (g1, g2) = grad(w1, w2, x, y)
        return w1 - 1e-6 * g1, w2 - 1e-6 * g2, loss

    def run(steps: int) -> Any:
        nonlocal w1, w2
        for _ in range(steps):
            w1, w2, loss = step(w1, w2, x, y)
            mx.eval(w1, w2, loss)
        return loss.item()

    return run


# ----------------------------------------------------------------------------------------------
# functions and inference
# ----------------------------------------------------------------------------------------------
def function(f: Callable[[Any], Any], *shape: int) -> Run:
    """A function of one array, forward and backward."""
    x, g = mx.array(normal("x", *shape)), mx.array(normal("g", *shape))

    @mx.compile
    def step(x: Any, g: Any) -> Any:
        (y,), (dx,) = mx.vjp(f, [x], [g])
        return y, dx

    def run(steps: int) -> Any:
        for _ in range(steps):
            y, dx = step(x, g)
            mx.eval(y, dx)
        return (mx.abs(dx).sum() + mx.abs(y).sum()).item()

    return run


def inference(name: str) -> Run:
    """A model on one sample; every result is looked at."""
    model = initialise(MODELS[name]())
    x, _ = inputs(name, 1)
    forward = mx.compile(lambda x: model(x))

    def run(steps: int) -> Any:
        for _ in range(steps):
            out = np.array(forward(x), copy=False)
        return np.abs(out).sum()

    return run


def adam(lr: float) -> Any:
    """PyTorch's Adam."""
    return optimizers.Adam(lr, bias_correction=True)


def adamw(lr: float) -> Any:
    """PyTorch's AdamW."""
    return optimizers.AdamW(lr, weight_decay=1e-2, bias_correction=True)


BUILDERS: dict[str, Callable[[], Run]] = {
    "two_layer": two_layer,
    "two_layer_nn": lambda: training("two_layer_nn", 64, squares, optimizers.SGD(1e-6)),
    "mlp": lambda: training("mlp", 256, cross_entropy, adam(1e-3)),
    "mlp_tiny": lambda: training("mlp_tiny", 32, cross_entropy, adam(1e-3)),
    "cnn": lambda: training("cnn", 64, cross_entropy, optimizers.SGD(1e-2)),
    "gpt_small": lambda: training("gpt_small", 16, cross_entropy, adamw(3e-4)),
    "gpt_large": lambda: training("gpt_large", 4, cross_entropy, adamw(3e-4)),
    "softmax": lambda: function(lambda x: mx.softmax(x, axis=-1), 512, 1000),
    "layer_norm": lambda: function(lambda x: mx.fast.layer_norm(x, None, None, 1e-5), 4096, 512),
    "gelu": lambda: function(nn.gelu, 1 << 20),
}
for _name in ("two_layer", "mlp", "mlp_tiny", "cnn", "gpt_small", "gpt_large"):
    BUILDERS[_name + "_inference"] = lambda name=_name: inference(name)
