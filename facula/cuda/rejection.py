"""Draws by rejection on the device: gamma, Poisson and binomial numbers, by element.

Attempt k at element i takes the four words of Philox that the seed, the number of the draw, i and k
name, so an element is the same whatever is drawn beside it. Sources: `facula/rejection.py` says.
"""

from __future__ import annotations

from facula.cuda.kernels import BLOCK, bounded
from facula.cuda.lanes import STORED

_WORDS = """
  const u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  double w[4]; u32 word[4];
  const double unit = 2.3283064365386963e-10;
  u32 k = 0;
#define NEXT { \\
    u32 c0 = (u32)i, c1 = 0x80000000u | k++ | ((u32)(i >> 32) << 20); \\
    u32 c2 = (u32)offset, c3 = (u32)(offset >> 32), k0 = (u32)seed, k1 = (u32)(seed >> 32); \\
    for (int r = 0; r < 10; r++) { \\
      const u64 a = (u64)c0 * 0xD2511F53u, b = (u64)c2 * 0xCD9E8D57u; \\
      const u32 n0 = (u32)(b >> 32) ^ c1 ^ k0, n2 = (u32)(a >> 32) ^ c3 ^ k1; \\
      c1 = (u32)b; c3 = (u32)a; c0 = n0; c2 = n2; \\
      k0 += 0x9E3779B9u; k1 += 0xBB67AE85u; } \\
    word[0] = c0; word[1] = c1; word[2] = c2; word[3] = c3; \\
    for (int j = 0; j < 4; j++) w[j] = (word[j] + 0.5) * unit; }
"""
_BODIES = {
    "gamma": """
  const bool small = x < 1;
  const double d = (small ? x + 1 : x) - 1 / 3.0, c = 1 / sqrt(9 * d);
  for (;;) {
    NEXT
    const double z = sqrt(-2.0 * log(w[0])) * cospi(2 * w[1]);
    double v = 1 + c * z;
    if (k > 1000 || x != x) { result = x; break; }
    if (v <= 0) continue;
    v = v * v * v;
    if (log(w[2]) >= 0.5 * z * z + d - d * v + d * log(v)) continue;
    result = d * v * (small ? pow(w[3], 1 / x) : 1.0);
    break;
  }""",
    "poisson": """
  if (x < 10) {
    NEXT
    const double u = (word[0] + w[1]) * unit;
    double p = exp(-x), total = p;
    while (u > total && result < 1000) { result += 1; p *= x / result; total += p; }
  } else {
    const double b = 0.931 + 2.53 * sqrt(x), a = -0.059 + 0.02483 * b;
    const double inverse = 1.1239 + 1.1328 / (b - 3.4), most = 0.9277 - 3.6224 / (b - 2);
    for (;;) {
      NEXT
      const double u = (word[0] + w[1]) * unit - 0.5, v = w[2], s = 0.5 - fabs(u);
      result = floor((2 * a / s + b) * u + x + 0.43);
      if (k > 1000 || (s >= 0.07 && v <= most)) break;
      if (result < 0 || (s < 0.013 && v > s)) continue;
      if (log(v * inverse / (a / (s * s) + b)) <= result * log(x) - x - lgamma(result + 1)) break;
    }
  }""",
    "binomial": """
  const bool turned = y > 0.5;
  const double p = turned ? 1 - y : y, q = 1 - p, mean = x * p;
  if (mean < 10) {
    NEXT
    const double u = (word[0] + w[1]) * unit;
    double e = pow(q, x), total = e;
    while (u > total && result < x) {
      result += 1; e *= (x - result + 1) / result * (p / q); total += e; }
  } else {
    const double s = sqrt(mean * q), b = 1.15 + 2.53 * s, a = -0.0873 + 0.0248 * b + 0.01 * p;
    const double alpha = (2.83 + 5.1 / b) * s, most = 0.92 - 4.2 / b, m = floor((x + 1) * p);
    const double peak = lgamma(m + 1) + lgamma(x - m + 1);
    for (;;) {
      NEXT
      const double u = (word[0] + w[1]) * unit - 0.5, v = w[2], t = 0.5 - fabs(u);
      result = floor((2 * a / t + b) * u + mean + 0.5);
      if (k > 1000) break;
      if (result < 0 || result > x) continue;
      if (t >= 0.07 && v <= most) break;
      const double here = peak - lgamma(result + 1) - lgamma(x - result + 1);
      if (log(v * alpha / (a / (t * t) + b)) <= here + (result - m) * log(p / q)) break;
    }
  }
  if (turned) result = x - result;""",
}


def text(name: str, kind: str) -> str:
    """The kernel that draws for each element of operands of a kind (float32 or float64)."""
    t = STORED[kind]
    made = (
        f'extern "C" __global__ void NAME({t}* __restrict__ out, const u64 n, const u64 seed, '
        f"const u64 offset, const {t}* __restrict__ first, const {t}* __restrict__ second) {{"
        f"{_WORDS}  const double x = first[i], y = second[i]; double result = 0;\n  (void)y;"
        f"{_BODIES[name]}\n  out[i] = ({t})result;\n#undef NEXT\n}}\n"
    )
    return bounded(made, BLOCK)


__all__ = ["text"]
