"""Calls drawn from the signatures that PyTorch gives its operators, run by PyTorch and by Facula.

    python tests/fuzz/drawn.py --oracle PYTHON --seed 0 --count 5000

The arguments are of the types that a signature asks for: most calls are valid, and have seldom used
combinations of dtypes, sizes, layouts and settings. What has to agree: the result with its dtype,
shape and strides, or the type of the exception, and of which kind the warnings are. What differs is
printed by kind.
"""

from __future__ import annotations

import collections
import importlib
import json
import math
import random
import signal
import subprocess
import sys
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT / "tests")
from fuzz import sides  # noqa: E402

SHAPES = ["()", "(0,)", "(3,)", "(2,3)", "(3,3)", "(2,3,4)", "(1,2,5,5)", "(1,)", "(2,0)", "(2,1)"]
DTYPES = ["float32"] * 8 + [
    *("float64", "bfloat16", "float16", "int64", "int64", "int32", "uint8", "int8", "bool"),
    "complex64",
]
SIZES = """0 1 2 (0,) (1,) (0,1) (1,2) (2,2) (-1,) () (2,3) (1,1,1)"""
TEXTS = """mean sum none trunc floor reflect linear ij fro nuc right left prod amax amin"""
VALUES = {
    "int": ["0", "1", "-1", "2", "1", "0", "3", "-2"],
    "SymInt": ["0", "1", "-1", "2", "1", "0", "3", "-2"],
    "float": ["0.5", "1.0", "2.0", "0.0", "1", "-1.5", "1e-5"],
    "bool": ["True", "False"],
    "number": ["2", "1.5", "0", "-1", "True", "3", "0.25"],
    "Scalar": ["2", "1.5", "0", "-1", "True", "3", "0.25"],
    "Union[complex, float, int]": ["2", "1.5", "0", "-1", "True", "3", "0.25"],
    "str": [repr(text) for text in TEXTS.split()],
    "List[float]": ["(0.5,0.5)", "(1.0,)"],
}
# Left out: random results, memory that holds anything, other devices and layouts, settings.
WITHOUT = """set_ resize_ resize_as_ rename to_mkldnn data apply_ map_ map2_ quantize_per_tensor
    retain_grad q_scale record_stream rand random_ normal_ exponential_ geometric_ cauchy_
    log_normal_ bernoulli bernoulli_ uniform_ empty randint randn randperm multinomial poisson
    dropout alpha_dropout feature_dropout feature_alpha_dropout rrelu rrelu_ empty_like
    empty_strided empty_permuted new_empty new_empty_strided rand_like randn_like randint_like seed
    manual_seed binomial is_vulkan_available cuda vulkan xpu hpu ipu xla mtia pin_memory is_pinned
    dropout_ alpha_dropout_ feature_dropout_ feature_alpha_dropout_ normal wait fork
    import_ir_module from_file set_num_threads native_dropout data_ptr svd_lowrank pca_lowrank
    standard_gamma dirichlet fill_diagonal_ lstsq share_memory_ resize storage untyped_storage
    set_data requires_grad_ module_load put_ _"""
PARTS_WITHOUT = """quantize cudnn mkldnn miopen fbgemm sparse backward rnn lstm gru copy_ _copy sym_
    q_ nested random"""
SPACES = {"linalg_": "torch.linalg", "fft_": "torch.fft", "special_": "torch.special"}


class Maker:
    """Draws the arguments of one call after the other."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.known: list[str] = []  # tensors of the call so far, which often come again

    def tensor(self) -> str:
        """A tensor, often one that the call has already."""
        rng = self.rng
        if self.known and rng.random() < 0.75:
            return rng.choice(self.known)
        out = f"T('{rng.choice(DTYPES)}',{rng.choice(SHAPES)},'{rng.choice('aaabt')}')"
        self.known.append(out)
        return out

    def value(self, kind: str, name: str) -> str | None:
        """An argument of a type; None where nothing is given."""
        rng = self.rng
        if kind.startswith("Optional["):
            if rng.random() < 0.5:
                return "None"
            kind = kind[9:-1]
        if kind == "Tensor":
            if name in ("index", "indices", "target") and rng.random() < 0.7:
                return f"T('int64',{rng.choice(SHAPES)},'i')"
            if name in ("mask", "condition") and rng.random() < 0.8:
                return f"T('bool',{rng.choice(SHAPES)},'a')"
            return self.tensor()
        if kind == "List[Tensor]":
            return "[" + ",".join([self.tensor() for _ in range(rng.randint(1, 3))]) + "]"
        if kind.startswith(("List[int]", "List[SymInt]")):
            return rng.choice(SIZES.split())
        if kind in ("Generator", "Device", "Layout", "MemoryFormat"):
            return None
        return rng.choice(VALUES.get(kind, ["None"]))

    def call(self, space: str, name: str, schema) -> str | None:
        """A call of an operator; None where it cannot be made."""
        rng, self.known = self.rng, []
        args: list[str] = []
        named: list[str] = []
        for i, a in enumerate(schema.arguments):
            if a.is_out:
                return None
            if a.name in ("generator", "layout", "device", "pin_memory"):
                continue
            value = None
            if not (a.has_default_value() and rng.random() < 0.5):
                dtype = "torch." + rng.choice(DTYPES)
                value = dtype if a.name == "dtype" else self.value(str(a.type), a.name)
            if value is None:
                continue
            if a.kwarg_only or named or len(args) < i or (i > 0 and rng.random() < 0.15):
                named.append(f"{a.name}={value}")
            else:
                args.append(value)
        if space != "method":
            return f"{space}.{name}({', '.join(args + named)})"
        if not args or not args[0].startswith("T("):
            return None
        return f"{args[0]}.{name}({', '.join(args[1:] + named)})"


def draw(seed: int, count: int) -> list[str]:
    """Different calls: with PyTorch alone, which has the signatures."""
    import torch

    table = collections.defaultdict(list)
    without, parts = set(WITHOUT.split()), PARTS_WITHOUT.split()
    spaces = {"torch": torch, "F": torch.nn.functional, "method": torch.Tensor}
    for schema in torch._C._jit_get_all_schemas():
        if not schema.name.startswith("aten::"):
            continue
        full = schema.name[6:]
        own = [(long, name) for long, name in SPACES.items() if full.startswith(long)]
        for space, module in spaces.items():
            name = full
            if own:
                space, name = own[0][1], full.removeprefix(own[0][0])
                module = getattr(torch, space[6:])
            skipped = name in without or name.startswith("_") or any(p in name for p in parts)
            if hasattr(module, name) and not skipped:
                table[space, name].append(schema)
    rng = random.Random(seed)
    maker, names, out = Maker(rng), sorted(table), {}
    while len(out) < count:
        space, name = rng.choice(names)
        call = maker.call(space, name, rng.choice(table[space, name]))
        if call is not None:
            out[call] = None
    return list(out)


def made(torch, dtype: str, shape: tuple[int, ...], kind: str):
    """A tensor: 'a' positive numbers, 'b' of both signs, 'i' indices, 't' transposed memory."""
    import numpy as np

    n = np.arange(math.prod(shape))
    if kind == "i":
        values = n % 2
    else:
        values = n * 7 % 5 - 1.5 if kind == "b" else n * 3 % 7 / 2 + 0.5
    turned = kind == "t" and len(shape) > 1
    values = np.array(values.reshape(shape[::-1] if turned else shape), order="C")
    out = torch.from_numpy(values).to(getattr(torch, dtype))
    if turned:
        return out.permute(*reversed(range(len(shape))))
    return out * (1 + 0.5j) if dtype == "complex64" else out


def plain(torch, value, depth: int = 0):
    """A result as plain data."""
    if isinstance(value, torch.Tensor):
        t = value.detach()
        out = ["tensor", str(t.dtype).rpartition(".")[2], list(t.shape)]
        if t.layout is torch.strided:
            strides = list(t.stride()) if t.numel() > 1 else None
            if t.is_complex():
                t = torch.view_as_real(t.resolve_conj())
            numbers = t.double().reshape(-1).tolist()[:200]
            out += [[x if math.isfinite(x) else repr(x) for x in numbers], strides]
        return out
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, (list, tuple)) and depth < 4:
        return [plain(torch, v, depth + 1) for v in value]
    return type(value).__name__.rpartition(".")[2]


def work(framework: str, path: str, begin: int) -> None:
    """Run calls from `begin` on; a line of the result file for each."""
    sys.path.insert(0, str(ROOT))
    sides.prepare()
    torch = importlib.import_module(framework)
    torch.set_num_threads(1)
    known = {"torch": torch, "F": torch.nn.functional, "T": lambda *a: made(torch, *a)}
    calls = json.loads(Path(path).read_text())
    with open(f"{path}.{framework}", "a") as out:
        for n in range(begin, len(calls)):
            torch.manual_seed(0)
            with warnings.catch_warnings(record=True) as found:
                warnings.simplefilter("always")
                late = ""
                try:
                    signal.alarm(5)
                    value = eval(calls[n], known)
                    late = "late "  # an error here comes of a body, and from now on everywhere
                    result = ["ok", plain(torch, value)]
                except sides.TooLong:
                    result = ["too long"]
                except Exception as e:
                    result = [late + type(e).__name__.lstrip("_"), str(e)[:200]]
                finally:
                    signal.alarm(0)
            torch.set_default_dtype(torch.float32)
            torch.set_grad_enabled(True)
            told = sorted({w.category.__name__ for w in found})
            print(json.dumps([n, result, told]), file=out, flush=True)


def near(a, b, tolerance: float) -> bool:
    """Whether two results are the same but for rounding."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(near(x, y, tolerance) for x, y in zip(a, b, strict=True))
    if isinstance(a, float) or isinstance(b, float):
        numbers = isinstance(a, (int, float)) and isinstance(b, (int, float))
        return numbers and math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance / 10)
    return a == b


def without_strides(value):
    """A plain result but for the strides of its tensors."""
    if isinstance(value, list):
        if value[:1] == ["tensor"]:
            return value[:4]
        return [without_strides(v) for v in value]
    return value


def differs(call: str, want, got) -> str | None:
    """The kind of difference, if there is one."""
    (a, told), (b, told_here) = want, got
    if "died" in (a[0], b[0]) or "too long" in (a[0], b[0]):
        return None if a[0] in ("died", "too long") else f"{a[0]} -> {b[0]}"
    if a[0] != b[0]:
        return f"{a[0]} -> {b[0]}"
    if a[0] == "ok":
        tolerance = 2e-2 if "float16" in call else 1e-3
        if not near(without_strides(a[1]), without_strides(b[1]), tolerance):
            return "another result"
        if not near(a[1], b[1], tolerance):
            return "other strides"
    return None if told == told_here else f"warnings: {told} -> {told_here}"


def main() -> None:
    """Compare, and print what differs by kind."""
    parser = sides.parser(__doc__)
    parser.add_argument("--draw", action="store_true", help="print the calls (with PyTorch)")
    options = parser.parse_args()
    if options.work:
        work(options.work[0], options.work[1], int(options.work[2]))
        return
    if options.draw:
        print(json.dumps(draw(options.seed, options.count)))
        return
    command = [options.oracle, __file__, "--draw", "--seed", str(options.seed)]
    command += ["--count", str(options.count)]
    calls = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    sides.compare(__file__, options.oracle, calls, [["died"], []], differs)


if __name__ == "__main__":
    main()
