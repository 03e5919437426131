"""Measurements beside each other."""

from __future__ import annotations

from collections.abc import Iterable

from facula.utils.benchmark.measurement import Measurement, select_unit, trim_sigfig


class Compare:
    """A table for each label: a row for each sub-label, a column for each description."""

    def __init__(self, results: Iterable[Measurement]) -> None:
        self._results: list[Measurement] = []
        self._trim = False
        self.extend_results(results)

    def extend_results(self, results: Iterable[Measurement]) -> None:
        """Add measurements."""
        for r in results:
            if not isinstance(r, Measurement):
                raise ValueError(f"expected an instance of Measurement, got {type(r)} instead")
            self._results.append(r)

    def trim_significant_figures(self) -> None:
        """Show three figures of each time."""
        self._trim = True

    def print(self) -> None:
        """Print the tables."""
        print(str(self))

    def __str__(self) -> str:
        tables: dict[str, list[Measurement]] = {}
        for m in Measurement.merge(self._results):
            tables.setdefault(m.task_spec.label or m.task_spec.stmt, []).append(m)
        return "\n".join([self._table(label, found) for label, found in tables.items()])

    def _table(self, label: str, found: list[Measurement]) -> str:
        unit, scale = select_unit(min(m.median for m in found))
        columns = list(dict.fromkeys(m.task_spec.description or "" for m in found))
        cells: dict[tuple[int, str], dict[str, str]] = {}
        for m in found:
            t = m.median / scale
            shown = f"{trim_sigfig(t, 3):g}" if self._trim else f"{t:.1f}"
            row = cells.setdefault((m.num_threads, m.as_row_name), {})
            row[m.task_spec.description or ""] = shown
        first = max(len(name) for _, name in cells) + 6
        widths = [max(len(c), *[len(r.get(c, "")) for r in cells.values()]) for c in columns]
        heads = [f"  {c:^{w}}  " for c, w in zip(columns, widths, strict=True)]
        head = " " * first + "|" + "|".join(heads)
        lines = [f"[{label:-^{len(head) - 2}}]", head]
        threads = None
        for (count, name), row in sorted(cells.items(), key=lambda c: c[0][0]):
            if count != threads:
                threads = count
                lines.append(f"{count} threads: ".ljust(len(head), "-"))
            times = [f"  {row.get(c, ''):>{w}}  " for c, w in zip(columns, widths, strict=True)]
            lines.append(f"      {name}".ljust(first) + "|" + "|".join(times))
        names = {"ns": "nanoseconds", "us": "microseconds", "ms": "milliseconds", "s": "seconds"}
        return "\n".join([*lines, "", f"Times are in {names[unit]} ({unit}).", ""])
