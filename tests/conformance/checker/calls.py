"""Cases that call an operation, with gradients; and what every kind of case says of errors."""

from __future__ import annotations

import operator
import re

import numpy as np

from .comparison import Bad, close, compare_grads, compare_outputs
from .data import cotangent
from .framework import Decoder, HarnessTimeout, Missing, flatten


def do_call(fw, c, dec):
    """-> (output, tensor that must hold the result in place or None)"""
    call, path = c["call"], c["path"]
    args = [dec(a) for a in c["args"]]
    kw = {k: dec(v) for k, v in c["kwargs"].items()}
    if call == "function":
        try:
            f = fw.resolve(path)
        except Missing:
            if "." not in path and args and fw.is_tensor(args[0]) and hasattr(args[0], path):
                f = getattr(fw.Tensor, path)
            else:
                raise
        return f(*args, **kw), None
    if call == "operator":
        if path.startswith("i") and path in (
            "iadd",
            "isub",
            "imul",
            "itruediv",
            "ifloordiv",
            "ipow",
            "iand",
            "ior",
            "ixor",
            "imod",
            "ilshift",
            "irshift",
            "imatmul",
        ):
            x = args[0].clone()
            return getattr(operator, path)(x, *args[1:]), None
        return getattr(operator, path)(*args, **kw), None
    if call == "setitem":
        x = args[0].clone()
        x[args[1]] = args[2]
        return x, None
    if call == "property":
        if not hasattr(type(args[0]), path) and not hasattr(args[0], path):
            raise Missing(f"tensor has no attribute '{path}'")
        return getattr(args[0], path), None
    if call == "method":
        if not hasattr(args[0], path):
            raise Missing(f"tensor has no method '{path}'")
        return getattr(args[0], path)(*args[1:], **kw), None
    if call == "inplace":
        if not hasattr(args[0], path):
            raise Missing(f"tensor has no method '{path}'")
        x = args[0].clone()
        r = getattr(x, path)(*args[1:], **kw)
        return r, x
    if call == "out":
        f = fw.resolve(path)
        o = []
        for e in c["expect"]:
            a, dt = dec.arch.get(e["t"])
            o.append(fw.make(np.zeros_like(a), dt))
        f(*args, out=o[0] if len(o) == 1 and not c.get("outseq") else tuple(o), **kw)
        return (o[0] if len(o) == 1 else tuple(o)), None
    raise RuntimeError("call kind " + call)


def autograd_grad(fw, outs, leaves, idxs, create_graph=False):
    cots = []
    for o, n in zip(outs, idxs):
        dn = fw.dtype_name(o)
        cots.append(fw.make(cotangent(tuple(o.shape), n, dn), dn))
    ag = getattr(fw.m, "autograd", None)
    if ag is not None and hasattr(ag, "grad"):
        if create_graph:
            return ag.grad(outs, leaves, grad_outputs=cots, allow_unused=True, create_graph=True)
        return ag.grad(outs, leaves, grad_outputs=cots, allow_unused=True)
    if create_graph:
        raise Missing("autograd.grad not found")
    if ag is not None and hasattr(ag, "backward"):
        ag.backward(outs, cots)
    else:
        loss = None
        for o, ct in zip(outs, cots):
            s = (o * ct).sum()
            loss = s if loss is None else loss + s
        loss.backward()
    return [t.grad for t in leaves]


def short(e):
    s = str(e).strip().split("\n")[0]
    return f"{type(e).__name__}: {s[:200]}"


def exc_result(e):
    if isinstance(e, Bad):
        return e.cat, e.msg
    if isinstance(e, Missing):
        return "missing", str(e)
    if isinstance(e, HarnessTimeout):
        return "timeout", "case took too long"
    return "exception", short(e)


def select_diff(outs, g):
    flat = flatten(outs)
    sel = [flat[i] for i in g["outs"]]
    if g.get("square"):
        sel = [o * o for o in sel]
    return sel


def run_value(fw, arch, c, res):
    g = c.get("grad")
    dec = Decoder(fw, arch, bool(g))
    try:
        out, inplace = do_call(fw, c, dec)
        compare_outputs(fw, arch, c, out, dec)
        if inplace is not None:
            compare_outputs(fw, arch, dict(c, fields=()), inplace, dec)
        for i, k in c.get("mutated", {}).items():
            a, _ = fw.numpy(dec.tensors[int(i)])
            e, _ = arch.get(k)
            close(
                a, e, c.get("rtol", 0), c.get("atol", 0), True, f"argument {i} (updated in place)"
            )
        if c.get("alias"):
            al = c["alias"]
            t = flatten(out)[0]
            nog = getattr(fw.m, "no_grad", None)
            if nog:
                with nog():
                    t.fill_(al["v"])
            else:
                t.fill_(al["v"])
            a, _ = fw.numpy(dec.tensors[al["i"]])
            e, _ = arch.get(al["base"])
            if not np.array_equal(a, e):
                raise Bad(
                    "alias",
                    "writing to the result does not change the input as it should "
                    "(or changes other elements)",
                )
        res["ok"] = True
    except (Exception, HarnessTimeout) as e:
        res["ok"] = False
        res["cat"], res["msg"] = exc_result(e)
    if g:
        try:
            if not res["ok"]:
                # it may fail only because of requires_grad; either way there is no gradient
                raise Bad("grad", "forward failed: " + res["msg"])
            sel = select_diff(out, g)
            ids = [i for _, i, _ in g["inputs"]]
            g2 = c.get("grad2")
            lv = [dec.tensors[i] for i in ids]
            gs = autograd_grad(fw, sel, lv, g["outs"], bool(g2))
            compare_grads(fw, arch, gs, [(lab, k) for lab, _, k in g["inputs"]], g)
            if g2:
                hs = autograd_grad(fw, [gs[j] for j in g2["of"]], lv, [100 + j for j in g2["of"]])
                compare_grads(
                    fw, arch, hs, [("gradient of " + lab, k) for lab, _, k in g2["inputs"]], g2
                )
            res["grad"] = True
        except (Exception, HarnessTimeout) as e:
            res["grad"] = False
            res["gcat"], res["gmsg"] = exc_result(e)
            if not res["ok"] and res.get("cat") != "timeout":
                # try the forward alone: a missing backward is not to hide a right forward
                try:
                    c2 = dict(c)
                    c2.pop("grad")
                    r2 = {}
                    run_value(fw, arch, c2, r2)
                    if r2["ok"]:
                        res["ok"] = True
                        res["gcat"], res["gmsg"] = (
                            "grad",
                            "fails only with requires_grad: " + res.pop("msg"),
                        )
                        res.pop("cat", None)
                except (Exception, HarnessTimeout):
                    pass


BUILTIN_EXC = {
    "RuntimeError": RuntimeError,
    "ValueError": ValueError,
    "IndexError": IndexError,
    "TypeError": TypeError,
    "NotImplementedError": NotImplementedError,
    "AssertionError": AssertionError,
    "AttributeError": AttributeError,
    "OverflowError": OverflowError,
    "KeyError": KeyError,
    "ImportError": ImportError,
    "ZeroDivisionError": ZeroDivisionError,
    "LinAlgError": RuntimeError,
}


CLEAR = (RuntimeError, ValueError, IndexError, TypeError)


def check_error(c, res, e):
    if e is None:
        res.update(ok=False, cat="noerror", msg=f"no error raised, expected {c['etype']}")
        return
    if isinstance(e, Missing):
        res.update(ok=False, cat="missing", msg=str(e))
        return
    if isinstance(e, HarnessTimeout):
        res.update(ok=False, cat="timeout", msg="case took too long")
        return
    text = str(e)
    typ_ok = isinstance(e, BUILTIN_EXC.get(c["etype"], RuntimeError))
    clear = isinstance(e, CLEAR) and bool(text.strip())
    res["etype_ok"] = bool(typ_ok)
    res["clear"] = bool(clear)
    try:
        res["regex_ok"] = bool(re.search(c["regex"], text)) if c.get("regex") else True
    except re.error:
        res["regex_ok"] = c.get("regex") in text
    res["ok"] = bool(typ_ok and text.strip())
    if not res["ok"]:
        res["cat"], res["msg"] = "wrongerror", f"raised {short(e)}, expected {c['etype']}"


def run_error(fw, arch, c, res):
    err = None
    try:
        dec = Decoder(fw, arch, True)
        args = c["args"]
        kw = c["kwargs"]
        # arguments that cannot be built are the harness's or framework's fault, not a "clear error"
        a2 = [dec(a) for a in args]
        k2 = {k: dec(v) for k, v in kw.items()}
    except (Exception, HarnessTimeout) as e:
        res.update(ok=False, cat="setup", msg="arguments cannot be built: " + short(e))
        return
    try:
        dec2 = lambda x: x  # noqa: E731
        cc = dict(c, args=a2, kwargs=k2)
        do_call(fw, cc, dec2)
    except (Exception, HarnessTimeout) as e:
        err = e
    check_error(c, res, err)
