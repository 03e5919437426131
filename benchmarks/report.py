"""Tables from results: Markdown for people, and the lines of the project's README."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.machine import floor
from benchmarks.peers import PEERS, ROOT
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
        rows.append([WORKLOADS[name].title, *cells])
    text = "From the start of the process to 100 finished steps, with cold / warm caches:"
    return text + "\n\n" + table(["100 steps", *titles], rows)


def _memory(result: dict[str, Any], peers: list[str], titles: list[str]) -> str:
    """The highest memory of the process, and how much of it came after the import."""
    peak, rise = medians(result, "peak"), medians(result, "rise")
    rows = []
    for name in dict.fromkeys(r["workload"] for r in result["runs"]):
        cells = [
            f"{peak[name, p]:.0f} ({rise[name, p]:.0f})" if (name, p) in peak else "-"
            for p in peers
        ]
        rows.append([WORKLOADS[name].title, *cells])
    text = "Highest memory of the process in MB, and in brackets what came after the import:"
    return text + "\n\n" + table(["memory", *titles], rows)


REPORTS = {"steps": steps_report}
TITLES = {"steps": "Steps"}


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
