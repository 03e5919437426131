"""The workloads in JAX: pure functions under jit, state given away (donated) to each step.

Weights have JAX's layouts: (in, out) for products, HWIO for convolutions, images NHWC.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.data import initial, integers, normal

Run = Callable[[int], Any]
Params = dict[str, Any]


def configure(peer: str, threads: int) -> None:
    """JAX takes as many threads as the process has processors."""


def synchronize() -> None:
    """Runs end by waiting."""


def value(array: Any) -> float:
    """The number that a run returned."""
    return float(array)


# ----------------------------------------------------------------------------------------------
# models: parameters by PyTorch's names, and functions of them
# ----------------------------------------------------------------------------------------------
def linear_params(name: str, i: int, o: int, bias: bool = True) -> Params:
    """A linear layer's, in JAX's layout."""
    out = {f"{name}.weight": jnp.array(initial(f"{name}.weight", (o, i)).T)}
    if bias:
        out[f"{name}.bias"] = jnp.array(initial(f"{name}.bias", (o,)))
    return out


def linear(p: Params, name: str, x: Any) -> Any:
    """x W + b."""
    return x @ p[f"{name}.weight"] + p[f"{name}.bias"]


def mlp_params(*widths: int) -> Params:
    """Fully connected layers."""
    out: Params = {}
    for k in range(len(widths) - 1):
        out |= linear_params(str(2 * k), widths[k], widths[k + 1])
    return out


def mlp(layers: int, p: Params, x: Any) -> Any:
    """relu between the layers."""
    for k in range(layers):
        x = linear(p, str(2 * k), x)
        if k < layers - 1:
            x = jax.nn.relu(x)
    return x


def cnn_params() -> Params:
    """Two convolutions, two linear layers; the first of these sees NHWC."""
    out: Params = {}
    for name, o, i in (("0", 16, 1), ("3", 32, 16)):
        weight = initial(f"{name}.weight", (o, i, 5, 5))
        out[f"{name}.weight"] = jnp.array(weight.transpose(2, 3, 1, 0))
        out[f"{name}.bias"] = jnp.array(initial(f"{name}.bias", (o,)))
    flat = initial("7.weight", (128, 1568)).reshape(128, 32, 7, 7).transpose(2, 3, 1, 0)
    out["7.weight"] = jnp.array(flat.reshape(1568, 128))
    out["7.bias"] = jnp.array(initial("7.bias", (128,)))
    return out | linear_params("9", 128, 10)


def cnn(p: Params, x: Any) -> Any:
    """Convolution, relu and pooling twice, then two linear layers."""
    for name in ("0", "3"):
        x = lax.conv_general_dilated(
            x, p[f"{name}.weight"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        x = jax.nn.relu(x + p[f"{name}.bias"])
        x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    x = jax.nn.relu(linear(p, "7", x.reshape(len(x), -1)))
    return linear(p, "9", x)


def gpt_params(layers: int, width: int, context: int, vocabulary: int) -> Params:
    """A decoder-only transformer's."""
    out: Params = {}
    for name, rows in (("tokens", vocabulary), ("positions", context)):
        out[f"{name}.weight"] = jnp.array(initial(f"{name}.weight", (rows, width)))
    norms = ["norm"]
    for k in range(layers):
        b = f"blocks.{k}"
        norms += [f"{b}.ln1", f"{b}.ln2"]
        out |= linear_params(f"{b}.qkv", width, 3 * width)
        out |= linear_params(f"{b}.proj", width, width)
        out |= linear_params(f"{b}.up", width, 4 * width)
        out |= linear_params(f"{b}.down", 4 * width, width)
    for name in norms:
        out[f"{name}.weight"], out[f"{name}.bias"] = jnp.ones(width), jnp.zeros(width)
    return out | linear_params("head", width, vocabulary, bias=False)


def layer_norm(x: Any) -> Any:
    """Without scale and shift."""
    mean = x.mean(-1, keepdims=True)
    variance = x.var(-1, keepdims=True)
    return (x - mean) * lax.rsqrt(variance + 1e-5)


def norm(p: Params, name: str, x: Any) -> Any:
    """Layer norm with scale and shift."""
    return layer_norm(x) * p[f"{name}.weight"] + p[f"{name}.bias"]


def gpt(layers: int, heads: int, p: Params, x: Any) -> Any:
    """Logits."""
    h = p["tokens.weight"][x] + p["positions.weight"]
    b, t, c = h.shape
    for k in range(layers):
        n = f"blocks.{k}"
        qkv = linear(p, f"{n}.qkv", norm(p, f"{n}.ln1", h)).reshape(b, t, 3, heads, c // heads)
        y = jax.nn.dot_product_attention(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2], is_causal=True)
        h = h + linear(p, f"{n}.proj", y.reshape(b, t, c))
        up = linear(p, f"{n}.up", norm(p, f"{n}.ln2", h))
        h = h + linear(p, f"{n}.down", jax.nn.gelu(up, approximate=False))
    return norm(p, "norm", h) @ p["head.weight"]


def lstm_params(width: int, vocabulary: int) -> Params:
    """An embedding, an LSTM and a linear layer."""
    out = {"embedding.weight": jnp.array(initial("embedding.weight", (vocabulary, width)))}
    for kind in ("ih", "hh"):
        weight = initial(f"lstm.weight_{kind}_l0", (4 * width, width))
        out[f"lstm.{kind}"] = jnp.array(weight.T)
        out[f"lstm.bias_{kind}"] = jnp.zeros(4 * width)
    return out | linear_params("head", width, vocabulary)


def lstm(p: Params, x: Any) -> Any:
    """Logits of all steps; the inputs' products are one product before the scan."""
    given = p["embedding.weight"][x] @ p["lstm.ih"] + p["lstm.bias_ih"] + p["lstm.bias_hh"]

    def cell(state: Any, g: Any) -> Any:
        h, c = state
        i, f, u, o = jnp.split(g + h @ p["lstm.hh"], 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(u)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zero = jnp.zeros((x.shape[1], p["lstm.hh"].shape[0]))
    _, h = lax.scan(cell, (zero, zero), given)
    return linear(p, "head", h)


MODELS: dict[str, tuple[Callable[[], Params], Callable[[Params, Any], Any]]] = {
    "two_layer_nn": (lambda: mlp_params(1000, 100, 10), partial(mlp, 2)),
    "mlp": (lambda: mlp_params(784, 512, 512, 10), partial(mlp, 3)),
    "mlp_tiny": (lambda: mlp_params(32, 64, 64, 4), partial(mlp, 3)),
    "cnn": (cnn_params, cnn),
    "gpt_small": (lambda: gpt_params(4, 128, 64, 256), partial(gpt, 4, 4)),
    "gpt_large": (lambda: gpt_params(6, 384, 256, 256), partial(gpt, 6, 6)),
    "lstm": (lambda: lstm_params(256, 64), lstm),
}


def inputs(name: str, batch: int) -> tuple[Any, Any]:
    """The input and the target of a model."""
    if name == "two_layer_nn":
        return jnp.array(normal("x", batch, 1000)), jnp.array(normal("y", batch, 10))
    if name == "cnn":
        x = normal("x", batch, 1, 28, 28).transpose(0, 2, 3, 1)
        return jnp.array(x), jnp.array(integers("y", 10, batch))
    if name in ("mlp", "mlp_tiny"):
        width, classes = (784, 10) if name == "mlp" else (32, 4)
        return jnp.array(normal("x", batch, width)), jnp.array(integers("y", classes, batch))
    if name == "lstm":
        text = integers("text", 64, 65, batch)
        return jnp.array(text[:-1]), jnp.array(text[1:])
    text = integers("text", 256, batch, 65 if name == "gpt_small" else 257)
    return jnp.array(text[:, :-1]), jnp.array(text[:, 1:])


# ----------------------------------------------------------------------------------------------
# training
# ----------------------------------------------------------------------------------------------
def cross_entropy(logits: Any, target: Any) -> Any:
    """The mean over all positions."""
    logs = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(logs, target[..., None], -1).mean()


def squares(y_pred: Any, y: Any) -> Any:
    """The sum of squared differences."""
    return ((y_pred - y) ** 2).sum()


def sgd(lr: float) -> tuple[Any, Any]:
    """Gradient descent: the initial state, and the update."""
    return lambda p: (), lambda p, g, s: (jax.tree.map(lambda a, b: a - lr * b, p, g), s)


def adam(lr: float, decay: float = 0.0) -> tuple[Any, Any]:
    """Adam, or AdamW with a weight decay."""

    def start(p: Params) -> Any:
        zeros = jax.tree.map(jnp.zeros_like, p)
        return zeros, jax.tree.map(jnp.zeros_like, p), jnp.zeros((), jnp.int32)

    def update(p: Params, g: Params, state: Any) -> Any:
        m, v, t = state
        t = t + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        first, second = lr / (1 - 0.9**t), lax.rsqrt(1 - 0.999**t)
        p = jax.tree.map(
            lambda p, m, v: p * (1 - lr * decay) - first * m / (jnp.sqrt(v) * second + 1e-8),
            p,
            m,
            v,
        )
        return p, (m, v, t)

    return start, update


def training(name: str, batch: int, loss_function: Any, optimiser: tuple[Any, Any]) -> Run:
    """A model, a loss and an optimiser, one compiled function."""
    make, model = MODELS[name]
    start, update = optimiser
    params = make()
    state = start(params)
    x, y = inputs(name, batch)

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(params: Params, state: Any, x: Any, y: Any) -> Any:
        loss, grads = jax.value_and_grad(lambda p: loss_function(model(p, x), y))(params)
        return *update(params, grads, state), loss

    def run(steps: int) -> Any:
        nonlocal params, state
        for _ in range(steps):
            params, state, loss = step(params, state, x, y)
        jax.block_until_ready((params, state, loss))
        return loss

    return run


def two_layer() -> Run:
    """The hand-written network."""
    w1, w2 = jnp.array(normal("w1", 1000, 100)), jnp.array(normal("w2", 100, 10))
    x, y = jnp.array(normal("x", 64, 1000)), jnp.array(normal("y", 64, 10))

    def loss_of(w1: Any, w2: Any, x: Any, y: Any) -> Any:
        return squares(jnp.maximum(x @ w1, 0) @ w2, y)

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(w1: Any, w2: Any, x: Any, y: Any) -> Any:
        loss, (g1, g2) = jax.value_and_grad(loss_of, (0, 1))(w1, w2, x, y)
        return w1 - 1e-6 * g1, w2 - 1e-6 * g2, loss

    def run(steps: int) -> Any:
        nonlocal w1, w2
        for _ in range(steps):
            w1, w2, loss = step(w1, w2, x, y)
        jax.block_until_ready((w1, w2, loss))
        return loss

    return run


# ----------------------------------------------------------------------------------------------
# functions and inference
# ----------------------------------------------------------------------------------------------
def function(f: Callable[[Any], Any], *shape: int) -> Run:
    """A function of one array, forward and backward."""
    x, g = jnp.array(normal("x", *shape)), jnp.array(normal("g", *shape))

    @jax.jit
    def step(x: Any, g: Any) -> Any:
        y, back = jax.vjp(f, x)
        return y, back(g)[0]

    def run(steps: int) -> Any:
        for _ in range(steps):
            y, dx = jax.block_until_ready(step(x, g))
        return jnp.abs(dx).sum() + jnp.abs(y).sum()

    return run


def inference(name: str) -> Run:
    """A model on one sample; every result is looked at."""
    make, model = MODELS[name]
    params = make()
    x, _ = inputs(name, 1)
    forward = jax.jit(model)

    def run(steps: int) -> Any:
        for _ in range(steps):
            out = np.asarray(forward(params, x))
        return np.abs(out).sum()

    return run


BUILDERS: dict[str, Callable[[], Run]] = {
    "two_layer": two_layer,
    "two_layer_nn": lambda: training("two_layer_nn", 64, squares, sgd(1e-6)),
    "mlp": lambda: training("mlp", 256, cross_entropy, adam(1e-3)),
    "mlp_tiny": lambda: training("mlp_tiny", 32, cross_entropy, adam(1e-3)),
    "cnn": lambda: training("cnn", 64, cross_entropy, sgd(1e-2)),
    "gpt_small": lambda: training("gpt_small", 16, cross_entropy, adam(3e-4, 1e-2)),
    "gpt_large": lambda: training("gpt_large", 4, cross_entropy, adam(3e-4, 1e-2)),
    "lstm": lambda: training("lstm", 32, cross_entropy, adam(1e-3)),
    "softmax": lambda: function(jax.nn.softmax, 512, 1000),
    "layer_norm": lambda: function(layer_norm, 4096, 512),
    "gelu": lambda: function(partial(jax.nn.gelu, approximate=False), 1 << 20),
    "two_layer_inference": lambda: inference("two_layer_nn"),
}
for _name in ("mlp", "mlp_tiny", "cnn", "gpt_small", "gpt_large", "lstm"):
    BUILDERS[_name + "_inference"] = lambda name=_name: inference(name)
