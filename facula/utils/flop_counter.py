"""Counting the multiplications and additions of matrix products and convolutions.

What is counted is what was recorded, forward and backward, whether or not anybody asks for its
value. The names of the counts are those of PyTorch's operators; a product is `mm` or, of batches,
`bmm`, for a bias that is added is an operation of its own here. Attention is counted by its two
products.

Source: https://docs.pytorch.org/docs/stable/utils.html
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from typing import Any

from facula.compiler.timing import operations
from facula.errors import honest, refuse
from facula.library import namespace
from facula.trace.node import ROOT, Node
from facula.trace.recorder import TLS, flush
from facula.utils.module_tracker import ModuleTracker

__all__ = ["FlopCounterMode", "register_flop_formula"]

_COUNTED = ("matmul", "conv", "conv_input", "conv_weight")
_SUFFIXES = ("", "K", "M", "B", "T")


def register_flop_formula(targets: Any, get_raw: bool = False) -> Any:
    """NotImplementedError: operators of libraries are recorded as what they are made of."""
    refuse("torch.utils.flop_counter.register_flop_formula", "recorded operations are counted")


class FlopCounterMode:
    """Counts inside its block, and prints a table at its end.

    `depth`: how deep the table goes into the modules. `display`: whether it is printed.
    """

    def __init__(
        self,
        mods: Any = None,
        depth: int = 2,
        display: bool = True,
        custom_mapping: dict[Any, Any] | None = None,
    ) -> None:
        if mods is not None:
            warnings.warn(
                "mods argument is not needed anymore, you can stop passing it", stacklevel=2
            )
        if custom_mapping:
            refuse("FlopCounterMode: custom_mapping", "recorded operations are counted")
        self.flop_counts: dict[str, dict[Any, int]] = defaultdict(lambda: defaultdict(int))
        self.depth, self.display = depth, display
        self.mod_tracker = ModuleTracker()
        self._last: Node | None = None  # up to where the frame has been counted

    def __enter__(self) -> FlopCounterMode:
        r = TLS.r
        self._watcher = r.watcher
        if isinstance(getattr(r.watcher, "__self__", None), FlopCounterMode):
            raise RuntimeError("FlopCounterMode: one is counting in this thread already")
        flush(r)
        self.flop_counts.clear()
        self._last = None
        self.mod_tracker = ModuleTracker()
        self.mod_tracker.before_change = self._count
        self.mod_tracker.__enter__()
        r.watcher = self._end_frame
        return self

    def __exit__(self, *args: object) -> None:
        self._count()
        TLS.r.watcher = self._watcher
        self.mod_tracker.__exit__(*args)
        if self.display and args[0] is None:
            print(self.get_table(self.depth))

    def _end_frame(self, r: Any) -> None:
        if self._watcher is not None:
            self._watcher(r)
        self._count()
        self._last = None

    def _count(self) -> None:
        """Enter what was recorded since the last time for the modules that are at work."""
        e = last = TLS.r.cur
        while e is not self._last and e.op is not ROOT:
            if getattr(e.op, "name", None) in _COUNTED:
                key = getattr(namespace("aten"), self._operator(e))
                for module in self.mod_tracker.parents:
                    self.flop_counts[module][key] += operations(e)
            e = e.parent
        self._last = last

    def _operator(self, e: Node) -> str:
        """The name that PyTorch has for an operation."""
        if e.op.name == "matmul":
            return "bmm" if len(e.shape) > 2 else "mm"
        return "convolution_backward" if self.mod_tracker.is_bw else "convolution"

    def get_total_flops(self) -> int:
        """The sum of all counts."""
        return sum(self.flop_counts["Global"].values())

    def get_flop_counts(self) -> dict[str, dict[Any, int]]:
        """For each module, "Global" for all: for each operator its count."""
        return {module: dict(counts) for module, counts in self.flop_counts.items()}

    def get_table(self, depth: int | None = None) -> str:
        """The counts as a text, one line for each module and each operator in it."""
        depth = depth or self.depth or 999_999
        total = self.get_total_flops()
        order = max(0, min(len(_SUFFIXES) - 1, (len(str(total)) - 2) // 3))

        def line(name: str, count: int) -> list[str]:
            share = f"{count / total:.2%}" if total else "0%"
            return [name, f"{count / 1000**order:.3f}{_SUFFIXES[order]}", share]

        def lines(module: str, indent: str) -> list[list[str]]:
            counts = self.flop_counts[module]
            own = [line(f"{indent} - aten.{op._name}", n) for op, n in counts.items()]
            return [line(indent + module, sum(counts.values())), *own]

        rows: list[list[str]] = []
        whole = False  # one module has it all, which then needs no line of its own
        for module in sorted(self.flop_counts):
            level = module.count(".")
            if module != "Global" and level < depth:
                whole = whole or sum(self.flop_counts[module].values()) >= total
                rows.extend(lines(module, " " * level))
        if total and not whole:
            rows = lines("Global", "") + [[" " + name, *rest] for name, *rest in rows]
        return _table([["Module", "FLOP", "% Total"], *(rows or [["Global", "0", "0%"]])])


def _table(rows: list[list[str]]) -> str:
    """Rows as a text, the first one underlined; the first column is to the left."""
    widths = [max([len(row[i]) for row in rows]) for i in range(len(rows[0]))]
    rows = [rows[0], ["-" * w for w in widths], *rows[1:]]
    lines = [
        [c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths))]
        for row in rows
    ]
    return "\n".join(["  ".join(line) for line in lines])


__getattr__ = honest(__name__)
