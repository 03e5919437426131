"""The machine: its name, and its peaks as measured here, for the floors of the tables."""

from __future__ import annotations

import ctypes
import os
import platform
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

LANES = 12  # independent sums: latency of a multiply-add times units, with room
SIZES = (256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20, 256 << 20)  # bytes in all three arrays


def _text(width: int) -> str:
    """LLVM IR: `fma(p, n)` does n rounds of LANES multiply-adds, `triad(a, b, c, n)` a = b + 3c."""
    v = f"<{width} x float>"
    out = [f"declare {v} @llvm.fma.v{width}f32({v}, {v}, {v})"]
    out.append(f"define void @fma(ptr %p, i64 %n) {{\nentry:\n  %x = load {v}, ptr %p, align 4")
    out.append("  br label %loop\nloop:\n  %i = phi i64 [0, %entry], [%i1, %loop]")
    for k in range(LANES):
        out.append(f"  %a{k} = phi {v} [%x, %entry], [%b{k}, %loop]")
    for k in range(LANES):
        out.append(f"  %b{k} = call {v} @llvm.fma.v{width}f32({v} %a{k}, {v} %x, {v} %x)")
    out.append("  %i1 = add i64 %i, 1\n  %more = icmp slt i64 %i1, %n")
    out.append("  br i1 %more, label %loop, label %end\nend:")
    for k in range(LANES):
        out.append(f"  %q{k} = getelementptr {v}, ptr %p, i64 {k}")
        out.append(f"  store {v} %b{k}, ptr %q{k}, align 4")
    out.append("  ret void\n}")
    three = ", ".join(["float 3.0"] * width)
    out.append(
        f"""define void @triad(ptr %a, ptr %b, ptr %c, i64 %n, i64 %times) {{
entry:
  br label %again
again:
  %t = phi i64 [0, %entry], [%t1, %done]
  br label %loop
loop:
  %i = phi i64 [0, %again], [%i1, %loop]
  %pa = getelementptr float, ptr %a, i64 %i
  %pb = getelementptr float, ptr %b, i64 %i
  %pc = getelementptr float, ptr %c, i64 %i
  %vb = load {v}, ptr %pb, align 4
  %vc = load {v}, ptr %pc, align 4
  %m = fmul {v} %vc, <{three}>
  %s = fadd {v} %vb, %m
  store {v} %s, ptr %pa, align 4
  %i1 = add i64 %i, {width}
  %more = icmp slt i64 %i1, %n
  br i1 %more, label %loop, label %done
done:
  %t1 = add i64 %t, 1
  %rest = icmp slt i64 %t1, %times
  br i1 %rest, label %again, label %end
end:
  ret void
}}"""
    )
    return "\n".join(out)


def _compile() -> tuple[int, Any, Any, Any]:
    """The vector width, the two functions, and what keeps them alive.

    Compiled here rather than by Facula's own code generator, which is what the peaks judge.
    """
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    found = llvm.get_host_cpu_features()
    width = 16 if found.get("avx512f") else 8 if found.get("avx2") else 4
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=found.flatten(), opt=3, jit=True
    )
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(_text(width)), machine)
    engine.finalize_object()
    p, i = ctypes.c_void_p, ctypes.c_int64
    fma = ctypes.CFUNCTYPE(None, p, i)(engine.get_function_address("fma"))
    triad = ctypes.CFUNCTYPE(None, p, p, p, i, i)(engine.get_function_address("triad"))
    return width, fma, triad, engine


def _together(threads: int, work: Callable[[int], None]) -> float:
    """Seconds that all threads together take for their parts."""
    gate = threading.Barrier(threads)
    begins, ends = [0.0] * threads, [0.0] * threads

    def part(t: int) -> None:
        gate.wait()
        begins[t] = time.perf_counter()
        work(t)
        ends[t] = time.perf_counter()

    others = [threading.Thread(target=part, args=(t,)) for t in range(1, threads)]
    for other in others:
        other.start()
    part(0)
    for other in others:
        other.join()
    return max(ends) - min(begins)


def measure_peaks(threads: int, tries: int = 30) -> dict[str, Any]:
    """Multiply-adds in GFLOP/s, and reading and writing in GB/s by the size of what is touched."""
    width, fma, triad, _engine = _compile()
    rounds = 2_000_000
    places = [np.full(LANES * width, 0.5, np.float32) for _ in range(threads)]

    def compute(t: int) -> None:
        places[t].fill(0.5)
        fma(places[t].ctypes.data, rounds)

    compute(0)
    seconds = min(_together(threads, compute) for _ in range(tries))
    peak = 2.0 * LANES * width * rounds * threads / seconds / 1e9

    bandwidth = {}
    for size in SIZES:
        count = size // 12 // threads // width * width
        arrays = [[np.ones(count, np.float32) for _ in range(3)] for _ in range(threads)]
        repeat = max(1, (256 << 20) // size)

        def stream(t: int, arrays: Any = arrays, repeat: int = repeat, count: int = count) -> None:
            a, b, c = (x.ctypes.data for x in arrays[t])
            triad(a, b, c, count, repeat)

        seconds = min(_together(threads, stream) for _ in range(tries))
        bandwidth[size] = 12.0 * count * threads * repeat / seconds / 1e9
    return {"gflops": peak, "bandwidth": bandwidth}


def floor(flops: float, traffic: float, peaks: dict[str, Any]) -> float:
    """The least time in seconds: the arithmetic or the traffic, whichever takes longer."""
    sizes = sorted(peaks["bandwidth"], key=int)
    fitting = [s for s in sizes if int(s) >= traffic] or sizes[-1:]
    speed = peaks["bandwidth"][fitting[0]]
    return max(flops / peaks["gflops"], traffic / speed) / 1e9


def describe(threads: int) -> dict[str, Any]:
    """What the tables say about the machine."""
    return {
        "processor": _processor(),
        "processors": os.cpu_count(),
        "threads": threads,
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def _processor() -> str:
    """The processor's name, with family and model where the system knows them."""
    facts = {}
    try:
        with open("/proc/cpuinfo") as info:
            for line in info:
                if not line.strip():
                    break
                key, _, text = line.partition(":")
                facts[key.strip()] = text.strip()
    except OSError:
        pass
    if "model name" not in facts:
        return platform.processor() or platform.machine()
    numbers = f"family {facts.get('cpu family')}, model {facts.get('model')}"
    return f"{facts['model name']} ({numbers})"
