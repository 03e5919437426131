"""Writing LLVM IR as text: finished code, for which no optimisation pass is run afterwards.

Loops are emitted in phi form and vectors are explicit: see docs/design.md.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Index = int | str  # a constant, or the name of an i64 value
DECLARED = "\n;\n"  # in a kernel's text: what comes before is had once by all of a module


class NotCompiled(Exception):
    """This cluster is left to the interpreter."""


def _no_report(bad: str) -> None:
    raise NotCompiled("a check inside a tile")


class Loop:
    """An open loop: its index, the carried values inside, and what they become."""

    def __init__(self, index: str, values: list[str]) -> None:
        self.index = index
        self.values = values
        self.next: list[str] = []


class Function:
    """One function being written."""

    def __init__(self, name: str, params: str, declarations: set[str]) -> None:
        self.name = name
        self.params = params
        self.lines: list[str] = []
        self.declarations = declarations
        self.serial = 0
        self.block = "entry"
        self.allocas: list[str] = []
        self.report: Callable[[str], None] = _no_report  # what a failed check calls

    def let(self, what: str) -> str:
        """Define a value; returns its name."""
        self.serial += 1
        name = f"%v{self.serial}"
        self.lines.append(f"  {name} = {what}")
        return name

    def do(self, what: str) -> None:
        """A statement without a value."""
        self.lines.append("  " + what)

    def label(self, stem: str) -> str:
        self.serial += 1
        return f"{stem}{self.serial}"

    def start(self, label: str) -> None:
        """Begin the block of this label."""
        self.lines.append(label + ":")
        self.block = label

    def declare(self, result: str, name: str, *args: str) -> None:
        self.declarations.add(f"declare {result} @{name}({', '.join(args)})")

    def share(self, f: Function) -> None:
        """Have this function beside it, once for all kernels of a module that have it.

        Its name begins with `shared` and says all that its text depends on."""
        self.declarations.update(f.declarations)
        self.declarations.add(f.text("internal ").rstrip("\n"))

    # Index arithmetic, with constants folded.
    def add(self, a: Index, b: Index) -> Index:
        if isinstance(a, int) and isinstance(b, int):
            return a + b
        if a == 0:
            return b
        if b == 0:
            return a
        return self.let(f"add nsw i64 {a}, {b}")

    def sub(self, a: Index, b: Index) -> Index:
        if isinstance(a, int) and isinstance(b, int):
            return a - b
        return a if b == 0 else self.let(f"sub nsw i64 {a}, {b}")

    def mul(self, a: Index, b: Index) -> Index:
        if isinstance(a, int) and isinstance(b, int):
            return a * b
        if a == 0 or b == 0:
            return 0
        if a == 1:
            return b
        if b == 1:
            return a
        return self.let(f"mul nsw i64 {a}, {b}")

    def div(self, a: Index, n: Index) -> Index:
        if isinstance(a, int) and isinstance(n, int):
            return a // n
        return a if n == 1 else self.let(f"udiv i64 {a}, {n}")

    def rem(self, a: Index, n: Index) -> Index:
        if isinstance(a, int) and isinstance(n, int):
            return a % n
        return 0 if n == 1 else self.let(f"urem i64 {a}, {n}")

    def smaller(self, a: Index, b: Index) -> Index:
        if isinstance(a, int) and isinstance(b, int):
            return min(a, b)
        self.declare("i64", "llvm.smin.i64", "i64", "i64")
        return self.let(f"call i64 @llvm.smin.i64(i64 {a}, i64 {b})")

    def larger(self, a: Index, b: Index) -> Index:
        if isinstance(a, int) and isinstance(b, int):
            return max(a, b)
        self.declare("i64", "llvm.smax.i64", "i64", "i64")
        return self.let(f"call i64 @llvm.smax.i64(i64 {a}, i64 {b})")

    def at(self, pointer: str, offset: Index) -> str:
        """The pointer, a number of bytes further."""
        return (
            pointer if offset == 0 else self.let(f"getelementptr i8, ptr {pointer}, i64 {offset}")
        )

    def fetch(self, pointer: str, write: bool = False) -> None:
        """Have a line of memory brought near; the address may be anything."""
        self.declare("void", "llvm.prefetch.p0", "ptr", "i32", "i32", "i32")
        self.do(f"call void @llvm.prefetch.p0(ptr {pointer}, i32 {int(write)}, i32 3, i32 1)")

    @contextmanager
    def loop(
        self, low: Index, high: Index, step: Index = 1, carried: Any = (), some: bool = False
    ) -> Iterator[Loop]:
        """Count from low to high. `carried` pairs types with first values; `some`: never empty.

        After the loop, `values` holds the carried values as they are then.
        """
        known = isinstance(low, int) and isinstance(high, int)
        if known and low >= high:  # type: ignore[operator]
            raise ValueError("a loop that never runs must not be emitted")
        body, end = self.label("body"), self.label("end")
        before = self.block
        guarded = not some and not known
        if guarded:
            c = self.let(f"icmp slt i64 {low}, {high}")
            self.do(f"br i1 {c}, label %{body}, label %{end}")
        else:
            self.do(f"br label %{body}")
        self.start(body)
        self.serial += 1
        index = f"%i{self.serial}"
        names = []
        for _ in carried:
            self.serial += 1
            names.append(f"%c{self.serial}")
        at = len(self.lines)
        self.lines.extend([""] * (1 + len(names)))
        loop = Loop(index, list(names))
        yield loop
        latch = self.block
        following = self.let(f"add nsw i64 {index}, {step}")
        c = self.let(f"icmp slt i64 {following}, {high}")
        self.do(f"br i1 {c}, label %{body}, label %{end}")
        self.lines[at] = f"  {index} = phi i64 [{low}, %{before}], [{following}, %{latch}]"
        for k, (name, (kind, first)) in enumerate(zip(names, carried, strict=True)):
            self.lines[at + 1 + k] = (
                f"  {name} = phi {kind} [{first}, %{before}], [{loop.next[k]}, %{latch}]"
            )
        self.start(end)
        loop.values = list(loop.next)
        if guarded:
            loop.values = []
            for (kind, first), last in zip(carried, loop.next, strict=True):
                loop.values.append(self.let(f"phi {kind} [{first}, %{before}], [{last}, %{latch}]"))

    @contextmanager
    def times(self, count: Index) -> Iterator[Index]:
        """Count from 0 to `count`, which is not 0; yields the index, 0 where it is the only one."""
        if count == 1:
            yield 0
        else:
            with self.loop(0, count, some=True) as loop:
                yield loop.index

    @contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """A block that runs only if the i1 holds."""
        yes, out = self.label("then"), self.label("fi")
        self.do(f"br i1 {condition}, label %{yes}, label %{out}")
        self.start(yes)
        yield
        self.do(f"br label %{out}")
        self.start(out)

    def scratch(self, kind: str, count: int) -> str:
        """Room on the stack."""
        self.serial += 1
        name = f"%s{self.serial}"
        self.allocas.append(f"  {name} = alloca {kind}, i64 {count}, align 64")
        return name

    def text(self, linkage: str = "") -> str:
        """The finished function."""
        return "\n".join(
            [
                f"define {linkage}void @{self.name}({self.params}) nounwind {{",
                "entry:",
                *self.allocas,
                *self.lines,
                "  ret void",
                "}",
                "",
            ]
        )


def float_bits(x: float, double: bool = False) -> str:
    """A floating-point constant, exactly, in LLVM's notation."""
    if not double:
        x = struct.unpack("<f", struct.pack("<f", x))[0]
    (bits,) = struct.unpack("<Q", struct.pack("<d", x))
    return f"0x{bits:016X}"
