"""Small checkpoints as PyTorch writes them, for tests/serialization.

    python tests/generate/checkpoints.py    # with PyTorch; writes tests/data/checkpoints/*.pt

`expected.json` says of each what a reader should find: values as nested lists, the dtype, strides,
offset and storage of tensors; `going_on.json`, where training leads from there.
"""

from __future__ import annotations

import json
import math
import warnings
from collections import Counter, OrderedDict
from pathlib import Path

import numpy as np
import torch
from torch import nn

OUT = Path(__file__).resolve().parents[1] / "data" / "checkpoints"
DTYPES = "bool uint8 int8 int16 int32 int64 uint16 uint32 uint64 float16 bfloat16 float32 float64 "
DTYPES += "complex64 complex128"


def number(v):
    """A number that JSON can hold exactly."""
    if isinstance(v, complex):
        return {"complex": [number(v.real), number(v.imag)]}
    return str(v) if isinstance(v, float) and not math.isfinite(v) else v


def values(v):
    return [values(x) for x in v] if isinstance(v, list) else number(v)


def describe(v, storages):
    """What a reader should find."""
    if isinstance(v, torch.Tensor):
        key = storages.setdefault(v.untyped_storage()._cdata, len(storages))
        what = "Parameter" if isinstance(v, nn.Parameter) else "Tensor"
        plain = v.detach().resolve_conj().resolve_neg()
        return {
            what: values(plain.tolist()),
            "dtype": str(v.dtype).removeprefix("torch."),
            "shape": list(v.shape),
            "stride": list(v.stride()),
            "offset": v.storage_offset(),
            "storage": None if v.is_conj() or v.is_neg() else key,
            "requires_grad": v.requires_grad,
            "attributes": dict(vars(v)) if type(v) is torch.Tensor else {},
        }
    if isinstance(v, (np.ndarray, np.generic)):
        return {"numpy": values(v.tolist()), "dtype": v.dtype.str, "kind": type(v).__name__}
    if isinstance(v, (torch.dtype, torch.device, torch.Size)):
        return {type(v).__name__: str(v)}
    if isinstance(v, dict):
        items = [[describe(k, storages), describe(w, storages)] for k, w in v.items()]
        return {type(v).__name__: items, "metadata": getattr(v, "_metadata", None)}
    if isinstance(v, (list, tuple)):
        return {type(v).__name__: [describe(w, storages) for w in v]}
    if isinstance(v, (set, frozenset)):
        return {type(v).__name__: sorted(v)}
    if isinstance(v, (bytes, bytearray)):
        return {type(v).__name__: list(v)}
    if isinstance(v, complex) or (isinstance(v, float) and not math.isfinite(v)):
        return {"number": number(v)}
    return {"plain": v}


def network():
    return nn.Sequential(nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


def trained(optimizer, **options):
    torch.manual_seed(0)
    model = network()
    opt = optimizer(model.parameters(), **options)
    for _ in range(2):
        opt.zero_grad()
        model(torch.randn(5, 3)).pow(2).sum().backward()
        opt.step()
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(opt, 10)
    return {
        "model": model.state_dict(),
        "optimizer": opt.state_dict(),
        "schedule": schedule.state_dict(),
        "epoch": 2,
    }


OPTIMIZERS = {
    "adam": "Adam",
    "sgd": "SGD",
    "legacy_adam": "Adam",
    **{name.lower(): name for name in ("AdamW", "RMSprop", "Adagrad", "Adadelta")},
}


def going_on(name):
    """The parameters two steps after the checkpoint was loaded."""
    got = torch.load(OUT / f"{name}.pt")
    model = network()
    model.load_state_dict(got["model"])
    opt = getattr(torch.optim, OPTIMIZERS[name])(model.parameters())
    opt.load_state_dict(got["optimizer"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(opt, 10)
    schedule.load_state_dict(got["schedule"])
    for _ in range(2):
        opt.zero_grad()
        model(torch.linspace(-1, 1, 15).reshape(5, 3) ** 2).pow(2).sum().backward()
        opt.step()
        schedule.step()
    return [p.tolist() for p in model.parameters()] + [opt.param_groups[0]["lr"]]


def after(closure):
    """What training by LBFGS leaves: its history is a list of tensors."""
    p = nn.Parameter(torch.tensor([1.0, -2.0, 3.0]))
    opt = torch.optim.LBFGS([p], max_iter=4)

    def step():
        opt.zero_grad()
        loss = closure(p)
        loss.backward()
        return loss

    opt.step(step)
    return {"p": p, "optimizer": opt.state_dict()}


def cases():
    torch.manual_seed(0)
    x = torch.arange(12.0).reshape(3, 4)
    tagged = torch.ones(2)
    tagged.tag = "a text"
    parameter = nn.Parameter(torch.ones(2))
    parameter.note = 7
    yield "tensor", torch.randn(2, 3), {}
    yield "scalar", torch.tensor(3.5), {}
    yield "empty", [torch.empty(0), torch.empty(2, 0, 3), []], {}
    for d in DTYPES.split():
        t = torch.tensor([0, 1, 1, 0, 1]).to(getattr(torch, d))
        if t.is_complex():
            t = t + 2j
        elif t.is_floating_point():
            t = torch.cat([t, torch.tensor([1e-3, float("inf"), float("nan")]).to(t.dtype)])
        yield f"dtype_{d}", t, {}
    yield "views", {"x": x, "row": x[1], "t": x.T, "odd": x[1:, ::2], "wide": x[:, :1]}, {}
    yield "view_alone", x[1:, 1:3], {}
    yield "expanded", torch.ones(1, 3).expand(4, 3), {}
    yield "channels_last", torch.randn(2, 3, 2, 2).to(memory_format=torch.channels_last), {}
    yield "conj", [torch.tensor([1 + 2j]).conj(), torch.tensor([1 + 2j]).conj().imag], {}
    yield "parameters", [nn.Parameter(x), nn.Parameter(x, requires_grad=False), parameter], {}
    yield (
        "requires_grad",
        [torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True) * 2],
        {},
    )
    yield "tied", dict.fromkeys(("a", "b"), nn.Parameter(torch.ones(3))), {}
    yield "attributes", tagged, {}
    plain = {
        "text": "grüße 東京",
        "numbers": [0, -1, 255, 256, 65536, 2**40, -(2**70), 1.5, float("inf"), 1 + 2j],
        "none": None,
        "flags": (True, False),
        "bytes": b"\x00\xff",
        "array": bytearray(b"ab"),
        "set": {1, 2},
        3: {"nested": [[], {}, ()]},
        (1, "a"): Counter("aab"),
        "ordered": OrderedDict(b=1, a=2),
        "others": [torch.float32, torch.device("cpu"), torch.device("cuda", 1), torch.Size([2, 3])],
    }
    yield "plain", plain, {}
    for protocol in (3, 4, 5):
        yield f"protocol_{protocol}", {**plain, "x": x, "row": x[1]}, {"pickle_protocol": protocol}
    arrays = [np.arange(6, dtype=np.int16).reshape(2, 3), np.asfortranarray(np.ones((2, 3)))]
    arrays += [np.array(2.5), np.float32(1.5), np.int64(3), np.array(["ab", "c"])]
    arrays += [np.array([1, 2], ">i4"), np.bool_(True), np.array([], np.uint8)]
    yield "numpy", arrays, {}
    yield "numpy_5", arrays, {"pickle_protocol": 5}
    yield "adam", trained(torch.optim.Adam, amsgrad=True), {}
    yield "sgd", trained(torch.optim.SGD, lr=0.1, momentum=0.9), {}
    for name in list(OPTIMIZERS)[3:]:
        yield name, trained(getattr(torch.optim, OPTIMIZERS[name])), {}
    yield "lbfgs", after(lambda p: (p**2).sum() + p.prod()), {}
    yield "generator", torch.Generator().manual_seed(7).get_state(), {}
    rnn = nn.ModuleDict({"rnn": nn.LSTM(3, 2, bidirectional=True), "emb": nn.Embedding(5, 3)})
    yield "module_dict", rnn.state_dict(), {}
    yield "many", {f"layers.{i}": torch.full((2,), float(i)) for i in range(300)}, {}
    yield "one_of_many", torch.arange(1000.0)[500:502], {}
    yield "large", torch.arange(2_000, dtype=torch.int16).reshape(40, 50).T, {}
    yield "numbers_from_tensors", {"lr": torch.tensor(0.1, dtype=torch.float64), "n": 2**63}, {}
    yield "subviews", [x.view(-1)[3:9].view(2, 3), x[:, 1]], {}
    legacy = {"_use_new_zipfile_serialization": False}
    yield "legacy", {"x": x, "row": x[1], "p": nn.Parameter(x), "e": torch.empty(0), "n": 3}, legacy
    yield "legacy_plain", plain, legacy
    yield "legacy_adam", trained(torch.optim.Adam), legacy
    yield "no_byteorder", x, {"_disable_byteorder_record": True}


def main():
    OUT.mkdir(exist_ok=True)
    for old in OUT.glob("*"):
        old.unlink()
    expected = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, value, options in cases():
            torch.save(value, OUT / f"{name}.pt", **options)
            expected[name] = describe(value, {})
        torch.serialization.set_crc32_options(False)
        torch.save(torch.arange(3), OUT / "no_crc.pt")
        expected["no_crc"] = describe(torch.arange(3), {})
    (OUT / "going_on.json").write_text(json.dumps({n: going_on(n) for n in OPTIMIZERS}) + "\n")
    lines = [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in expected.items()]
    (OUT / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(len(expected), "checkpoints,", sum(f.stat().st_size for f in OUT.iterdir()), "bytes")


if __name__ == "__main__":
    main()
