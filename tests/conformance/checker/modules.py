"""Cases of `nn` modules: their state, outputs, buffers and gradients."""

from __future__ import annotations

import json

from .calls import autograd_grad, check_error, exc_result, select_diff, short
from .comparison import Bad, close, compare_grads, compare_outputs
from .framework import Decoder, HarnessTimeout


def build_module(fw, arch, c, dec):
    cls = fw.resolve(c["path"])
    mod = cls(*[dec(a) for a in c["cargs"]], **{k: dec(v) for k, v in c["ckwargs"].items()})
    return mod


def run_module(fw, arch, c, res):
    g = c.get("grad")
    dec = Decoder(fw, arch, bool(g))
    try:
        mod = build_module(fw, arch, c, dec)
        if c["dtype"] != "float32" or "$t" in json.dumps([c["cargs"], c["ckwargs"]]):
            mod = mod.to(fw.dtype(c["dtype"]))
        mod.train(c["training"])
        args = [dec(a) for a in c["args"]]
        kw = {k: dec(v) for k, v in c["kwargs"].items()}
        if c.get("lazy"):
            mod(*args, **kw)
        sd = mod.state_dict()
        want = {k: tuple(arch.table[v][2]) for k, v in c["state"]}
        have = {k: tuple(v.shape) for k, v in sd.items()}
        if want != have:
            d = [k for k in want if want[k] != have.get(k)] + [k for k in have if k not in want]
            raise Bad("state", f"state_dict differs from torch's at {d[:4]}")
        if list(want) != list(have):
            raise Bad("state", "state_dict keys are in another order")
        if want:
            mod.load_state_dict({k: fw.make(*arch.get(v)) for k, v in c["state"]})
        out = mod(*args, **kw)
        compare_outputs(fw, arch, c, out, dec)
        sd = mod.state_dict()
        for k, v in c["state_after"]:
            e, _ = arch.get(v)
            a, _ = fw.numpy(sd[k])
            close(
                a, e, max(c["rtol"], 1e-6), max(c["atol"], 1e-6), True, f"buffer {k} after forward"
            )
        res["ok"] = True
    except (Exception, HarnessTimeout) as e:
        res["ok"] = False
        res["cat"], res["msg"] = exc_result(e)
    if g:
        try:
            if not res["ok"]:
                raise Bad("grad", "forward failed: " + res["msg"])
            sel = select_diff(out, g)
            params = dict(mod.named_parameters())
            leaves, exp = [], []
            for n, k in g["params"]:
                leaves.append(params[n])
                exp.append((n, k))
            for lab, i, k in g["inputs"]:
                leaves.append(dec.tensors[i])
                exp.append((lab, k))
            gs = autograd_grad(fw, sel, leaves, g["outs"])
            compare_grads(fw, arch, gs, exp, g)
            res["grad"] = True
        except (Exception, HarnessTimeout) as e:
            res["grad"] = False
            res["gcat"], res["gmsg"] = exc_result(e)


def run_module_error(fw, arch, c, res):
    err = None
    dec = Decoder(fw, arch, False)
    try:
        cls = fw.resolve(c["path"])
        ca = [dec(a) for a in c["cargs"]]
        ck = {k: dec(v) for k, v in c["ckwargs"].items()}
        args = [dec(a) for a in c["args"]]
        kw = {k: dec(v) for k, v in c["kwargs"].items()}
    except (Exception, HarnessTimeout) as e:
        res.update(ok=False, cat="setup", msg="arguments cannot be built: " + short(e))
        return
    try:
        mod = cls(*ca, **ck)
        if c["error_on"] == "forward":
            if c["dtype"] != "float32":
                mod = mod.to(fw.dtype(c["dtype"]))
            mod(*args, **kw)
    except (Exception, HarnessTimeout) as e:
        err = e
    check_error(c, res, err)
