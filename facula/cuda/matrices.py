"""Factorisations of matrices in CUDA C++: a block of 256 threads for each matrix, in float64.

`S` is `double`, or `Cx` for complex matrices. Functions have their operands (`a`, row by row, which
they may overwrite), results (`o`, one after the other) and room (`x`) in memory that all threads of
the block see. Elimination takes the largest pivot, the first of equals; QR is Householder's, as
LAPACK stores it. Eigenvalues and singular values are in `eigenvalues`.
"""

from __future__ import annotations

from facula.cuda.eigenvalues import EIGENVALUES, JACOBI

NUMBERS = """
struct Cx { double x, y; };
static __device__ __forceinline__ Cx operator+(Cx a, Cx b) { return Cx{a.x + b.x, a.y + b.y}; }
static __device__ __forceinline__ Cx operator-(Cx a, Cx b) { return Cx{a.x - b.x, a.y - b.y}; }
static __device__ __forceinline__ Cx operator-(Cx a) { return Cx{-a.x, -a.y}; }
static __device__ __forceinline__ Cx operator*(Cx a, Cx b) {
  return Cx{a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x}; }
static __device__ __forceinline__ Cx operator*(Cx a, double b) { return Cx{a.x * b, a.y * b}; }
static __device__ __forceinline__ Cx operator/(Cx a, double b) { return Cx{a.x / b, a.y / b}; }
static __device__ Cx operator/(Cx a, Cx b) {
  const bool small = fabs(b.x) < fabs(b.y);
  const double most = small ? b.y : b.x, least = small ? b.x : b.y;
  const double ratio = most == 0 ? least : least / most, total = most + least * ratio;
  const double x = small ? a.y : a.x, y = small ? a.x : a.y, v = (y - x * ratio) / total;
  return Cx{(x + y * ratio) / total, small ? -v : v}; }
static __device__ __forceinline__ double conj_(double a) { return a; }
static __device__ __forceinline__ Cx conj_(Cx a) { return Cx{a.x, -a.y}; }
static __device__ __forceinline__ double real_(double a) { return a; }
static __device__ __forceinline__ double real_(Cx a) { return a.x; }
static __device__ __forceinline__ double imag_(double a) { return 0; }
static __device__ __forceinline__ double imag_(Cx a) { return a.y; }
static __device__ __forceinline__ double square_(double a) { return a * a; }
static __device__ __forceinline__ double square_(Cx a) { return a.x * a.x + a.y * a.y; }
static __device__ __forceinline__ double near_(double a) { return fabs(a); }
static __device__ __forceinline__ double near_(Cx a) { return fabs(a.x) + fabs(a.y); }
static __device__ __forceinline__ double warp_(double v) {
  for (int m = 16; m; m >>= 1) v += __shfl_xor_sync(~0u, v, m);
  return v; }
static __device__ __forceinline__ Cx warp_(Cx v) { return Cx{warp_(v.x), warp_(v.y)}; }
#define EACH(i, count) for (int i = threadIdx.x; i < (count); i += 256)
"""

LU = """
template <class S> static __device__ int largest_(const S* a, int begin, int end, int step) {
  __shared__ double sizes[256]; __shared__ int places[256]; __shared__ int found;
  double best = -1; int at = begin;
  for (int i = begin + threadIdx.x; i < end; i += 256) {
    const double s = near_(a[i * step]);
    if (s > best) { best = s; at = i; }
  }
  sizes[threadIdx.x] = best; places[threadIdx.x] = at;
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int q = 1; q < min(256, end - begin); q++)
      if (sizes[q] > best || (sizes[q] == best && places[q] < at)) {
        best = sizes[q]; at = places[q]; }
    found = at;
  }
  __syncthreads();
  return found; }
// Eliminates n columns of m rows of so many elements; the first pivot that is zero, from 1.
template <class S> static __device__ int lu_(S* a, int m, int n, int wide, bool pivoting, S* pivots,
                                             bool& odd) {
  int zero = 0;
  odd = false;
  for (int j = 0; j < min(m, n); j++) {
    __syncthreads();
    const int at = pivoting ? largest_(a + j, j, m, wide) : j;
    if (pivots && threadIdx.x == 0) pivots[j] = S{at + 1.0};
    if (at != j) {
      odd = !odd;
      EACH(c, wide) { const S held = a[j * wide + c]; a[j * wide + c] = a[at * wide + c];
                      a[at * wide + c] = held; }
    }
    __syncthreads();
    S by = a[j * wide + j];
    if (near_(by) == 0) { by = S{1.0}; if (!zero) zero = j + 1; }
    EACH(i, m - j - 1) a[(j + 1 + i) * wide + j] = a[(j + 1 + i) * wide + j] / by;
    __syncthreads();
    const int below = m - j - 1, beside = wide - j - 1;
    EACH(t, below * beside) {
      const int i = j + 1 + t / beside, c = j + 1 + t % beside;
      a[i * wide + c] = a[i * wide + c] - a[i * wide + j] * a[j * wide + c];
    }
  }
  __syncthreads();
  return zero; }
template <class S> static __device__ void lu_factor_(S* a, S* o, int m, int n, bool pivoting) {
  EACH(t, m * n) o[t] = a[t];
  bool odd;
  const int zero = lu_(o, m, n, n, pivoting, o + m * n, odd), k = min(m, n);
  if (!pivoting) EACH(j, k) o[m * n + j] = S{j + 1.0};
  if (threadIdx.x == 0) o[m * n + k] = S{(double)zero}; }
// Of n x n matrices; `x` has room for n (n + right).
template <class S> static __device__ void solve_(S* a, const S* b, S* o, S* x, int n, int right) {
  const int wide = n + right;
  EACH(t, n * wide) {
    const int i = t / wide, j = t % wide;
    x[t] = j < n ? a[i * n + j] : b ? b[i * right + j - n] : S{j - n == i ? 1.0 : 0.0};
  }
  bool odd;
  lu_(x, n, n, wide, true, (S*)0, odd);
  for (int p = n - 1; p >= 0; p--) {
    const S by = x[p * wide + p];
    EACH(c, right) x[p * wide + n + c] = x[p * wide + n + c] / by;
    __syncthreads();
    EACH(t, p * right) {
      const int i = t / right, j = n + t % right;
      x[i * wide + j] = x[i * wide + j] - x[i * wide + p] * x[p * wide + j];
    }
    __syncthreads();
  }
  EACH(t, n * right) o[t] = x[t / right * wide + n + t % right]; }
template <class S> static __device__ S det_(S* a, int n) {
  bool odd;
  lu_(a, n, n, n, true, (S*)0, odd);
  S out = S{odd ? -1.0 : 1.0};
  for (int j = 0; j < n; j++) out = out * a[j * n + j];
  __syncthreads();
  return out; }
template <class S> static __device__ void slogdet_(S* a, S* o, int n) {
  bool odd;
  const int zero = lu_(a, n, n, n, true, (S*)0, odd);
  if (threadIdx.x) return;
  S sign = S{zero ? 0.0 : odd ? -1.0 : 1.0};
  double size = 0;
  for (int j = 0; j < n; j++) {
    const double s = sqrt(square_(a[j * n + j]));
    if (!zero) sign = sign * (a[j * n + j] / s);
    size += log(s);
  }
  o[0] = sign; o[1] = S{size}; }
template <class S> static __device__ void zero_pivot_(S* a, S* o, int n) {
  bool odd;
  const int zero = lu_(a, n, n, n, true, (S*)0, odd);
  if (threadIdx.x == 0) o[0] = S{(double)zero}; }
template <class S> static __device__ void permutation_(const S* a, S* o, int k, int m) {
  EACH(t, m * m) o[t] = S{0.0};
  __syncthreads();
  if (threadIdx.x) return;
  for (int j = 0; j < m; j++) { // where row j ends up: exchanges from the last to the first
    int at = j;
    for (int i = k - 1; i >= 0; i--) {
      const int other = (int)real_(a[i]) - 1;
      if (at == i) at = other; else if (at == other) at = i;
    }
    o[at * m + j] = S{1.0};
  } }
"""

CHOLESKY = """
template <class S> static __device__ void cholesky_(S* a, S* o, int n, bool upper) {
  EACH(t, n * n) {
    const int i = t / n, j = t % n;
    o[t] = j > i ? S{0.0} : upper ? conj_(a[j * n + i]) : a[t];
  }
  int bad = 0;
  for (int k = 0; k < n; k++) {
    __syncthreads();
    const double d = real_(o[k * n + k]);
    __syncthreads();
    if (!(d > 0)) { bad = k + 1; break; }
    const double root = sqrt(d);
    EACH(i, n - k) o[(k + i) * n + k] = i ? o[(k + i) * n + k] / root : S{root};
    __syncthreads();
    const int left = n - k - 1;
    EACH(t, left * left) {
      const int i = k + 1 + t / left, j = k + 1 + t % left;
      if (j <= i) o[i * n + j] = o[i * n + j] - o[i * n + k] * conj_(o[j * n + k]);
    }
  }
  if (bad) EACH(t, n * n) if (t % n >= bad - 1) o[t] = S{0.0};
  if (threadIdx.x == 0) o[n * n] = S{(double)bad}; }
"""

QR = """
// Householder's reflections: R above, the vectors below the diagonal, as LAPACK's geqrf.
template <class S> static __device__ void reflect_(S* a, int m, int n, S* tau) {
  for (int j = 0; j < min(m, n); j++) {
    __syncthreads();
    double part = 0;
    for (int i = j + 1 + threadIdx.x; i < m; i += 256) part += square_(a[i * n + j]);
    const double rest = together<Sum, 256>(part);
    const S top = a[j * n + j];
    S t = S{0.0}; double beta = real_(top);
    __syncthreads();
    if (rest != 0 || imag_(top) != 0) {
      beta = -copysign(sqrt(square_(top) + rest), real_(top));
      t = (S{beta} - top) / beta;
      const S by = top - S{beta};
      for (int i = j + 1 + threadIdx.x; i < m; i += 256) a[i * n + j] = a[i * n + j] / by;
    }
    if (threadIdx.x == 0) { a[j * n + j] = S{beta}; tau[j] = t; }
    __syncthreads();
    for (int c = j + 1 + threadIdx.x; c < n; c += 256) {
      S s = a[j * n + c];
      for (int i = j + 1; i < m; i++) s = s + conj_(a[i * n + j]) * a[i * n + c];
      s = conj_(t) * s;
      a[j * n + c] = a[j * n + c] - s;
      for (int i = j + 1; i < m; i++) a[i * n + c] = a[i * n + c] - a[i * n + j] * s;
    }
  }
  __syncthreads(); }
// The first columns of the product of k reflections, of vectors in rows of n elements.
template <class S> static __device__ void product_(const S* a, const S* tau, int k, int n, S* q,
                                                   int m, int columns) {
  EACH(c, columns) {
    for (int i = 0; i < m; i++) q[i * columns + c] = S{i == c ? 1.0 : 0.0};
    for (int j = k - 1; j >= 0; j--) {
      S s = q[j * columns + c];
      for (int i = j + 1; i < m; i++) s = s + conj_(a[i * n + j]) * q[i * columns + c];
      s = tau[j] * s;
      q[j * columns + c] = q[j * columns + c] - s;
      for (int i = j + 1; i < m; i++)
        q[i * columns + c] = q[i * columns + c] - a[i * n + j] * s;
    }
  }
  __syncthreads(); }
template <class S> static __device__ void geqrf_(S* a, S* o, int m, int n) {
  EACH(t, m * n) o[t] = a[t];
  reflect_(o, m, n, o + m * n); }
// `x` has room for min(m, n); Q has so many columns.
template <class S> static __device__ void qr_(S* a, S* o, S* x, int m, int n, int columns) {
  reflect_(a, m, n, x);
  product_(a, x, min(m, n), n, o, m, columns);
  EACH(t, columns * n) o[m * columns + t] = t / n > t % n ? S{0.0} : a[t]; }
"""

INVERSES = """
// The parts of a decomposition lie in `x`, and behind them is the room that it needs.
template <class S> static __device__ void pinv_(const S* a, S* o, S* x, int m, int n,
                                                bool hermitian, double absolute, double relative) {
  const int k = min(m, n);
  S* u = x; S* values = x + m * k; S* v = values + k;
  if (hermitian) {
    values = x; v = x + n; u = v;
    eigh_(a, x, x + n + n * n, n, true);
  } else svd_(a, x, v + k * n, m, n, false, true);
  double most = 0;
  for (int r = 0; r < k; r++) most = max(most, fabs(real_(values[r])));
  const double limit = max(absolute, relative * most);
  EACH(t, n * m) {
    const int i = t / m, j = t % m;
    S s = S{0.0};
    for (int r = 0; r < k; r++) {
      const double d = real_(values[r]);
      if (!(fabs(d) > limit)) continue;
      s = s + (hermitian ? v[i * n + r] : conj_(v[r * n + i])) * conj_(u[j * k + r]) / d;
    }
    o[t] = s;
  } }
template <class S> static __device__ void cofactors_(const S* a, S* o, S* x, int n) {
  S* u = x; S* values = x + n * n; S* v = values + n; S* room = v + n * n;
  svd_(a, x, room, n, n, false, true);
  EACH(t, n * n) { room[t] = u[t]; room[n * n + t] = v[t]; }
  __syncthreads();
  const S scale = det_(room, n) * det_(room + n * n, n);
  EACH(t, n * n) {
    const int i = t / n, j = t % n;
    S s = S{0.0};
    for (int r = 0; r < n; r++) {
      double others = 1;
      for (int e = 0; e < n; e++) if (e != r) others *= real_(values[e]);
      s = s + u[i * n + r] * others * v[r * n + j];
    }
    o[t] = conj_(s / scale);
  } }
"""

EXPONENTIAL = """
// By scaling, a Taylor polynomial, and squaring; `x` has room for 2 n n.
template <class S> static __device__ void matrix_exp_(const S* a, S* o, S* x, int n) {
  S* b = x; S* c = x + n * n;
  double most = 0;
  for (int i = 0; i < n; i++) {
    double part = 0;
    EACH(j, n) part += sqrt(square_(a[i * n + j]));
    part = together<Sum, 256>(part);
    most = part > most ? part : most;
  }
  int times = 0;
  if (most < 1e300) while (ldexp(most, -times) > 0.5) times++;
  EACH(t, n * n) { b[t] = a[t] * ldexp(1.0, -times); o[t] = S{t / n == t % n ? 1.0 : 0.0}; }
  for (int k = 18; k > -times; k--) {
    __syncthreads();
    EACH(t, n * n) {
      const int i = t / n, j = t % n;
      S s = S{0.0};
      const S* left = k > 0 ? b : o;
      for (int e = 0; e < n; e++) s = s + left[i * n + e] * o[e * n + j];
      c[t] = k > 0 ? s / k + S{i == j ? 1.0 : 0.0} : s;
    }
    __syncthreads();
    EACH(t, n * n) o[t] = c[t];
  } }
"""

LDL = """
// By Bunch and Kaufman (1977), as LAPACK's sytrf stores the lower triangle; one thread's work.
template <class S> static __device__ S star_(S a, bool hermitian) {
  return hermitian ? conj_(a) : a; }
template <class S> static __device__ void swap_(S& a, S& b) { const S held = a; a = b; b = held; }
template <class S> static __device__ void ldl_factor_(const S* from, S* o, int n, bool hermitian) {
  S* a = o; S* pivots = o + n * n;
  EACH(t, n * n) a[t] = from[t];
  __syncthreads();
  if (threadIdx.x) return;
  const double limit = (1 + sqrt(17.0)) / 8;
  int info = 0, k = 0;
  while (k < n) {
    int step = 1, kp = k, worst = k;
    const double own = near_(a[k * n + k]);
    double column = 0;
    for (int i = k + 1; i < n; i++)
      if (worst == k || near_(a[i * n + k]) > column) { worst = i; column = near_(a[i * n + k]); }
    if (max(own, column) == 0) {
      if (!info) info = k + 1;
      pivots[k] = S{k + 1.0}; k++;
      continue;
    }
    if (own < limit * column) {
      double row = 0;
      for (int j = k; j < worst; j++) row = max(row, near_(a[worst * n + j]));
      for (int i = worst + 1; i < n; i++) row = max(row, near_(a[i * n + worst]));
      if (own < limit * column * (column / row)) {
        kp = worst;
        if (near_(a[worst * n + worst]) < limit * row) step = 2;
      }
    }
    const int kk = k + step - 1;
    if (kp != kk) {
      for (int i = kp + 1; i < n; i++) swap_(a[i * n + kk], a[i * n + kp]);
      for (int i = kk + 1; i < kp; i++) {
        const S held = a[i * n + kk];
        a[i * n + kk] = star_(a[kp * n + i], hermitian);
        a[kp * n + i] = star_(held, hermitian);
      }
      a[kp * n + kk] = star_(a[kp * n + kk], hermitian);
      swap_(a[kk * n + kk], a[kp * n + kp]);
      if (step == 2) swap_(a[(k + 1) * n + k], a[kp * n + k]);
    }
    if (step == 1) {
      for (int j = k + 1; j < n; j++) {
        const S other = star_(a[j * n + k], hermitian);
        for (int i = j; i < n; i++)
          a[i * n + j] = a[i * n + j] - a[i * n + k] / a[k * n + k] * other;
      }
      for (int i = k + 1; i < n; i++) a[i * n + k] = a[i * n + k] / a[k * n + k];
      pivots[k] = S{kp + 1.0};
    } else {
      const S p = a[k * n + k], q = a[(k + 1) * n + k], u = star_(q, hermitian);
      const S r = a[(k + 1) * n + k + 1], det = p * r - u * q;
      for (int j = k + 2; j < n; j++) {
        const S x = a[j * n + k], y = a[j * n + k + 1];
        const S v = (x * r - y * q) / det, w = (y * p - x * u) / det;
        // what rows above had before is still needed below, so rows are left until the end
        for (int i = j; i < n; i++)
          a[i * n + j] = a[i * n + j] - a[i * n + k] * star_(v, hermitian)
                         - a[i * n + k + 1] * star_(w, hermitian);
      }
      for (int j = k + 2; j < n; j++) {
        const S x = a[j * n + k], y = a[j * n + k + 1];
        a[j * n + k] = (x * r - y * q) / det;
        a[j * n + k + 1] = (y * p - x * u) / det;
      }
      pivots[k] = pivots[k + 1] = S{-(kp + 1.0)};
    }
    k += step;
  }
  o[n * n + n] = S{(double)info}; }
// A thread has a column of the right-hand side.
template <class S> static __device__ void ldl_solve_(const S* a, const S* pivots, const S* b, S* o,
                                                     int n, int right, bool hermitian) {
  EACH(c, right) {
    for (int i = 0; i < n; i++) o[i * right + c] = b[i * right + c];
    int k = 0;
    while (k < n) {
      const int at = (int)real_(pivots[k]);
      if (at > 0) {
        swap_(o[k * right + c], o[(at - 1) * right + c]);
        const S y = o[k * right + c];
        for (int i = k + 1; i < n; i++) o[i * right + c] = o[i * right + c] - a[i * n + k] * y;
        o[k * right + c] = y / a[k * n + k];
        k++;
      } else {
        swap_(o[(k + 1) * right + c], o[(-at - 1) * right + c]);
        const S y = o[k * right + c], z = o[(k + 1) * right + c];
        for (int i = k + 2; i < n; i++)
          o[i * right + c] = o[i * right + c] - a[i * n + k] * y - a[i * n + k + 1] * z;
        const S p = a[k * n + k], q = a[(k + 1) * n + k], u = star_(q, hermitian);
        const S r = a[(k + 1) * n + k + 1], det = p * r - u * q;
        o[k * right + c] = (r * y - u * z) / det;
        o[(k + 1) * right + c] = (p * z - q * y) / det;
        k += 2;
      }
    }
    k = n - 1;
    while (k >= 0) {
      const int at = (int)real_(pivots[k]), wide = at > 0 ? 1 : 2;
      for (int e = k - wide + 1; e <= k; e++)
        for (int i = k + 1; i < n; i++)
          o[e * right + c] = o[e * right + c] - star_(a[i * n + e], hermitian) * o[i * right + c];
      swap_(o[k * right + c], o[((at > 0 ? at : -at) - 1) * right + c]);
      k -= wide;
    }
  } }
"""

# In this order; each needs some of those before it.
TEXTS = {
    "": NUMBERS,
    "lu": LU,
    "cholesky": CHOLESKY,
    "qr": QR,
    "jacobi": JACOBI,
    "inverses": INVERSES,
    "exponential": EXPONENTIAL,
    "eigenvalues": EIGENVALUES,
    "ldl": LDL,
}
NEEDS: dict[str, tuple[str, ...]] = {
    "jacobi": ("qr",),
    "inverses": ("lu", "qr", "jacobi"),
}


def needed(which: str) -> tuple[str, ...]:
    """The texts that one needs before it."""
    return ("", *NEEDS.get(which, ()))


def prelude(texts: list[str]) -> str:
    """The functions that kernels of these texts call: they name them in their first line."""
    wanted: set[str] = set()
    for which in TEXTS:
        if which and any([f"// matrices: {which}\n" in t for t in texts]):
            wanted |= {*needed(which), which}
    return "".join([text for which, text in TEXTS.items() if which in wanted])


__all__ = ["prelude"]
