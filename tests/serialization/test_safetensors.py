"""The library `safetensors` and its module for PyTorch, in a program under `facula run`."""

from __future__ import annotations

import json
import struct
import subprocess
import sys

import numpy as np
from safetensors.numpy import load_file, save_file

PROGRAM = '''
import sys
import torch
from safetensors import safe_open
from safetensors.torch import load, load_file, load_model, save, save_file, save_model

assert load_file("numpy.st")["x"].tolist() == [[0, 1, 2], [3, 4, 5]]
x = torch.arange(6.0).reshape(2, 3)
save_file({"x": x, "y": x * 2, "empty": torch.zeros(0, 2), "one": x[1, 1].clone()}, "torch.st")
for name in """bool uint8 int8 int16 int32 int64 uint16 uint32 uint64 float16 bfloat16 float32
        float64 complex64""".split():
    t = torch.tensor([[0, 1, 1], [1, 0, 1]]).to(getattr(torch, name))
    save_file({"t": t}, "dtype.st")
    for got in (load_file("dtype.st")["t"], load(save({"t": t}))["t"]):
        assert got.dtype is t.dtype and got.tolist() == t.tolist(), name


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
        self.b.weight = self.a.weight


one, other = Tied(), Tied()
save_model(one, "model.st")
load_model(other, "model.st")
assert torch.equal(one.a.weight, other.b.weight) and other.a.weight is other.b.weight
assert torch.equal(one.b.bias, other.b.bias)
with safe_open("torch.st", "pt", device="cpu") as f:
    assert f.get_tensor("y").tolist() == (x * 2).tolist()
    assert f.get_slice("x")[:, 1:].tolist() == x[:, 1:].tolist()
loaded = load_file("torch.st")
loaded["x"].zero_()
assert load_file("torch.st")["x"].tolist() == x.tolist()
for wrong in ({"a": x, "b": x[1:]}, {"a": x.t()}, {"a": 3}):
    try:
        save_file(wrong, "wrong.st")
    except (RuntimeError, ValueError):
        continue
    raise AssertionError(wrong)
print("done", torch.__name__)
'''


def test_a_program(tmp_path):
    save_file({"x": np.arange(6).reshape(2, 3)}, tmp_path / "numpy.st")
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-m", "facula", "run", "program.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.stderr, done.stdout) == ("", "done torch\n")
    got = load_file(tmp_path / "torch.st")
    assert {k: v.tolist() for k, v in got.items()} == {
        "x": [[0, 1, 2], [3, 4, 5]],
        "y": [[0, 2, 4], [6, 8, 10]],
        "empty": [],
        "one": 4,
    }
    raw = (tmp_path / "torch.st").read_bytes()
    head = json.loads(raw[8 : 8 + struct.unpack("<Q", raw[:8])[0]])
    assert head["x"]["dtype"] == "F32" and head["empty"]["shape"] == [0, 2]
