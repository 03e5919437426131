"""What the statements of `mistakes.txt` and of `fuzz/calls.py` speak of, and how one is run."""

from __future__ import annotations

import copy
import importlib
import io
import math
import os
import re
import warnings

import numpy as np

# What the statements speak of. Each is made where a statement names it.
MADE = {
    "x": lambda torch, t: torch.arange(6.0).reshape(2, 3),
    "d": lambda torch, t: torch.arange(6.0, dtype=torch.float64).reshape(2, 3),
    "h": lambda torch, t: torch.arange(6.0).reshape(2, 3).half(),
    "i": lambda torch, t: torch.arange(6).reshape(2, 3),
    "b": lambda torch, t: torch.tensor([True, False, True]),
    "v": lambda torch, t: torch.arange(3.0),
    "e": lambda torch, t: torch.zeros(0, 3),
    "c": lambda torch, t: torch.zeros(2, 3, dtype=torch.complex64),
    "w": lambda torch, t: torch.ones(2, 3, requires_grad=True),
    "y": lambda torch, t: t["w"] * 2,
    "img": lambda torch, t: torch.ones(2, 3, 8, 8),
    "seq": lambda torch, t: torch.ones(5, 2, 4),
    "lin": lambda torch, t: torch.nn.Linear(3, 4),
    "conv": lambda torch, t: torch.nn.Conv2d(3, 4, 3),
    "bn": lambda torch, t: torch.nn.BatchNorm2d(3),
    "bn1": lambda torch, t: torch.nn.BatchNorm1d(3),
    "ln": lambda torch, t: torch.nn.LayerNorm(3),
    "emb": lambda torch, t: torch.nn.Embedding(10, 3),
    "lstm": lambda torch, t: torch.nn.LSTM(4, 5),
    "gru": lambda torch, t: torch.nn.GRU(4, 5),
    "mha": lambda torch, t: torch.nn.MultiheadAttention(4, 2),
    "enc": lambda torch, t: torch.nn.TransformerEncoderLayer(4, 2),
    "net": lambda torch, t: torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2)
    ),
    "ce": lambda torch, t: torch.nn.CrossEntropyLoss(),
    "opt": lambda torch, t: torch.optim.SGD(t["net"].parameters(), lr=0.1),
}
NEEDS = {"y": "w", "opt": "net"}


def named(torch, statement):
    """The tensors and modules that a statement names, in the order of `MADE`."""
    words = set(re.findall(r"\w+", statement))
    words |= {NEEDS[word] for word in words if word in NEEDS}
    found = {}
    for name, make in MADE.items():
        if name in words:
            found[name] = make(torch, found)
    return found


def look(torch, found):
    """All that a failed call could have changed."""
    out = {}
    for name, value in found.items():
        if isinstance(value, torch.nn.Module):
            parts = value.state_dict(keep_vars=True).items()
        else:
            parts = [("", value)] if isinstance(value, torch.Tensor) else []
        for part, t in parts:
            grad = t.grad if t.is_leaf or t.retains_grad else None
            grad = None if grad is None else grad.tolist()
            kind = t.dtype, tuple(t.shape), t.requires_grad, t.is_leaf, t._version
            out[name, part] = t.tolist(), grad, kind
    return out


def attempt(torch, statement, watch, code=None):
    """The error of a statement, (where we `watch`) whether a tensor was changed, and its names.

    `code` is run in place of the statement, which then says what is made.
    """
    torch.manual_seed(0)
    found = named(torch, statement)
    before = look(torch, found) if watch else None
    known = {"torch": torch, "nn": torch.nn, "F": torch.nn.functional, "optim": torch.optim}
    known |= {"D": torch.utils.data, "np": np, "io": io, "os": os, "copy": copy, "math": math}
    if "prune" in statement:
        known["prune"] = importlib.import_module(f"{torch.__name__}.nn.utils.prune")
    known |= found
    error = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exec(code or statement.replace("\\n", "\n"), known)
        except Exception as e:
            error = e
    return error, watch and look(torch, found) != before, known
