"""What the results add up to, and the tables that show it."""

from __future__ import annotations

SIDE = [
    "method",
    "inplace",
    "operator",
    "out",
    "othername",
    "writethrough",
    "strided",
    "extremal",
    "gradgrad",
]


GROUPS = [
    "pointwise",
    "reduction",
    "shape",
    "indexing",
    "linalg",
    "fft",
    "nn.functional",
    "special",
    "creation",
    "random",
    "other",
    "nn.Module",
    "optim",
    "lr_scheduler",
]


def pct(a, b):
    return f"{100.0 * a / b:5.1f}%" if b else "    - "


def summarise(results, index, usage):
    ops = {}
    for op, rs in results.items():
        info = index[op]
        fw_ = [r for r in rs if r["feat"] == "fwd"]
        gr = [r for r in rs if "grad" in r and r["feat"] == "fwd"]
        er = [r for r in rs if r["feat"] == "error"]
        anyfwd = any(r["ok"] for r in fw_)
        o = {
            "group": info["group"],
            "weight": usage.get(info["name"], 1),
            "fwd": [sum(r["ok"] for r in fw_), len(fw_)],
            "grad": [sum(r["grad"] for r in gr), len(gr)],
            # an error only counts when the op does something right as well
            "error": [sum(r["ok"] for r in er) if (anyfwd or not fw_) else 0, len(er)],
            "error_clear": [
                sum(r.get("clear", False) for r in er) if (anyfwd or not fw_) else 0,
                len(er),
            ],
            "error_regex": [
                sum(r.get("regex_ok", False) and r["ok"] for r in er) if (anyfwd or not fw_) else 0,
                len(er),
            ],
            "side": {},
            "dtype": {},
            "fail": [],
            "counts": {},
        }
        for s in SIDE:
            x = [r for r in rs if r["feat"] == s]
            if x:
                o["side"][s] = [sum(r["ok"] and r.get("grad", True) for r in x), len(x)]
        for r in fw_:
            d = o["dtype"].setdefault(r["dtype"], [0, 0])
            d[0] += r["ok"]
            d[1] += 1
        for r in rs:
            if not r["ok"]:
                o["fail"].append([r["id"], r.get("cat", "?"), r.get("msg", "")])
                o["counts"][r.get("cat", "?")] = o["counts"].get(r.get("cat", "?"), 0) + 1
            elif r.get("grad") is False:
                o["fail"].append([r["id"], "grad", r.get("gmsg", "")])
                o["counts"]["grad"] = o["counts"].get("grad", 0) + 1
        ops[op] = o
    return ops


def full(p):
    return p[1] > 0 and p[0] == p[1]


def report(ops, out):
    w = out.write
    groups = [g for g in GROUPS if any(o["group"] == g for o in ops.values())]
    groups += sorted({o["group"] for o in ops.values()} - set(groups))
    head = (
        f"{'group':14s} {'ops':>5s} {'forward':>8s} {'':>7s} {'grad ops':>9s} {'grad':>6s} {'':>7s}"
        f" {'cases':>7s} {'passed':>7s} {'':>7s} {'errors':>7s} {'passed':>7s} {'':>7s}\n"
    )
    w(head + "-" * len(head) + "\n")
    tot = {}

    def row(name, sel):
        f = [o for o in sel if o["fwd"][1]]
        g = [o for o in sel if o["grad"][1]]
        nf, ng = sum(full(o["fwd"]) for o in f), sum(full(o["grad"]) for o in g)
        c0, c1 = sum(o["fwd"][0] for o in f), sum(o["fwd"][1] for o in f)
        e0, e1 = sum(o["error"][0] for o in sel), sum(o["error"][1] for o in sel)
        w(
            f"{name:14s} {len(f):5d} {nf:8d} {pct(nf, len(f)):>7s}"
            f" {len(g):9d} {ng:6d} {pct(ng, len(g)):>7s}"
            f" {c1:7d} {c0:7d} {pct(c0, c1):>7s} {e1:7d} {e0:7d} {pct(e0, e1):>7s}\n"
        )
        return {
            "ops": len(f),
            "forward_ops": nf,
            "grad_ops": len(g),
            "grad_pass": ng,
            "cases": c1,
            "cases_pass": c0,
            "error_cases": e1,
            "error_pass": e0,
        }

    for g in groups:
        tot[g] = row(g, [o for o in ops.values() if o["group"] == g])
    w("-" * len(head) + "\n")
    tot["all"] = row("all", list(ops.values()))
    sel = list(ops.values())
    f = [o for o in sel if o["fwd"][1]]
    g = [o for o in sel if o["grad"][1]]
    wf = sum(o["weight"] * full(o["fwd"]) for o in f)
    wft = sum(o["weight"] for o in f)
    wfc = sum(o["weight"] * o["fwd"][0] / o["fwd"][1] for o in f)
    wg = sum(o["weight"] * full(o["grad"]) for o in g)
    wgt = sum(o["weight"] for o in g)
    w(
        f"\nweighted by usage: forward {pct(wf, wft).strip()} of ops complete "
        f"(mean share of cases {pct(wfc, wft).strip()}), gradients {pct(wg, wgt).strip()}\n"
    )
    tot["weighted"] = {
        "forward": wf / wft if wft else None,
        "forward_cases": wfc / wft if wft else None,
        "grad": wg / wgt if wgt else None,
    }
    for lv, nm in ((3, "everyday"), (2, "common"), (1, "rare")):
        ff = [o for o in f if o["weight"] == lv]
        gg = [o for o in g if o["weight"] == lv]
        a, b = sum(full(o["fwd"]) for o in ff), sum(full(o["grad"]) for o in gg)
        w(
            f"  weight {lv} ({nm:8s}): forward {a}/{len(ff)} {pct(a, len(ff)).strip()}, "
            f"gradients {b}/{len(gg)} {pct(b, len(gg)).strip()}\n"
        )
        tot["weighted"][f"w{lv}"] = [a, len(ff), b, len(gg)]
    e1 = sum(o["error"][1] for o in sel)
    if e1:
        ec, er = sum(o["error_clear"][0] for o in sel), sum(o["error_regex"][0] for o in sel)
        w(
            f"\nerror cases: any clear error {ec}/{e1}, "
            f"right type {sum(o['error'][0] for o in sel)}/{e1}, "
            f"right type and message like torch's {er}/{e1}\n"
        )
        tot["error_clear"], tot["error_regex"] = ec, er
    w("\nother call forms (cases):\n")
    for s in SIDE:
        a = sum(o["side"].get(s, [0, 0])[0] for o in sel)
        b = sum(o["side"].get(s, [0, 0])[1] for o in sel)
        if b:
            w(f"  {s:12s} {a:6d}/{b:<6d} {pct(a, b)}\n")
            tot["side_" + s] = [a, b]
    w("\nforward by dtype (cases, then ops with all their cases of that dtype):\n")
    dts = sorted({d for o in sel for d in o["dtype"]})
    for d in dts:
        a = sum(o["dtype"].get(d, [0, 0])[0] for o in sel)
        b = sum(o["dtype"].get(d, [0, 0])[1] for o in sel)
        x = [o["dtype"][d] for o in sel if d in o["dtype"]]
        nx = sum(full(v) for v in x)
        w(f"  {d:10s} {a:6d}/{b:<6d} {pct(a, b)}   {nx:4d}/{len(x):<4d} {pct(nx, len(x))}\n")
        tot["dtype_" + d] = [a, b, nx, len(x)]
    cats = {}
    for o in sel:
        for k, v in o["counts"].items():
            cats[k] = cats.get(k, 0) + v
    if cats:
        w(
            "\nfailing cases by reason: "
            + ", ".join(f"{k} {v}" for k, v in sorted(cats.items(), key=lambda t: -t[1]))
            + "\n"
        )
    tot["reasons"] = cats
    bad = [(k, o) for k, o in ops.items() if o["fail"]]
    if bad:
        w(f"\n{len(bad)} ops with a failing case (weight, op, forward, grad, first reason):\n")
        for k, o in sorted(bad, key=lambda t: (-t[1]["weight"], t[0])):
            fid, cat, msg = o["fail"][0]
            w(
                f"  {o['weight']} {k:40s} {o['fwd'][0]:3d}/{o['fwd'][1]:<3d}"
                f" {o['grad'][0]:3d}/{o['grad'][1]:<3d} "
                f"[{fid.split('/', 1)[1]}] {cat}: {msg[:160]}\n"
            )
    return tot
