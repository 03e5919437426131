"""Single operations on a million elements, beside PyTorch's.

These are the operations that programs use most, as far as one call on large tensors says something
about them; what only makes a view is left out. What has a derivative is measured a second time with
it, by the names that end in "backward": the call, and the gradients of all its inputs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.data import integers, normal
from benchmarks.worker import become, pin, time_calls

N = 1 << 20


def table(torch: Any, leaves: list[Any] | None = None) -> dict[str, Callable[[], Any]]:
    """Calls by name. Inputs require gradients and go to `leaves`, if there is such a list."""
    F = torch.nn.functional

    def leaf(t: Any) -> Any:
        if leaves is not None:
            leaves.append(t.requires_grad_())
        return t

    def tensor(name: str, *shape: int) -> Any:
        return leaf(torch.tensor(normal(name, *shape)))

    def module(m: Any) -> Any:
        for parameter in m.parameters():
            parameter.requires_grad_(leaves is not None)
            if leaves is not None:
                leaves.append(parameter)
        return m

    x, y = tensor("x", 1024, 1024), tensor("y", 1024, 1024)
    p = leaf(x.detach().abs() + 0.5)  # positive
    u = leaf(torch.sigmoid(x.detach()))  # between 0 and 1
    near = leaf(1 + 1e-4 * x.detach())  # near 1
    i = torch.tensor(integers("i", 1000, 1024, 1024))
    rows = torch.tensor(integers("rows", 1024, 1024))
    b, c = x > 0, y > 0
    flat = tensor("x", N)
    images = tensor("images", 16, 16, 64, 64)
    weight, bias = tensor("weight", 1024), tensor("bias", 1024)
    channels, zeros, ones = tensor("channels", 16), torch.zeros(16), torch.ones(16)
    kernel, taps = tensor("kernel", 16, 16, 3, 3), tensor("taps", 64, 64, 3)
    signal = tensor("signal", 16, 64, 1024)
    heads = tensor("heads", 4, 8, 512, 64)
    few, more = tensor("few", 16, 256, 256), tensor("more", 16, 256, 256)
    tokens = tensor("tokens", 16, 256, 256)
    attention = module(torch.nn.MultiheadAttention(256, 4, batch_first=True))
    encoder = module(torch.nn.TransformerEncoderLayer(256, 4, 1024, dropout=0.0, batch_first=True))
    steps = tensor("steps", 32, 128, 256)
    rnn, gru = module(torch.nn.RNN(256, 256)), module(torch.nn.GRU(256, 256))
    lstm = module(torch.nn.LSTM(256, 256))
    wide = tensor("wide", 1024, 1024)
    gru_cell = module(torch.nn.GRUCell(1024, 1024))
    lstm_cell = module(torch.nn.LSTMCell(1024, 1024))
    parameter = torch.nn.Parameter(x.detach().clone())
    parameter.grad = y.detach().clone()

    def update(kind: str, **options: Any) -> Callable[[], Any]:
        optimizer = getattr(torch.optim, kind)([parameter], lr=1e-6, **options)

        def stepped() -> Any:
            optimizer.step()
            return parameter

        return stepped

    def assigned() -> Any:
        z = x.clone()
        z[:512] = 0.0
        return z

    def masked() -> Any:
        z = x.clone()
        z[b] = 0.0
        return z

    def put() -> Any:
        return x.index_put((rows,), y)

    pointwise: dict[str, Callable[[], Any]] = {
        "abs": lambda: x.abs(),
        "add": lambda: x + y,
        "add, a row": lambda: x + weight,
        "clamp": lambda: x.clamp(-1, 1),
        "clamp_max": lambda: x.clamp_max(0.5),
        "clamp_min": lambda: x.clamp_min(0.5),
        "cos": lambda: x.cos(),
        "div": lambda: x / p,
        "eq": lambda: x == y,
        "ne": lambda: x != y,
        "le": lambda: x <= y,
        "lt, a number": lambda: x < 0.5,
        "exp": lambda: x.exp(),
        "floor": lambda: x.floor(),
        "ge": lambda: x >= y,
        "gt, a number": lambda: x > 0.5,
        "isfinite": lambda: x.isfinite(),
        "isnan": lambda: x.isnan(),
        "log": lambda: p.log(),
        "logical_and": lambda: b.logical_and(c),
        "logical_not": lambda: b.logical_not(),
        "logical_or": lambda: b.logical_or(c),
        "masked_fill": lambda: x.masked_fill(b, 0.0),
        "maximum": lambda: torch.maximum(x, y),
        "minimum": lambda: torch.minimum(x, y),
        "mul": lambda: x * y,
        "mul, a number": lambda: x * 2.5,
        "neg": lambda: -x,
        "pow, 2": lambda: x.pow(2),
        "pow, 3": lambda: x.pow(3),
        "pow, tensors": lambda: p.pow(y),
        "pow, of a number": lambda: 2.0**x,
        "rsub": lambda: 1.0 - x,
        "rdiv": lambda: 1.0 / p,
        "add, a number": lambda: x + 1.0,
        "reciprocal": lambda: x.reciprocal(),
        "round": lambda: x.round(),
        "rsqrt": lambda: p.rsqrt(),
        "sigmoid": lambda: x.sigmoid(),
        "sign": lambda: x.sign(),
        "sin": lambda: x.sin(),
        "sqrt": lambda: p.sqrt(),
        "square": lambda: x.square(),
        "sub": lambda: x - y,
        "tanh": lambda: x.tanh(),
        "where": lambda: torch.where(b, x, y),
        "relu": lambda: F.relu(x),
        "leaky_relu": lambda: F.leaky_relu(x),
        "elu": lambda: F.elu(x),
        "gelu": lambda: F.gelu(x),
        "silu": lambda: F.silu(x),
        "softplus": lambda: F.softplus(x),
        "logsigmoid": lambda: F.logsigmoid(x),
        "glu": lambda: F.glu(x),
        "to float64": lambda: x.double(),
        "to float16": lambda: x.half(),
        "to bfloat16": lambda: x.bfloat16(),
        "to int64": lambda: x.long(),
        "to int32": lambda: x.int(),
        "to bool": lambda: x.bool(),
        "int64 to float32": lambda: i.float(),
        "int64 add": lambda: i + i,
    }
    reductions: dict[str, Callable[[], Any]] = {
        "sum": lambda: x.sum(),
        "sum, rows": lambda: x.sum(1),
        "sum, columns": lambda: x.sum(0),
        "mean, rows": lambda: x.mean(1),
        "mean": lambda: x.mean(),
        "amax, rows": lambda: x.amax(1),
        "amin": lambda: x.amin(),
        "max, rows": lambda: x.max(1),
        "max": lambda: x.max(),
        "min": lambda: x.min(),
        "argmax, rows": lambda: x.argmax(1),
        "argmax": lambda: x.argmax(),
        "argmin, columns": lambda: x.argmin(0),
        "all": lambda: b.all(),
        "any": lambda: b.any(),
        "prod": lambda: near.prod(),
        "std": lambda: x.std(),
        "var, rows": lambda: x.var(1),
        "logsumexp, rows": lambda: x.logsumexp(1),
        "norm": lambda: x.norm(),
        "linalg.norm, rows": lambda: torch.linalg.norm(x, dim=1),
        "linalg.vector_norm": lambda: torch.linalg.vector_norm(x),
        "dot": lambda: flat.dot(flat),
        "mv": lambda: x.mv(weight),
        "cumsum, rows": lambda: x.cumsum(1),
        "cumsum, columns": lambda: x.cumsum(0),
    }
    normalising: dict[str, Callable[[], Any]] = {
        "softmax": lambda: x.softmax(1),
        "log_softmax": lambda: x.log_softmax(1),
        "layer_norm": lambda: F.layer_norm(x, (1024,), weight, bias),
        "rms_norm": lambda: F.rms_norm(x, (1024,), weight),
        "batch_norm, training": lambda: F.batch_norm(
            images, zeros.clone(), ones.clone(), channels, channels, True
        ),
        "batch_norm, evaluation": lambda: F.batch_norm(images, zeros, ones, channels, channels),
        "group_norm": lambda: F.group_norm(images, 4, channels, channels),
        "instance_norm": lambda: F.instance_norm(images),
        "normalize": lambda: F.normalize(x),
        "cosine_similarity": lambda: F.cosine_similarity(x, y),
    }
    losses: dict[str, Callable[[], Any]] = {
        "cross_entropy": lambda: F.cross_entropy(x, rows),
        "nll_loss": lambda: F.nll_loss(x, rows),
        "mse_loss": lambda: F.mse_loss(x, y),
        "l1_loss": lambda: F.l1_loss(x, y),
        "smooth_l1_loss": lambda: F.smooth_l1_loss(x, y),
        "binary_cross_entropy": lambda: F.binary_cross_entropy(u, u),
        "binary_cross_entropy_with_logits": lambda: F.binary_cross_entropy_with_logits(x, u),
        "kl_div": lambda: F.kl_div(x, u),
    }
    shapes: dict[str, Callable[[], Any]] = {
        "clone": lambda: x.clone(),
        "contiguous, transposed": lambda: x.t().contiguous(),
        "contiguous, permuted": lambda: images.permute(0, 2, 3, 1).contiguous(),
        "cat": lambda: torch.cat([x, y]),
        "cat, columns": lambda: torch.cat([x, y], 1),
        "stack": lambda: torch.stack([x, y]),
        "flip": lambda: x.flip(1),
        "roll": lambda: x.roll(1, 1),
        "repeat": lambda: x.repeat(2, 1),
        "repeat_interleave": lambda: x.repeat_interleave(2, 1),
        "tril": lambda: x.tril(),
        "triu": lambda: x.triu(),
        "meshgrid, summed": lambda: sum(torch.meshgrid(weight, bias, indexing="ij")),
        "reshape, transposed": lambda: x.t().reshape(-1),
        "pad": lambda: F.pad(images, (1, 1, 1, 1)),
        "getitem, rows": lambda: x[rows],
        "setitem, a slice": assigned,
        "setitem, a mask": masked,
        "index_put": put,
        "ones": lambda: torch.ones(1024, 1024),
        "eye": lambda: torch.eye(1024),
        "empty": lambda: torch.empty(1024, 1024),
        "linspace": lambda: torch.linspace(0, 1, N),
        "new_full": lambda: x.new_full((1024, 1024), 2.0),
        "fill_": lambda: x.detach().clone().fill_(2.0),
        "zero_": lambda: x.detach().clone().zero_(),
        "zeros": lambda: torch.zeros(1024, 1024),
        "full": lambda: torch.full((1024, 1024), 0.5),
        "arange": lambda: torch.arange(N),
        "zeros_like": lambda: torch.zeros_like(x),
    }
    indexing: dict[str, Callable[[], Any]] = {
        "index_select": lambda: x.index_select(0, rows),
        "gather": lambda: x.gather(1, i),
        "take_along_dim": lambda: torch.take_along_dim(x, i, 1),
        "scatter": lambda: x.scatter(1, i, y),
        "scatter_add": lambda: x.scatter_add(1, i, y),
        "index_add": lambda: x.index_add(0, rows, y),
        "embedding": lambda: F.embedding(rows, x),
        "one_hot": lambda: F.one_hot(rows, 1024),
        "masked_select": lambda: x.masked_select(b),
        "nonzero": lambda: b.nonzero(),
        "sort, rows": lambda: x.sort(1),
        "argsort, rows": lambda: x.argsort(1),
        "topk, rows": lambda: x.topk(8, 1),
        "unique": lambda: i.unique(),
    }
    random: dict[str, Callable[[], Any]] = {
        "rand": lambda: torch.rand(1024, 1024),
        "randn": lambda: torch.randn(1024, 1024),
        "randn_like": lambda: torch.randn_like(x),
        "normal": lambda: torch.normal(0.0, 1.0, (1024, 1024)),
        "uniform_": lambda: torch.empty(1024, 1024).uniform_(-1.0, 1.0),
        "randint": lambda: torch.randint(0, 1000, (1024, 1024)),
        "bernoulli": lambda: torch.bernoulli(u),
        "dropout": lambda: F.dropout(x, 0.5),
        "multinomial": lambda: torch.multinomial(u, 8, True),
    }
    contractions: dict[str, Callable[[], Any]] = {
        "mm": lambda: x.mm(y),
        "addmm": lambda: torch.addmm(weight, x, y),
        "bmm": lambda: few.bmm(more),
        "baddbmm": lambda: torch.baddbmm(tokens, few, more),
        "matmul, a batch by one": lambda: few @ more[0],
        "linear": lambda: F.linear(x, y, bias),
        "einsum": lambda: torch.einsum("ij,kj->ik", x, y),
        "outer": lambda: torch.outer(weight, bias),
        "conv2d 3x3": lambda: F.conv2d(images, kernel, padding=1),
        "conv_transpose2d 3x3": lambda: F.conv_transpose2d(images, kernel, padding=1),
        "conv1d 3": lambda: F.conv1d(signal, taps, padding=1),
        "scaled_dot_product_attention": lambda: F.scaled_dot_product_attention(
            heads, heads, heads, is_causal=True
        ),
        "max_pool2d": lambda: F.max_pool2d(images, 2),
        "avg_pool2d": lambda: F.avg_pool2d(images, 2),
        "adaptive_avg_pool2d": lambda: F.adaptive_avg_pool2d(images, 1),
        "interpolate, nearest": lambda: F.interpolate(images, scale_factor=2.0),
        "interpolate, bilinear": lambda: F.interpolate(images, scale_factor=2.0, mode="bilinear"),
    }
    layers: dict[str, Callable[[], Any]] = {
        "MultiheadAttention": lambda: attention(tokens, tokens, tokens, need_weights=False)[0],
        "MultiheadAttention, weights": lambda: attention(tokens, tokens, tokens)[0],
        "TransformerEncoderLayer": lambda: encoder(tokens),
        "RNN": lambda: rnn(steps)[0],
        "GRU": lambda: gru(steps)[0],
        "LSTM": lambda: lstm(steps)[0],
        "GRUCell": lambda: gru_cell(x, wide),
        "LSTMCell": lambda: lstm_cell(x, (wide, wide))[0],
        "optim.SGD": update("SGD", momentum=0.9),
        "optim.Adam": update("Adam"),
        "optim.AdamW": update("AdamW"),
        "optim.RMSprop": update("RMSprop"),
    }
    plain = pointwise | reductions | normalising | losses | shapes
    return plain | indexing | random | contractions | layers


def derivatives(torch: Any) -> dict[str, Callable[[], Any]]:
    """Calls with their gradients, by name, of what has any."""
    leaves: list[Any] = []

    def with_gradients(f: Callable[[], Any]) -> Callable[[], Any]:
        cotangent: Any = None
        read: list[Any] = []  # the inputs of this call

        def call() -> Any:
            nonlocal cotangent
            result = f()
            out = result if isinstance(result, torch.Tensor) else result[0]
            if cotangent is None:
                cotangent = torch.full_like(out, 0.5).clone()
                found = torch.autograd.grad(out, leaves, cotangent, True, allow_unused=True)
                read.extend([t for t, g in zip(leaves, found, strict=True) if g is not None])
            return result, torch.autograd.grad(out, read, cotangent)

        return call

    calls = table(torch, leaves)
    return {
        f"{name}, backward": with_gradients(f)
        for name, f in calls.items()
        if not name.startswith("optim.") and _differentiable(torch, f)
    }


def _differentiable(torch: Any, f: Callable[[], Any]) -> bool:
    result = f()
    out = result if isinstance(result, torch.Tensor) else result[0]
    return bool(out.requires_grad)


def measure(task: dict[str, Any]) -> dict[str, Any]:
    """Seconds per call, in this process; a call that fails is named with its error."""
    import warnings

    import torch

    warnings.simplefilter("ignore")
    torch.set_num_threads(task["threads"])
    torch.manual_seed(0)
    synchronize = getattr(torch, "synchronize", lambda: None)
    times: dict[str, float] = {}
    failures: dict[str, str] = {}
    for calls in (table, derivatives):
        with torch.set_grad_enabled(calls is derivatives):
            for name, f in calls(torch).items():
                if task["only"] and not any(o in name for o in task["only"]):
                    continue

                def call(f: Callable[[], Any] = f) -> None:
                    result = f()
                    synchronize()
                    del result

                try:
                    times[name] = time_calls(call, task)
                except Exception as error:
                    failures[name] = f"{type(error).__name__}: {error}"[:200]
    return {"times": times, "failures": failures}


def main() -> None:
    """Measure what the argument says."""
    task = json.loads(sys.argv[1])
    pin(task["threads"])
    become(task["peer"])
    print(json.dumps(measure(task)))


if __name__ == "__main__":
    main()
