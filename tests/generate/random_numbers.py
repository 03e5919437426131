"""Writes tests/data/random_numbers.npz: PyTorch's CPU random numbers, drawn by PyTorch itself.

Run with a Python that has PyTorch 2.13: `python tests/generate/random_numbers.py`.

The file holds a JSON text, `cases`: a list of ``{"seed", "draws", "next", "left", "cached"}``,
where each draw names a method of `facula.generator.Generator` and its arguments, and `next`, `left`
and `cached` are the generator's counters and waiting normal afterwards. Array `i_j` holds the raw
bits of draw j of case i; for results of more than LARGE elements `i_j` holds the elements at
`probes(size)` and the draw's entries `crc32` and `sum` describe the whole. Array `state` is a
generator state as PyTorch gives it, `state_draw` what it draws next. Each row of `transforms` is
the arguments and the result of :func:`transform`.
"""

import json
import math
import pathlib
import zlib

import numpy as np
import torch

LARGE = 2000
TARGET = pathlib.Path(__file__).parents[1] / "data" / "random_numbers.npz"
FLOATS = ("float16", "bfloat16", "float32", "float64")
INTS = ("uint8", "int8", "int16", "int32", "int64")


def probes(size):
    """Indices kept of a large result: both ends and some between."""
    inner = [size * k // 17 + k for k in range(1, 17)]
    return np.array([*range(24), *inner, *range(size - 24, size)])


def ramp(shape, dtype):
    """Values in (0, 1) that tests can make again; they repeat, to have ties."""
    size = math.prod(shape)
    return ((torch.arange(size) * 7 % 13 + 0.5) / 13.5).reshape(shape).to(getattr(torch, dtype))


def target(draw):
    shape, dtype = draw["shape"], getattr(torch, draw["dtype"])
    strides = draw.get("strides")
    if strides is None:
        return torch.empty(shape, dtype=dtype)
    span = 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    return torch.empty(span, dtype=dtype).as_strided(shape, strides)


def perform(draw, g):
    """One draw by PyTorch."""
    method, d = draw["method"], draw
    if method == "uniform":
        return target(d).uniform_(d.get("low", 0.0), d.get("high", 1.0), generator=g)
    if method == "normal":
        mean, std = d.get("mean", 0.0), d.get("std", 1.0)
        if "ramp" in (mean, std):
            mean = ramp(d["shape"], d["dtype"]) if mean == "ramp" else mean
            std = ramp(d["shape"], d["dtype"]) if std == "ramp" else std
            return torch.normal(mean, std, generator=g)
        return target(d).normal_(mean, std, generator=g)
    if method == "integers":
        return target(d).random_(d["low"], d["high"], generator=g)
    if method == "random_full":
        return target(d).random_(generator=g)
    if method == "permutation":
        return torch.randperm(d["n"], dtype=getattr(torch, d["dtype"]), generator=g)
    if method == "bernoulli":
        p = ramp(d["shape"], d["ramp"]) if "ramp" in d else d["p"]
        return target(d).bernoulli_(p, generator=g)
    if method == "multinomial":
        weights = ramp(d["rows"], d["dtype"])
        return torch.multinomial(weights, d["n"], d["replacement"], generator=g)
    if method == "exponential":
        return target(d).exponential_(d["lambd"], generator=g)
    if method == "cauchy":
        return target(d).cauchy_(d["median"], d["sigma"], generator=g)
    if method == "log_normal":
        return target(d).log_normal_(d["mean"], d["std"], generator=g)
    if method == "geometric":
        return target(d).geometric_(d["p"], generator=g)
    raise ValueError(method)


def one(method, seed=0, **arguments):
    return {"seed": seed, "draws": [{"method": method, **arguments}]}


def cases():
    sizes = (1, 2, 5, 15, 16, 17, 23, 24, 31, 32, 1000)
    strided = [((4, 6), (1, 4)), ((2, 3, 4, 5), (60, 1, 15, 3)), ((6, 5), (20, 3))]
    for n in sizes:
        for dtype in FLOATS:
            if n in (5, 17, 1000) or dtype == "float32":
                yield one("uniform", n, shape=[n], dtype=dtype)
            if n < 1000 or dtype == "float32":
                yield one("normal", n, shape=[n], dtype=dtype)
    for dtype in FLOATS:
        for low, high in ((-0.5, 0.5), (-1 / 3, 0.77), (0.001, 0.001001), (2.5, 2.5)):
            yield one("uniform", 3, shape=[20], dtype=dtype, low=low, high=high)
        for mean, std in ((0.0, 0.02), (1.5, 3.0), (-1e-3, 1e-9), (5.0, 0.0)):
            for n in (7, 33):
                yield one("normal", 3, shape=[n], dtype=dtype, mean=mean, std=std)
        for shape, strides in strided:
            yield one("uniform", 4, shape=shape, dtype=dtype, strides=strides)
            yield one("normal", 4, shape=shape, dtype=dtype, strides=strides)
        for mean, std in (("ramp", 0.7), (1.3, "ramp"), ("ramp", "ramp")):
            for n in (9, 40):
                yield one("normal", 5, shape=[n], dtype=dtype, mean=mean, std=std)
        yield one("exponential", 6, shape=[40], dtype=dtype, lambd=1.7)
        yield one("cauchy", 6, shape=[40], dtype=dtype, median=0.3, sigma=1.9)
        yield one("log_normal", 6, shape=[41], dtype=dtype, mean=0.3, std=0.7)
        for rows in ([13], [3, 20]):
            yield one("multinomial", 8, rows=rows, n=1, dtype=dtype, replacement=False)
            yield one("multinomial", 8, rows=rows, n=1, dtype=dtype, replacement=True)
            yield one("multinomial", 8, rows=rows, n=30, dtype=dtype, replacement=True)
            if dtype in ("float32", "float64"):
                yield one("multinomial", 8, rows=rows, n=13, dtype=dtype, replacement=False)
    for dtype in ("complex64", "complex128"):
        yield one("uniform", 9, shape=[5], dtype=dtype)
        for n in (5, 8, 11):
            yield one("normal", 9, shape=[n], dtype=dtype, mean=0.5, std=2.0)
        yield one("normal", 9, shape=[3, 4], dtype=dtype, strides=[1, 3])
    for dtype in (*INTS, *FLOATS):
        yield one("random_full", 10, shape=[20], dtype=dtype)
        yield one("integers", 10, shape=[20], dtype=dtype, low=0, high=100)
        yield one("integers", 10, shape=[20], dtype=dtype, low=3, high=None)
        yield one("geometric", 10, shape=[20], dtype=dtype, p=0.13)
        yield one("bernoulli", 10, shape=[20], dtype=dtype, p=0.3)
        yield one("permutation", 10, n=100, dtype=dtype)
    yield one("random_full", 10, shape=[20], dtype="bool")
    yield one("bernoulli", 10, shape=[20], dtype="bool", p=0.3)
    yield one("integers", 10, shape=[20], dtype="bool", low=0, high=2)
    for high in (2**24, 2**28 - 1, 2**28, 2**31, 2**32, 2**40, 2**63 - 1):
        yield one("integers", 11, shape=[9], dtype="int64", low=-5, high=high)
    for dtype in ("int64", "float64", "float32", "bfloat16"):
        yield one("integers", 11, shape=[9], dtype=dtype, low=-(2**63), high=None)
    for dtype, low, high in (
        ("float16", 2049, 4097),
        ("float16", -4097, -2049),
        ("bfloat16", 257, 300),
        ("bfloat16", -300, 258),
        ("bfloat16", -(2**63), 2**63 - 1),
        ("float32", 2**24 + 1, 2**30),
        ("float32", -(2**24) - 5, 2**24 + 4),
        ("float64", 2**53 + 1, 2**54 + 7),
        ("uint16", 0, 60000),
        ("uint32", 7, 2**32),
        ("uint64", 0, 2**62),
    ):
        yield one("integers", 12, shape=[60], dtype=dtype, low=low, high=high)
    for p in FLOATS:
        yield one("bernoulli", 13, shape=[4, 9], dtype="float32", ramp=p)
        yield one("bernoulli", 13, shape=[4, 9], dtype="int16", ramp=p, strides=[1, 4])
    for n in (0, 1, 2, 3, 10, 256, 257, 1000):
        yield one("permutation", 14, n=n, dtype="int64")
    for seed in (1, -1, 2**32 + 1, 2**63, 2**64 - 1, -(2**63)):
        yield one("uniform", seed, shape=[5], dtype="float64")
    # A normal that waits in the generator is used by the next small draw, of any dtype, and
    # outlives every other one.
    small = [
        {"method": "normal", "shape": [n], "dtype": d}
        for n, d in (
            (3, "float32"),
            (20, "float32"),
            (1, "float64"),
            (5, "float16"),
            (2, "bfloat16"),
        )
    ]
    other = [
        {"method": "uniform", "shape": [3], "dtype": "float32"},
        {"method": "permutation", "n": 700, "dtype": "int64"},
        {"method": "log_normal", "shape": [2], "dtype": "float64", "mean": 0.0, "std": 1.0},
    ]
    yield {"seed": 15, "draws": [*small, *other, *small]}
    # Draws around the ends of blocks of 624 words.
    lengths = [{"method": "uniform", "shape": [n], "dtype": "float32"} for n in (623, 1, 1, 624, 3)]
    yield {"seed": 16, "draws": lengths}
    for n in (1_000_000, 1_000_003):
        yield one("normal", 17, shape=[n], dtype="float32")
        yield one("uniform", 17, shape=[n], dtype="float32", low=-0.03, high=0.03)
    n = 1_000_003
    yield one("normal", 17, shape=[n], dtype="float32", mean=0.1, std=0.3)
    yield one("normal", 17, shape=[n], dtype="float64")
    yield one("normal", 17, shape=[n], dtype="bfloat16")
    yield one("normal", 17, shape=[1000, 1001], dtype="float32", strides=[1, 1000])
    yield one("uniform", 17, shape=[n], dtype="float64", low=-0.03, high=0.04)
    yield one("integers", 17, shape=[n], dtype="int64", low=0, high=10)
    yield one("permutation", 17, n=n, dtype="int64")
    yield one("bernoulli", 17, shape=[n], dtype="float32", p=0.1)
    yield one("exponential", 17, shape=[n], dtype="float32", lambd=1.0)


def bits(tensor):
    """The raw bits of a tensor's elements, in logical order, as an unsigned NumPy array."""
    flat = tensor.contiguous().reshape(-1)
    words = flat.view(torch.uint8).numpy() if flat.numel() else np.empty(0, np.uint8)
    size = flat.element_size()
    return words.view(f"u{size}") if size <= 8 else words.view("u8").reshape(-1, 2)


def untempered(words):
    """The state words that MT19937 turns into these outputs: its tempering, step by step back."""
    y = words ^ (words >> np.uint32(18))
    y ^= (y << np.uint32(15)) & np.uint32(0xEFC60000)
    t = y
    for _ in range(5):
        t = y ^ ((t << np.uint32(7)) & np.uint32(0x9D2C5680))
    y = t
    for _ in range(3):
        t = y ^ (t >> np.uint32(11))
    return t


def transform(step, shift):
    """The checksum of PyTorch's normals for chosen radii and angles.

    The radii are every `step`-th 24-bit uniform, each angle is `shift` further. They come from a
    generator whose state is made so that it yields them.
    """
    radii = np.arange(0, 2**24, step, dtype=np.uint32)
    angles = (radii + shift) % np.uint32(2**24)
    words = np.stack([radii.reshape(-1, 8), angles.reshape(-1, 8)], axis=1).reshape(-1)
    g, checksum = torch.Generator(), 0
    state = g.get_state()
    raw = state.numpy()
    raw[8:12].view(np.int32)[0], raw[16:24].view(np.int64)[0] = 624, 1
    for start in range(0, len(words), 608):
        part = words[start : start + 608]
        raw[32 : 32 + 8 * len(part)].view(np.uint64)[...] = untempered(part)
        g.set_state(state)
        checksum = zlib.crc32(torch.empty(len(part)).normal_(generator=g).numpy(), checksum)
    return step, shift, checksum


def main():
    arrays, kept = {}, []
    for i, case in enumerate(cases()):
        g = torch.Generator().manual_seed(case["seed"])
        for j, draw in enumerate(case["draws"]):
            result = perform(draw, g)
            raw = bits(result)
            if len(raw) > LARGE:
                draw["crc32"] = zlib.crc32(raw)
                draw["sum"] = float(result.double().sum())
                raw = raw[probes(len(raw))]
            arrays[f"{i}_{j}"] = raw
        state = g.get_state().numpy()
        case["left"] = int(state[8:12].view(np.int32)[0])
        case["next"] = int(state[16:24].view(np.int64)[0])
        case["cached"] = float(state[5024:5032].view(np.float64)[0])
        if not state[5040]:
            case["cached"] = None
        kept.append(case)
    g = torch.Generator().manual_seed(2**40 + 3)
    torch.empty(1001).uniform_(generator=g)
    torch.empty(3).normal_(generator=g)
    arrays["state"] = g.get_state().numpy().copy()
    arrays["state_draw"] = torch.empty(5, dtype=torch.float64).normal_(generator=g).numpy()
    arrays["transforms"] = np.array([transform(*t) for t in ((64, 1), (128, 5555555))])
    text = json.dumps({"torch": torch.__version__, "cases": kept})
    arrays["cases"] = np.frombuffer(text.encode(), np.uint8)
    np.savez_compressed(TARGET, **arrays)
    print(f"{len(kept)} cases, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
