"""Random numbers of the device: Philox 4x32-10, by element (`facula/philox.py` says which).

Element i of a draw is word i of a stream that the seed and the number of the draw name, so it is
the same whatever the launch: `manual_seed(0)` gives the same numbers on every device, and the ones
that `philox` gives on the CPU. They are not the numbers that PyTorch draws on CUDA.
"""

from __future__ import annotations

import ctypes
import math
import os
import struct
from typing import Any

import numpy as np

from facula import devices, dtypes, generator, random
from facula.compiler.builder import KINDS
from facula.cuda import arrays, driver, modules, rejection
from facula.cuda.arrays import DeviceArray
from facula.cuda.kernels import BLOCK, bounded
from facula.cuda.lanes import STORED
from facula.sampling import FLOATS, require_float

# One thread makes the four words of a block: `w` of element i, and of it what is asked for.
_WORDS = """
  const u64 first = 4 * ((u64)blockIdx.x * blockDim.x + threadIdx.x);
  if (first >= n) return;
  u32 c0 = (u32)(first >> 2), c1 = (u32)(first >> 34), c2 = (u32)offset, c3 = (u32)(offset >> 32);
  u32 k0 = (u32)seed, k1 = (u32)(seed >> 32);
  for (int r = 0; r < 10; r++) {
    const u64 a = (u64)c0 * 0xD2511F53u, b = (u64)c2 * 0xCD9E8D57u;
    const u32 n0 = (u32)(b >> 32) ^ c1 ^ k0, n2 = (u32)(a >> 32) ^ c3 ^ k1;
    c1 = (u32)b; c3 = (u32)a; c0 = n0; c2 = n2;
    k0 += 0x9E3779B9u; k1 += 0xBB67AE85u;
  }
  const u32 words[4] = {c0, c1, c2, c3};
  for (int j = 0; j < 4; j++) {
    const u64 i = first + j;
    if (i >= n) return;
    const u32 w = words[j];
"""
_UNIT = "const double u = ((double)w + 0.5) * 2.3283064365386963e-10;"
# Box and Muller's: of the words of each pair, one gives the radius and one the angle.
_NORMAL = """
    const double u1 = ((double)words[j & 2] + 0.5) * 2.3283064365386963e-10;
    const double u2 = (double)words[(j & 2) + 1] * 2.3283064365386963e-10;
    const double z = sqrt(-2.0 * log(u1)) * ((j & 1) ? sinpi(2.0 * u2) : cospi(2.0 * u2));
   """
_BODIES = {
    # In [from, to), of 24 bits for float32.
    "uniform": "out[i] = PACK(from + (to - from) * ((w >> 8) * 5.9604644775390625e-08));",
    "normal": _NORMAL + " out[i] = PACK(from + to * z);",
    "log_normal": _NORMAL + " out[i] = PACK(exp(from + to * z));",
    "bernoulli": _UNIT + " out[i] = PACK(u < from ? 1 : 0);",
    "integers": "out[i] = PACK(low + (long long)(((u64)w * (u64)range) >> 32));",
    "exponential": _UNIT + " out[i] = PACK(-log(u) / from);",
    "cauchy": _UNIT + " out[i] = PACK(from + to * tan(3.14159265358979323846 * (u - 0.5)));",
    "geometric": _UNIT + " out[i] = PACK(ceil(log(u) / from));",
}


def text(name: str, kind: str) -> str:
    """The kernel of a distribution for elements of a kind."""
    packs = {"bf16": "to_bf16((float)(x))", "f16": "to_f16((float)(x))"}
    pack = packs.get(kind, f"({STORED[kind]})(x)")
    body = _BODIES[name]
    start, _, rest = body.partition("PACK(")
    while rest:
        inner, rest = _closed(rest)
        start += pack.replace("(x)", f"({inner})")
        more, _found, rest = rest.partition("PACK(")
        start += more
    made = (
        f'extern "C" __global__ void NAME({STORED[kind]}* __restrict__ out, const u64 n, '
        "const u64 seed, const u64 offset, const double from, const double to, "
        f"const long long low, const u64 range) {{{_WORDS}    {start}\n  }}\n}}\n"
    )
    return bounded(made, BLOCK)


def _closed(s: str) -> tuple[str, str]:
    """What is inside the parenthesis that is open, and what follows it."""
    depth = 1
    for i, c in enumerate(s):
        depth += (c == "(") - (c == ")")
        if depth == 0:
            return s[:i], s[i + 1 :]
    raise ValueError(s)


class CudaGenerator:
    """The source of random numbers of the device."""

    def __init__(self, seed: int = 67280421310721) -> None:
        self.manual_seed(seed)

    def manual_seed(self, seed: int) -> CudaGenerator:
        """Begin the streams of a seed."""
        self.seed_, self.draws = int(seed) % 2**64, 0
        return self

    @property
    def device(self) -> Any:
        """The device of the generator."""
        return devices.device("cuda", 0)

    def seed(self) -> int:
        """Begin the streams of a seed from the operating system; the seed."""
        return self.manual_seed(int.from_bytes(os.urandom(8), "little") % 2**53).seed_

    def clone_state(self) -> CudaGenerator:
        """Another generator, which goes on where this one is."""
        other = CudaGenerator(self.seed_)
        other.draws = self.draws
        return other

    def initial_seed(self) -> int:
        """The seed."""
        return self.seed_

    def get_state(self) -> Any:
        """Seed and number of the next draw, as 16 bytes."""
        from facula.values import from_array

        return from_array(np.array([self.seed_, self.draws], np.uint64).view(np.uint8))

    def set_state(self, state: Any) -> None:
        """Go on where `get_state` was called."""
        self.seed_, self.draws = [int(x) for x in state.numpy().view(np.uint64)]

    def _draw(
        self,
        name: str,
        shape: Any,
        d: Any,
        strides: Any,
        a: float = 0.0,
        b: float = 0.0,
        low: int = 0,
        span: int = 0,
    ) -> Any:
        dtype = dtypes.from_np(np.dtype(d))
        if dtype.is_complex:
            return self._parts(name, shape, dtype, strides, a, b)
        kind = KINDS.get(dtype._name)
        if kind is None:
            raise NotImplementedError(f"random numbers ({name}) of {dtype} have no CUDA kernel")
        out = arrays.empty(tuple(shape), dtype, strides)
        n = math.prod(shape)
        offset, self.draws = self.draws, self.draws + 1
        if n:
            values = [
                *((out.address, "Q"), (n, "Q"), (self.seed_, "Q"), (offset, "Q")),
                *((float(a), "d"), (float(b), "d"), (int(low), "q"), (int(span), "Q")),
            ]
            queue(text(name, kind), values, -(-n // (4 * BLOCK)))
        return out

    def _parts(self, name: str, shape: Any, dtype: Any, strides: Any, a: float, b: float) -> Any:
        """Real and imaginary parts, in turn."""
        if strides is not None:
            strides = (*[2 * s for s in strides], 1)
        b = b / math.sqrt(2.0) if name == "normal" else b
        pairs = self._draw(name, (*shape, 2), dtype.to_real().np, strides, a, b)
        steps = None if strides is None else tuple([s // 2 for s in strides[:-1]])
        return DeviceArray(tuple(shape), dtype, steps, pairs.block, pairs.address)

    def drawn(self, name: str, *values: DeviceArray) -> DeviceArray:
        """Numbers by rejection, one for each element of operands, which have no gaps."""
        first = values[0]
        kind = KINDS.get(first.dtype._name)
        if kind not in ("f32", "f64"):
            raise NotImplementedError(f"{name} numbers of {first.dtype} have no CUDA kernel")
        out = arrays.empty(first.shape, first.dtype)
        offset, self.draws = self.draws, self.draws + 1
        if out.size:
            values_ = [(out.address, "Q"), (out.size, "Q"), (self.seed_, "Q"), (offset, "Q")]
            values_ += [(a.address, "Q") for a in (first, values[-1])]
            queue(rejection.text(name, kind), values_, -(-out.size // BLOCK))
        return out

    def uniform(self, shape: Any, d: Any, a: float, b: float, strides: Any = None) -> Any:
        """Uniform in [a, b)."""
        return self._draw("uniform", shape, d, strides, a, b)

    def normal(self, shape: Any, d: Any, mean: float, std: float, strides: Any = None) -> Any:
        """Normal numbers."""
        return self._draw("normal", shape, d, strides, mean, std)

    def bernoulli(self, p: Any, shape: Any, d: Any, strides: Any = None) -> Any:
        """Ones of probability p."""
        if not isinstance(p, (int, float)):
            raise NotImplementedError(
                "bernoulli with a tensor of probabilities has no CUDA kernel in Facula"
            )
        return self._draw("bernoulli", shape, d, strides, p)

    def integers(self, shape: Any, low: int, high: int, d: Any, strides: Any = None) -> Any:
        """Integers from low to high, exclusive."""
        if high - low > 1 << 32:
            raise NotImplementedError(
                f"random integers from {low} to {high}: ranges above 2**32 have no CUDA kernel"
            )
        return self._draw("integers", shape, d, strides, low=low, span=high - low)

    def exponential(self, shape: Any, d: Any, lambd: float = 1.0, strides: Any = None) -> Any:
        """Exponential numbers of a rate."""
        return self._draw("exponential", shape, d, strides, lambd)

    def cauchy(
        self, shape: Any, d: Any, median: float = 0.0, sigma: float = 1.0, strides: Any = None
    ) -> Any:
        """Cauchy's distribution."""
        require_float("cauchy_", d)
        if not sigma > 0.0:
            raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma}")
        return self._draw("cauchy", shape, d, strides, median, sigma)

    def log_normal(
        self, shape: Any, d: Any, mean: float = 1.0, std: float = 2.0, strides: Any = None
    ) -> Any:
        """The exponential of normal numbers."""
        require_float("log_normal_", d)
        if not std > 0.0:
            raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std}")
        return self._draw("log_normal", shape, d, strides, mean, std)

    def geometric(self, shape: Any, d: Any, p: float, strides: Any = None) -> Any:
        """Trials up to the first success of probability p."""
        if not 0.0 < p < 1.0:
            raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
        return self._draw("geometric", shape, d, strides, math.log1p(-p))

    def random_full(self, shape: Any, d: Any, strides: Any = None) -> Any:
        """From 0 to the largest value of an integer dtype, or to the number of digits of floats;
        of 64 bits, to 2**32."""
        name = np.dtype(d).name
        digits = {"bool": 1, "uint8": 8, "int8": 7, "int16": 15, "int32": 31, "bfloat16": 8}
        digits |= {"float16": 11, "float32": 24}
        high = 1 << digits.get(name, 32)
        return self.integers(shape, 0, high + (name in FLOATS and high < 1 << 32), d, strides)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(generator.Generator, name):
            raise AttributeError(f"a generator of CUDA has no attribute '{name}'")
        raise NotImplementedError(f"random numbers ({name}) have no CUDA kernel in Facula")


def queue(source: str, values: list[tuple[Any, str]], grid: int) -> None:
    """Launch a kernel once with these arguments."""
    packed = struct.pack("=" + "".join([code for _, code in values]), *[v for v, _ in values])
    raw = ctypes.create_string_buffer(packed, len(packed))
    first = ctypes.addressof(raw)
    argv = (ctypes.c_void_p * len(values))(*[first + 8 * i for i in range(len(values))])
    driver.get().launch(modules.load([source])[source], (grid, 1), (BLOCK, 1), argv)


generator.Generator.register(CudaGenerator)
DEFAULT = CudaGenerator(random.default_generator.initial_seed())

__all__ = ["DEFAULT", "CudaGenerator", "queue", "text"]
