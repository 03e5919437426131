"""Running one case of any kind, within its time."""

from __future__ import annotations

import os
import signal

from .calls import run_error, run_value, short
from .framework import HarnessTimeout
from .modules import run_module, run_module_error
from .optimisers import run_optim, run_optim_error, run_sched

CASE_TIMEOUT = float(os.environ.get("CONFORMANCE_CASE_SECONDS", 5.0))  # per case


RUNNERS = {
    "value": run_value,
    "error": run_error,
    "module": run_module,
    "module_error": run_module_error,
    "optim": run_optim,
    "optim_error": run_optim_error,
    "sched": run_sched,
}


def run_case(fw, arch, c, timeout=CASE_TIMEOUT):
    res = {"id": c["id"], "feat": c["feat"], "dtype": c["dtype"], "ok": False}

    def on_alarm(*_):
        raise HarnessTimeout()

    old = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, timeout)
    try:
        RUNNERS[c["kind"]](fw, arch, c, res)
    except HarnessTimeout:
        res.update(ok=False, cat="timeout", msg="case took too long")
        if "grad" in c:
            res["grad"] = False
    except Exception as e:  # harness-level surprise: still a failure of the case, with the reason
        res.update(ok=False, cat="exception", msg=short(e))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    if "grad" in c and "grad" not in res:
        res["grad"] = False
        res.setdefault("gmsg", res.get("msg", ""))
    return res
