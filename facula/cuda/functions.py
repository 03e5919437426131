"""Pointwise operations that expressions do not know: special functions and those of integers.

Special functions are CUDA's own where it has them, computed in float64 whatever the operands are,
as NumPy's bodies on the CPU do. Each is a kernel by itself: nothing is fused with it.
"""

from __future__ import annotations

import math
from math import prod
from typing import Any

from facula.compiler.builder import NARROW
from facula.compiler.cluster import kind_of
from facula.cpu.kernels import strides_in
from facula.cuda import matrices, special
from facula.cuda.cores import Core, _each, _operands
from facula.cuda.kernels import BLOCK, Kernel, Launch, blocks
from facula.cuda.lanes import TYPE, Value
from facula.ops.gamma import _BERNOULLI as BERNOULLI
from facula.trace.node import Node

# Of x and y, as float64.
SPECIAL = {
    "lgamma": "lgamma(x)",
    "digamma": "digamma_(x)",
    "zeta": "zeta_(x, y)",
    "erfcx": "erfcx(x)",
    "log_ndtr": "log_ndtr_(x)",
    "ndtri": "normcdfinv(x)",
    "i0": "cyl_bessel_i0(fabs(x))",
    "i1": "copysign(cyl_bessel_i1(fabs(x)), x)",
    "modified_bessel_i0": "cyl_bessel_i0(fabs(x))",
    "modified_bessel_i1": "copysign(cyl_bessel_i1(fabs(x)), x)",
    "bessel_j0": "j0(x)",
    "bessel_j1": "j1(x)",
    "bessel_y0": "y0(x)",
    "bessel_y1": "y1(x)",
    "erfinv": "erfinv(x)",
    **special.SPECIAL,
}
# Of x and y, as they are; `T` is their type.
WHOLE = {"gcd": "gcd_(x, y)", "lcm": "lcm_(x, y)", "pow": "power_(x, y)"}
INTEGERS = {
    "fmin": "(y < x ? y : x)",
    "fmax": "(x < y ? y : x)",
    "heaviside": "(x == 0 ? y : (T)(x > 0))",
    "isnan": "false",
    "isposinf": "false",
    "isneginf": "false",
    "sign": "((T)(x > 0) - (T)(x < 0))",
    "angle": "(x < 0 ? 3.14159265358979323846 : 0.0)",
}
EXACT = {
    "nextafter": "nextafter{f}(x, y)",
    "frexp_mantissa": "mantissa_(x)",
    "frexp_exponent": "exponent_(x)",
    "angle": "(x != x ? x : (T)(x < 0 ? 3.14159265358979323846 : 0.0))",
    **special.OF_DEGREE,
}

_NUMBERS = [*enumerate(BERNOULLI, 1)]
_SERIES = "\n  ".join([f"s = (s + {b / (2 * k)!r}) * w;" for k, b in reversed(_NUMBERS)])
_TAIL = "\n  ".join(
    [
        f"out += {b / math.factorial(2 * k)!r} * f; "
        f"f *= (s + {2 * k - 1}) * (s + {2 * k}) / (z * z);"
        for k, b in _NUMBERS
    ]
)
_OWN = (
    *("digamma_(", "zeta_(", "log_ndtr_(", "gcd_(", "lcm_(", "power_(", "mantissa_("),
    "exponent_(",
)
# What their kernels begin with, once in a module. Formulas as in `facula/ops/gamma.py`.
PRELUDE = f"""
static __device__ double inf_() {{ return __longlong_as_double(0x7ff0000000000000ll); }}
static __device__ double nan_() {{ return __longlong_as_double(0x7ff8000000000000ll); }}
static __device__ double log_ndtr_(double x) {{
  const double y = x * 0.70710678118654752440;
  return x < -1 ? log(erfcx(-y) / 2) - x * x / 2 : log1p(-erfc(y) / 2); }}
static __device__ double digamma_(double x) {{
  double z = x < 0.5 ? 1 - x : x, total = 0, s = 0;
  while (z < 10) {{ total -= 1 / z; z += 1; }}
  const double w = 1 / (z * z);
  {_SERIES}
  double out = isinf(z) ? z : log(z) - 0.5 / z - s + total;
  if (x == 0) return copysign(inf_(), -x);
  if (x < 0 && x == floor(x)) return nan_();
  const double pi = 3.14159265358979323846;
  return x < 0.5 ? out - pi / tan(pi * (x - rint(x))) : out; }}
static __device__ double hurwitz_(double s, double q) {{
  if (isinf(q)) return 0;
  double out = 0;
  for (int k = 0; k < 12; k++) out += pow(q + k, -s);
  const double z = q + 12, p = pow(z, -s);
  out += z * p / (s - 1) + 0.5 * p;
  double f = s * p / z;
  {_TAIL}
  return out; }}
static __device__ double zeta_(double s, double q) {{
  if (s != s || q != q) return s + q;
  if (s == 1) return inf_();
  if (s < 1) return nan_();
  if (q <= 0 && q == floor(q)) return inf_();
  if (q > 0) return hurwitz_(s, q);
  if (s != floor(s)) return nan_();
  const double part = -q - floor(-q), even = fmod(s, 2.0) == 0 ? 1 : -1;
  return hurwitz_(s, 1 - part) + even * (hurwitz_(s, part) - hurwitz_(s, 1 - q)); }}
static __device__ double mantissa_(double x) {{ int e; return frexp(x, &e); }}
static __device__ int exponent_(double x) {{
  int e = 0; frexp(x, &e); return isinf(x) || x != x ? 0 : e; }}
template <class T> static __device__ T gcd_(T a, T b) {{
  while (b != 0) {{ const T r = b == -1 ? 0 : a % b; a = b; b = r; }}
  return a < 0 ? -a : a; }}
template <class T> static __device__ T lcm_(T a, T b) {{
  if (a == 0 || b == 0) return 0;
  const T m = a / gcd_(a, b) * b;
  return m < 0 ? -m : m; }}
template <class T> static __device__ T power_(T a, T b) {{
  if (b < 0) return a == 1 ? 1 : (T)(a + 1) == 0 ? (T)(b & 1 ? -1 : 1) : 0;
  u64 out = 1, square = (u64)(long long)a;
  for (; b; b >>= 1) {{ if (b & 1) out *= square; square *= square; }}
  return (T)out; }}
"""


def prelude(texts: list[str]) -> str:
    """The functions that kernels of these texts call."""
    out = [PRELUDE] if any([own in t for t in texts for own in _OWN]) else []
    out += [p for own, p in special.PRELUDES.items() if any([own in t for t in texts])]
    return "".join(out) + matrices.prelude(texts)


class Function(Core):
    """One operation, element by element."""

    def accepts(self, n: Node) -> bool:
        kinds = [kind_of(i) for i in n.inputs]
        if kind_of(n) is None or None in kinds or len(set(kinds)) != 1:
            return False
        name, kind = n.op.name, kinds[0]
        if kind in ("f32", "f64"):
            return name in EXACT or name in SPECIAL or name == "polygamma"
        if kind in NARROW:
            return name in SPECIAL or name == "polygamma" or name.startswith("frexp")
        return name in INTEGERS or (name in WHOLE and kind != "b")

    def launches(self, low: Any, n: Node) -> list[Any]:
        places = _operands(low, n)
        size = prod(n.shape)
        kind = kind_of(n)
        assert kind is not None
        k = Kernel({})
        lines = k.f.lines
        lines.append(_each(size))
        tables = [strides_in(p, n.shape) for p in places]
        own = kind_of(n.inputs[0]) or kind
        t = "double" if own in NARROW or n.op.name in (*SPECIAL, "polygamma") else TYPE[own]
        lines.insert(0, f"typedef {t} T;")
        for name, p, where in zip("xyz", places, k.offsets("i", list(n.shape), tables)):
            v = k.x.load(f"{k.pointer(p.base, p.offset)}[{where}]", kind_of(p.base) or kind)
            lines.append(f"const {t} {name} = {v.name};")
        narrow = TYPE[kind]
        lines.append(f"const {narrow} a = ({narrow})({self._text(n, own)});")
        result = k.x.pack(Value("a", kind))
        lines.append(f"{k.pointer(n, made=True)}[i] = {result};\n  }}")
        k.most = max(size + blocks(size) * BLOCK, *[prod(p.base.shape) for p in places])
        return [Launch(k.text(), k.args, (blocks(size), 1), (BLOCK, 1))]

    @staticmethod
    def _text(n: Node, kind: str) -> str:
        name = n.op.name
        if name == "polygamma":
            order = n.params
            if order == 0:
                return "digamma_(x)"
            sign = "" if order % 2 else "-"
            text = f"{sign}{float(math.factorial(order))!r} * zeta_({order + 1}.0, x)"
            if order != 1:
                return text
            # A pole is as high as the rounding of pi lets it be, as in PyTorch.
            f = "" if kind == "f64" else "f"
            t = "double" if kind == "f64" else "float"
            pi = f"(({t})3.14159265358979323846)"
            height = f"{pi} / sin{f}({pi} * ({t})x)"
            return f"x <= 0 && x == floor(x) ? ({height}) * ({height}) : {text}"
        if kind not in ("f32", "f64", *NARROW):
            return INTEGERS[name] if name in INTEGERS else WHOLE[name]
        if name in EXACT:
            return EXACT[name].format(f="f" if kind == "f32" else "")
        return SPECIAL[name]


FUNCTIONS: dict[str, Core] = dict.fromkeys(
    (*SPECIAL, *WHOLE, *INTEGERS, *EXACT, "polygamma"), Function()
)

__all__ = ["FUNCTIONS", "prelude"]
