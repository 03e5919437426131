"""Writes the lists of docs/compatibility.md from the code: what is there, and what is not.

    python docs/make_compatibility.py          writes the page
    python docs/make_compatibility.py FILE     prints which names of a list Facula lacks

PyTorch's names are in tests/data/pytorch_names.json; whether Facula has one is asked of Facula. A
list has a name at the beginning of each line: `nn.Linear`, `torch.cat`, `Tensor.view`, `F.relu`.
"""

from __future__ import annotations

import importlib
import json
import sys
import textwrap
import warnings
from pathlib import Path

import facula.run

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "compatibility.md"
NAMES = ROOT / "tests" / "data" / "pytorch_names.json"
BEGIN, END = "<!-- list: names -->", "<!-- end of list -->"


def missing(namespace: str, names: list[str]) -> list[str]:
    """Which of PyTorch's names Facula lacks."""
    ours = namespace.replace("torch", "facula", 1)
    try:
        if namespace == "torch.Tensor":
            space = facula.zeros(1)
        else:
            space = importlib.import_module(ours)
    except ImportError:
        return names
    return [n for n in names if not _has(space, n)]


def _has(space: object, name: str) -> bool:
    try:
        getattr(space, name)
    except AttributeError:
        return False
    except Exception:  # it is there, and this tensor has no such value
        return True
    return True


def lists() -> str:
    """A table of counts, and the missing names by namespace."""
    rows = ["| namespace | PyTorch's names | in Facula |", "|---|---|---|"]
    details = []
    for namespace, names in json.loads(NAMES.read_text()).items():
        if not names:
            continue
        lacking = missing(namespace, names)
        rows.append(f"| `{namespace}` | {len(names)} | {len(names) - len(lacking)} |")
        if lacking:
            text = textwrap.fill(", ".join(lacking), 98)
            details.append(f"`{namespace}` lacks:\n\n```text\n{text}\n```")
    return "\n".join(rows) + "\n\n" + "\n\n".join(details)


def resolves(name: str) -> bool:
    """Whether Facula has what a name of a list stands for."""
    parts = name.split(".")
    space: object = facula
    if parts[0] == "Tensor":
        space, parts = facula.zeros(1), parts[1:]
    elif parts[0] == "F":
        parts = ["nn", "functional", *parts[1:]]
    elif parts[0] == "torch":
        parts = parts[1:]
    for part in parts:
        if not _has(space, part):
            try:
                importlib.import_module(f"{space.__name__}.{part}")  # type: ignore[attr-defined]
            except (AttributeError, ImportError):
                return False
        space = getattr(space, part, None)
    return True


def main() -> None:
    """Write the page, or print what a list asks for in vain."""
    warnings.simplefilter("ignore")
    if len(sys.argv) > 1:
        lines = [x for x in Path(sys.argv[1]).read_text().splitlines() if x[:1] not in ("", "#")]
        print("\n".join([x for x in lines if not resolves(x.split()[0])]))
        return
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{lists()}\n{END}{after}")


if __name__ == "__main__":
    main()
