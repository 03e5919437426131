"""Tables from results: Markdown for people, and the lines of the project's README."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from benchmarks.machine import floor
from benchmarks.peers import PEERS, ROOT
from benchmarks.products import SHAPES, label
from benchmarks.steps import collect, medians, times
from benchmarks.workloads import WORKLOADS


def duration(seconds: float | None) -> str:
    """A time with three digits and its unit."""
    if seconds is None:
        return "-"
    for unit, factor in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= factor or unit == "µs":
            value = seconds / factor
            digits = 0 if value >= 100 else 1 if value >= 10 else 2
            return f"{value:.{digits}f} {unit}"
    raise AssertionError


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; all columns but the first are aligned to the right."""
    lines = ["| " + " | ".join(head) + " |"]
    lines.append("|---|" + "---:|" * (len(head) - 1))
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def heading(result: dict[str, Any]) -> str:
    """Where, when and with what the figures were taken."""
    m = result["machine"]
    versions = ", ".join(f"{PEERS[p]['title']} {v}" for p, v in result["versions"].items())
    lines = [
        f"{result['date']}; {m['processor']}, {m['processors']} processors, {m['threads']} "
        f"threads for everyone; {m['system']}, Python {m['python']}.",
        f"{versions}.",
    ]
    if "peaks" in result:
        peaks = result["peaks"]
        speeds = peaks["bandwidth"]
        small, large = min(speeds, key=int), max(speeds, key=int)
        lines.append(
            f"Measured peaks: {peaks['gflops']:.0f} GFLOP/s; {speeds[small]:.0f} GB/s within "
            f"{int(small) >> 10} KiB, {speeds[large]:.0f} GB/s within {int(large) >> 20} MiB."
        )
    if m.get("load"):
        lines.append(f"Load of the machine when the run began: {m['load']:.1f}.")
    if result.get("quick"):
        lines.append("**A quick run: these figures are only indications.**")
    if result.get("shown", "step") != "step":
        what = {"best": "the fastest blocks", "cpu": "the least processor time"}[result["shown"]]
        lines.append(f"Shown: {what}, instead of medians.")
    return "\n".join(lines)


def steps_rows(result: dict[str, Any], peers: list[str]) -> list[list[str]]:
    """For each workload the times, the floor, the ratio and what is asked."""
    time = times(result)
    rows = []
    for name in dict.fromkeys(r["workload"] for r in result["runs"]):
        work = WORKLOADS[name]
        others = [time[name, p] for p in peers if p != "facula" and (name, p) in time]
        own = time.get((name, "facula"))
        ratio = f"{own / min(others):.2f}" if own and others else "-"
        met = own and others and own / min(others) <= work.at_most
        rows.append(
            [
                work.title,
                *[duration(time.get((name, p))) for p in peers],
                duration(floor(work.flops, work.traffic, result["peaks"])),
                f"**{ratio}**" if met else ratio,
                f"{work.at_most:.2f}",
            ]
        )
    return rows


def steps_report(result: dict[str, Any]) -> str:
    """All tables of the main section."""
    ran = {p for _, p in collect(result, "step")}
    peers = [p for p in PEERS if p in ran]
    titles = [PEERS[p]["title"] for p in peers]
    head = ["one step", *titles, "floor", "Facula / fastest", "asked"]
    parts = [heading(result), table(head, steps_rows(result, peers))]
    parts.append(_starts(result, peers, titles))
    parts.append(_memory(result, peers, titles))
    notes = [
        f"{PEERS[p]['title']} could not be set up: {why}" for p, why in result["missing"].items()
    ]
    notes += [
        f"{r['workload']}, {PEERS[r['peer']]['title']}: {r['failure']}"
        for r in result["runs"]
        if "failure" in r and "absent" not in r
    ]
    notes += result["disagreements"]
    if notes:
        parts.append("Not measured, or not in agreement:\n\n" + "\n".join(f"- {n}" for n in notes))
    return "\n\n".join(parts)


def _starts(result: dict[str, Any], peers: list[str], titles: list[str]) -> str:
    """From the start of the process to 100 finished steps, cold and warm."""
    starts: dict[tuple[str, str, bool], float] = {}
    for r in result["runs"]:
        if r.get("start") is not None:
            key = (r["workload"], r["peer"], r["alternation"] == 0)
            starts[key] = min(r["start"], starts.get(key, r["start"]))
    rows = []
    for name in dict.fromkeys(r["workload"] for r in result["runs"]):
        cells = []
        for p in peers:
            cold, warm = starts.get((name, p, True)), starts.get((name, p, False))
            cells.append(f"{duration(cold)} / {duration(warm)}" if cold or warm else "-")
        for cold in (True, False):
            own, other = starts.get((name, "facula", cold)), starts.get((name, "torch", cold))
            cells.append(_cell(_ratio(own, other), 1.0))
        rows.append([WORKLOADS[name].title, *cells])
    text = "From the start of the process to 100 finished steps, with cold / warm caches:"
    head = ["100 steps", *titles, "Facula / PyTorch, cold", "warm"]
    return text + "\n\n" + table(head, rows)


def _memory(result: dict[str, Any], peers: list[str], titles: list[str]) -> str:
    """The highest memory of the process, and how much of it came after the import."""
    peak, rise = medians(result, "peak"), medians(result, "rise")
    rows = []
    for name in dict.fromkeys(r["workload"] for r in result["runs"]):
        cells = [
            f"{peak[name, p]:.0f} ({rise[name, p]:.0f})" if (name, p) in peak else "-"
            for p in peers
        ]
        for figure in (peak, rise):
            own, other = figure.get((name, "facula")), figure.get((name, "torch"))
            cells.append(_cell(_ratio(own, other), 0.8))
        rows.append([WORKLOADS[name].title, *cells])
    text = "Highest memory of the process in MB, and in brackets what came after the import:"
    head = ["memory", *titles, "Facula / PyTorch", "after the import"]
    return text + "\n\n" + table(head, rows)


def _ratio(own: float | None, other: float | None) -> float | None:
    return own / other if own and other else None


def _cell(ratio: float | None, at_most: float) -> str:
    """A ratio, bold where it is met."""
    if ratio is None:
        return "-"
    return f"**{ratio:.2f}**" if ratio <= at_most else f"{ratio:.2f}"


def _failures(result: dict[str, Any]) -> list[str]:
    missing = [f"{PEERS[p]['title']}: {why}" for p, why in result["missing"].items()]
    lines = [f"- {line}" for line in missing + result["failures"]]
    return ["Not measured:\n\n" + "\n".join(lines)] if lines else []


def products_report(result: dict[str, Any]) -> str:
    """GFLOP/s of the products."""
    rows, slower, peak = [], 0, result["peaks"]["gflops"]
    for index, measured in result["times"].items():
        shape = SHAPES[int(index)]
        work = 2.0 * max(shape[0], 1) * shape[1] * shape[2] * shape[3] / 1e9
        time = {p: statistics.median(t) for p, t in measured.items()}
        own, other = time.get("facula"), time.get("torch")
        ratio = _ratio(own, other)
        slower += ratio is not None and ratio > 1.05
        rows.append(
            [
                label(shape),
                *[f"{work / t:.0f}" if t else "-" for t in (own, other)],
                f"{100 * work / own / peak:.0f}%" if own else "-",
                _cell(ratio, 1.05),
            ]
        )
    head = ["GFLOP/s", "Facula", "PyTorch", "of the peak", "time, Facula / PyTorch"]
    summary = f"{slower} of {len(rows)} take more than 1.05 of PyTorch's time."
    return "\n\n".join([heading(result), summary, table(head, rows), *_failures(result)])


def operations_report(result: dict[str, Any]) -> str:
    """Times of single operations, the slowest in relation to PyTorch first."""
    rows: list[tuple[float, list[str]]] = []
    for name, measured in result["times"].items():
        time = {p: statistics.median(t) for p, t in measured.items()}
        own, other = time.get("facula"), time.get("torch")
        ratio = _ratio(own, other)
        rows.append((-(ratio or 0), [name, duration(own), duration(other), _cell(ratio, 1.3)]))
    slower = sum(r < -1.3 for r, _ in rows)
    summary = f"{slower} of {len(rows)} take more than 1.3 of PyTorch's time."
    head = ["operation on 1M elements", "Facula", "PyTorch", "Facula / PyTorch"]
    text = table(head, [row for _, row in sorted(rows)])
    return "\n\n".join([heading(result), summary, text, *_failures(result)])


def curves_report(result: dict[str, Any]) -> str:
    """How long traces grow."""
    points = {(p["curve"], p["n"], p["peer"]): p for p in result["points"]}
    rows = []
    for curve, n in dict.fromkeys((c, n) for c, n, _ in points):
        own, other = points.get((curve, n, "facula")), points.get((curve, n, "torch"))
        row = [f"{curve}, {n} {'steps' if curve == 'lstm' else 'layers'}"]
        if own:
            count = own["operations"]
            row.append(f"{count:.0f}")
            row += [duration(own[k]) for k in ("record", "run")]
            row.append(duration((own["record"] + own["run"]) / max(count, 1)))
            row += [duration(own["first"]), duration(max(own["lost"], 0.0))]
            row.append(f"{own['memory']:.0f} MB")
        else:
            row += ["-"] * 7
        row += [duration(other["record"]), f"{other['memory']:.0f} MB"] if other else ["-", "-"]
        rows.append(row)
    head = ["a training step", "operations", "recording", "running", "both, each operation"]
    head += ["first step", "lost before steady", "memory", "PyTorch's step", "its memory"]
    return "\n\n".join([heading(result), table(head, rows), *_failures(result)])


def starts_report(result: dict[str, Any]) -> str:
    """Imports and the first step."""
    rows, found = [], result["starts"]
    numpy = found.get("numpy")
    for module, runs in found.items():
        time = statistics.median([r["import"] for r in runs])
        base = statistics.median([r["import"] for r in numpy]) if numpy else None
        first = [r["first"] for r in runs if "first" in r]
        rows.append(
            [
                module,
                duration(time),
                f"{time / base:.2f}" if base else "-",
                duration(statistics.median(first)) if first else "-",
                "yes" if any(r["llvmlite"] for r in runs) else "no",
            ]
        )
    head = ["module", "import", "of NumPy's", "first step after it", "loads llvmlite"]
    return "\n\n".join([heading(result), table(head, rows), *_failures(result)])


REPORTS = {
    "steps": steps_report,
    "products": products_report,
    "operations": operations_report,
    "curves": curves_report,
    "starts": starts_report,
}
TITLES = {
    "steps": "Steps",
    "products": "Matrix products",
    "operations": "Single operations",
    "curves": "Long traces",
    "starts": "Starts",
}


def write(result: dict[str, Any], folder: Path) -> Path:
    """Keep a result and bring the Markdown page of its folder up to date."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result['section']}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    parts = ["# Results\n\nWritten by `python -m benchmarks`; the JSON files here have all."]
    for section, report in REPORTS.items():
        kept = folder / f"{section}.json"
        if kept.exists():
            parts.append(f"## {TITLES[section]}\n\n{report(json.loads(kept.read_text()))}")
    (folder / "README.md").write_text("\n\n".join(parts) + "\n")
    return path


def fill_readme(folder: Path) -> None:
    """Put the main table into the project's README, between its marks."""
    result = json.loads((folder / "steps.json").read_text())
    ran = {p for _, p in collect(result, "step")}
    peers = [p for p in PEERS if p in ran]
    head = ["one step", *[PEERS[p]["title"] for p in peers], "floor", "Facula / fastest"]
    rows = [row[:-1] for row in steps_rows(result, peers)]
    text = heading(result) + "\n\n" + table(head, rows)
    readme = ROOT / "README.md"
    before, begin, rest = readme.read_text().partition("<!-- table: steps -->\n")
    _, end, after = rest.partition("<!-- end of table -->")
    if not begin or not end:
        raise SystemExit("README.md has no table 'steps'")
    readme.write_text(before + begin + text + "\n" + end + after)
