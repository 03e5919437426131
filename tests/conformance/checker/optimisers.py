"""Cases of optimisers and of schedules of learning rates."""

from __future__ import annotations

import numpy as np

from .calls import check_error, exc_result, short
from .comparison import Bad, close
from .framework import Decoder, HarnessTimeout


def make_params(fw, arch, ks):
    ps = []
    P = getattr(getattr(fw.m, "nn", None), "Parameter", None)
    for k in ks:
        t = fw.make(*arch.get(k))
        ps.append(P(t) if P is not None else t.requires_grad_())
    return ps


def make_optim(fw, c, dec, ps):
    cls = fw.resolve(c["path"])
    kw = {k: dec(v) for k, v in c["kwargs"].items()}
    if c.get("groups"):
        groups = [
            dict({"params": [ps[i] for i in ids]}, **{k: dec(v) for k, v in gk.items()})
            for ids, gk in c["groups"]
        ]
        return cls(groups, **kw)
    return cls(ps, **kw)


def quartic(ps, targets):
    loss = None
    for p, t in zip(ps, targets):
        d = p - t
        s = (d * d * (d * d * 0.1 + 1.0)).sum()
        loss = s if loss is None else loss + s
    return loss


def run_optim(fw, arch, c, res):
    dec = Decoder(fw, arch, False)
    try:
        ps = make_params(fw, arch, c["params"])
        opt = make_optim(fw, c, dec, ps)
        for step in range(c["steps"]):
            if c.get("reload") and step == 2:
                sd = opt.state_dict()
                opt = make_optim(fw, c, dec, ps)
                opt.load_state_dict(sd)
            if c.get("closure"):
                targets = [fw.make(*arch.get(k)) for k in c["targets"]]

                def closure(opt=opt, targets=targets):
                    opt.zero_grad()
                    loss = quartic(ps, targets)
                    loss.backward()
                    return loss

                opt.step(closure)
            else:
                for p, k in zip(ps, c["grads"][step]):
                    p.grad = fw.make(*arch.get(k))
                opt.step()
            for n, (p, k) in enumerate(zip(ps, c["expect"][step])):
                a, dn = fw.numpy(p)
                e, edt = arch.get(k)
                if dn != edt:
                    raise Bad("dtype", f"parameter {n} became {dn}")
                close(a, e, c["rtol"], c["atol"], False, f"parameter {n} after step {step + 1}")
        res["ok"] = True
    except (Exception, HarnessTimeout) as e:
        res["ok"] = False
        res["cat"], res["msg"] = exc_result(e)


def run_optim_error(fw, arch, c, res):
    dec = Decoder(fw, arch, False)
    err = None
    try:
        cls = fw.resolve(c["path"])
        ps = make_params(fw, arch, c["params"])
        kw = {k: dec(v) for k, v in c["kwargs"].items()}
    except (Exception, HarnessTimeout) as e:
        res.update(ok=False, cat="setup", msg="arguments cannot be built: " + short(e))
        return
    try:
        cls(ps, **kw)
    except (Exception, HarnessTimeout) as e:
        err = e
    check_error(c, res, err)


def make_sched(fw, opt, spec):
    path, kw = spec
    cls = fw.resolve("optim.lr_scheduler." + path)
    kw = dict(kw)
    for k, v in list(kw.items()):
        if k == "schedulers":
            kw[k] = [make_sched(fw, opt, s) for s in v]
        elif isinstance(v, dict) and "$lambda" in v:
            b = v["$lambda"]
            kw[k] = lambda n, b=b: b**n
    if path == "SequentialLR":
        return cls(opt, **kw)
    if path == "ChainedScheduler":
        return cls(kw.pop("schedulers"), optimizer=opt)
    return cls(opt, **kw)


def run_sched(fw, arch, c, res):
    try:
        ps = make_params(fw, arch, c["params"])
        SGD = fw.resolve("optim.SGD")
        opt = SGD([{"params": [ps[0]]}, {"params": [ps[1]], "lr": 0.05}], lr=0.5, momentum=0.9)
        s = make_sched(fw, opt, c["sched"])
        seq = [[float(g["lr"]) for g in opt.param_groups]]
        for i in range(c["steps"]):
            for p, k in zip(ps, c["params"]):
                p.grad = fw.make(*arch.get(k))
            opt.step()
            if c.get("metrics"):
                s.step(c["metrics"][i])
            else:
                s.step()
            seq.append([float(g["lr"]) for g in opt.param_groups])
        for i, (a, e) in enumerate(zip(seq, c["expect"])):
            if not np.allclose(a, e, rtol=1e-6, atol=1e-9):
                raise Bad("value", f"learning rates after {i} steps: got {a}, expected {e}")
        res["ok"] = True
    except (Exception, HarnessTimeout) as e:
        res["ok"] = False
        res["cat"], res["msg"] = exc_result(e)
