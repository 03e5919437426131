"""Running all cases in processes that may hang or crash."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
import warnings
import zipfile

import numpy as np

from .calls import short
from .cases import CASE_TIMEOUT, run_case
from .data import Archive
from .framework import FW

CHECK = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "check.py")
MAX_ABORTS = 3  # after so many hangs, crashes or timeouts the rest of an op counts as failed


def wanted(c, dts):
    return not dts or c["dtype"] in dts or c["dtype"] == "any"


def worker(module, data, dts):
    proto = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever the framework prints must not disturb the protocol
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    try:
        fw = FW(module)
    except BaseException as e:
        proto.write(json.dumps({"fatal": short(e)}) + "\n")
        return
    m = fw.m
    if hasattr(m, "set_num_threads"):
        try:
            m.set_num_threads(1)
        except Exception:
            pass
    proto.write(json.dumps({"ready": 1}) + "\n")
    for line in sys.stdin:
        line = line.rstrip("\n")
        if not line:
            continue
        op, start = line.split("\t")
        arch = Archive(os.path.join(data, op + ".zip"))
        slow = 0
        for n, c in enumerate(arch.cases):
            if n < int(start) or not wanted(c, dts):
                continue
            if slow >= MAX_ABORTS:
                r = {
                    "id": c["id"],
                    "feat": c["feat"],
                    "dtype": c["dtype"],
                    "ok": False,
                    "cat": "timeout",
                    "msg": "not run: earlier cases of this op took too long",
                }
                if "grad" in c:
                    r.update(grad=False, gcat="timeout", gmsg=r["msg"])
                proto.write(json.dumps({"start": n}) + "\n" + json.dumps({"res": r}) + "\n")
                continue
            proto.write(json.dumps({"start": n}) + "\n")
            r = run_case(fw, arch, c)
            slow += "timeout" in (r.get("cat"), r.get("gcat"))
            proto.write(json.dumps({"res": r}) + "\n")
        proto.write(json.dumps({"done": op}) + "\n")


class Proc:
    def __init__(self, module, data, dts):
        env = dict(
            os.environ,
            OMP_NUM_THREADS="1",
            OPENBLAS_NUM_THREADS="1",
            MKL_NUM_THREADS="1",
            PYTHONFAULTHANDLER="0",
        )
        env["PYTHONPATH"] = os.getcwd() + os.pathsep + env.get("PYTHONPATH", "")
        self.p = subprocess.Popen(
            [sys.executable, CHECK, "--worker", "--module", module, "--data", data]
            + [x for d in dts or () for x in ("--dtype", d)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=env,
        )
        self.buf = b""
        self.op = None
        self.case = None
        self.last = time.time()
        self.ready = False

    def send(self, op, start):
        self.op, self.start, self.case = op, start, None
        self.last = time.time()
        try:
            self.p.stdin.write(f"{op}\t{start}\n".encode())
            self.p.stdin.flush()
        except BrokenPipeError:
            pass

    def lines(self):
        """-> list of events; None at end of file"""
        d = os.read(self.p.stdout.fileno(), 1 << 16)
        if not d:
            return None
        self.buf += d
        *ls, self.buf = self.buf.split(b"\n")
        self.last = time.time()
        return [json.loads(x) for x in ls if x.strip()]

    def kill(self):
        try:
            self.p.kill()
        except Exception:
            pass
        self.p.wait()


def run_all(module, data, ops, procs, verbose, dts=None):
    """-> {op: [case results]}"""
    results = {op: {} for op in ops}
    aborts = dict.fromkeys(ops, 0)
    ncases, metas = {}, {}
    for op in ops:
        with zipfile.ZipFile(os.path.join(data, op + ".zip")) as z:
            ls = z.read("cases.jsonl").decode().splitlines()
        metas[op] = [
            {k: c[k] for k in ("id", "feat", "dtype")} | ({"grad": 1} if "grad" in c else {})
            if wanted(c, dts)
            else None
            for c in map(json.loads, ls[1:])
        ]
        ncases[op] = len(metas[op])
    queue = [(op, 0) for op in sorted(ops, key=lambda o: -ncases[o])]
    queue.reverse()
    workers = []
    startfail = 0
    t0 = time.time()
    done = 0

    def fail(op, n, cat, msg):
        mt = metas[op][n]
        r = {
            "id": mt["id"],
            "feat": mt["feat"],
            "dtype": mt["dtype"],
            "ok": False,
            "cat": cat,
            "msg": msg,
        }
        if "grad" in mt:
            r.update(grad=False, gcat=cat, gmsg=msg)
        results[op][n] = r

    def lost(w, cat, msg):
        """worker died or hung in op w.op"""
        op = w.op
        if op is None:
            return
        n = w.case if w.case is not None else w.start
        while n < ncases[op] and (metas[op][n] is None or n in results[op]):
            n += 1
        if n < ncases[op]:
            fail(op, n, cat, msg)
        aborts[op] += 1
        if aborts[op] >= MAX_ABORTS:
            for k in range(n + 1, ncases[op]):
                if k not in results[op] and metas[op][k] is not None:
                    fail(op, k, cat, "not run: " + msg + " in earlier cases of this op")
            return
        if n + 1 < ncases[op]:
            queue.append((op, n + 1))

    while queue or any(w.op is not None for w in workers):
        while (
            len(workers) < procs
            and (queue or any(w.op for w in workers))
            and len(workers) < len(queue) + len([w for w in workers if w.op])
        ):
            workers.append(Proc(module, data, dts))
        for w in workers:
            if w.ready and w.op is None and queue:
                w.send(*queue.pop())
        fds = {w.p.stdout.fileno(): w for w in workers}
        rd, _, _ = select.select(list(fds), [], [], 0.5)
        dead = []
        for fd in rd:
            w = fds[fd]
            evs = w.lines()
            if evs is None:
                rc = w.p.wait()
                if not w.ready:
                    startfail += 1
                    if startfail > 3:
                        sys.exit(f"workers cannot start (exit status {rc})")
                lost(w, "crash", f"process died (status {rc})")
                dead.append(w)
                continue
            for ev in evs:
                if "fatal" in ev:
                    for x in workers:
                        x.kill()
                    sys.exit(f"cannot import module '{module}': {ev['fatal']}")
                if "ready" in ev:
                    w.ready = True
                elif "start" in ev:
                    w.case = ev["start"]
                elif "res" in ev:
                    results[w.op][w.case] = ev["res"]
                elif "done" in ev:
                    w.op = None
                    done += 1
                    if verbose and done % 50 == 0:
                        print(
                            f"  {done}/{len(ops)} ops, {time.time() - t0:.0f} s",
                            file=sys.stderr,
                            flush=True,
                        )
        for w in workers:
            if w in dead:
                continue
            limit = 3 * CASE_TIMEOUT if w.ready else 120
            if (w.op is not None or not w.ready) and time.time() - w.last > limit:
                w.kill()
                if not w.ready:
                    startfail += 1
                    if startfail > 3:
                        sys.exit("workers cannot start (import hangs)")
                lost(w, "timeout", "process hung")
                dead.append(w)
        workers = [w for w in workers if w not in dead]
    for w in workers:
        try:
            w.p.stdin.close()
        except Exception:
            pass
        w.kill()
    return {op: [results[op][n] for n in sorted(results[op])] for op in ops}
