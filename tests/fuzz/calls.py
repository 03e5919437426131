"""Calls with something wrong in them, run by PyTorch and by Facula.

    python tests/fuzz/calls.py --oracle PYTHON --seed 0 --count 5000

`calls.txt` has calls that succeed. Each statement here is one of them with an argument replaced,
dropped or added, or with another tensor in place of the first. What has to agree: the type of the
exception, or the result where none is raised; after an exception every tensor has to be as it was,
and its message has to say something. What differs is printed by kind.
"""

from __future__ import annotations

import ast
import importlib
import json
import math
import random
import signal
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[0] = str(HERE.parent)
from fuzz import sides  # noqa: E402

ODD = """None;'a';1.5;True;1j;[1];(1.5,);{};x;torch.float32;-1;0;2;2**70;-2**63;float('nan')
float('inf');b;c;h;e;i;v;np.float64(1.5);np.int64(1);torch.tensor(1);torch.tensor(1.5);[];()
object();(1, None);torch.ones(2, 2);np.ones(2);[x, x];1e30""".replace("\n", ";").split(";")
OTHER = [
    "d",
    "h",
    "i",
    "b",
    "c",
    "e",
    "v",
    "torch.tensor(1.0)",
    "x.t()",
    "img",
    "x[None]",
    "w",
    "3",
]
TENSORS = {"x", "v", "w", "i", "d", "img", "seq", "y"}


def mutate(rng: random.Random, call: str) -> str:
    """The call with something else in it."""
    tree = ast.parse(call)
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call)]
    names = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id in TENSORS]
    if names and rng.random() < 0.15:
        rng.choice(names).id = rng.choice(OTHER)
        return ast.unparse(tree)
    if not calls:
        return call.replace(rng.choice(["x", "1", "2"]), rng.choice(ODD), 1)
    node = calls[0] if rng.random() < 0.8 else rng.choice(calls)
    places: list[tuple[list, int]] = [(node.args, i) for i in range(len(node.args))]
    kind = rng.random()
    if not places and not node.keywords:
        kind = 1.0
    if kind < 0.9:
        at = rng.randrange(len(places) + len(node.keywords))
        value = ast.parse(rng.choice(ODD), mode="eval").body
        if at >= len(places):
            keyword = node.keywords[at - len(places)]
            if kind < 0.04:
                node.keywords.remove(keyword)
            else:
                keyword.value = value
        elif kind < 0.04:
            del node.args[at]
        else:
            node.args[at] = value
    elif kind < 0.94:
        node.keywords.append(ast.keyword("foo", ast.Constant(1)))
    elif kind < 0.97:
        node.args.append(ast.parse(rng.choice(ODD), mode="eval").body)
    else:
        node.args += [ast.Constant(1)] * 9
    return ast.unparse(tree)


def make(seed: int, count: int) -> list[str]:
    """`count` different statements."""
    rng = random.Random(seed)
    lines = (HERE / "calls.txt").read_text().splitlines()
    lines = [line for line in lines if line and line[0] != "#"]
    out: dict[str, None] = {}
    while len(out) < count:
        out[mutate(rng, rng.choice(lines))] = None
    return list(out)


def kind_of(torch, value, depth=0):
    """A result as plain data."""
    if isinstance(value, torch.Tensor):
        t = value.detach()
        if t.layout != torch.strided:
            return ["sparse", str(t.dtype).rpartition(".")[2], list(t.shape)]
        data = None
        if t.numel() <= 100 and t.device.type == "cpu":
            t = t.resolve_conj() if hasattr(t, "resolve_conj") else t
            if t.is_complex():
                t = torch.view_as_real(t)
            data = t.double().reshape(-1).tolist()
            data = [repr(v) if not math.isfinite(v) else v for v in data]
        return ["tensor", str(value.dtype).rpartition(".")[2], list(value.shape), data]
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if value is None or isinstance(value, (bool, int, str)):
        return value if depth or not isinstance(value, str) else value[:300]
    if isinstance(value, (list, tuple)) and depth < 4:
        return [kind_of(torch, v, depth + 1) for v in value[:20]]
    return type(value).__name__.rpartition(".")[2]


def work(framework: str, path: str, begin: int) -> None:
    """Run statements from `begin` on; a line of the result file for each."""
    sys.path.insert(0, str(HERE.parents[1]))
    sides.prepare()
    torch = importlib.import_module(framework)
    torch.set_num_threads(1)
    import mistakes as shared

    statements = json.loads(Path(path).read_text())
    with open(f"{path}.{framework}", "a") as out:
        for n in range(begin, len(statements)):
            print(json.dumps([n, one(torch, shared, statements[n])]), file=out, flush=True)


def reset(torch) -> None:
    """Undo what a statement may have set for those that follow."""
    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)
    torch.set_num_threads(1)
    torch.set_printoptions(profile="default")
    torch.distributions.Distribution.set_default_validate_args(True)  # not set by torch.compile


def one(torch, shared, statement: str):
    """What comes of one statement."""
    signal.alarm(10)
    try:
        tree = ast.parse(statement)
        last = tree.body[-1]
        if isinstance(last, ast.Expr):
            tree.body[-1] = ast.Assign([ast.Name("RESULT", ast.Store())], last.value)
        code = compile(ast.fix_missing_locations(tree), "<statement>", "exec")
        error, changed, known = shared.attempt(torch, statement, True, code)
        if error is None:
            return ["ok", kind_of(torch, known.get("RESULT"))]
        return [type(error).__name__.lstrip("_"), str(error)[:600], changed]
    except sides.TooLong:
        return ["too long"]
    except Exception as error:
        return ["cannot be read", repr(error)[:300]]
    finally:
        signal.alarm(0)
        reset(torch)


def near(a, b) -> bool:
    """Whether two results are the same but for rounding."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(near, a, b))
    if isinstance(a, float) or isinstance(b, float):
        numbers = isinstance(a, (int, float)) and isinstance(b, (int, float))
        return numbers and math.isclose(a, b, rel_tol=2e-3, abs_tol=1e-4)
    return a == b


def differs(statement: str, given, found) -> str | None:
    """The kind of difference, if there is one."""
    (want,), (got,) = given, found
    if want[0] != got[0]:
        return f"{want[0]} -> {got[0]}"
    if want[0] == "ok" and not near(want[1], got[1]):
        return "another result"
    if want[0] != "ok" and got[2:] == [True] != want[2:]:
        return "a tensor has changed"
    if want[0] != "ok" and len(got) > 1 and len(got[1]) < 8:
        return "a short message"
    return None


def main() -> None:
    """Compare, and print what differs by kind."""
    parser = sides.parser(__doc__)
    parser.add_argument("--statements", help="a file with statements to run instead")
    parser.add_argument("--save", help="where to write all that was found")
    options = parser.parse_args()
    if options.work:
        work(options.work[0], options.work[1], int(options.work[2]))
        return
    if options.statements:
        statements = Path(options.statements).read_text().splitlines()
    else:
        statements = make(options.seed, options.count)
    want, got = sides.compare(__file__, options.oracle, statements, [["died"]], differs)
    if options.save:
        Path(options.save).write_text(json.dumps([statements, want, got]))


if __name__ == "__main__":
    main()
