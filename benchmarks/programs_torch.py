"""The workloads in PyTorch's API: one source for PyTorch and for Facula.

A builder sets a workload up and returns `run`: `run(n)` does n steps in one loop, as a user writes
it, and returns the last loss (or what stands for it) as a tensor.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.data import initial, integers, normal

Run = Callable[[int], Any]


def compiled(f: Any) -> Any:
    """torch.compile where that is the peer, else nothing."""
    return torch.compile(f) if _compile else f


def synchronize() -> None:
    """Wait for what is pending; PyTorch's own CPU operations are done when they return."""
    _wait()


_compile = False
_wait: Callable[[], None] = getattr(torch, "synchronize", lambda: None)


def configure(peer: str, threads: int) -> None:
    """Called once, before anything else."""
    global _compile
    torch.set_num_threads(threads)
    if peer == "torch-compile":
        _compile = True
        BUILDERS["two_layer"] = two_layer_compiled


def value(tensor: Any) -> float:
    """The number that a run returned."""
    return float(tensor.item())


def initialise(model: Any) -> Any:
    """Give the parameters the values that all frameworks start from."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(torch.tensor(initial(name, tuple(p.shape))))
    return model


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
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.shortcut = nn.Sequential()
        if stride != 1:
            conv = nn.Conv2d(width, out, 1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(out))

    def forward(self, x: Any) -> Any:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + self.shortcut(x))


class ResNet18(nn.Module):
    """ResNet-18 for 32x32 images: a 3x3 stem and no pooling before the stages."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        blocks, width = [], 64
        for stage in range(4):
            out = 64 << stage
            blocks.append(BasicBlock(width, out, 2 if stage else 1))
            blocks.append(BasicBlock(out, out, 1))
            width = out
        self.blocks = nn.Sequential(*blocks)
        self.linear = nn.Linear(512, 10)

    def forward(self, x: Any) -> Any:
        x = self.blocks(F.relu(self.bn1(self.conv1(x))))
        return self.linear(x.mean(dim=(2, 3)))


class Block(nn.Module):
    """A transformer block: attention and two linear layers, each after a layer norm."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.ln1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.ln2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def attention(self, x: Any) -> Any:
        b, t, c = x.shape
        q, k, v = self.qkv(x).split(c, dim=2)
        q, k, v = (u.view(b, t, self.heads, c // self.heads).transpose(1, 2) for u in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.proj(y.transpose(1, 2).reshape(b, t, c))

    def forward(self, x: Any) -> Any:
        x = x + self.attention(self.ln1(x))
        return x + self.down(F.gelu(self.up(self.ln2(x))))


class GPT(nn.Module):
    """A decoder-only transformer."""

    def __init__(self, layers: int, width: int, heads: int, context: int, vocabulary: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.Sequential(*[Block(width, heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.register_buffer("index", torch.arange(context), persistent=False)

    def forward(self, x: Any) -> Any:
        h = self.tokens(x) + self.positions(self.index)
        return self.head(self.norm(self.blocks(h)))


class CharLSTM(nn.Module):
    """An embedding, an LSTM and a linear layer."""

    def __init__(self, width: int, vocabulary: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.lstm = nn.LSTM(width, width)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, x: Any) -> Any:
        h, _ = self.lstm(self.embedding(x))
        return self.head(h)


MODELS: dict[str, Callable[[], Any]] = {
    "two_layer": lambda: make_mlp(1000, 100, 10),
    "two_layer_nn": lambda: make_mlp(1000, 100, 10),
    "mlp": lambda: make_mlp(784, 512, 512, 10),
    "mlp_tiny": lambda: make_mlp(32, 64, 64, 4),
    "cnn": make_cnn,
    "resnet18": ResNet18,
    "gpt_small": lambda: GPT(4, 128, 4, 64, 256),
    "gpt_large": lambda: GPT(6, 384, 6, 256, 256),
    "lstm": lambda: CharLSTM(256, 64),
}


def inputs(name: str, batch: int) -> tuple[Any, Any]:
    """The input and the target of a model."""
    if name in ("two_layer", "two_layer_nn"):
        return torch.tensor(normal("x", batch, 1000)), torch.tensor(normal("y", batch, 10))
    if name == "mlp":
        return torch.tensor(normal("x", batch, 784)), torch.tensor(integers("y", 10, batch))
    if name == "mlp_tiny":
        return torch.tensor(normal("x", batch, 32)), torch.tensor(integers("y", 4, batch))
    if name == "cnn":
        x = torch.tensor(normal("x", batch, 1, 28, 28))
        return x, torch.tensor(integers("y", 10, batch))
    if name == "resnet18":
        x = torch.tensor(normal("x", batch, 3, 32, 32))
        return x, torch.tensor(integers("y", 10, batch))
    if name == "lstm":
        text = integers("text", 64, 65, batch)
        return torch.tensor(text[:-1].copy()), torch.tensor(text[1:].copy())
    text = integers("text", 256, batch, 65 if name == "gpt_small" else 257)
    return torch.tensor(text[:, :-1].copy()), torch.tensor(text[:, 1:].copy())


# ----------------------------------------------------------------------------------------------
# training
# ----------------------------------------------------------------------------------------------
def two_layer() -> Run:
    """Written as in examples/two_layer_net.py."""
    x, y = inputs("two_layer", 64)
    w1 = torch.tensor(normal("w1", 1000, 100), requires_grad=True)
    w2 = torch.tensor(normal("w2", 100, 10), requires_grad=True)
    learning_rate = 1e-6

    def run(steps: int) -> Any:
        nonlocal w1, w2
        for _ in range(steps):
            y_pred = x.mm(w1).clamp(min=0).mm(w2)
            loss = (y_pred - y).pow(2).sum()
            loss.backward()
            with torch.no_grad():
                w1 -= learning_rate * w1.grad
                w2 -= learning_rate * w2.grad
                w1.grad.zero_()
                w2.grad.zero_()
        return loss

    return run


def two_layer_compiled() -> Run:
    """The same with the two things that torch.compile can take compiled."""
    x, y = inputs("two_layer", 64)
    w1 = torch.tensor(normal("w1", 1000, 100), requires_grad=True)
    w2 = torch.tensor(normal("w2", 100, 10), requires_grad=True)

    @compiled
    def loss_of(w1: Any, w2: Any) -> Any:
        return (x.mm(w1).clamp(min=0).mm(w2) - y).pow(2).sum()

    @compiled
    def update() -> None:
        with torch.no_grad():
            for w in (w1, w2):
                w.sub_(1e-6 * w.grad)
                w.grad.zero_()

    def run(steps: int) -> Any:
        for _ in range(steps):
            loss = loss_of(w1, w2)
            loss.backward()
            update()
        return loss

    return run


def training(name: str, batch: int, loss_function: Any, optimiser: Callable[[Any], Any]) -> Run:
    """A model, a loss and an optimiser of torch.optim."""
    model = initialise(MODELS[name]())
    x, y = inputs(name, batch)
    opt = optimiser(model.parameters())
    forward, update = compiled(model), compiled(opt.step)

    def run(steps: int) -> Any:
        for _ in range(steps):
            opt.zero_grad()
            loss = loss_function(forward(x), y)
            loss.backward()
            update()
        return loss

    return run


def cross_entropy(logits: Any, target: Any) -> Any:
    """The mean over all positions."""
    return F.cross_entropy(logits.view(-1, logits.shape[-1]), target.view(-1))


# ----------------------------------------------------------------------------------------------
# functions and inference
# ----------------------------------------------------------------------------------------------
def function(f: Callable[[Any], Any], *shape: int) -> Run:
    """A function of one tensor, forward and backward; both results are there after each step."""
    x = torch.tensor(normal("x", *shape), requires_grad=True)
    g = torch.tensor(normal("g", *shape))
    f = compiled(f)

    def run(steps: int) -> Any:
        for _ in range(steps):
            x.grad = None
            y = f(x)
            y.backward(g)
            synchronize()
        return x.grad.abs().sum() + y.detach().abs().sum()

    return run


def inference(name: str) -> Run:
    """A model on one sample; every result is looked at."""
    model = initialise(MODELS[name]()).eval()
    x, _ = inputs(name, 1)
    forward = compiled(model)

    def run(steps: int) -> Any:
        with torch.no_grad():
            for _ in range(steps):
                out = forward(x)
                out.numpy()
            return out.abs().sum()

    return run


BUILDERS: dict[str, Callable[[], Run]] = {
    "two_layer": two_layer,
    "two_layer_nn": lambda: training(
        "two_layer_nn", 64, nn.MSELoss(reduction="sum"), lambda p: torch.optim.SGD(p, lr=1e-6)
    ),
    "mlp": lambda: training(
        "mlp", 256, nn.CrossEntropyLoss(), lambda p: torch.optim.Adam(p, lr=1e-3)
    ),
    "mlp_tiny": lambda: training(
        "mlp_tiny", 32, nn.CrossEntropyLoss(), lambda p: torch.optim.Adam(p, lr=1e-3)
    ),
    "cnn": lambda: training(
        "cnn", 64, nn.CrossEntropyLoss(), lambda p: torch.optim.SGD(p, lr=1e-2)
    ),
    "resnet18": lambda: training(
        "resnet18", 16, nn.CrossEntropyLoss(), lambda p: torch.optim.SGD(p, lr=1e-2)
    ),
    "gpt_small": lambda: training(
        "gpt_small", 16, cross_entropy, lambda p: torch.optim.AdamW(p, lr=3e-4)
    ),
    "gpt_large": lambda: training(
        "gpt_large", 4, cross_entropy, lambda p: torch.optim.AdamW(p, lr=3e-4)
    ),
    "lstm": lambda: training("lstm", 32, cross_entropy, lambda p: torch.optim.Adam(p, lr=1e-3)),
    "softmax": lambda: function(lambda x: torch.softmax(x, dim=-1), 512, 1000),
    "layer_norm": lambda: function(lambda x: F.layer_norm(x, (512,)), 4096, 512),
    "gelu": lambda: function(F.gelu, 1 << 20),
}
for _name in ("two_layer", "mlp", "mlp_tiny", "cnn", "resnet18", "gpt_small", "gpt_large", "lstm"):
    BUILDERS[_name + "_inference"] = lambda name=_name: inference(name)
