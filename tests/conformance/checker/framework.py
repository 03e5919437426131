"""The framework under test: names, tensors from and to NumPy, arguments of calls."""

from __future__ import annotations

import importlib

import numpy as np

from .data import NPDT


class Missing(Exception):
    pass


class HarnessTimeout(BaseException):
    pass


class FW:
    def __init__(self, name):
        self.m = importlib.import_module(name)
        self.name = name
        self.mode = None
        self.Tensor = getattr(self.m, "Tensor", None)
        self._dn = {}

    # ---- names
    def resolve(self, path):
        o = self.m
        parts = path.split(".")
        for i, p in enumerate(parts):
            try:
                o = getattr(o, p)
            except AttributeError:
                try:
                    o = importlib.import_module(".".join([self.name] + parts[: i + 1]))
                except Exception:
                    raise Missing(f"'{path}' not found in module '{self.name}'") from None
        return o

    def dtype(self, name):
        return self.resolve(name)

    def dtype_name(self, t):
        d = t.dtype
        try:
            if d in self._dn:
                return self._dn[d]
        except TypeError:
            pass
        for n in NPDT:
            v = getattr(self.m, n, None)
            if (v is not None and v is d) or (v is not None and v == d):
                break
        else:
            n = str(d).split(".")[-1]
        try:
            self._dn[d] = n
        except TypeError:
            pass
        return n

    def is_tensor(self, x):
        if self.Tensor is not None and isinstance(x, self.Tensor):
            return True
        return (
            self.Tensor is None
            and hasattr(x, "dtype")
            and hasattr(x, "shape")
            and not isinstance(x, np.generic)
        )

    # ---- numpy in and out
    def _mk(self, a, dt):
        m = self.m

        def v1():
            return m.from_numpy(a.copy())

        def v2():
            return m.tensor(a)

        def v3():
            return m.tensor(a, dtype=getattr(m, dt))

        def v4():
            return m.tensor(a.tolist(), dtype=getattr(m, dt)).reshape(a.shape)

        modes = [v1, v2, v3, v4]
        if self.mode is not None:
            try:
                t = modes[self.mode]()
                if self.dtype_name(t) == dt and tuple(t.shape) == a.shape:
                    return t
            except Exception:
                pass
        err = None
        for i, v in enumerate(modes):
            try:
                t = v()
                if self.dtype_name(t) != dt or tuple(t.shape) != a.shape:
                    err = RuntimeError(
                        f"building a {dt} tensor of shape {a.shape} gave {t.dtype} {tuple(t.shape)}"
                    )
                    continue
                if self.mode is None:
                    self.mode = i
                return t
            except Exception as e:
                err = err or e
        raise RuntimeError(f"cannot build {dt} tensor from numpy: {type(err).__name__}: {err}")

    def make(self, a, dt, perm=None):
        if perm is not None:
            a = np.ascontiguousarray(a.transpose(perm))
        t = (
            self._mk(a, "float32").to(self.dtype("bfloat16"))
            if dt == "bfloat16"
            else self._mk(a, dt)
        )
        if perm is not None:
            inv = [0] * len(perm)
            for i, p in enumerate(perm):
                inv[p] = i
            t = t.permute(*inv)
        return t

    def numpy(self, t):
        if getattr(t, "requires_grad", False):
            t = t.detach()
        for f in ("resolve_conj", "resolve_neg"):
            if hasattr(t, f):
                t = getattr(t, f)()
        dn = self.dtype_name(t)
        if dn == "bfloat16":
            t = t.to(self.dtype("float32"))
        return np.asarray(t.numpy()), dn


class Decoder:
    def __init__(self, fw, arch, grads):
        self.fw, self.arch, self.grads = fw, arch, grads
        self.tensors = {}
        self.rg = {}

    def __call__(self, x):
        if x is None or isinstance(x, (bool, int, float, str)):
            return x
        if isinstance(x, list):
            return [self(v) for v in x]
        k = next(iter(x))
        if k == "$t":
            i = x["i"]
            if i not in self.tensors:
                a, dt = self.arch.get(x["$t"])
                t = self.fw.make(a, dt, x.get("p"))
                if x.get("rg"):
                    self.rg[i] = t
                    if self.grads:
                        t.requires_grad_()
                self.tensors[i] = t
            return self.tensors[i]
        v = x[k]
        if k == "$tu":
            return tuple(self(e) for e in v)
        if k == "$size":
            S = getattr(self.fw.m, "Size", tuple)
            return S(v)
        if k == "$d":
            return {self(a) if not isinstance(a, str) else a: self(b) for a, b in v}
        if k == "$f":
            return float(v)
        if k == "$c":
            return complex(float(v[0]), float(v[1]))
        if k == "$sl":
            return slice(*[self(e) for e in v])
        if k == "$e":
            return Ellipsis
        if k in ("$dt", "$ly", "$mf", "$fn"):
            return self.fw.resolve(v)
        if k == "$dev":
            return self.fw.resolve("device")(v)
        if k == "$np":
            return self.arch.get(v)[0]
        if k == "$range":
            return range(*v)
        if k == "$ps":
            return self.fw.resolve("nn.utils.rnn.PackedSequence")(*[self(e) for e in v])
        if k == "$mod":
            kw = {a: self(b) for a, b in v[2].items()}
            mod = self.fw.resolve(v[0])(*[self(e) for e in v[1]], **kw)
            return mod
        raise RuntimeError("unknown encoding " + k)


def flatten(x, out=None):
    if out is None:
        out = []
    if isinstance(x, (list, tuple)):
        for v in x:
            flatten(v, out)
    elif isinstance(x, dict):
        for k in sorted(x):
            flatten(x[k], out)
    else:
        out.append(x)
    return out
