"""Comparing what a call gave with what is stored."""

from __future__ import annotations

import numpy as np

from .framework import flatten


class Bad(Exception):
    def __init__(self, cat, msg):
        super().__init__(msg)
        self.cat, self.msg = cat, msg


def max_abs(e):
    if e.size == 0:
        return 0.0
    e = np.abs(e)
    e = e[np.isfinite(e)]
    return float(e.max()) if e.size else 0.0


def close(a, e, rtol, atol, scaled, what):
    """a, e: numpy arrays of one shape."""
    if e.dtype.kind in "biu" and a.dtype.kind in "biu":
        bad = a != e
        if bad.any():
            i = tuple(int(v) for v in np.argwhere(bad)[0])
            raise Bad(
                "value",
                f"{what}: {int(bad.sum())} of {e.size} elements differ, at {i}: got {a[i]}, "
                f"expected {e[i]}",
            )
        return
    if e.dtype.kind == "c" or a.dtype.kind == "c":
        a = a.astype(np.complex128)
        e = e.astype(np.complex128)
        nf = ~(np.isfinite(e.real) & np.isfinite(e.imag))
        if nf.any():
            anf = ~(np.isfinite(a.real) & np.isfinite(a.imag))
            bad = nf & ~anf
            if bad.any():
                i = tuple(int(v) for v in np.argwhere(bad)[0])
                raise Bad("value", f"{what}: at {i}: got {a[i]}, expected non-finite {e[i]}")
            a = np.where(nf, 0, a)
            e = np.where(nf, 0, e)
    else:
        a = a.astype(np.float64)
        e = e.astype(np.float64)
    at = atol * max(1.0, max_abs(e)) if scaled else atol
    with np.errstate(all="ignore"):
        bad = np.abs(a - e) > at + rtol * np.abs(e)
        bad |= np.isnan(a) != np.isnan(e)
        if e.dtype.kind != "c":
            inf = np.isinf(e) | np.isinf(a)
            bad = np.where(inf, a != e, bad)
            bad = np.where(np.isnan(a) & np.isnan(e), False, bad)
        else:
            bad |= ~np.isfinite(a)
    if bad.any():
        i = tuple(int(v) for v in np.argwhere(bad)[0])
        raise Bad(
            "value",
            f"{what}: {int(bad.sum())} of {e.size} elements differ, at {i}: got {a[i]:.8g}, "
            f"expected {e[i]:.8g}",
        )


def _h(x):
    return np.conj(np.swapaxes(x, -1, -2))


def _c128(x):
    return x.astype(np.complex128)


def _orth(q, tol, what):
    q = _c128(q)
    g = _h(q) @ q
    close(
        g, np.broadcast_to(np.eye(q.shape[-1]), g.shape), tol, tol, True, what + " orthonormality"
    )


def match_multiset(a, e, tol, what):
    a = a.reshape(-1, a.shape[-1]).astype(np.complex128)
    e = e.reshape(-1, e.shape[-1]).astype(np.complex128)
    t = tol * max(1.0, max_abs(e))
    for ra, re_ in zip(a, e):
        left = list(ra)
        for v in re_:
            d = [abs(v - w) for w in left]
            j = int(np.argmin(d))
            if not d[j] <= t + tol * abs(v):
                raise Bad("value", f"{what}: no match for eigenvalue {v}")
            left.pop(j)


def compare_gauge(mode, outs, exps, A, tol):
    """Comparison of factorisations through their invariants. outs/exps: lists of numpy."""
    A = _c128(A)
    if mode in ("svd", "svd_v"):
        U, S, V = outs
        close(S, exps[1], tol, tol, True, "singular values")
        if U.size == 0 or V.size == 0 or not np.any(exps[0]):
            return
        k = S.shape[-1]
        if mode == "svd":
            V = _h(V)
        _orth(U, tol, "U")
        _orth(V, tol, "V")
        R = (_c128(U[..., :k]) * S[..., None, :]) @ _h(_c128(V[..., :k]))
        close(R, A, tol, tol, True, "U S Vh")
    elif mode == "eigh":
        L, V = outs
        close(L, exps[0], tol, tol, True, "eigenvalues")
        _orth(V, tol, "eigenvectors")
        # eigh reads one triangle only, so compare with the reconstruction from the expected output
        Ve = _c128(exps[1])
        Ae = (Ve * exps[0][..., None, :]) @ _h(Ve)
        R = (_c128(V) * L[..., None, :]) @ _h(_c128(V))
        close(R, Ae, tol, tol, True, "V L Vh")
    elif mode == "eig":
        L, V = outs
        if L.size:
            match_multiset(L, exps[0], tol, "eigenvalues")
            close(A @ _c128(V), _c128(V) * L[..., None, :], tol, tol, True, "A V = V L")
    elif mode == "eigvals":
        if outs[0].size:
            match_multiset(outs[0], exps[0], tol, "eigenvalues")
    elif mode == "qr":
        Q, R = outs
        close(np.abs(R), np.abs(exps[1]), tol, tol, True, "|R|")
        if Q.size and exps[0].size:
            _orth(Q, tol, "Q")
            close(_c128(Q) @ _c128(R), A, tol, tol, True, "Q R")
    else:
        raise RuntimeError("gauge mode " + mode)


def tie_ok(a, e, x, tie):
    """Index output differs: accept when it points at equal values."""
    d, keep = tie["dim"], tie["keep"]
    if x.ndim == 0 or tie.get("flat"):
        x = x.reshape(-1)
        a, e = a.reshape(-1), e.reshape(-1)
        d = 0
    elif not keep:
        a, e = np.expand_dims(a, d), np.expand_dims(e, d)
    if a.size and (a.min() < 0 or a.max() >= x.shape[d]):
        return False
    va, ve = np.take_along_axis(x, a, d), np.take_along_axis(x, e, d)
    if not np.array_equal(va, ve, equal_nan=x.dtype.kind in "fc"):
        return False
    if tie.get("uniq"):
        s = np.sort(a, d)
        if s.shape[d] > 1 and (np.diff(s, axis=d) == 0).any():
            return False
    return True


def compare_outputs(fw, arch, c, out, dec, expect=None):
    exp = c["expect"] if expect is None else expect
    for f in c.get("fields", ()):
        if not hasattr(out, f):
            raise Bad("structure", f"result has no field '{f}'")
    flat = flatten(out)
    if "seq" in c and bool(c["seq"]) != isinstance(out, (tuple, list)):
        raise Bad(
            "structure",
            f"result is a {type(out).__name__}, "
            f"expected a {'sequence' if c['seq'] else 'single value'}",
        )
    if len(flat) != len(exp):
        raise Bad("structure", f"{len(flat)} results, expected {len(exp)}")
    cmp = c.get("cmp", "close")
    acts, exps = [], []
    for n, (o, e) in enumerate(zip(flat, exp)):
        what = f"output {n}" if len(exp) > 1 else "output"
        if "t" in e:
            if not fw.is_tensor(o):
                raise Bad("structure", f"{what} is {type(o).__name__}, expected a tensor")
            shape = tuple(int(s) for s in o.shape)
            if "shape" in e:
                eshape, edt, ea = tuple(e["shape"]), e["dt"], None
            else:
                ea, edt = arch.get(e["t"])
                eshape = ea.shape
            if shape != eshape:
                raise Bad("shape", f"{what} has shape {shape}, expected {eshape}")
            dn = fw.dtype_name(o)
            if dn != edt:
                raise Bad("dtype", f"{what} has dtype {dn}, expected {edt}")
            if "shape" in e:
                continue
            a, _ = fw.numpy(o)
            acts.append(a)
            exps.append(ea)
            if cmp.startswith("gauge:"):
                continue
            if c.get("tie") and c["tie"]["out"] == n and not np.array_equal(a, ea):
                x, _ = arch.get(c["args"][0]["$t"])
                if not tie_ok(a, ea, x, c["tie"]):
                    raise Bad("value", f"{what}: indices point at other values than expected")
                continue
            close(a, ea, c.get("rtol", 0), c.get("atol", 0), c.get("scaled", False), what)
        else:
            v = e["v"]
            if isinstance(v, dict):
                v = dec(v)
            if fw.is_tensor(o):
                raise Bad("structure", f"{what} is a tensor, expected {v!r}")
            if v is None or isinstance(v, (str, bool)):
                if o != v:
                    raise Bad("value", f"{what}: got {o!r}, expected {v!r}")
            elif isinstance(v, int):
                if isinstance(o, float) or o != v:
                    raise Bad("value", f"{what}: got {o!r}, expected {v!r}")
            elif isinstance(v, (float, complex)):
                if cmp != "meta":
                    close(
                        np.asarray(o),
                        np.asarray(v),
                        c.get("rtol", 1e-6),
                        c.get("atol", 1e-6),
                        False,
                        what,
                    )
    if cmp.startswith("gauge:"):
        A, _ = arch.get(c["args"][0]["$t"])
        compare_gauge(cmp[6:], acts, exps, A, c["gtol"])


def compare_grads(fw, arch, gs, exp, g):
    for (label, k), a in zip(exp, gs):
        what = f"gradient of {label}"
        if k is None:
            if a is not None:
                a, _ = fw.numpy(a)
                if np.any(a != 0):
                    raise Bad("grad", f"{what}: expected none or zero")
            continue
        e, edt = arch.get(k)
        if a is None:
            if np.any(e != 0):
                raise Bad("grad", f"{what}: none given")
            continue
        if tuple(a.shape) != e.shape:
            raise Bad("grad", f"{what} has shape {tuple(a.shape)}, expected {e.shape}")
        an, dn = fw.numpy(a)
        if dn != edt:
            raise Bad("grad", f"{what} has dtype {dn}, expected {edt}")
        close(an, e, g["rtol"], g["atol"], True, what)
