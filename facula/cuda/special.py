"""Special functions that CUDA has not, or not as exactly, in CUDA C++ and float64.

Formulas as in `facula/ops/bessel.py`, `facula/ops/gamma.py` and `facula/ops/polynomials.py`, which
name their sources: Bessel functions, incomplete gamma functions, orthogonal polynomials.
"""

from __future__ import annotations

# Of x and y, as float64.
SPECIAL = {
    "i0e": "bessel_ie_(0, x)",
    "i1e": "bessel_ie_(1, x)",
    "modified_bessel_k0": "bessel_k_(0, x)",
    "modified_bessel_k1": "bessel_k_(1, x)",
    "scaled_modified_bessel_k0": "bessel_ke_(0, x)",
    "scaled_modified_bessel_k1": "bessel_ke_(1, x)",
    "igamma": "incomplete_(x, y, false)",
    "igammac": "incomplete_(x, y, true)",
    "gamma_slope": "gamma_slope_(x, y) /* with incomplete_(), digamma_() */",
    "beta_slope": "beta_slope_(x, y, z)",
}
BESSEL = """
static __device__ double bessel_nan_() { return __longlong_as_double(0x7ff8000000000000ll); }
static __device__ double bessel_inf_() { return __longlong_as_double(0x7ff0000000000000ll); }
static __device__ double bessel_far_(int nu, double x, double sign) {
  double total = 1, term = 1;
  for (int k = 1; k < 40; k++) {
    const double step = sign * (4 * nu * nu - (2 * k - 1) * (2 * k - 1)) / (8 * k * x);
    term = fabs(step) < 1 ? term * step : 0;
    total += term;
  }
  return total; }
static __device__ double bessel_ie_(int nu, double a) {
  const double x = fabs(a), pi = 3.14159265358979323846;
  if (x != x) return x;
  double out = 0;
  if (x >= 30) out = bessel_far_(nu, x, -1) / sqrt(2 * pi * x);
  else if (nu && x < 1e-2)
    out = x / 2 * (1 + x * x / 8 * (1 + x * x / 24 * (1 + x * x / 48))) * exp(-x);
  else {
    for (int k = 0; k <= 64; k++) {
      const double c = cospi(k / 64.0);
      out += (k == 0 || k == 64 ? 0.5 : 1.0) * (nu ? c : 1.0) * exp(x * (c - 1));
    }
    out /= 64;
  }
  return nu && a < 0 ? -out : nu && a == 0 ? 0 : out; }
static __device__ double bessel_ke_(int nu, double x) {
  if (x == 0) return bessel_inf_();
  if (!(x > 0)) return bessel_nan_();
  if (x < 1e-8) {
    const double small = nu ? 1 / x : -log(x / 2) - 0.57721566490153286061;
    return small * exp(x);
  }
  if (x >= 30) return bessel_far_(nu, x, 1) * sqrt(3.14159265358979323846 / (2 * x));
  double total = 0.5;
  const int most = (int)(acosh(1 + 45 / x) / 0.1) + 2;
  for (int k = 1; k < most; k++)
    total += exp(-x * (cosh(0.1 * k) - 1)) * (nu ? cosh(0.1 * k) : 1.0);
  return total * 0.1; }
static __device__ double bessel_k_(int nu, double x) {
  return x == bessel_inf_() ? 0 : bessel_ke_(nu, x) * exp(-fmax(x, 0.0)); }
"""
INCOMPLETE = """
static __device__ double incomplete_(double a, double x, bool upper) {
  const double inf = __longlong_as_double(0x7ff0000000000000ll);
  if (a != a || x != x || a < 0 || x < 0) return __longlong_as_double(0x7ff8000000000000ll);
  if (a == 0 || x == 0 || a == inf || x == inf) {
    double low = x == inf;
    if (a == inf) low = x == inf ? __longlong_as_double(0x7ff8000000000000ll) : 0;
    if (x == 0) low = 0;
    if (a == 0) low = x > 0 ? 1 : __longlong_as_double(0x7ff8000000000000ll);
    return upper ? 1 - low : low;
  }
  if (x < a + 1) {
    double term = 1, total = 1, k = a;
    for (int i = 0; i < 20000 && fabs(term) > 1e-17 * fabs(total); i++) {
      k += 1; term *= x / k; total += term;
    }
    const double p = total * exp(a * log(x) - x - lgamma(a + 1));
    return upper ? 1 - p : p;
  }
  const double tiny = 1e-300;
  double b = x + 1 - a, c = 1 / tiny, d = 1 / b, h = d;
  for (int i = 1; i < 20000; i++) {
    const double an = -i * (i - a);
    b += 2;
    d = an * d + b; d = 1 / (fabs(d) < tiny ? tiny : d);
    c = b + an / c; c = fabs(c) < tiny ? tiny : c;
    const double step = d * c;
    h *= step;
    if (fabs(step - 1) <= 1e-16) break;
  }
  const double q = h * exp(a * log(x) - x - lgamma(a));
  return upper ? q : 1 - q; }
"""
# For each: the polynomial of degree 1, and that of degree k + 1.
_RULES = {
    "hermite_polynomial_h": ("2 * x", "2 * x * now - 2 * k * before"),
    "hermite_polynomial_he": ("x", "x * now - k * before"),
    "laguerre_polynomial_l": ("1 - x", "((2 * k + 1 - x) * now - k * before) / (k + 1)"),
    "legendre_polynomial_p": ("x", "((2 * k + 1) * x * now - k * before) / (k + 1)"),
}
# Of Chebyshev's four kinds: the polynomial of degree 1, and what it is by the angle.
_KINDS = {
    "t": ("x", "cos(n * angle)"),
    "u": ("2 * x", "sin((n + 1) * angle) / sin(angle)"),
    "v": ("2 * x - 1", "cos((n + (T)0.5) * angle) / cos(angle / 2)"),
    "w": ("2 * x + 1", "sin((n + (T)0.5) * angle) / sin(angle / 2)"),
}


def _polynomial(name: str, first: str, rule: str, before: str) -> str:
    return f"""
template <class T> static __device__ double {name}_(T own, T n) {{
  double x = own;
  n = trunc(n);
  {before}
  if (!(n >= 0 && n < 9e18)) return 0;
  if (n > 32768) return __longlong_as_double(0x7ff8000000000000ll);
  if (n == 0) return 1;
  double before = 1, now = {first};
  for (double k = 1; k < n; k += 1) {{
    const double next = {rule};
    before = now; now = next;
  }}
  return now; }}"""


def _polynomials() -> str:
    out = [_polynomial(name, first, rule, "") for name, (first, rule) in _RULES.items()]
    for kind, (first, closed) in _KINDS.items():
        most = 6 if kind == "t" else 8
        angle = (
            f"if (fabs(x) < 1 && n > {most} && n < 9e18) {{ const T angle = acos(own); "
            f"return {closed}; }}"
        )
        rule = "2 * x * now - before"
        name = f"chebyshev_polynomial_{kind}"
        out.append(_polynomial(name, first, rule, angle))
        shift = f"x = 2 * x - 1; own = own + own - 1;\n  {angle}"
        out.append(_polynomial(f"shifted_{name}", first, rule, shift))
    return "".join(out) + "\n"


POLYNOMIALS = _polynomials()
# Of x and y, as they are.
OF_DEGREE = {
    name: f"{name}_(x, y)"
    for name in (
        *_RULES,
        *[f"{s}chebyshev_polynomial_{k}" for s in ("", "shifted_") for k in _KINDS],
    )
}
# Derivatives of draws, as in `facula/ops/draws.py`.
GAMMA_SLOPE = """
static __device__ double gamma_slope_(double a, double x) {
  if (!(a > 0 && x > 0) || isinf(a) || isinf(x)) return x == 0 ? 0 : x - x + a - a;
  if (x < 1e-8 * min(a, 1.0)) return -x / a * (log(x) - digamma_(a + 1));
  const double h = 1e-4 * min(a, sqrt(a));
  const bool high = x >= a + 1;
  const double more = incomplete_(a + h, x, high), less = incomplete_(a - h, x, high);
  const double change = incomplete_(a, x, high) * log(more / less) / (2 * h);
  return (high ? change : -change) * exp(x + lgamma(a) - (a - 1) * log(x)); }
"""
BETA_SLOPE = """
static __device__ double beta_tail_(double a, double b, double x) {
  const double tiny = 1e-300;
  double c = 1, d = 1 - (a + b) * x / (a + 1);
  d = 1 / (fabs(d) < tiny ? tiny : d);
  double h = d;
  for (int m = 1; m < 10000; m++) {
    double last = 1;
    for (int odd = 0; odd < 2; odd++) {
      const double step = odd ? -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
                              : m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
      d = 1 + step * d;
      d = 1 / (fabs(d) < tiny ? tiny : d);
      c = 1 + step / c;
      c = fabs(c) < tiny ? tiny : c;
      last = d * c;
      h *= last;
    }
    if (!(fabs(last - 1) > 1e-15)) break;
  }
  return exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) * h / a; }
static __device__ double beta_slope_(double x, double a, double total) {
  const double b = total - a;
  if (!(x > 0 && x < 1 && a > 0 && b > 0)) return 0;
  const double h = 1e-4 * min(a, sqrt(a));
  const bool low = x < (a + 1) / (a + b + 2);
  double tails[3];
  for (int k = 0; k < 3; k++) {
    const double e = a + (k - 1) * h;
    tails[k] = low ? beta_tail_(e, b, x) : beta_tail_(b, e, 1 - x);
  }
  const double change = tails[1] * log(tails[2] / tails[0]) / (2 * h);
  const double density = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + (a - 1) * log(x)
                             + (b - 1) * log1p(-x));
  return (low ? -change : change) / (density * (1 - x)); }
"""
PRELUDES = {"bessel_": BESSEL, "incomplete_(": INCOMPLETE, "_polynomial_": POLYNOMIALS}
PRELUDES |= {"gamma_slope_(": GAMMA_SLOPE, "beta_slope_(": BETA_SLOPE}

__all__ = ["OF_DEGREE", "PRELUDES", "SPECIAL"]
