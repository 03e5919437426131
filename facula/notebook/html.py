"""HTML that is escaped and bounded; how large memory is, in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from facula.nn.parameter import is_lazy

MOST_CHARACTERS = 20_000  # of one text
MOST_ROWS = 200  # of one table


def text(value: Any, most: int = MOST_CHARACTERS) -> str:
    """Any value as text for HTML, its middle left out where it is too long."""
    s = str(value)
    if len(s) > most:
        cut = f"\n... {len(s) - most} characters are left out ...\n"
        s = s[: most // 2] + cut + s[-(most // 2) :]
    return escape(s)


def pre(value: Any) -> str:
    """Text as it is printed."""
    return f"<pre>{text(value)}</pre>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts, the first columns to the left; blanks that begin a cell are kept."""
    lines = ["<table><thead><tr>", *[f"<th>{text(h)}</th>" for h in head], "</tr></thead><tbody>"]
    for row in rows:
        style = ' style="text-align: left; white-space: pre-wrap"'
        lines += ["<tr>", *[f"<td{style}>{text(cell, 500)}</td>" for cell in row], "</tr>"]
    return "".join([*lines, "</tbody></table>"])


def columns(rows: Sequence[Sequence[str]]) -> str:
    """The same rows as text, in columns."""
    widths = [max([len(cell) for cell in column]) for column in zip(*rows, strict=True)]
    lines = ["  ".join([c.ljust(w) for c, w in zip(row, widths, strict=True)]) for row in rows]
    return "\n".join([line.rstrip() for line in lines])


def size(count: int) -> str:
    """A number of bytes: `1.2 MB`."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{count} B" if unit == "B" else f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


def tensor(t: Any) -> str:
    """A tensor: what it is, and under that what `print` says."""
    if is_lazy(t):
        return pre(repr(t))
    facts = [" × ".join(map(str, t.shape)) or "a single number", str(t.dtype), str(t.device)]
    if str(t.layout) == "torch.strided":
        facts.append(size(t.numel() * t.element_size()))
    else:
        facts.append(str(t.layout))
    return f"<div><small>{text(' · '.join(facts))}</small>{pre(repr(t))}</div>"
