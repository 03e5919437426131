"""The workloads in TensorFlow: variables updated inside one tf.function, with XLA or without."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.data import initial, integers, normal

Run = Callable[[int], Any]
Params = dict[str, Any]
_xla = False


def configure(peer: str, threads: int) -> None:
    """Called once, before anything else."""
    global _xla
    _xla = peer == "tf-xla"
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def synchronize() -> None:
    """A tf.function on the CPU is done when it returns."""


def value(tensor: Any) -> float:
    """The number that a run returned."""
    return float(tensor)


def graph(f: Any) -> Any:
    """A tf.function."""
    return tf.function(f, jit_compile=_xla)


# ----------------------------------------------------------------------------------------------
# models
# ----------------------------------------------------------------------------------------------
def linear_params(name: str, i: int, o: int, bias: bool = True) -> Params:
    """A linear layer's, (in, out)."""
    out = {f"{name}.weight": tf.Variable(initial(f"{name}.weight", (o, i)).T.copy())}
    if bias:
        out[f"{name}.bias"] = tf.Variable(initial(f"{name}.bias", (o,)))
    return out


def linear(p: Params, name: str, x: Any) -> Any:
    """x W + b."""
    return tf.matmul(x, p[f"{name}.weight"]) + p[f"{name}.bias"]


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
            x = tf.nn.relu(x)
    return x


def cnn_params() -> Params:
    """Two convolutions, two linear layers; the first of these sees NHWC."""
    out: Params = {}
    for name, o, i in (("0", 16, 1), ("3", 32, 16)):
        weight = initial(f"{name}.weight", (o, i, 5, 5))
        out[f"{name}.weight"] = tf.Variable(weight.transpose(2, 3, 1, 0).copy())
        out[f"{name}.bias"] = tf.Variable(initial(f"{name}.bias", (o,)))
    flat = initial("7.weight", (128, 1568)).reshape(128, 32, 7, 7).transpose(2, 3, 1, 0)
    out["7.weight"] = tf.Variable(flat.reshape(1568, 128))
    out["7.bias"] = tf.Variable(initial("7.bias", (128,)))
    return out | linear_params("9", 128, 10)


def cnn(p: Params, x: Any) -> Any:
    """Convolution, relu and pooling twice, then two linear layers."""
    for name in ("0", "3"):
        x = tf.nn.conv2d(x, p[f"{name}.weight"], 1, "SAME")
        x = tf.nn.max_pool2d(tf.nn.relu(tf.nn.bias_add(x, p[f"{name}.bias"])), 2, 2, "VALID")
    x = tf.nn.relu(linear(p, "7", tf.reshape(x, (-1, 1568))))
    return linear(p, "9", x)


def gpt_params(layers: int, width: int, context: int, vocabulary: int) -> Params:
    """A decoder-only transformer's; qkv as three columns of heads."""
    out: Params = {}
    for name, rows in (("tokens", vocabulary), ("positions", context)):
        out[f"{name}.weight"] = tf.Variable(initial(f"{name}.weight", (rows, width)))
    norms = ["norm"]
    for k in range(layers):
        b = f"blocks.{k}"
        norms += [f"{b}.ln1", f"{b}.ln2"]
        out |= linear_params(f"{b}.qkv", width, 3 * width)
        out |= linear_params(f"{b}.proj", width, width)
        out |= linear_params(f"{b}.up", width, 4 * width)
        out |= linear_params(f"{b}.down", 4 * width, width)
    for name in norms:
        out[f"{name}.weight"] = tf.Variable(tf.ones(width))
        out[f"{name}.bias"] = tf.Variable(tf.zeros(width))
    return out | linear_params("head", width, vocabulary, bias=False)


def layer_norm(x: Any) -> Any:
    """Without scale and shift."""
    mean, variance = tf.nn.moments(x, -1, keepdims=True)
    return (x - mean) * tf.math.rsqrt(variance + 1e-5)


def norm(p: Params, name: str, x: Any) -> Any:
    """Layer norm with scale and shift."""
    return layer_norm(x) * p[f"{name}.weight"] + p[f"{name}.bias"]


def gpt(layers: int, heads: int, p: Params, x: Any) -> Any:
    """Logits."""
    h = tf.gather(p["tokens.weight"], x) + p["positions.weight"]
    b, t, c = h.shape
    mask = tf.constant(np.triu(np.full((t, t), -np.inf, np.float32), 1))
    for k in range(layers):
        n = f"blocks.{k}"
        qkv = linear(p, f"{n}.qkv", norm(p, f"{n}.ln1", h))
        qkv = tf.transpose(tf.reshape(qkv, (b, t, 3, heads, c // heads)), (2, 0, 3, 1, 4))
        scores = tf.matmul(qkv[0], qkv[1], transpose_b=True) * (c // heads) ** -0.5 + mask
        y = tf.matmul(tf.nn.softmax(scores), qkv[2])
        y = tf.reshape(tf.transpose(y, (0, 2, 1, 3)), (b, t, c))
        h = h + linear(p, f"{n}.proj", y)
        up = tf.nn.gelu(linear(p, f"{n}.up", norm(p, f"{n}.ln2", h)))
        h = h + linear(p, f"{n}.down", up)
    return tf.matmul(norm(p, "norm", h), p["head.weight"])


MODELS: dict[str, tuple[Callable[[], Params], Callable[[Params, Any], Any]]] = {
    "two_layer_nn": (lambda: mlp_params(1000, 100, 10), partial(mlp, 2)),
    "mlp": (lambda: mlp_params(784, 512, 512, 10), partial(mlp, 3)),
    "mlp_tiny": (lambda: mlp_params(32, 64, 64, 4), partial(mlp, 3)),
    "cnn": (cnn_params, cnn),
    "gpt_small": (lambda: gpt_params(4, 128, 64, 256), partial(gpt, 4, 4)),
    "gpt_large": (lambda: gpt_params(6, 384, 256, 256), partial(gpt, 6, 6)),
}


def inputs(name: str, batch: int) -> tuple[Any, Any]:
    """The input and the target of a model."""
    if name == "two_layer_nn":
        return tf.constant(normal("x", batch, 1000)), tf.constant(normal("y", batch, 10))
    if name == "cnn":
        x = normal("x", batch, 1, 28, 28).transpose(0, 2, 3, 1).copy()
        return tf.constant(x), tf.constant(integers("y", 10, batch))
    if name in ("mlp", "mlp_tiny"):
        width, classes = (784, 10) if name == "mlp" else (32, 4)
        return tf.constant(normal("x", batch, width)), tf.constant(integers("y", classes, batch))
    text = integers("text", 256, batch, 65 if name == "gpt_small" else 257)
    return tf.constant(text[:, :-1]), tf.constant(text[:, 1:])


# ----------------------------------------------------------------------------------------------
# training
# ----------------------------------------------------------------------------------------------
def cross_entropy(logits: Any, target: Any) -> Any:
    """The mean over all positions."""
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(target, logits))


def squares(y_pred: Any, y: Any) -> Any:
    """The sum of squared differences."""
    return tf.reduce_sum(tf.math.squared_difference(y_pred, y))


Update = Callable[[list[Any]], Callable[[list[Any]], None]]


def sgd(lr: float) -> Update:
    """Gradient descent, with TensorFlow's fused operation."""

    def start(variables: list[Any]) -> Callable[[list[Any]], None]:
        def update(grads: list[Any]) -> None:
            for v, g in zip(variables, grads):
                tf.raw_ops.ResourceApplyGradientDescent(var=v.handle, alpha=lr, delta=g)

        return update

    return start


def adam(lr: float, decay: float = 0.0) -> Update:
    """Adam, with TensorFlow's fused operation; AdamW with a weight decay."""

    def start(variables: list[Any]) -> Callable[[list[Any]], None]:
        firsts = [tf.Variable(tf.zeros_like(v)) for v in variables]
        seconds = [tf.Variable(tf.zeros_like(v)) for v in variables]
        powers = [tf.Variable(0.9), tf.Variable(0.999)]

        def update(grads: list[Any]) -> None:
            one, two = powers[0].read_value(), powers[1].read_value()
            for v, m, s, g in zip(variables, firsts, seconds, grads):
                if decay:
                    v.assign(v * (1 - lr * decay))
                tf.raw_ops.ResourceApplyAdam(
                    var=v.handle,
                    m=m.handle,
                    v=s.handle,
                    beta1_power=one,
                    beta2_power=two,
                    lr=lr,
                    beta1=0.9,
                    beta2=0.999,
                    epsilon=1e-8,
                    grad=g,
                )
            powers[0].assign(one * 0.9)
            powers[1].assign(two * 0.999)

        return update

    return start


def training(name: str, batch: int, loss_function: Any, optimiser: Update) -> Run:
    """A model, a loss and an optimiser, one graph."""
    make, model = MODELS[name]
    params = make()
    variables = list(params.values())
    update = optimiser(variables)
    x, y = inputs(name, batch)

    @graph
    def step(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = loss_function(model(params, x), y)
        grads = tape.gradient(loss, variables)
        update([tf.convert_to_tensor(g) for g in grads])
        return loss

    def run(steps: int) -> Any:
        for _ in range(steps):
            loss = step(x, y)
        return loss.numpy()

    return run


def two_layer() -> Run:
    """The hand-written network."""
    w1 = tf.Variable(normal("w1", 1000, 100))
    w2 = tf.Variable(normal("w2", 100, 10))
    x, y = tf.constant(normal("x", 64, 1000)), tf.constant(normal("y", 64, 10))

    @graph
    def step(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = squares(tf.matmul(tf.maximum(tf.matmul(x, w1), 0.0), w2), y)
        g1, g2 = tape.gradient(loss, (w1, w2))
        w1.assign_sub(1e-6 * g1)
        w2.assign_sub(1e-6 * g2)
        return loss

    def run(steps: int) -> Any:
        for _ in range(steps):
            loss = step(x, y)
        return loss.numpy()

    return run


# ----------------------------------------------------------------------------------------------
# functions and inference
# ----------------------------------------------------------------------------------------------
def function(f: Callable[[Any], Any], *shape: int) -> Run:
    """A function of one tensor, forward and backward."""
    x, g = tf.constant(normal("x", *shape)), tf.constant(normal("g", *shape))

    @graph
    def step(x: Any, g: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = f(x)
        return y, tape.gradient(y, x, output_gradients=g)

    def run(steps: int) -> Any:
        for _ in range(steps):
            y, dx = step(x, g)
        return tf.reduce_sum(tf.abs(dx)) + tf.reduce_sum(tf.abs(y))

    return run


def inference(name: str) -> Run:
    """A model on one sample; every result is looked at."""
    make, model = MODELS[name]
    params = make()
    x, _ = inputs(name, 1)
    forward = graph(lambda x: model(params, x))

    def run(steps: int) -> Any:
        for _ in range(steps):
            out = forward(x).numpy()
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
    "softmax": lambda: function(tf.nn.softmax, 512, 1000),
    "layer_norm": lambda: function(layer_norm, 4096, 512),
    "gelu": lambda: function(tf.nn.gelu, 1 << 20),
    "two_layer_inference": lambda: inference("two_layer_nn"),
}
for _name in ("mlp", "mlp_tiny", "cnn", "gpt_small", "gpt_large"):
    BUILDERS[_name + "_inference"] = lambda name=_name: inference(name)
