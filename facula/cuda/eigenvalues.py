"""Eigenvalues and singular values in CUDA C++; what `matrices` says of functions holds here.

Jacobi's are by rotations of columns, two by two, in rounds in which no two pairs meet (M. Hestenes,
1958): right to the last digits, and the same bits each time. A symmetric matrix is made positive
for it, by adding its norm to the diagonal.
"""

from __future__ import annotations

JACOBI = """
// Rotates n rows of so many elements until they are at right angles; the same is done to `v`.
template <class S> static __device__ void jacobi_(S* w, S* v, int length, int n) {
  EACH(t, n * n) v[t] = S{t / n == t % n ? 1.0 : 0.0};
  double part = 0;
  EACH(t, n * length) part += square_(w[t]);
  const double whole = together<Sum, 256>(part), near = 4e-16 * sqrt(length + 1.0);
  const int lane = threadIdx.x % 32, even = n + n % 2, last = even - 1;
  __shared__ int turned;
  for (int sweep = 0; sweep < 40; sweep++) {
    __syncthreads();
    if (threadIdx.x == 0) turned = 0;
    __syncthreads();
    for (int round = 0; round < last; round++) {
      for (int pair = threadIdx.x / 32; pair < even / 2; pair += 8) {
        int p = pair == 0 ? last : (round + pair) % last, q = (round + last - pair) % last;
        if (p > q) { const int held = p; p = q; q = held; }
        if (q >= n) continue;
        S* a = w + p * length; S* b = w + q * length;
        double one = 0, two = 0; S both = S{0.0};
        for (int i = lane; i < length; i += 32) {
          one += square_(a[i]); two += square_(b[i]); both = both + conj_(a[i]) * b[i];
        }
        one = warp_(one); two = warp_(two); both = warp_(both);
        const double size = sqrt(square_(both));
        if (size <= near * sqrt(one) * sqrt(two) || min(one, two) <= 1e-34 * whole) continue;
        const double zeta = (two - one) / (2 * size);
        const double t = copysign(1 / (fabs(zeta) + sqrt(1 + zeta * zeta)), zeta);
        const double c = 1 / sqrt(1 + t * t), s = c * t;
        const S turn = conj_(both / size);
        for (int i = lane; i < length; i += 32) {
          const S x = a[i], y = b[i] * turn;
          a[i] = x * c - y * s; b[i] = x * s + y * c;
        }
        a = v + p * n; b = v + q * n;
        for (int i = lane; i < n; i += 32) {
          const S x = a[i], y = b[i] * turn;
          a[i] = x * c - y * s; b[i] = x * s + y * c;
        }
        if (lane == 0) turned = 1;
      }
      __syncthreads();
    }
    if (!turned) break;
  }
  __syncthreads(); }
// Eigenvalues of what the lower triangle says, ascending, and vectors where there is room.
// `x` has room for 2 n n + n.
template <class S> static __device__ void eigh_(const S* a, S* o, S* x, int n, bool vectors) {
  S* w = x; S* v = x + n * n; S* values = x + 2 * n * n;
  double part = 0;
  EACH(t, n * n) {
    const int j = t / n, i = t % n; // rows are columns
    w[t] = i > j ? a[i * n + j] : i == j ? S{real_(a[t])} : conj_(a[j * n + i]);
    part += square_(w[t]);
  }
  const double shift = sqrt(together<Sum, 256>(part));
  EACH(j, n) w[j * n + j] = w[j * n + j] + S{shift};
  __syncthreads();
  jacobi_(w, v, n, n);
  EACH(j, n) {
    double s = 0;
    for (int i = 0; i < n; i++) s += real_(conj_(v[j * n + i]) * w[j * n + i]);
    values[j] = S{s - shift};
  }
  __syncthreads();
  EACH(j, n) {
    int rank = 0;
    const double own = real_(values[j]);
    for (int i = 0; i < n; i++) {
      const double other = real_(values[i]);
      rank += other < own || (other == own && i < j) || (own != own && (other == other || i < j));
    }
    o[rank] = S{own};
    if (vectors) for (int i = 0; i < n; i++) o[n + i * n + rank] = v[j * n + i];
  }
  __syncthreads(); }
// U (m x c), values (k, descending), V^H (c x n): c is k, or with `full` the size of each.
// `x` has room for 2 k l + k k + 3 k + 2 l l, where l is the larger size.
template <class S> static __device__ void svd_(const S* a, S* o, S* x, int m, int n, bool full,
                                               bool vectors) {
  const int k = min(m, n), l = m < n ? n : m, columns = full ? l : k;
  S* w = x; S* v = w + k * l; S* sizes = v + k * k; S* rows = sizes + k; S* tau = rows + k;
  S* y = tau + k; S* q = y + k * l; S* basis = q + l * columns;
  const bool flat = m < n;
  EACH(t, k * l) {
    const int j = t / l, i = t % l;
    w[t] = flat ? conj_(a[j * n + i]) : a[i * n + j];
  }
  __syncthreads();
  jacobi_(w, v, l, k);
  EACH(j, k) {
    double s = 0;
    for (int i = 0; i < l; i++) s += square_(w[j * l + i]);
    sizes[j] = S{sqrt(s)};
  }
  __syncthreads();
  S* values = vectors ? o + (flat ? m * m : m * columns) : o;
  EACH(j, k) {
    int rank = 0;
    const double own = real_(sizes[j]);
    for (int i = 0; i < k; i++) {
      const double other = real_(sizes[i]);
      rank += other > own || (other == own && i < j) || (own != own && (other == other || i < j));
    }
    values[rank] = S{own}; rows[rank] = S{(double)j};
  }
  __syncthreads();
  if (!vectors) return;
  const double least = k ? real_(values[0]) * 1e-15 : 0;
  int good = 0;
  while (good < k && real_(values[good]) > least) good++;
  EACH(t, l * columns) {
    const int i = t / columns, r = t % columns;
    if (r < good) {
      const S u = w[(int)real_(rows[r]) * l + i] / real_(values[r]);
      basis[t] = y[i * good + r] = u;
    }
  }
  __syncthreads();
  if (good < columns) { // what is at right angles to all of them
    reflect_(y, l, good, tau);
    product_(y, tau, good, good, q, l, columns);
    EACH(t, l * columns) if (t % columns >= good) basis[t] = q[t];
    __syncthreads();
  }
  S* left = o; S* right = values + k;
  EACH(t, l * columns) {
    const int i = t / columns, r = t % columns;
    if (flat) right[r * n + i] = conj_(basis[t]); else left[t] = basis[t];
  }
  EACH(t, k * k) {
    const int i = t / k, r = t % k;
    const S e = v[(int)real_(rows[r]) * k + i];
    if (flat) left[t] = e; else right[r * k + i] = conj_(e);
  }
  __syncthreads(); }
"""

EIGENVALUES = """
static __device__ Cx root_(Cx z) {
  const double m = sqrt(square_(z)), t = sqrt((fabs(z.x) + m) / 2);
  if (t == 0) return Cx{0, 0};
  return z.x >= 0 ? Cx{t, z.y / (2 * t)} : Cx{fabs(z.y) / (2 * t), copysign(t, z.y)}; }
// By a Hessenberg matrix and shifted QR steps (J. Francis, 1961) to a triangular one, whose vectors
// are solved for. `x` has room for 2 n n + 2 n.
static __device__ void eig_(Cx* h, Cx* o, Cx* x, int n) {
  Cx* q = x; Cx* y = q + n * n; Cx* turn = y + n * n;
  double part = 0;
  EACH(t, n * n) { q[t] = Cx{t / n == t % n ? 1.0 : 0.0, 0}; part += square_(h[t]); }
  const double size = sqrt(together<Sum, 256>(part));
  for (int k = 0; k < n - 2; k++) {
    __syncthreads();
    part = 0;
    for (int i = k + 2 + threadIdx.x; i < n; i += 256) part += square_(h[i * n + k]);
    const double rest = together<Sum, 256>(part);
    const Cx top = h[(k + 1) * n + k];
    if (rest == 0) continue;
    const double beta = -copysign(sqrt(square_(top) + rest), top.x);
    const Cx tau = (Cx{beta, 0} - top) / beta, by = top - Cx{beta, 0};
    EACH(i, n) if (i > k) turn[i] = i == k + 1 ? Cx{1, 0} : h[i * n + k] / by;
    __syncthreads();
    for (int c = k + threadIdx.x; c < n; c += 256) {
      Cx s = Cx{0, 0};
      for (int i = k + 1; i < n; i++) s = s + conj_(turn[i]) * h[i * n + c];
      s = conj_(tau) * s;
      for (int i = k + 1; i < n; i++) h[i * n + c] = h[i * n + c] - turn[i] * s;
    }
    __syncthreads();
    EACH(r, 2 * n) {
      Cx* row = r < n ? h + r * n : q + (r - n) * n;
      Cx s = Cx{0, 0};
      for (int c = k + 1; c < n; c++) s = s + row[c] * turn[c];
      s = s * tau;
      for (int c = k + 1; c < n; c++) row[c] = row[c] - s * conj_(turn[c]);
    }
  }
  int high = n - 1, tries = 0;
  while (high > 0 && tries < 300) {
    __syncthreads();
    int low = high;
    for (; low > 0; low--) {
      double s = near_(h[(low - 1) * (n + 1)]) + near_(h[low * (n + 1)]);
      if (near_(h[low * n + low - 1]) <= 2.2e-16 * (s == 0 ? size : s)) break;
    }
    Cx shift = h[high * (n + 1)];
    if (low < high) {
      const Cx a = h[(high - 1) * (n + 1)], b = h[(high - 1) * n + high];
      const Cx c = h[high * n + high - 1], half = (a - shift) / 2, bc = b * c;
      const Cx disc = root_(half * half + bc);
      const Cx more = half + disc, less = half - disc;
      const Cx by = square_(more) > square_(less) ? more : less;
      if (tries % 10 == 9) shift = shift + Cx{near_(c), 0};
      else if (square_(by) != 0) shift = shift - bc / by;
    }
    __syncthreads();
    if (threadIdx.x == 0 && low > 0) h[low * n + low - 1] = Cx{0, 0};
    if (low == high) { high--; tries = 0; continue; }
    tries++;
    EACH(i, high - low + 1) h[(low + i) * (n + 1)] = h[(low + i) * (n + 1)] - shift;
    for (int k = low; k < high; k++) {
      __syncthreads();
      const Cx f = h[k * (n + 1)], g = h[(k + 1) * n + k];
      __syncthreads();
      const double r = sqrt(square_(f) + square_(g));
      const Cx c = r == 0 ? Cx{1, 0} : f / r, s = r == 0 ? Cx{0, 0} : g / r;
      if (threadIdx.x == 0) { turn[2 * k] = c; turn[2 * k + 1] = s; }
      for (int e = k + threadIdx.x; e < n; e += 256) {
        const Cx u = h[k * n + e], w = h[(k + 1) * n + e];
        h[k * n + e] = conj_(c) * u + conj_(s) * w;
        h[(k + 1) * n + e] = c * w - s * u;
      }
    }
    __syncthreads();
    EACH(r, 2 * n) {
      Cx* row = r < n ? h + r * n : q + (r - n) * n;
      for (int k = low; k < high; k++) {
        if (r < n && r > k + 1) continue;
        const Cx c = turn[2 * k], s = turn[2 * k + 1], u = row[k], w = row[k + 1];
        row[k] = u * c + w * s;
        row[k + 1] = w * conj_(c) - u * conj_(s);
      }
    }
    __syncthreads();
    EACH(i, high - low + 1) h[(low + i) * (n + 1)] = h[(low + i) * (n + 1)] + shift;
  }
  __syncthreads();
  EACH(j, n) {
    const Cx own = h[j * (n + 1)];
    o[j] = own;
    y[j * n + j] = Cx{1, 0};
    for (int i = j - 1; i >= 0; i--) {
      Cx s = Cx{0, 0};
      for (int c = i + 1; c <= j; c++) s = s + h[i * n + c] * y[c * n + j];
      Cx by = own - h[i * (n + 1)];
      if (near_(by) < 1e-16 * size) by = Cx{1e-16 * size, 0};
      y[i * n + j] = size == 0 ? Cx{0, 0} : s / by;
    }
    double s = 0;
    for (int i = 0; i < n; i++) {
      Cx v = Cx{0, 0};
      for (int c = 0; c <= j; c++) v = v + q[i * n + c] * y[c * n + j];
      o[n + i * n + j] = v;
      s += square_(v);
    }
    s = sqrt(s);
    for (int i = 0; i < n; i++) o[n + i * n + j] = o[n + i * n + j] / s;
  } }
"""
