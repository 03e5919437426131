"""What calls save for the backward pass: which operands and results may not be written to.

    python tests/fuzz/saved.py --oracle PYTHON [--only TEXT] [--store FILE]

Each call of `calls.txt` is made with operands of its own, of which all floating ones require grad,
or one alone; then an operand or a result is written to, and the results are differentiated. Where
PyTorch refuses that because of the write, Facula has to, and nowhere else.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import subprocess
import sys
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODULES = {"torch", "nn", "F", "optim", "D", "np", "io", "copy", "os", "math", "prune"}
MOST = 6  # operands of one call


def statements() -> list[str]:
    """The calls that have a tensor for an operand, as far as can be seen."""
    lines = (HERE / "calls.txt").read_text().splitlines()
    return [line for line in lines if line and line[0] != "#" and ";" not in line]


def operands(call: str) -> tuple[str, list[str]]:
    """The call with names for its operands `p0`, `p1`, ..., and what these are."""
    tree = ast.parse(call, mode="eval")
    found: list[str] = []

    def named(n: ast.expr) -> ast.expr:
        if isinstance(n, ast.Name) and n.id in MODULES:
            return n
        if isinstance(n, (ast.List, ast.Tuple)):
            n.elts = [named(e) for e in n.elts]
            return n
        if isinstance(n, (ast.Constant, ast.Lambda, ast.Starred)) or len(found) == MOST:
            return n
        found.append(ast.unparse(n))
        return ast.Name(f"p{len(found) - 1}", ast.Load())

    n = tree.body
    if isinstance(n, ast.Call):
        if isinstance(n.func, ast.Attribute):
            n.func.value = named(n.func.value)
        n.args = [named(a) for a in n.args]
        for k in n.keywords:
            k.value = named(k.value)
    elif isinstance(n, ast.BinOp):
        n.left, n.right = named(n.left), named(n.right)
    elif isinstance(n, ast.UnaryOp):
        n.operand = named(n.operand)
    elif isinstance(n, (ast.Subscript, ast.Attribute)):
        n.value = named(n.value)
    return ast.unparse(ast.fix_missing_locations(tree)), found


def tensors(torch, value) -> list:
    """The tensors of a result."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [t for v in value for t in tensors(torch, v)]
    return []


def write(torch, t) -> None:
    """Write to a tensor what it has already."""
    if t.dtype.is_floating_point or t.dtype.is_complex:
        t.mul_(1)
    else:
        t.copy_(t.clone())


def total(torch, found: list):
    """One number that depends on all results which have a history."""
    out = 0
    for t in found:
        if t.requires_grad:
            out = out + (torch.view_as_real(t) if t.is_complex() else t).sum()
    return out


def outcome(torch, names: dict, code, given: list, wanted: set[int], written: int | None) -> str:
    """'.' where all goes well, 'x' where a write is refused, else the error's type.

    `written`: an operand, or, counted from the number of operands, a result.
    """
    torch.manual_seed(0)
    try:
        for i, t in enumerate(given):
            if isinstance(t, torch.Tensor):
                t = t.detach().clone()
                if i in wanted:
                    t = t.requires_grad_() * 1
            names[f"p{i}"] = t
        out = tensors(torch, eval(code, names))
        if not isinstance(total(torch, out), torch.Tensor):
            return "none"
        if written is not None:
            if written >= len(given) + len(out):
                return "none"
            target = names[f"p{written}"] if written < len(given) else out[written - len(given)]
            if not isinstance(target, torch.Tensor):
                return "none"
            write(torch, target)
        total(torch, out).backward()
    except Exception as error:
        if "modified by an inplace operation" in str(error):
            return "x"
        return type(error).__name__.lstrip("_")
    return "."


def look(torch, shared, call: str) -> dict[str, str] | None:
    """For each choice of operands that require grad, what comes of writing to each operand and to
    up to three results."""
    try:
        text, sources = operands(call)
    except SyntaxError:
        return None
    if not sources:
        return None
    names = shared.attempt(torch, call, False, "pass")[2]
    code = compile(text, "<call>", "eval")
    try:
        given = [eval(s, names) for s in sources]
    except Exception:
        return None
    able = [
        i
        for i, t in enumerate(given)
        if type(t) is torch.Tensor
        and t.layout == torch.strided
        and (t.dtype.is_floating_point or t.dtype.is_complex)
        and t.device.type == "cpu"
    ]
    found = {}
    choices = [able, *([[i] for i in able] if len(able) > 1 else [])]
    for wanted in choices:
        if not wanted or outcome(torch, names, code, given, set(wanted), None) != ".":
            continue
        row = []
        for i in range(len(given) + 3):
            row.append(outcome(torch, names, code, given, set(wanted), i))
        while row and row[-1] == "none":
            row.pop()
        found["".join(map(str, wanted))] = " ".join(row).replace("none", "-")
    return found or None


def work(framework: str, only: str) -> None:
    """Print what is found of each call, as JSON."""
    sys.path[0:1] = [str(HERE.parent), str(HERE.parents[1])]
    warnings.simplefilter("ignore")
    torch = importlib.import_module(framework)
    torch.set_num_threads(1)
    import mistakes as shared

    for call in statements():
        if only in call:
            print(json.dumps([call, look(torch, shared, call)]), flush=True)


def found_by(python: str, framework: str, only: str) -> dict[str, dict[str, str]]:
    """What a framework makes of all calls."""
    command = [python, __file__, "--work", framework, "--only", only]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    if not lines:
        raise RuntimeError(done.stderr)
    return {call: rows for call, rows in lines if rows}


def main() -> None:
    """Compare, and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--oracle")
    parser.add_argument("--only", default="", help="a part of the calls to look at")
    parser.add_argument("--store", help="where to write what PyTorch does")
    parser.add_argument("--work")
    options = parser.parse_args()
    if options.work:
        work(options.work, options.only)
        return
    want = found_by(options.oracle, "torch", options.only)
    got = found_by(sys.executable, "facula", options.only)
    differ = places = 0
    for call, rows in want.items():
        for wanted, row in rows.items():
            places += len(row.split())
            have = got.get(call, {}).get(wanted)
            if have != row:
                differ += 1
                print(f"{call}\n    grad of {wanted}: {row}   here: {have}")
    if options.store:
        Path(options.store).write_text(json.dumps(want, indent=0) + "\n")
    print(f"\n{len(want)} calls, {places} writes; {differ} rows differ")


if __name__ == "__main__":
    main()
